package razorpayx

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
)

// eventStatus is the status a payout has in an event that is named after it
// (docs/webhooks/payouts); payout.updated comes with any.
var eventStatus = map[string]string{
	"payout.pending":   "pending",
	"payout.rejected":  "rejected",
	"payout.queued":    "queued",
	"payout.initiated": "processing",
	"payout.processed": "processed",
	"payout.reversed":  "reversed",
	"payout.failed":    "failed",
}

// Hear verifies a webhook and reads the payout in it. X-Razorpay-Signature
// is the HMAC-SHA256 of the raw body under the webhook secret, in hexadecimal
// (docs/webhooks/validate-test). Events of other things, and payouts whose
// reference can't be milaan's, have no result.
//
// Webhooks come more than once and in any order, and no time is signed: a result
// that is not definite must not take back one that is, and processed must not
// take back reversed.
//
// The error wraps [payout.ErrStranger] or [payout.ErrNews].
func (p *Provider) Hear(header http.Header, body []byte) ([]payout.News, error) {
	secret, signatures := p.c.WebhookSecret, header.Values("X-Razorpay-Signature")
	if secret == "" || len(signatures) != 1 {
		return nil, fmt.Errorf("%w: the signature or the webhook secret is missing", payout.ErrStranger)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("%w: larger than %d bytes", payout.ErrNews, maxBody)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	given, err := hex.DecodeString(signatures[0])
	if err != nil || !hmac.Equal(given, mac.Sum(nil)) {
		return nil, fmt.Errorf("%w: check the webhook secret", payout.ErrStranger)
	}
	var e struct {
		Entity  string `json:"entity"`
		Event   string `json:"event"`
		Payload struct {
			Payout *struct {
				Entity payoutEntity `json:"entity"`
			} `json:"payout"`
		} `json:"payload"`
	}
	// Names in exactly the documented case, and none twice: no two readers may see
	// different payouts.
	if err := json.Unmarshal(body, &e); err != nil || e.Entity != "event" || e.Event == "" {
		return nil, fmt.Errorf("%w: not an event, or a name stands in it twice", payout.ErrNews)
	}
	if !strings.HasPrefix(e.Event, "payout.") || e.Payload.Payout == nil {
		return nil, nil
	}
	entity := e.Payload.Payout.Entity
	if !entity.sound() || entity.Amount <= 0 || entity.Currency != string(money.INR) {
		return nil, fmt.Errorf("%w: the payout in it is not one", payout.ErrNews)
	}
	if !referenceShape.MatchString(entity.ReferenceID) {
		return nil, nil
	}
	answer := entity.answer()
	if want, named := eventStatus[e.Event]; named && want != entity.Status {
		answer = payout.Answer{Standing: payout.Unclear, ProviderRef: entity.ID, Why: "the event contradicts the payout's status"}
	}
	return []payout.News{{Reference: entity.ReferenceID, Amount: money.Paise(entity.Amount), Answer: answer}}, nil
}
