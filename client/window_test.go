package client_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/client"
)

func newClient(t *testing.T, api, merchant, key string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{API: api, Merchant: merchant, Secret: "s3cret", PrivateKey: key})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWindowURL(t *testing.T) {
	t.Parallel()
	link := client.Link{Label: "55", CustomID: "A 1", Amount: 50050, Method: "upi_l", Lang: "hi", SuccessID: "2", SuccessURL: "https://shop.example/ok?a=1"}
	const query = "currency_code=INR&custom_transaction_id=A+1&fixed_amount=500.50&label=55&lang=hi"
	rest := "&payment_url_success_id=2&success_url=" + client.HashURL("PK", client.Success, "55", "A 1", link.SuccessURL) + "&wallet_type=upi_l"
	for _, tt := range []struct{ api, want string }{
		{"https://api.shop.example", "https://plugin.shop.example/?" + query + rest},
		{"http://127.0.0.1:8080/", "http://127.0.0.1:8080/pay?" + query + "&merchant=shop" + rest},
	} {
		got, err := newClient(t, tt.api, "shop", "PK").WindowURL(link)
		if err != nil || got != tt.want {
			t.Errorf("%v\n%s\nwant\n%s", err, got, tt.want)
		}
		if strings.Contains(got, "s3cret") || strings.Contains(got, "PK") {
			t.Errorf("the link tells a secret: %s", got)
		}
	}
}

func TestWindowURLRefuses(t *testing.T) {
	t.Parallel()
	good := client.Link{Label: "55", CustomID: "A", SuccessURL: "https://shop.example/ok"}
	for name, change := range map[string]func(*client.Link){
		"no label":         func(l *client.Link) { l.Label = "" },
		"no id":            func(l *client.Link) { l.CustomID = "" },
		"a long label":     func(l *client.Link) { l.Label = strings.Repeat("ß", 191) },
		"a line break":     func(l *client.Link) { l.CustomID = "A\nB" },
		"spaces around":    func(l *client.Link) { l.Label = " 55" },
		"a negative sum":   func(l *client.Link) { l.Amount = -1 },
		"plain http":       func(l *client.Link) { l.FailURL = "http://shop.example/" },
		"a script":         func(l *client.Link) { l.FailURL = "javascript:alert(1)" },
		"a user in front":  func(l *client.Link) { l.FailURL = "https://good.example@evil.example/" },
		"a relative place": func(l *client.Link) { l.FailURL = "/fail" },
	} {
		l := good
		change(&l)
		if got, err := newClient(t, "https://api.shop.example", "", "PK").WindowURL(l); err == nil {
			t.Errorf("%s gives %s", name, got)
		}
	}
	if got, err := newClient(t, "https://api.shop.example", "", "").WindowURL(good); err == nil {
		t.Errorf("without a key: %s", got)
	}
	if got, err := newClient(t, "https://pay.example", "", "PK").WindowURL(good); err == nil {
		t.Errorf("without a merchant: %s", got)
	}
	if _, err := newClient(t, "https://api.shop.example", "", "PK").WindowURL(good); err != nil {
		t.Errorf("a good link: %v", err)
	}
}

func TestVerifyReturn(t *testing.T) {
	t.Parallel()
	good := func() url.Values {
		return url.Values{"custom_transaction_id": {"A"}, "status": {"success"}, "signature": {client.ReturnSignature("PK", "A", client.Success)}, "own": {"1"}}
	}
	r, err := client.VerifyReturn(good(), "new", "PK")
	if err != nil || r != (client.Return{CustomID: "A", Status: client.Success}) {
		t.Errorf("%+v, %v", r, err)
	}
	for name, change := range map[string]func(url.Values){
		"another status":  func(q url.Values) { q.Set("status", "pending") },
		"another id":      func(q url.Values) { q.Set("custom_transaction_id", "B") },
		"two ids":         func(q url.Values) { q.Add("custom_transaction_id", "B") },
		"no signature":    func(q url.Values) { q.Del("signature") },
		"empty signature": func(q url.Values) { q.Set("signature", "") },
		"a new status": func(q url.Values) {
			q.Set("status", "paid")
			q.Set("signature", client.ReturnSignature("PK", "A", "paid"))
		},
		"signed with the empty key": func(q url.Values) { q.Set("signature", client.ReturnSignature("", "A", client.Success)) },
	} {
		q := good()
		change(q)
		if r, err := client.VerifyReturn(q, "", "PK"); !errors.Is(err, client.ErrReturn) {
			t.Errorf("%s gives %+v, %v", name, r, err)
		}
	}
}

// TestHashURLBinds: a hash serves for nothing but what it was made of.
func TestHashURLBinds(t *testing.T) {
	t.Parallel()
	text := rapid.StringMatching(`[a-zA-Z0-9 ./:?=&]{0,12}`)
	rapid.Check(t, func(t *rapid.T) {
		type made struct {
			key, label, id, address string
			kind                    client.Kind
		}
		draw := func() made {
			return made{text.Draw(t, "key"), text.Draw(t, "label"), text.Draw(t, "id"), text.Draw(t, "address"),
				rapid.SampledFrom([]client.Kind{client.Success, client.Pending, client.Fail}).Draw(t, "kind")}
		}
		a, b := draw(), draw()
		hash := func(m made) string { return client.HashURL(m.key, m.kind, m.label, m.id, m.address) }
		if (hash(a) == hash(b)) != (a == b) {
			t.Errorf("%+v and %+v have %s and %s", a, b, hash(a), hash(b))
		}
	})
}
