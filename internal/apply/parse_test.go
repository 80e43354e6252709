package apply_test

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/money"
)

const wallet = "wallets:\n- {id: w1, method: upi_l, vpa: test@upi, merchants: []"

func TestParseSaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"empty", "", "shop.yaml:1: the file declares nothing: begin with a section such as merchants: or wallets:"},
		{"comments only", "# nothing\n---\n", "shop.yaml:1: the file declares nothing: begin with a section such as merchants: or wallets:"},
		{"empty mapping", "{}", "shop.yaml:1: the file declares nothing: begin with a section such as merchants: or wallets:"},
		{"no mapping", "- a\n", "shop.yaml:1: must be a mapping: write its keys under it, each as name: value"},
		{"not YAML", "feeds:\n  - id: a\n    kind: json\n   wallet: w1\n", "shop.yaml:4: not valid YAML, value is not allowed in this context: check indentation, quotes and brackets here"},
		{"a tab", "feeds:\n\t- a\n", "shop.yaml:2: not valid YAML, found character '\t' that cannot start any token: check indentation, quotes and brackets here"},
		{"not UTF-8", "feeds: []\n# \xff\n", "shop.yaml:2: not UTF-8 text: save the file as UTF-8"},
		{"two documents", "feeds: []\n---\nrules: []\n", "shop.yaml:2: a second document begins here: put everything into one, without ---"},
		{"alias", "feeds: &a []\nrules: *a\n", `shop.yaml:1: anchors, aliases and merge keys (& * <<) are not read here: write the value out, or in quotes if it begins with such a sign
shop.yaml:2: anchors, aliases and merge keys (& * <<) are not read here: write the value out, or in quotes if it begins with such a sign`},
		{"tag", "feeds: !!seq []\n", "shop.yaml:1: tags (!) are not read here: write the plain value, or in quotes if it begins with such a sign"},
		{"empty section", "feeds:\n", "shop.yaml:1: feeds: is empty: write [] where there are to be none, or remove the line to leave things as they are"},
		{"unknown section", "rules: []\nwalets: []\n", `shop.yaml:2: unknown key "walets": did you mean wallets?`},
		{"unknown key", "feeds:\n- {id: a, kind: json, wallet: w1, zone: x}\n", `shop.yaml:2: feeds[0]: unknown key "zone": the keys here are id, kind, wallet, token, senders, scheme, domains, recipients, relay, mailbox, secret, header, user, password, private_key, bank_key`},
		{"key twice", "feeds:\n- id: a\n  kind: json\n  id: b\n  wallet: w1\n", "shop.yaml:4: feeds[0].id: given twice: keep one of them"},
		{"section twice", "feeds: []\nfeeds: []\n", "shop.yaml:2: feeds: given twice: keep one of them"},
		{"missing keys", "rules: []\nwallets:\n- name: x\n", `shop.yaml:3: wallets[0]: id is missing: add it
shop.yaml:3: wallets[0]: method is missing: add it
shop.yaml:3: wallets[0]: vpa is missing: add it
shop.yaml:3: wallets[0]: merchants is missing: add it`},
		{"no list", "wallets: {id: w1}\n", "shop.yaml:1: wallets: must be a list: write [a, b], or each item on its own line after a dash"},
		{"item no mapping", "wallets:\n- w1\n", "shop.yaml:2: wallets[0]: must be a mapping: write its keys under it, each as name: value"},
		{"list for a text", "feeds:\n- {id: [a], kind: json, wallet: w1}\n", "shop.yaml:2: feeds[0].id: must be a single value, not a list or mapping"},
		{"null", "feeds:\n- id: a\n  kind: json\n  wallet:\n  token: ~\n", `shop.yaml:4: feeds[0].wallet: is empty: write a value, or remove the line
shop.yaml:5: feeds[0].token: is empty: write a value, or remove the line`},
		{"same id", "merchants:\n- id: shop\n- id: Shop\n", `shop.yaml:3: merchants[1].id: "Shop" is used at line 2 already, for merchants[0].id: give each its own`},
		{"same type", "methods:\n- type: a\n- type: a\n", `shop.yaml:3: methods[1].type: "a" is used at line 2 already, for methods[0].type: give each its own`},
		{"same domain", "merchants:\n- {id: a, domain: X.example}\n- {id: b, domain: x.example}\n", `shop.yaml:3: merchants[1].domain: "x.example" is used at line 2 already, for merchants[0].domain: give each its own`},
		{"same secret", "merchants:\n- {id: a, plugin_api_secret: hush}\n- {id: b, plugin_api_secret: new, plugin_api_secret_previous: hush}\n", `shop.yaml:3: merchants[1].plugin_api_secret_previous: this secret is used at line 2 already, for merchants[0].plugin_api_secret: give each its own`},
		{"previous is current", "merchants:\n- {id: a, plugin_api_secret: hush, plugin_api_secret_previous: hush}\n", `shop.yaml:2: merchants[0].plugin_api_secret_previous: this secret is used at line 2 already, for merchants[0].plugin_api_secret: give each its own`},
		{"previous alone", "merchants:\n- id: a\n  plugin_api_secret_previous: hush\n", "shop.yaml:3: merchants[0].plugin_api_secret_previous: needs plugin_api_secret beside it: add the new secret, or remove this line"},
		{"empty secret", "merchants:\n- id: a\n  plugin_api_secret: ''\n", "shop.yaml:3: merchants[0].plugin_api_secret: is empty: write a value, or remove the line"},
		{"long secret", "merchants:\n- id: a\n  plugin_api_secret: " + strings.Repeat("x", 191) + "\n", "shop.yaml:3: merchants[0].plugin_api_secret: is longer than 190 characters: shorten it"},
		{"secret of two lines", "feeds:\n- id: a\n  kind: sms\n  wallet: w\n  token: |\n    hush\n", "shop.yaml:5: feeds[0].token: has a line break or another invisible character: write it on one line, without it"},
		{"bad id", "merchants:\n- id: sh/op\n", `shop.yaml:2: merchants[0].id: "sh/op" is no id: use up to 64 letters, digits, - and _, beginning with a letter or digit`},
		{"bad type", "methods:\n- type: UPI\n", `shop.yaml:2: methods[0].type: "UPI" is no method type: use up to 32 small letters, digits and _, beginning with a letter, such as upi_l`},
		{"bad vpa", "wallets:\n- id: w1\n  method: upi_l\n  vpa: test\n  merchants: []\n", `shop.yaml:4: wallets[0].vpa: "test" is no VPA: use name@handle`},
		{"bad switch", wallet + ", enabled: maybe}\n", `shop.yaml:2: wallets[0].enabled: "maybe" is no switch: write on or off`},
		{"currency", wallet + ", currency: USD}\n", `shop.yaml:2: wallets[0].currency: "USD" is no currency of UPI: write INR, or remove the line`},
		{"three decimals", wallet + ", daily_limit: 1.001}\n", `shop.yaml:2: wallets[0].daily_limit: "1.001" has parts of a paisa: use at most two decimals`},
		{"negative", wallet + ", daily_limit: -5}\n", `shop.yaml:2: wallets[0].daily_limit: "-5" is negative: write 0 or more rupees`},
		{"hexadecimal", wallet + ", daily_limit: 0x10}\n", `shop.yaml:2: wallets[0].daily_limit: "0x10" is no amount: write rupees as 500, 500.50 or 1,00,000`},
		{"too large", wallet + ", daily_limit: 1e30}\n", `shop.yaml:2: wallets[0].daily_limit: "1e30" is too large: the most is 92233720368547758.07`},
		{"commas in braces", wallet + ", daily_limit: 1,00,000}\n", `shop.yaml:2: wallets[0]: "00" stands alone: an amount with commas inside { } needs quotes, as in "1,00,000"
shop.yaml:2: wallets[0]: "000" stands alone: an amount with commas inside { } needs quotes, as in "1,00,000"`},
		{"merchant twice", "wallets:\n- {id: w1, method: upi_l, vpa: a@upi, merchants: [a, a]}\n", `shop.yaml:2: wallets[0].merchants[1]: "a" is used at line 2 already, for wallets[0].merchants[0]: give each its own`},
		{"wallet for payouts", "wallets:\n- {id: w1, method: imps_ib, vpa: a@upi, merchants: []}\n", "shop.yaml:2: wallets[0].method: imps_ib is for payouts: use the method that payers pay by, such as upi_l"},
		{"max below min", "methods:\n- type: a\n  min: 10\n  max: 9.99\n", "shop.yaml:4: methods[0].max: 9.99 is below min 10: raise it, or write 0 for no bound"},
		{"account", "wallets:\n- {id: w, method: a, vpa: a@upi, merchants: [], account: 12a4}\n", `shop.yaml:2: wallets[0].account: "12a4" is no account number: give its digits, or the last 3 to 6 of them, in quotes`},
		{"sender", "feeds:\n- {id: f, kind: sms, wallet: w, senders: ['+919812345678']}\n", `shop.yaml:2: feeds[0].senders[0]: "+919812345678" is no SMS header of a bank: it is the six letters after the prefix, such as HDFCBK of VM-HDFCBK-S`},
		{"key of another kind", "feeds:\n- {id: f, kind: json, wallet: w, secret: s}\n", `shop.yaml:2: feeds[0].secret: is nothing that a feed of kind json has: its keys are id, kind, wallet, token`},
		{"recipient", "feeds:\n- {id: f, kind: email, wallet: w, recipients: [shop]}\n", `shop.yaml:2: feeds[0].recipients[0]: "shop" is no e-mail address: write it as accounts@shop.example`},
		{"mailbox", "feeds:\n- {id: f, kind: email, wallet: w, mailbox: {address: imap.example.com, username: u}}\n", `shop.yaml:2: feeds[0].mailbox.address: "imap.example.com" is no address: write host and port, such as imap.example.com:993`},
		{"key in PEM", "feeds:\n- {id: f, kind: icici, wallet: w, private_key: abc}\n", `shop.yaml:2: feeds[0].private_key: is no RSA private key in PEM, such as openssl genpkey writes`},
		{"header", "feeds:\n- {id: f, kind: decentro, wallet: w, header: 'a b'}\n", `shop.yaml:2: feeds[0].header: "a b" is no name of an HTTP header: use letters, digits and -`},
		{"language", "methods:\n- type: a\n  name: {English: A}\n", `shop.yaml:3: methods[0].name.English: "English" is no language: use its code, such as en or hi`},
		{"timezone", "merchants:\n- {id: a, timezone: Asia/Kolkatta}\n", `shop.yaml:2: merchants[0].timezone: "Asia/Kolkatta" is no time zone: use an IANA name such as Asia/Kolkata`},
		{"machine's zone", "merchants:\n- {id: a, timezone: Local}\n", `shop.yaml:2: merchants[0].timezone: "Local" is no time zone: use an IANA name such as Asia/Kolkata`},
		{"policy", "merchants:\n- {id: a, amount_policy: exakt}\n", `shop.yaml:2: merchants[0].amount_policy: "exakt" is not known here: use exact, actual`},
		{"domain", "merchants:\n- {id: a, domain: https://x.example}\n", `shop.yaml:2: merchants[0].domain: "https://x.example" is no host name: write it without scheme, port and path, such as shop.example`},
		{"domain is an address", "merchants:\n- {id: a, domain: 127.0.0.1}\n", `shop.yaml:2: merchants[0].domain: "127.0.0.1" is no host name: write it without scheme, port and path, such as shop.example`},
		{"postback without url", "merchants:\n- id: a\n  postback: {access_key: AK}\n", "shop.yaml:3: merchants[0].postback: url is missing: add it"},
		{"postback relative", "merchants:\n- id: a\n  postback: {url: /hook}\n", `shop.yaml:3: merchants[0].postback.url: "/hook" is no web address: write it whole, such as https://shop.example/path`},
		{"postback with a user", "merchants:\n- id: a\n  postback: {url: 'https://u@x.example'}\n", `shop.yaml:3: merchants[0].postback.url: "https://u@x.example" has a user name in it: remove what stands before the @`},
		{"whsec", "merchants:\n- id: a\n  postback: {url: 'https://x.example', webhook_secret: whsec_a-k=}\n", "shop.yaml:3: merchants[0].postback.webhook_secret: what follows whsec_ is not base64: write whsec_ and the key in base64, or the key itself without whsec_"},
		{"redirect over http", "merchants:\n- id: a\n  redirect_urls:\n    1: https://x.example\n    2: http://x.example\n", `shop.yaml:5: merchants[0].redirect_urls.2: "http://x.example" is not https: use https, plain http only for localhost`},
		{"redirect script", "merchants:\n- id: a\n  redirect_urls: {1: 'javascript:alert(1)'}\n", `shop.yaml:3: merchants[0].redirect_urls.1: "javascript:alert(1)" is no web address: write it whole, such as https://shop.example/path`},
		{"redirect twice", "merchants:\n- id: a\n  redirect_urls: {1: 'https://a.example', '1': 'https://b.example'}\n", "shop.yaml:3: merchants[0].redirect_urls.1: given twice: keep one of them"},
		{"origin with a path", "merchants:\n- id: a\n  frame_ancestors: [https://X.example/]\n", `shop.yaml:3: merchants[0].frame_ancestors[0]: "https://X.example/" is more than an origin: write https://x.example`},
		{"header in an origin", "merchants:\n- id: a\n  frame_ancestors: ['https://x.example;script-src']\n", `shop.yaml:3: merchants[0].frame_ancestors[0]: "https://x.example;script-src" has a host that is no host name: spell it in ASCII letters, such as https://shop.example/path`},
		{"percent", "merchants:\n- id: a\n  fee:\n    deposit_percent: 101\n", `shop.yaml:4: merchants[0].fee.deposit_percent: "101" is no percentage: write a number from 0 to 100 with at most four decimals, without a sign`},
		{"address", "merchants:\n- id: a\n  allowed_ips:\n  - 10.0.0.1\n  - 10.0.0.1/8\n  - shop\n", `shop.yaml:5: merchants[0].allowed_ips[1]: "10.0.0.1/8" has bits beyond its network: write 10.0.0.0/8
shop.yaml:6: merchants[0].allowed_ips[2]: "shop" is no address or network: write 203.0.113.7 or 203.0.113.0/24`},
		{"feed kind", "feeds:\n- {id: a, kind: fax, wallet: w1}\n", `shop.yaml:2: feeds[0].kind: "fax" is not known here: use json, sms, statement, email, cashfree, decentro, icici, paytm, phonepe, razorpay`},
		{"payout kind", "payouts:\n- {id: a, kind: bank, method: imps_ib}\n", `shop.yaml:2: payouts[0].kind: "bank" is not known here: use manual, bulkfile, razorpayx, sandbox`},
		{"rule then", "rules:\n- name: r\n  when: amount > 1\n  then: refuse\n", `shop.yaml:4: rules[0].then: "refuse" is not known here: use review`},
		{"rule name", "rules:\n- {name: 'a,b', when: amount > 1}\n", `shop.yaml:2: rules[0].name: "a,b" is no rule name: use up to 64 letters, digits, spaces and . _ -, beginning with a letter or digit`},
		{"rule does not compile", "rules:\n- name: r\n  when: amont > 1\n", `shop.yaml:3: rules[0].when: not a rule, unknown name amont (1:1): write a condition such as amount > 100000`},
		{"everything at once, by line", "merchants:\n- id: a b\n  domian: x\nwallets:\n- id: w\n  method: upi_l\n  vpa: nobody\n  merchants: a\n", `shop.yaml:2: merchants[0].id: "a b" is no id: use up to 64 letters, digits, - and _, beginning with a letter or digit
shop.yaml:3: merchants[0]: unknown key "domian": did you mean domain?
shop.yaml:7: wallets[0].vpa: "nobody" is no VPA: use name@handle
shop.yaml:8: wallets[0].merchants: must be a list: write [a, b], or each item on its own line after a dash`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := apply.Parse("shop.yaml", []byte(tt.in))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			var errs apply.Errors
			if f != nil || !errors.As(err, &errs) || errs[0].File != "shop.yaml" || errs[0].Message == "" {
				t.Errorf("want Errors and no file, got %v, %#v", f, err)
			}
		})
	}
}

