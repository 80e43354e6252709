package sms_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/feed/sms"
)

func TestParseHeader(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		sender string
		want   sms.Header
	}{
		{"VM-HDFCBK", sms.Header{Route: "VM", Name: "HDFCBK"}},
		{"JD-ICICIT-S", sms.Header{Route: "JD", Name: "ICICIT", Kind: sms.Service}},
		{"ax-sbiupi-t", sms.Header{Route: "AX", Name: "SBIUPI", Kind: sms.Transactional}},
		{"BW-GOVIND-G", sms.Header{Route: "BW", Name: "GOVIND", Kind: sms.Government}},
		{"AD-HDFCBK-P", sms.Header{Route: "AD", Name: "HDFCBK", Kind: sms.Promotional}},
		{"VM-IndusB", sms.Header{Route: "VM", Name: "INDUSB"}},
		{"AM-UBOI", sms.Header{Route: "AM", Name: "UBOI"}},
		{"HDFCBK", sms.Header{Name: "HDFCBK"}},
		{"SIBSMS-S", sms.Header{Name: "SIBSMS", Kind: sms.Service}},
		{" VM-HDFCBK ", sms.Header{Route: "VM", Name: "HDFCBK"}},
	} {
		if got, err := sms.ParseHeader(tt.sender); err != nil || got != tt.want {
			t.Errorf("%q: got %+v, %v", tt.sender, got, err)
		}
	}
}

// None of these may ever pass for a bank.
var lookAlikes = []string{
	"", "-", "--", "VM-", "-HDFCBK", "VM--HDFCBK", "VM-HDFCBK-", "VM-HDFCBK-S-S", "VM-HDFCBK-X", "VM-HDFCBK-ST", "VM-HDFCBK-1",
	"+919876543210", "9876543210", "919876543210", "56161", "567676", "111940",
	"HDFC8K", "VM-HDFC8K", "VM-HDFCB1", "VM-5BIUPI", "VM-SB1INB", "VM-1CICIB", "VM-ICICI8", "VM-K0TAKB", "V1-HDFCBK",
	"VM-HDFCBA\u041a", "VM-\u041dDFCBK", "VM-HDF\u0421BK", "VM-\u0391XISBK", "VM-AXISB\u039a", "\u0425X-AXISBK", // Cyrillic and Greek
	"VM-HDF\u2102BK", "\uff36\uff2d-\uff28\uff24\uff26\uff23\uff22\uff2b", "VM-HDFCB\u212a", "VM-\u0130CICIB", // folded by others
	"VM\u2010HDFCBK", "VM\u2013HDFCBK", "VM-HDFCBK\u200b", "VM-HD\u00adFCBK", "VM-HDFCBK\u00a0", "\u202eKBCFDH",
	"VM-HDFCBK\n", "VM-HDFC BK", "VM HDFCBK", "VM_HDFCBK", "VM-HDFCBK.", "VM-HDFCBK,SBIUPI", "VM-HDFCBK\x00",
	"HDFCB", "HDFC", "VM-HD", "VM-HDFCBKK", "HDFCBKK", "HDFCBANK", "VMX-HDFCBK", "V-HDFCBK", "BOB", "SBI",
	"HDFC Bank", "hdfcbank_k2j3_agent@rbm.goog", "alerts@hdfcbank.net", "com.google.android.apps.nbu.paisa.user", "Mama",
}

func TestLookAlikes(t *testing.T) {
	t.Parallel()
	for _, sender := range lookAlikes {
		if got, err := sms.ParseHeader(sender); !errors.Is(err, sms.ErrNotHeader) {
			t.Errorf("%q is taken for %+v (%v)", sender, got, err)
		}
		if err := sms.Trusted(sender, "hdfc", []string{sender}); err == nil {
			t.Errorf("%q is trusted", sender)
		}
	}
}

func TestTrusted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		sender, bank string
		extra        []string
		want         error
	}{
		{"VM-HDFCBK", "hdfc", nil, nil},
		{"jd-hdfcbk-s", "hdfc", nil, nil},
		{"HDFCBN", "hdfc", nil, nil},
		{"VM-SBI", "sbi", nil, nil},
		{"VM-HDFCBK", "icici", nil, sms.ErrOtherBank},
		{"VM-HDFCBK-P", "hdfc", nil, sms.ErrPromotional},
		{"VM-HDFCBK-P", "hdfc", []string{"HDFCBK"}, sms.ErrPromotional},
		{"VM-NEWBNK", "hdfc", nil, sms.ErrUnknown},
		{"VM-SBICRD", "sbi", nil, sms.ErrUnknown}, // another company
		{"VM-NEWBNK", "hdfc", []string{"HDFCXX", "newbnk"}, nil},
		{"VM-NEWBNK", "", []string{"AD-NEWBNK-S"}, nil},
		{"VM-NEW", "", []string{"NEW"}, nil},
		{"VM-NEWBNK", "", nil, sms.ErrUnknown},
		{"VM-HDFCBK", "", nil, sms.ErrNoBank},
		{"9876543210", "hdfc", []string{"9876543210"}, sms.ErrNotHeader},
	} {
		if err := sms.Trusted(tt.sender, tt.bank, tt.extra); !errors.Is(err, tt.want) {
			t.Errorf("%q for %q with %v: got %v, want %v", tt.sender, tt.bank, tt.extra, err, tt.want)
		}
	}
}

