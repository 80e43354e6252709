package postback

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"time"

	"github.com/milaan/milaan/internal/directory"
)

// MessageID is the event's webhook-id: the same for every attempt, so that a
// merchant can tell a repeat.
func (e *Event) MessageID() string {
	if e.Webhook != "" {
		return "evt_" + strconv.FormatInt(e.ID, 10)
	}
	return "deposit_" + strconv.FormatInt(e.ID, 10)
}

// Sign sets the Standard Webhooks headers (standardwebhooks.com) over a body.
// They are the attempt's own: receivers refuse an old timestamp, so every
// repeat is signed anew. During a rotation there is a signature by each key;
// one by the ed25519 key (v1a) is added where the secrets have one.
func Sign(header http.Header, secrets directory.MerchantSecrets, id string, at time.Time, body []byte) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	start := id + "." + timestamp + "."
	var signatures []byte
	for i, key := range secrets.WebhookKeys() {
		if i > 0 {
			signatures = append(signatures, ' ')
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(start))
		mac.Write(body)
		signatures = append(signatures, "v1,"...)
		signatures = base64.StdEncoding.AppendEncode(signatures, mac.Sum(nil))
	}
	if key := secrets.SigningKey(); key != nil {
		signatures = append(signatures, " v1a,"...)
		signatures = base64.StdEncoding.AppendEncode(signatures, ed25519.Sign(key, append([]byte(start), body...)))
	}
	header.Set("webhook-id", id)
	header.Set("webhook-timestamp", timestamp)
	header.Set("webhook-signature", string(signatures))
}
