package payout_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/payout"
)

// real is the example of protocol, section 6.
const real = `{"withdrawal_id":"297","payment_system":"imps_ib","amount":1218,"currency_code":"INR","is_test":%s,"label":"125199",` +
	`"account_number":"123456789","account_name":"TestNameAcc","bank_details":{"branch_code":"ICIC0123456"},%q:{},"signature":"%s"}`

func TestSignatureOfTheProtocol(t *testing.T) {
	t.Parallel()
	const values = "TestNameAcc:123456789:1218:ICIC0123456:INR::125199:imps_ib::297"
	good := payout.Sign("wkey", values)
	for _, tt := range []struct {
		name, isTest, details, signature string
		want                             error
	}{
		{"as in the protocol", "false", "payments_details", good, nil},
		{"the other spelling of clients in the field", "false", "payment_details", payout.Sign("wkey", "TestNameAcc:123456789:1218:ICIC0123456:INR::125199::imps_ib:297"), nil},
		{"null for false", "null", "payments_details", good, nil},
		{"in capitals", "false", "payments_details", fmt.Sprintf("%X", mustHex(t, good)), nil},
		{"true is 1", "true", "payments_details", payout.Sign("wkey", "TestNameAcc:123456789:1218:ICIC0123456:INR:1:125199:imps_ib::297"), nil},
		{"true is not false", "true", "payments_details", good, payout.ErrSignature},
		{"another key", "false", "payments_details", payout.Sign("other", values), payout.ErrSignature},
		{"none", "false", "payments_details", "", payout.ErrSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := payout.VerifySignature("wkey", fmt.Appendf(nil, real, tt.isTest, tt.details, tt.signature)); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
	if err := payout.VerifySignature("", fmt.Appendf(nil, real, "false", "payments_details", payout.Sign("", values))); !errors.Is(err, payout.ErrSignature) {
		t.Errorf("a merchant without a key gives %v", err)
	}
}

func mustHex(t *testing.T, s string) []byte {
	t.Helper()
	var b []byte
	if _, err := fmt.Sscanf(s, "%x", &b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSignatureRefusesBodies(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		``, `[]`, `5`, `{`, `{"a":[1]}`, `{"a":1,"a":1}`, `{"a":{"b":1,"b":2}}`, `{"a":"x:y"}`, `{"a":{"b":"x\ny"}}`, `{} {}`,
		`{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{}}}}}}}}}}`,
	} {
		if err := payout.VerifySignature("k", []byte(body)); err == nil || errors.Is(err, payout.ErrSignature) {
			t.Errorf("%s gives %v", body, err)
		}
	}
}

// TestSignatureHoldsEveryField: whatever is changed in a signed request, the
// signature holds no more.
func TestSignatureHoldsEveryField(t *testing.T) {
	t.Parallel()
	words := rapid.StringMatching(`[a-zA-Z0-9 ]{1,8}`)
	rapid.Check(t, func(t *rapid.T) {
		fields := map[string]any{
			"account_name": words.Draw(t, "name"), "account_number": words.Draw(t, "number"), "amount": rapid.IntRange(1, 999).Draw(t, "amount"),
			"bank_details": map[string]any{"branch_code": words.Draw(t, "ifsc")}, "is_test": rapid.Bool().Draw(t, "test"),
			"label": words.Draw(t, "label"), "payments_details": map[string]any{}, "withdrawal_id": words.Draw(t, "id"),
		}
		if rapid.Bool().Draw(t, "details") {
			fields["payments_details"] = map[string]any{"x": words.Draw(t, "x")}
		}
		sign := func() []byte {
			body, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			return body
		}
		// The signature is made by the values as they stand here.
		isTest := ""
		if fields["is_test"] == true {
			isTest = "1"
		}
		details := ""
		if x, ok := fields["payments_details"].(map[string]any)["x"]; ok {
			details = fmt.Sprint(x)
		}
		fields["signature"] = payout.Sign("k", fmt.Sprintf("%v:%v:%v:%v:%v:%v:%v:%v", fields["account_name"], fields["account_number"], fields["amount"],
			fields["bank_details"].(map[string]any)["branch_code"], isTest, fields["label"], details, fields["withdrawal_id"]))
		if err := payout.VerifySignature("k", sign()); err != nil {
			t.Fatalf("%s: %v", sign(), err)
		}
		switch name := rapid.SampledFrom([]string{"account_name", "account_number", "amount", "label", "withdrawal_id", "is_test", "bank_details", "more"}).Draw(t, "changed"); name {
		case "amount":
			fields[name] = fields[name].(int) + 1
		case "is_test":
			fields[name] = fields[name] == false
		case "bank_details":
			fields[name] = map[string]any{"branch_code": fmt.Sprint(fields["bank_details"].(map[string]any)["branch_code"], "x")}
		case "more":
			fields["more"] = ""
		default:
			fields[name] = fmt.Sprint(fields[name], "x")
		}
		if err := payout.VerifySignature("k", sign()); !errors.Is(err, payout.ErrSignature) {
			t.Fatalf("%s: %v", sign(), err)
		}
	})
}
