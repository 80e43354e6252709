package mail_test

import (
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/feed/mail"
)

func TestHTML(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, html, want string }{
		{"paragraphs", "<html><head><title>Alert</title><style>p{color:red}</style></head><body><p>Dear  Customer,</p>\n<p>Rs.&nbsp;75.00\nis <b>credited</b>.</p></body></html>",
			"Dear Customer,\nRs. 75.00 is credited."},
		{"breaks", "a<br>b<br/><br>c<div>d</div>e<hr>f", "a\nb\n\nc\nd\ne\nf"},
		{"entities", "&#8377;75 &amp; &lt;more&gt; A&#47;c &euro;", "₹75 & <more> A/c €"},
		{"without width", "516&#8203;300&#173;274&zwj;911", "516300274911"},
		{"comments and scripts", "a<!-- Rs.9 --><script>Rs.9</script><noscript>Rs.9</noscript><!--[if mso]>Rs.9<![endif]-->b", "ab"},
		{"label and value", "<table><tr><td>Amount</td><td>Rs. 75.00</td></tr><tr><th>UTR</th><td><b>516300274911</b></td></tr></table>",
			"Amount: Rs. 75.00\nUTR: 516300274911"},
		{"label with its colon", "<table><tr><td>Amount :</td><td>75</td></tr><tr><td>Ref</td><td>: 99</td></tr><tr><td>Date</td><td> : </td><td>13-06-2026</td></tr></table>",
			"Amount: 75\nRef: 99\nDate: 13-06-2026"},
		{"empty cells", "<table><tr><td></td><td>Amount</td><td>&nbsp;</td><td>75</td></tr><tr><td></td></tr></table>", "Amount: 75"},
		{"negative value", "<table><tr><td>Change</td><td>-75</td></tr></table>", "Change: -75"},
		{"headings", "<table><thead><tr><th>Date</th><th>Amount</th><th>UTR</th></tr></thead><tbody><tr><td>13-06</td><td>75</td><td>5163</td></tr><tr><td>14-06</td><td>80</td><td></td></tr></tbody></table>",
			"Date: 13-06\nAmount: 75\nUTR: 5163\nDate: 14-06\nAmount: 80"},
		{"headings alone", "<table><caption>None</caption><tr><th>Date</th><th>Amount</th><th>UTR</th></tr><tr><td colspan=3>No payments</td></tr></table>",
			"None\nNo payments"},
		{"many cells", "<table><tr><td>13-06</td><td>75.00</td><td>00</td></tr></table>", "13-06 | 75.00 | 00"},
		{"layout", "<table><tr><td><img src=x alt=Bank></td><td><table><tr><td><p>Dear Customer,</p><p>Details:</p></td></tr></table><table><tr><td>Amount</td><td>75</td></tr></table></td></tr></table>",
			"Dear Customer,\nDetails:\nAmount: 75"},
		{"sentences side by side", "<table><tr><td>" + strings.Repeat("word ", 20) + "</td><td>More</td></tr></table>",
			strings.TrimSpace(strings.Repeat("word ", 20)) + "\nMore"},
		{"one word in pieces", "<span>5163</span><span>00274911</span>", "516300274911"},
		{"small paise", "Rs.500<sup>00</sup> and 1<sub>2</sub>3", "Rs.500 00 and 1 2 3"},
		{"preformatted", "x<pre>a  b\nc</pre>y", "x\na b\nc\ny"},
		{"hidden", `a<div style="display:none">9</div><span hidden>9</span><p style="DISPLAY : none !important">9</p><i style="visibility:hidden">9</i><i style="opacity:0">9</i><i style="mso-hide:all">9</i><i style="max-height:0px;overflow:hidden">9</i>b`, "ab"},
		{"hidden row and cell", `<table><tr style="display:none"><td>x</td><td>9</td></tr><tr><td>a</td><td style="display:none">9</td><td>b</td></tr></table>`, "a: b"},
		{"no size", `a<span style="font-size:0px">9</span><span style="font-size:1px">9</span>b`, "ab"},
		{"no size around text of some", `<td style="font-size:0"><span style="font-size:14px">a</span></td><span style="font-size:10px">b</span>`, "ab"},
		{"white on white", `a<span style="color:#FFF">9</span><font color="white">9</font><span style="color: rgb(255, 255, 255)">9</span>b`, "ab"},
		{"white on a colour", `<table bgcolor="#004C8F"><tr><td style="color:#fff">a</td></tr></table><div style="background:#ED232A;color:white">b</div><div style="background:url(x)"><font color=white>c</font></div>`, "a\nb\nc"},
		{"black on black", `a<div style="background-color:#000;color:#000000">9<i style="color:#ffffff">c</i></div>b`, "a\nc\nb"},
		{"inherited", `<div style="color:inherit;background:transparent">a</div>`, "a"},
		{"half visible", `<span style="opacity:0.5">a</span><span style="font-size:0.8em">b</span><span style="height:0">c</span>`, "abc"},
		{"cut off", "<table><tr><td>Amount<td>75<tr><td>UTR<td>51", "Amount: 75\nUTR: 51"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := open(t, raw("Content-Type: text/html; charset=utf-8\n", tt.html))
			if len(m.Texts) != 1 || m.Texts[0].Text != tt.want {
				t.Errorf("read %q, want %q", texts(m), tt.want)
			}
		})
	}
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                   "",
		" \r\n \n":                           "",
		"  a \t b\u00a0\u2009c  ":            "a b c",
		"a \r\n b\n\n\n\nc\n":                "a\nb\n\nc",
		"a\u2028b\u2029c\u0085d\ve\ff\rg":    "a b c d e f g", // a payer's line breaks are none of the bank's
		"5\u200b1\u200c6\u200d3\ufeff\u00ad": "5163",
		"\u202e0005\u202c":                   "0005",
		"a\x00b\x1bc":                        "a b c",
		"e\u0301":                            "é",
		"Rs.500² ₹１":                         "Rs.500² ₹１", // not 5002
		"क्ष":                                "क्ष",
	} {
		if got := mail.Normalize(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestNormalizeHolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		got := mail.Normalize(text)
		if again := mail.Normalize(got); again != got {
			t.Fatalf("%q becomes %q", got, again)
		}
		digits := func(r rune) rune {
			if unicode.IsDigit(r) {
				return r
			}
			return -1
		}
		if strings.Map(digits, got) != strings.Map(digits, text) {
			t.Fatalf("%q lost digits of %q", got, text)
		}
		for line := range strings.SplitSeq(got, "\n") {
			if line != strings.TrimSpace(line) || strings.ContainsFunc(line, unicode.IsControl) || strings.Contains(line, "  ") {
				t.Fatalf("line %q", line)
			}
		}
	})
}
