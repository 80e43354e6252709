package payout_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/payout"
)

// example is the request of protocol, section 6.
const example = `{"withdrawal_id":"297","payment_system":"imps_ib","amount":1218,"currency_code":"INR","is_test":%s,"label":"125199",` +
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
			if err := payout.VerifySignature("wkey", fmt.Appendf(nil, example, tt.isTest, tt.details, tt.signature)); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
	if err := payout.VerifySignature("", fmt.Appendf(nil, example, "false", "payments_details", payout.Sign("", values))); !errors.Is(err, payout.ErrSignature) {
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
		amount, isTest, branch, details := rapid.IntRange(1, 999).Draw(t, "amount"), rapid.Bool().Draw(t, "test"), words.Draw(t, "ifsc"), map[string]string{}
		if rapid.Bool().Draw(t, "details") {
			details["x"] = words.Draw(t, "x")
		}
		fields := map[string]any{
			"account_name": words.Draw(t, "name"), "account_number": words.Draw(t, "number"), "amount": amount,
			"bank_details": map[string]string{"branch_code": branch}, "is_test": isTest,
			"label": words.Draw(t, "label"), "payments_details": details, "withdrawal_id": words.Draw(t, "id"),
		}
		sign := func() []byte {
			body, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			return body
		}
		// The signature is made by the values as they stand here.
		flag := ""
		if isTest {
			flag = "1"
		}
		fields["signature"] = payout.Sign("k", fmt.Sprintf("%v:%v:%v:%v:%v:%v:%v:%v", fields["account_name"], fields["account_number"], amount,
			branch, flag, fields["label"], details["x"], fields["withdrawal_id"]))
		if err := payout.VerifySignature("k", sign()); err != nil {
			t.Fatalf("%s: %v", sign(), err)
		}
		switch name := rapid.SampledFrom([]string{"account_name", "account_number", "amount", "label", "withdrawal_id", "is_test", "bank_details", "more"}).Draw(t, "changed"); name {
		case "amount":
			fields[name] = amount + 1
		case "is_test":
			fields[name] = !isTest
		case "bank_details":
			fields[name] = map[string]string{"branch_code": branch + "x"}
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
