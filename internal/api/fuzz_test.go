package api_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/upi"
)

// FuzzActivate holds whatever body a client sends to what the desk and the
// stores rely on: what gets through is whole and storable, what does not is
// answered 400 in JSON.
func FuzzActivate(f *testing.F) {
	f.Add([]byte(activation))
	h := open(f, &desk{claim: in(deposit.Waiting)})
	f.Fuzz(func(t *testing.T, body []byte) {
		h.log.Reset()
		h.desk.activations = nil
		w := h.post(activateURL, string(body))
		var answer struct {
			Status  string
			Message string
			Errors  map[string][]string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Message == "" {
			t.Fatalf("answered %d %s", w.Code, w.Body)
		}
		switch w.Code {
		case 400:
			if answer.Status != "fail" || len(answer.Errors) == 0 || len(h.desk.activations) != 0 {
				t.Fatalf("answered %s, asked the desk for %v", w.Body, h.desk.activations)
			}
		case 200:
			a := h.desk.activations[0]
			if a.Merchant != "shop" || a.Via != "api" || a.Amount <= 0 || a.UTR.Kind() != upi.KindRRN || len(a.Currency) != 3 {
				t.Fatalf("asked the desk for %+v", a)
			}
			for _, text := range []string{a.CustomID, a.Method, a.Label} {
				if text == "" || !utf8.ValidString(text) || utf8.RuneCountInString(text) > 190 ||
					strings.TrimSpace(text) != text || strings.ContainsFunc(text, unicode.IsControl) {
					t.Fatalf("let %q through", text)
				}
			}
		default:
			t.Fatalf("status %d", w.Code)
		}
	})
}