func TestHostileFilesAreRefused(t *testing.T) {
	t.Parallel()
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x]\n"
	for i := range 20 {
		n, prev := strconv.Itoa(i+1), strconv.Itoa(i)
		bomb += "a" + n + ": &a" + n + " [*a" + prev + ", *a" + prev + ", *a" + prev + ", *a" + prev + "]\n"
	}
	for name, tt := range map[string]struct{ in, want string }{
		"too large":      {"rules: []\n" + strings.Repeat("#\n", apply.MaxSize/2), "is larger than"},
		"alias bomb":     {bomb, "anchors, aliases"},
		"merge key":      {"<<: {rules: []}\n", "anchors, aliases"},
		"brackets":       {"rules: " + strings.Repeat("[", apply.MaxSize/2), "nested too deep"},
		"braces by line": {strings.Repeat("{a:\n", apply.MaxSize/8), "nested too deep"},
		"dashes":         {strings.Repeat("- ", apply.MaxSize/2), "nested too deep"},
		"question marks": {strings.Repeat("? ", apply.MaxSize/2), "nested too deep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := apply.Parse("x", []byte(tt.in)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %.300v, want %s", err, tt.want)
			}
		})
	}
}

func TestErrorsShowNoSecrets(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"merchants:\n- {id: a, plugin_api_secret: hush, plugin_api_secret_previous: hush}\n",
		"merchants:\n- {id: a, plugin_api_secret: [hush], withdrawal_private_key: {hush: hush}}\n",
		"merchants:\n- id: a\n  plugin_api_secret: \"hush\n",
		"merchants:\n- id: a\n  plugin_api_secret: hush: hush\n",
		"merchants:\n- id: a\n  plugin_api_secret: \"hush\\n\"\n   x: y",
		"feeds:\n- {id: a, kind: json, wallet: w, token: \"hush\\q\"}\n",
	} {
		if _, err := apply.Parse("x", []byte(in)); err == nil || strings.Contains(strings.ReplaceAll(err.Error(), ".hush", ""), "hush") {
			t.Errorf("%q gave %v", in, err)
		}
	}
}

