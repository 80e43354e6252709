package window

import (
	"strings"
	"testing"

	"github.com/milaan/milaan/upi"
)

func TestFindUTR(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text    string
		want    upi.UTR
		problem string
	}{
		{"321323438267", "321323438267", ""},
		{"  3213 2343 8267 ", "321323438267", ""},
		{"3213-2343-8267", "321323438267", ""},
		{"३२१३२३४३८२६७", "321323438267", ""},
		{"Rs.500.00 debited from A/c XX1234 on 14-03-26 to shop@okaxis. UPI Ref No 321323438267. Not you? Call 18001234567", "321323438267", ""},
		{"UPI/321323438267/Payment to +919876543210", "321323438267", ""},
		{"UTR:321323438267 again 321323438267", "321323438267", ""},
		{"₹500 भेजे गए, UPI संदर्भ ३२१३२३४३८२६७", "321323438267", ""},
		{"", "", "utr.error.empty"},
		{"   ", "", "utr.error.empty"},
		{"32132343826", "", "utr.error.short"},
		{"3213234382671", "", "utr.error.short"},
		{"000000000000", "", "utr.error.short"},
		{"Ref 3213234382671", "", "utr.error.none"},
		{"no number", "", "utr.error.none"},
		{"call +919876543210", "", "utr.error.none"},
		{"321323438267 or 321323438268?", "", "utr.error.many"},
		{strings.Repeat("x", maxPaste) + " 321323438267", "", "utr.error.none"},
	} {
		got, problem := findUTR(tt.text)
		if got != tt.want || problem != tt.problem {
			t.Errorf("%.60q gives %q, %q; want %q, %q", tt.text, got, problem, tt.want, tt.problem)
		}
	}
}

func FuzzFindUTR(f *testing.F) {
	f.Add("UPI Ref No 321323438267.")
	f.Add("३२१३ 2343 8267")
	f.Fuzz(func(t *testing.T, text string) {
		utr, problem := findUTR(text)
		if (utr == "") == (problem == "") {
			t.Fatalf("%q gives %q and %q", text, utr, problem)
		}
		if utr != "" {
			if again, _ := findUTR(string(utr)); again != utr {
				t.Fatalf("%q gives %q, which gives %q", text, utr, again)
			}
		}
	})
}

func TestReadAmount(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text, want, problem string
	}{
		{"500", "500", ""},
		{" ₹ 1,00,000.50 ", "100000.5", ""},
		{"५००", "500", ""},
		{"500/-", "500", ""},
		{"", "0", "amount.error.form"},
		{"0", "0", "amount.error.form"},
		{"-5", "0", "amount.error.form"},
		{"5.001", "0", "amount.error.decimals"},
		{"five", "0", "amount.error.form"},
		{"<script>", "0", "amount.error.form"},
		{strings.Repeat("9", 300), "0", "amount.error.form"},
		{"9999999999999", "0", "amount.error.form"},
	} {
		got, problem := readAmount(tt.text)
		if problem != tt.problem || problem == "" && got.String() != tt.want {
			t.Errorf("%.30q gives %s, %q; want %s, %q", tt.text, got, problem, tt.want, tt.problem)
		}
	}
}
