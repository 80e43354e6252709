package upi_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

func TestParseUTR(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want upi.UTR
		kind upi.Kind
	}{
		{"355015818634", "355015818634", upi.KindRRN},
		{" 001718859181\n", "001718859181", upi.KindRRN},
		{"SBIN125050589474", "SBIN125050589474", upi.KindNEFT},
		{"sbin125050589474", "SBIN125050589474", upi.KindNEFT},
		{"N213232572818450", "N213232572818450", upi.KindNEFT},
		{"CITIN26373861182", "CITIN26373861182", upi.KindNEFT},
		{"RBI3532499914098", "RBI3532499914098", upi.KindNEFT},
		{"0811OP2112257367", "0811OP2112257367", upi.KindNEFT},
		{"FDRLM2612345678", "FDRLM2612345678", upi.KindNEFT}, // 15: Federal
		{"HDFCN520263454560344", "HDFCN520263454560344", upi.KindNEFT},
		{"SBINN52026021511431836", "SBINN52026021511431836", upi.KindNEFT},
		{"HDFCR52026041560739217", "HDFCR52026041560739217", upi.KindRTGS},
		{"1234R52026041560739217", "1234R52026041560739217", upi.KindNEFT},

		{in: ""},
		{in: "000000000000"},
		{in: "35501581863"},   // 11 digits
		{in: "3550158186345"}, // 13
		{in: "35501581863O"},  // letter O
		{in: "३५५०१५८१८६३४"},             // digits, but not ASCII
		{in: "355015 818634"},            // inner space
		{in: "0000355015818634"},         // HDFC pads the RRN in statements
		{in: "UPI355015818634"},          // the RRN under another name
		{in: "IMPS355015818634"},         // and again
		{in: "22AAAAA0000A1Z5"},          // GSTIN
		{in: "CONGRATULATIONS"},          // a word
		{in: "XXXXXXXXXXXX1234"},         // masked account
		{in: "HDFCN5202607024345356218"}, // 24
		{in: "SBIN12505058947-"},
		{in: "ſBIN12505058947"}, // strings.ToUpper makes this S
	}
	for _, tt := range tests {
		got, err := upi.ParseUTR(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") || err != nil && !errors.Is(err, upi.ErrUTR) {
			t.Errorf("ParseUTR(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
		if got.Kind() != tt.kind {
			t.Errorf("%q is of kind %q, want %q", got, got.Kind(), tt.kind)
		}
	}
}

func TestParseRRN(t *testing.T) {
	t.Parallel()
	if got, err := upi.ParseRRN(" 020977030678 "); got != "020977030678" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for _, s := range []string{"", "02097703067", "0209770306789", "000000000000", "02097703067A", "SBIN125050589474"} {
		if got, err := upi.ParseRRN(s); got != "" || !errors.Is(err, upi.ErrUTR) {
			t.Errorf("ParseRRN(%q) = %q, %v; want ErrUTR", s, got, err)
		}
	}
}

func TestMaskedNumbers(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		upi.UTR("355015818634").Masked():           "xxxxxxxx8634",
		upi.UTR("HDFCR52026041560739217").Masked(): "xxxxxxxxxxxxxxxxxx9217",
		upi.UTR("634").Masked():                    "xxx",
		upi.AccountNumber("012345678").Masked():    "xxxxx5678",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestParseVPA(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]upi.VPA{
		"test@upi":                         "test@upi",
		" Ravi.Kumar-1_a@OKAXIS ":          "Ravi.Kumar-1_a@OKAXIS",
		"9912346690@ybl":                   "9912346690@ybl",
		"a@okaxis":                         "a@okaxis",
		"a@ok":                             "a@ok",
		strings.Repeat("a", 256) + "@upi":  upi.VPA(strings.Repeat("a", 256) + "@upi"),
		"user@" + strings.Repeat("b2", 32): upi.VPA("user@" + strings.Repeat("b2", 32)),
	} {
		if got, err := upi.ParseVPA(in); got != want || err != nil {
			t.Errorf("ParseVPA(%.40q) = %.40q, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "@", "test", "test@", "@upi", "test@u", "test@1upi", "te st@upi", "test@u pi", "a@b@upi",
		"test@upi.", "ravi@gmail.com", "test+1@upi", "रवि@upi", "test@यूपीआई", "test@upi\x00", "test@upi&am=1",
		strings.Repeat("a", 257) + "@upi", "user@" + strings.Repeat("b", 65),
	} {
		if got, err := upi.ParseVPA(in); got != "" || !errors.Is(err, upi.ErrVPA) {
			t.Errorf("ParseVPA(%.40q) = %.40q, %v; want ErrVPA", in, got, err)
		}
	}
}

func TestVPA(t *testing.T) {
	t.Parallel()
	v := upi.VPA("Ravi.K@OkAxis")
	if v.User() != "Ravi.K" || v.Handle() != "OkAxis" || v.Canonical() != "ravi.k@okaxis" {
		t.Errorf("got %q, %q, %q", v.User(), v.Handle(), v.Canonical())
	}
	if !v.Equal("rAVI.k@OKAXIS") || v.Equal("ravi.k@oksbi") || v.Equal("ravi_k@okaxis") {
		t.Error("addresses must be compared whole and without regard to case")
	}
	if v.Masked() != "Raxxxx@OkAxis" {
		t.Errorf("masked as %q", v.Masked())
	}
}

func TestMaskPayer(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                  "",
		"  ":                "",
		"rahulxyz@okaxis":   "raxxxxxx@okaxis",
		"9912346690@ybl":    "99xxxx6690@ybl",
		"9912346690-2@ybl":  "99xxxxx6902@ybl",
		"9912346690":        "99xxxx6690",
		"+91 99123 46690":   "99xxxx6690",
		"+91-9912346690":    "99xxxx6690",
		"919912346690":      "91xxxxxx6690",
		"12345678":          "12xx5678",
		"1234567@upi":       "12xxxxx@upi",
		"000123456789012":   "00xxxxxxxxx9012",
		"Ravi Kumar":        "Raxxxxxxxx",
		"रवि":               "रवx",
		"abc@ok":            "abx@ok",
		"ab@ok":             "ax@ok",
		"a@ok":              "x@ok",
		"R":                 "x",
		"x@ok":              "xxx@ok",
		"abx@ok":            "xx@ok",
		"xxxx":              "xx",
		"ravi@gmail.com":    "raxx@gmail.com",
		"@okaxis":           "@oxxxxx",
		"ravi@":             "raxxx",
		"a@b@okaxis":        "a@xxxxxxxx",
		"ravi@9912346690":   "raxxxxxxxxxxxxx",
		"99123\xff\xff6690": "99xxxxxxxxx",
	} {
		if got := upi.MaskPayer(in); got != want {
			t.Errorf("MaskPayer(%q) = %q, want %q", in, got, want)
		}
	}
}

// checkMask holds for whatever a bank may report.
func checkMask(t interface{ Fatalf(string, ...any) }, payer string) {
	masked, trimmed := upi.MaskPayer(payer), strings.TrimSpace(payer)
	if (masked == "") != (trimmed == "") {
		t.Fatalf("MaskPayer(%q) = %q", payer, masked)
	}
	if masked == "" {
		return
	}
	if masked == trimmed || !strings.Contains(masked, "x") || !utf8.ValidString(masked) {
		t.Fatalf("MaskPayer(%q) = %q reveals it", payer, masked)
	}
	if v, err := upi.ParseVPA(payer); err == nil {
		user, handle, _ := strings.Cut(masked, "@")
		if handle != v.Handle() || len(v.User()) > 2 && strings.Contains(user, v.User()) {
			t.Fatalf("MaskPayer(%q) = %q reveals the user part or loses the handle", payer, masked)
		}
	}
}

func TestMaskPayerNeverReveals(t *testing.T) {
	t.Parallel()
	payer := rapid.OneOf(
		rapid.StringMatching(`[ax]{1,6}@[a-z]{2,8}`),
		rapid.StringMatching(`[A-Za-z0-9._-]{1,30}@[A-Za-z][A-Za-z0-9]{1,12}`),
		rapid.StringMatching(`(\+91)?[ -]?[0-9]{5,18}(@ybl)?`),
		rapid.String(),
	)
	rapid.Check(t, func(t *rapid.T) { checkMask(t, payer.Draw(t, "payer")) })
}

func TestParseAccountNumber(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"012345678", " 123456789012345678 "} {
		if got, err := upi.ParseAccountNumber(s); string(got) != strings.TrimSpace(s) || err != nil {
			t.Errorf("ParseAccountNumber(%q) = %q, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "12345678", "1234567890123456789", "1234 56789", "12345678X", "000000000"} {
		if got, err := upi.ParseAccountNumber(s); got != "" || !errors.Is(err, upi.ErrAccountNumber) {
			t.Errorf("ParseAccountNumber(%q) = %q, %v; want ErrAccountNumber", s, got, err)
		}
	}
}

func TestParseIFSC(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"HDFC0000001", " hdfc0abcd12 "} {
		got, err := upi.ParseIFSC(s)
		if string(got) != strings.ToUpper(strings.TrimSpace(s)) || err != nil || got.Bank() != "HDFC" {
			t.Errorf("ParseIFSC(%q) = %q of %q, %v", s, got, got.Bank(), err)
		}
	}
	for _, s := range []string{"", "HDFC000001", "HDFC00000011", "HDF00000001", "HDFCO000001", "HDFC00000-1", "HDFſ000001"} {
		if got, err := upi.ParseIFSC(s); got != "" || !errors.Is(err, upi.ErrIFSC) {
			t.Errorf("ParseIFSC(%q) = %q, %v; want ErrIFSC", s, got, err)
		}
	}
}

func TestLinkString(t *testing.T) {
	t.Parallel()
	for want, link := range map[string]upi.Link{
		"upi://pay?pa=test@upi&pn=Test%20Traders&tr=h8J-1&tn=Order%2055&am=500.00&cu=INR": {
			PayeeVPA: "test@upi", PayeeName: "Test Traders", Ref: "h8J-1", Note: "Order 55", Amount: 50000,
		},
		"upi://pay?pa=test@upi&pn=A%2BB%20%26%20C%2F%23%3F%3D&cu=INR": {PayeeVPA: "test@upi", PayeeName: "A+B & C/#?="},
		"upi://pay?pa=test@upi&pn=%E0%A4%B0%E0%A4%B5%E0%A4%BF&am=0.10&cu=INR": {
			PayeeVPA: "test@upi", PayeeName: "रवि", Amount: 10, Currency: money.INR,
		},
	} {
		if got := link.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestLinkValidate(t *testing.T) {
	t.Parallel()
	good := upi.Link{PayeeVPA: "test@upi", PayeeName: "Test"}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*upi.Link){
		"address":       func(l *upi.Link) { l.PayeeVPA = "test" },
		"negative":      func(l *upi.Link) { l.Amount = -1 },
		"currency":      func(l *upi.Link) { l.Currency = "USD" },
		"no name":       func(l *upi.Link) { l.PayeeName = " " },
		"line break":    func(l *upi.Link) { l.Note = "a\nb" },
		"not UTF-8":     func(l *upi.Link) { l.Ref = "\xff" },
		"long ref":      func(l *upi.Link) { l.Ref = strings.Repeat("1", 36) },
		"long note":     func(l *upi.Link) { l.Note = strings.Repeat("क", 51) },
		"no address":    func(l *upi.Link) { l.PayeeVPA = "" },
		"forged fields": func(l *upi.Link) { l.PayeeVPA = "a@upi&am=1" },
	} {
		bad := good
		spoil(&bad)
		if err := bad.Validate(); !errors.Is(err, upi.ErrLink) {
			t.Errorf("%s: %v, want ErrLink", name, err)
		}
	}
}

func TestParseLink(t *testing.T) {
	t.Parallel()
	// After the sample in the UPI Linking Specification: fields in its order, some not ours.
	got, err := upi.ParseLink("UPI://pay?pa=shop@npci&pn=My%20shop&mc=0000&tid=ab1&tr=4894&tn=Pay%20to%20shop&am=10&mam=null&cu=INR&url=https://shop.example/orderid=92")
	want := upi.Link{PayeeVPA: "shop@npci", PayeeName: "My shop", Ref: "4894", Note: "Pay to shop", Amount: 1000, Currency: money.INR}
	if got != want || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, s := range []string{
		"", "upi://", "http://pay?pa=a@upi&pn=A", "upi://mandate?pa=a@upi&pn=A", "upi:pay?pa=a@upi&pn=A", "upi://pay",
		"upi://pay?pa=a@upi", "upi://pay?pn=A", "upi://pay?pa=a&pn=A",
		"upi://pay?pa=a@upi&pa=b@upi&pn=A", "upi://pay?pa=a@upi&pn=A&am=1&am=2",
		"upi://pay?pa=a@upi&pn=A&am=-1", "upi://pay?pa=a@upi&pn=A&am=1.001", "upi://pay?pa=a@upi&pn=A&am=x",
		"upi://pay?pa=a@upi&pn=A&cu=USD", "upi://pay?pa=a@upi&pn=A&cu=1", "upi://pay?pa=a@upi&pn=%zz", "upi://pay?pa=a@upi&pn=%00",
	} {
		if got, err := upi.ParseLink(s); got != (upi.Link{}) || !errors.Is(err, upi.ErrLink) {
			t.Errorf("ParseLink(%q) = %+v, %v; want ErrLink", s, got, err)
		}
	}
}

func TestLinkParsesBack(t *testing.T) {
	t.Parallel()
	text := func(most int) *rapid.Generator[string] {
		return rapid.StringOfN(rapid.RuneFrom([]rune("aZ09 +&=%#?@;/é₹क\"'<")), 0, most, -1)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := upi.Link{
			PayeeVPA:  upi.VPA(rapid.StringMatching(`[A-Za-z0-9._-]{1,20}@[a-z]{2,8}`).Draw(t, "pa")),
			PayeeName: "P" + text(30).Draw(t, "pn"),
			Ref:       text(35).Draw(t, "tr"),
			Note:      text(50).Draw(t, "tn"),
			Amount:    money.Paise(rapid.Int64Min(0).Draw(t, "am")),
			Currency:  money.INR,
		}
		got, err := upi.ParseLink(want.String())
		if got != want || err != nil {
			t.Fatalf("%s\nread as %+v, %v\nwant    %+v", want, got, err, want)
		}
		if strings.ContainsAny(want.String(), "+ \"'<>") {
			t.Fatalf("%s holds a character that does not belong in a link", want)
		}
	})
}

func FuzzParseUTR(f *testing.F) {
	for _, s := range []string{"355015818634", "HDFCR52026041560739217", "0811OP2112257367", "IMPS355015818634", "ſBIN12505058947"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := upi.ParseUTR(s)
		if err != nil {
			return
		}
		if again, err := upi.ParseUTR(string(u)); again != u || err != nil {
			t.Fatalf("%q is %q, which is %q, %v", s, u, again, err)
		}
		if !strings.EqualFold(strings.TrimSpace(s), string(u)) || u.Kind() == "" {
			t.Fatalf("%q became %q of kind %q", s, u, u.Kind())
		}
		if m := u.Masked(); len(m) != len(u) || m == string(u) || m[len(m)-4:] != string(u[len(u)-4:]) {
			t.Fatalf("%q is masked as %q", u, m)
		}
		if rrn, err := upi.ParseRRN(s); (err == nil) != (u.Kind() == upi.KindRRN) || err == nil && rrn != u {
			t.Fatalf("%q: the RRN is %q, the UTR %q", s, rrn, u)
		}
	})
}

func FuzzParseVPA(f *testing.F) {
	for _, s := range []string{"test@upi", "9912346690@ybl", "a@b@c", "test@upi.", "रवि@upi"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := upi.ParseVPA(s)
		if err != nil {
			if v != "" {
				t.Fatalf("%q was refused, yet gave %q", s, v)
			}
			return
		}
		if v.User()+"@"+v.Handle() != strings.TrimSpace(s) || !v.Equal(v.Canonical()) {
			t.Fatalf("%q became %q", s, v)
		}
		link := upi.Link{PayeeVPA: v, PayeeName: "Test"}
		if got, err := upi.ParseLink(link.String()); err != nil || got.PayeeVPA != v {
			t.Fatalf("%s was read as %q, %v", link, got.PayeeVPA, err)
		}
	})
}

func FuzzParseLink(f *testing.F) {
	for _, s := range []string{
		"upi://pay?pa=test@upi&pn=Test%20Traders&am=500.00&cu=INR", "upi://pay?pa=a@upi&pa=b@upi&pn=A", "upi://pay?pa=a@upi&pn=A;B&am=1e2",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		link, err := upi.ParseLink(s)
		if err != nil {
			return
		}
		if again, err := upi.ParseLink(link.String()); again != link || err != nil {
			t.Fatalf("%q\nis  %+v\nnot %+v, %v", s, link, again, err)
		}
	})
}

func FuzzMaskPayer(f *testing.F) {
	for _, s := range []string{"rahulxyz@okaxis", "9912346690@ybl", "+91 99123 46690", "Ravi Kumar", "abx@ok", "xxx", "\xff\xfe\xfd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkMask(t, s) })
}
