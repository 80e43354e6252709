package postback

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/directory"
)

// MessageID is the event's webhook-id: the same for every attempt, so that a
// merchant can tell a repeat.
func (e *Event) MessageID() string { return "deposit_" + strconv.FormatInt(e.ID, 10) }

// webhookKey is the key of the Standard Webhooks signature. A secret in the
// standard's own form is base64 after its prefix; any other is its bytes.
func webhookKey(secrets directory.MerchantSecrets) []byte {
	key := secrets.WebhookKey()
	if encoded, ok := strings.CutPrefix(string(key), "whsec_"); ok {
		if decoded, err := base64.StdEncoding.DecodeString(encoded); err == nil {
			return decoded
		}
	}
	return key
}

// Sign sets the Standard Webhooks headers (standardwebhooks.com) over a body.
// They are the attempt's own: receivers refuse an old timestamp, so every
// repeat is signed anew.
func Sign(header http.Header, secrets directory.MerchantSecrets, id string, at time.Time, body []byte) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, webhookKey(secrets))
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	header.Set("webhook-id", id)
	header.Set("webhook-timestamp", timestamp)
	header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