func TestValuesAreTakenAsWritten(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.mustApply(t, `
merchants:
  - id: 007
    name: 0x1F
    plugin_api_secret: 000123
    withdrawal_private_key: 1_0
    postback: {url: "http://127.0.0.1:9000/p?a=b", access_key: 1.50, private_key: true}
    redirect_urls: {1: "https://a.example/?x=1", done: http://shop.localhost:8080/ok}
    frame_ancestors: [https://a.example:8443, "http://[::1]:80"]
    methods: {upi_l: on, upi_ib: off, upi_hb: "yes", upi_in: No, upi_w: TRUE, imps_ib: false}
    fee: {deposit_percent: 1.5, deposit_fixed: 0.1, withdrawal_fixed: "1,00,000"}
    amount_policy: actual
    allowed_ips: [10.0.0.0/8, 203.0.113.7, "::ffff:192.0.2.1"]
methods:
  - type: upi_l
    name: Pay by UPI
    min: 0.1
    max: 1,00,000
  - {type: crypto_x, enabled: off, max: 100000}
wallets:
  - {id: w1, method: upi_l, vpa: a.b-c@upi, merchants: ["007"], daily_limit: 92233720368547758.07}
feeds:
  - {id: f, kind: statement, wallet: w1, token: 0123456789012345678901234567890}
rules:
  - name: बड़ी राशि
    when: >-
      amount > 100000
      and credit.age_minutes > 5
`)
	s := m.snapshot(t)
	shop := s.Merchant("007")
	if shop == nil {
		t.Fatal("the id 007 lost its zeros")
	}
	checks := []struct{ what, got, want string }{
		{"name", shop.Name, "0x1F"},
		{"timezone", shop.Timezone, "Asia/Kolkata"},
		{"api secret", shop.Secrets.PluginAPI[0].Reveal(), "000123"},
		{"withdrawal key", shop.Secrets.WithdrawalKey.Reveal(), "1_0"},
		{"access key", shop.Secrets.AccessKey.Reveal(), "1.50"},
		{"private key", shop.Secrets.PrivateKey.Reveal(), "true"},
		{"webhook key", string(shop.Secrets.WebhookKey()), "true"},
		{"postback", shop.PostbackURL, "http://127.0.0.1:9000/p?a=b"},
		{"redirect 1", shop.RedirectURLs["1"], "https://a.example/?x=1"},
		{"redirect done", shop.RedirectURLs["done"], "http://shop.localhost:8080/ok"},
		{"frames", strings.Join(shop.FrameAncestors, " "), "https://a.example:8443 http://[::1]:80"},
		{"percent", shop.Fee.DepositPercent.String(), "1.5"},
		{"policy", string(shop.AmountPolicy), string(directory.PolicyActual)},
		{"addresses", shop.AllowedIPs[0].String() + " " + shop.AllowedIPs[1].String() + " " + shop.AllowedIPs[2].String(), "10.0.0.0/8 203.0.113.7/32 192.0.2.1/32"},
		{"method name", s.Method("upi_l").Label("hi"), "Pay by UPI"},
		{"own method", s.Method("crypto_x").Label("en"), "crypto_x"},
		{"implicit method", s.Method("upi_w").Label("hi"), "यूपीआई"},
		{"wallet name", s.Wallet("w1").Name, "a.b-c@upi"},
		{"token", s.Feed("f").Token.Reveal(), "0123456789012345678901234567890"},
		{"rule", s.ActiveRules()[0].Name + ": " + s.ActiveRules()[0].When, "बड़ी राशि: amount > 100000 and credit.age_minutes > 5"},
	}
	for _, c := range checks {
		if c.got != c.want {
			t.Errorf("%s is %q, want %q", c.what, c.got, c.want)
		}
	}
	amounts := []struct {
		what      string
		got, want money.Paise
	}{
		{"fixed fee", shop.Fee.DepositFixed, 10},
		{"withdrawal fee", shop.Fee.WithdrawalFixed, 100_000_00},
		{"min", s.Method("upi_l").Min, 10},
		{"max", s.Method("upi_l").Max, 100_000_00},
		{"plain max", s.Method("crypto_x").Max, 100_000_00},
		{"daily limit", s.Wallet("w1").DailyLimit, 1<<63 - 1},
		{"no bound", s.Wallet("w1").PerPaymentMax, 0},
	}
	for _, c := range amounts {
		if c.got != c.want {
			t.Errorf("%s is %d paise, want %d", c.what, int64(c.got), int64(c.want))
		}
	}
	for walletType, on := range map[string]bool{"upi_l": true, "upi_ib": false, "upi_hb": true, "upi_in": false, "upi_w": true} {
		if shop.MethodOn(s.Method(walletType)) != on {
			t.Errorf("%s on is %v, want %v", walletType, !on, on)
		}
	}
	if s.Method("crypto_x").Enabled || !s.Wallet("w1").Enabled || s.Method("upi_m") != nil || s.Method("imps_ib") != nil {
		t.Error("a switch has the wrong default, or a method was made that nothing asks payers to use")
	}
}

func TestByteOrderMarkAndWindowsLines(t *testing.T) {
	t.Parallel()
	_, err := apply.Parse("x", []byte("\ufeffrules: []\r\nfeeds:\r\n  - id: a\r\n    kind: fax\r\n    wallet: w\r\n"))
	if err == nil || !strings.HasPrefix(err.Error(), "x:4: feeds[0].kind:") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	sample, err := os.ReadFile("../../examples/shop.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := apply.Parse("x", data)
		if err != nil {
			var errs apply.Errors
			if !errors.As(err, &errs) || len(errs) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			last := 1 + bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r"))
			for _, e := range errs {
				if e.Line < 1 || e.Line > last || e.Message == "" || strings.Contains(e.Error(), "\n") {
					t.Fatalf("of %d lines: %q", last, e.Error())
				}
			}
			return
		}
		m := newMemory()
		if _, err := apply.Run(t.Context(), m, file, options()); err != nil {
			return // it may refer to what is nowhere
		}
		again, err := apply.Run(t.Context(), m, file, options())
		if err != nil || !again.Empty() {
			t.Fatalf("the second time: %v, %v", again, err)
		}
	})
}
