package postback

import (
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
func (e *Event) MessageID() string { return "deposit_" + strconv.FormatInt(e.ID, 10) }

// Sign sets the Standard Webhooks headers (standardwebhooks.com) over a body.
// They are the attempt's own: receivers refuse an old timestamp, so every
// repeat is signed anew.
func Sign(header http.Header, secrets directory.MerchantSecrets, id string, at time.Time, body []byte) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secrets.WebhookKey())
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	header.Set("webhook-id", id)
	header.Set("webhook-timestamp", timestamp)
	header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