func TestBanks(t *testing.T) {
	t.Parallel()
	for header, bank := range map[string]string{
		"AD-SBIUPI-S": "sbi", "BW-CBSSBI": "sbi", "DM-ICIBNK": "icici", "AM-AXISBK": "axis", "VM-KOTAKB-T": "kotak", "VM-PNBSMS": "pnb",
		"CP-BOBTXN": "bob", "JK-CANBNK-S": "canara", "AD-UNIONB-S": "union", "FEDBNK": "federal", "VM-IndusB": "indusind", "YESBNK": "yes",
		"BT-INDBNK": "indian", "PYTMPB": "paytmpb", "JX-BOIIND-S": "boi", "TL-DHANBK-S": "dhanlaxmi",
	} {
		if got, err := sms.BankOf(header); got != bank || err != nil {
			t.Errorf("%s is of %q, %v, want %q", header, got, err, bank)
		}
	}
	names := sms.BankNames()
	for _, name := range names {
		if name != strings.ToLower(name) || !sms.KnownBank(name) {
			t.Errorf("the bank %q is not called so", name)
		}
	}
	if len(names) < 50 || sms.KnownBank("HDFC") || sms.KnownBank("") {
		t.Errorf("banks: %v", names)
	}
}

func TestTailFits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		printed, account string
		want             bool
	}{
		{"XX1234", "50100000001234", true},
		{"1234", "1234", true},
		{"**34", "50100000001234", true},
		{"X001234", "XX1234", true}, // compared as far as both reach
		{"XXXXXXXX00007271", "7271", true},
		{"...7656", "000105007656", true},
		{"XX1235", "50100000001234", false},
		{"XX001234", "50100000991234", false},
		{"4", "50100000001234", false},
		{"XX1234", "4", false},
		{"12XX", "50100000001234", false}, // its end is masked
		{"XXXX", "50100000001234", false},
		{"XX1234", "savings", false},
		{"XX\u0661\u0662\u0663\u0664", "50100000001234", false},
		{"XX1234", "5010 0000 0012 34", true},
		{"", "50100000001234", true}, // the header alone vouches
		{"XX1234", "", true},
		{"", "", true},
	} {
		if got := sms.TailFits(tt.printed, tt.account); got != tt.want {
			t.Errorf("%q for %q: got %v", tt.printed, tt.account, got)
		}
	}
}

func TestTailFitsEnds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		account := rapid.StringMatching(`[0-9]{9,18}`).Draw(t, "account")
		n := rapid.IntRange(2, 6).Draw(t, "digits")
		tail := account[len(account)-n:]
		if !sms.TailFits("XX"+tail, account) || !sms.TailFits(tail, "XX"+tail) {
			t.Fatalf("%s does not fit %s", tail, account)
		}
		i := rapid.IntRange(0, n-1).Draw(t, "place")
		other := []byte(tail)
		other[i] = '0' + (other[i]-'0'+byte(rapid.IntRange(1, 9).Draw(t, "by")))%10
		if sms.TailFits(string(other), account) {
			t.Fatalf("%s fits %s", other, account)
		}
	})
}

// The collected senders of credits are the banks' own; the rest is reported,
// not judged.
func TestCollectedSenders(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("MILAAN_TEST_FEEDS")
	if dir == "" {
		t.Skip("set MILAAN_TEST_FEEDS to the folder with sms.jsonl")
	}
	file, err := os.ReadFile(filepath.Join(dir, "sms.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	banks := map[string]string{
		"HDFC": "hdfc", "SBI": "sbi", "ICICI": "icici", "Axis": "axis", "Kotak": "kotak", "PNB": "pnb", "BoB": "bob", "Canara": "canara", "Union": "union",
		"Federal": "federal", "IndusInd": "indusind", "Yes": "yes", "Indian Bank": "indian", "Paytm PB": "paytmpb",
	}
	var credits, trusted int
	lines := bufio.NewScanner(bytes.NewReader(file))
	for lines.Scan() {
		var m struct{ ID, Sender, Bank, Direction, Kind string }
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		bank, known := banks[m.Bank]
		if m.Sender == "" || !known {
			continue
		}
		err := sms.Trusted(m.Sender, bank, nil)
		if m.Direction == "credit" && m.Kind == "payment" {
			credits++
			if err == nil {
				trusted++
			} else {
				t.Logf("%s: %s for %s: %v", m.ID, m.Sender, bank, err)
			}
		}
		if err == nil && (m.Kind == "promo" || m.Kind == "scam") && strings.HasSuffix(m.Sender, "-P") {
			t.Errorf("%s: %s is trusted", m.ID, m.Sender)
		}
	}
	if t.Logf("%d of %d credits with a sender are trusted", trusted, credits); trusted*10 < credits*9 {
		t.Errorf("only %d of %d", trusted, credits)
	}
}

func FuzzParseHeader(f *testing.F) {
	for _, seed := range lookAlikes {
		f.Add(seed)
	}
	for _, seed := range []string{"VM-HDFCBK", "JD-ICICIT-S", "HDFCBK", "SIBSMS-S", "AM-UBOI"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sender string) {
		h, err := sms.ParseHeader(sender)
		if err != nil {
			return
		}
		// What passes is spelt again as it came.
		again := h.Name
		if h.Route != "" {
			again = h.Route + "-" + again
		}
		if h.Kind != sms.NoKind {
			again += "-" + string(rune(h.Kind))
		}
		if again != strings.ToUpper(strings.Trim(sender, " ")) || len(h.Name) > 6 {
			t.Fatalf("%q is read as %+v", sender, h)
		}
	})
}
