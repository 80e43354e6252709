// Package examples_test runs the examples against postbacks as the gateway
// signs them, and the shops against a real gateway.
package examples_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/internal/webhook"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// example is a program of this folder. Its runtime may be missing here.
type example struct {
	name    string
	runtime string
	args    func(t *testing.T, addr string) []string
	told    string // what it prints of each payment
}

// receivers take postbacks at /postback and keep each payment as a file.
func receivers() []example {
	return []example{
		{"php", "php", func(_ *testing.T, addr string) []string { return []string{"-S", addr, "php/postback.php"} }, ": 500.1 received"},
		{"node", "node", func(*testing.T, string) []string { return []string{"node/postback.mjs"} }, ": 500.1 received"},
		{"python", "python3", func(*testing.T, string) []string { return []string{"python/postback.py"} }, ": 500.1 received"},
		goShop(),
	}
}

func goShop() example {
	return example{"go", "sh", func(t *testing.T, _ string) []string {
		t.Helper()
		shop := filepath.Join(t.TempDir(), "shop")
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", shop, "./go").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return []string{"-c", `exec "$0"`, shop}
	}, "amount=500.1"}
}

func phpShop() example {
	return example{"php", "php", func(_ *testing.T, addr string) []string { return []string{"-S", addr, "php/shop/index.php"} }, ""}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// output is what a program printed, to be read while it runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// run starts an example and waits until it listens.
func run(t *testing.T, e example, addr string, environment ...string) *output {
	t.Helper()
	path, err := exec.LookPath(e.runtime)
	if err != nil {
		t.Skipf("%s is not installed here: the example in %s was NOT CHECKED", e.runtime, e.name)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, path, e.args(t, addr)...)
	cmd.Env = append(os.Environ(), append([]string{
		"PORT=" + port, "POSTBACK_ACCESS_KEY=AK", "POSTBACK_PRIVATE_KEY=PK", "PLUGIN_API_SECRET=s3cret", "PYTHONDONTWRITEBYTECODE=1",
	}, environment...)...)
	out := new(output)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err == nil { // instead of being killed
			t.Errorf("%s ended by itself\n%s", e.name, out)
		}
	})
	for {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err == nil {
			_ = conn.Close()
			return out
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v\n%s", e.name, err, out)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// delivery is a postback under way.
type delivery struct {
	header http.Header
	body   string
	long   bool // so that whoever takes it may cut the connection
	path   string
}

// deposit is a postback as the gateway makes it. Its texts are those that
// encoders of JSON differ in.
func deposit(t *testing.T, secrets directory.MerchantSecrets, customID string, edits ...func(*postback.Event)) delivery {
	t.Helper()
	rates, err := fx.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	e := postback.Event{
		ID: 7, Merchant: "shop", Method: "upi_l", Label: `55/"ü"₹`, CustomID: customID, Amount: 50010, Currency: money.INR,
		Payer: "rahul@okaxis", CreditID: 3, UTR: upi.UTR("321323438267"), CreatedAt: now, ActivatedAt: now,
	}
	for _, edit := range edits {
		edit(&e)
	}
	body := postback.AppendBody(nil, &e, &directory.Merchant{Secrets: secrets}, rates)
	return delivery{body: string(body)}.sign(secrets, now)
}

func (d delivery) sign(secrets directory.MerchantSecrets, at time.Time) delivery {
	d.header = make(http.Header)
	postback.Sign(d.header, secrets, "deposit_7", at, []byte(d.body))
	return d
}

// swap changes the body; the signatures stay.
func (d delivery) swap(old, replacement string) delivery {
	d.body = strings.Replace(d.body, old, replacement, 1)
	return d
}

// to delivers. The status is 0 where the connection was cut.
func (d delivery) to(t *testing.T, addr string) (status int, said string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+cmp.Or(d.path, "/postback"), strings.NewReader(d.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = d.header
	r.Header.Set("Content-Type", "application/json")
	r.Close = true // a receiver that cut the last delivery short has closed its connection
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, strings.ReplaceAll(string(text), " ", "")
}

func count(t *testing.T, folder string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func TestReceivers(t *testing.T) {
	t.Parallel()
	keySets := map[string]directory.MerchantSecrets{
		"private key alone": {AccessKey: "AK", PrivateKey: "PK"},
		"text secret":       {AccessKey: "AK", PrivateKey: "PK", Webhook: "hook"},
		"whsec secret":      {AccessKey: "AK", PrivateKey: "PK", Webhook: "whsec_AAEC/v8="},
	}
	for _, e := range receivers() {
		for name, secrets := range keySets {
			t.Run(e.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				folder, addr := t.TempDir(), freeAddr(t)
				out := run(t, e, addr, "TAKEN="+folder, "POSTBACK_WEBHOOK_SECRET="+secrets.Webhook.Reveal())
				for _, bad := range negatives(t, secrets) {
					status, said := bad.to(t, addr)
					if cut := status == 0 && bad.long; cut || status == http.StatusForbidden && said == `{"status":"fail"}` {
						continue
					}
					if status != http.StatusRequestEntityTooLarge || !bad.long {
						t.Errorf("%s: answered %d %s\n%s", bad.name, status, said, out)
					}
				}
				if n := count(t, folder); n != 0 {
					t.Errorf("%d payments were taken that are not genuine", n)
				}
				good := deposit(t, secrets, `A/1 "ü"₹ <&>`)
				repeat := good.sign(secrets, time.Now().Add(time.Second))
				for i, d := range []delivery{good, good, repeat} {
					if status, said := d.to(t, addr); status != http.StatusOK || said != `{"status":"ok"}` {
						t.Errorf("delivery %d: answered %d %s\n%s", i, status, said, out)
					}
					if n := count(t, folder); n != 1 {
						t.Errorf("%d payments after delivery %d", n, i)
					}
				}
				if status, _ := deposit(t, secrets, "A/2").to(t, addr); status != http.StatusOK || count(t, folder) != 2 {
					t.Errorf("another payment: answered %d, kept %d\n%s", status, count(t, folder), out)
				}
				checkKept(t, folder)
				// What came first is told apart from what came again.
				for strings.Count(out.String(), e.told) < 2 {
					time.Sleep(10 * time.Millisecond)
				}
				if n := strings.Count(out.String(), e.told); n != 2 {
					t.Errorf("two payments were told as %d:\n%s", n, out)
				}
			})
		}
	}
}

// TestEventReceivers: those with a page for events take each once, and none that
// is not genuine.
func TestEventReceivers(t *testing.T) {
	t.Parallel()
	const secret, other = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", "whsec_b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcg=="
	signed := func(id, body string, key directory.Secret, at time.Time) delivery {
		d := delivery{header: make(http.Header), body: body, path: "/events"}
		postback.Sign(d.header, directory.MerchantSecrets{Webhook: key}, id, at, []byte(body))
		return d
	}
	for _, e := range receivers() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			folder, addr := t.TempDir(), freeAddr(t)
			out := run(t, e, addr, "TAKEN="+folder, "EVENTS_SECRET="+secret)
			now := time.Now()
			body := string(webhook.Body(webhook.DepositExpired, now, webhook.Catalogue()[2].Example))
			good := signed("evt_1", body, secret, now)
			for name, bad := range map[string]delivery{
				"another key": signed("evt_1", body, other, now), "an hour old": signed("evt_1", body, secret, now.Add(-time.Hour)),
				"changed": good.swap("500.00", "900.00"), "unsigned": {header: make(http.Header), body: body, path: "/events"},
			} {
				if status, said := bad.to(t, addr); status != http.StatusForbidden || count(t, folder) != 0 {
					t.Errorf("%s: answered %d %s\n%s", name, status, said, out)
				}
			}
			another := strings.Replace(body, "order-1001", "order-1002", 1)
			for i, d := range []delivery{good, good, signed("evt_1", body, secret, now.Add(time.Second)), signed("evt_2", another, secret, now)} {
				if status, said := d.to(t, addr); status/100 != 2 || count(t, folder) != 1+i/3 {
					t.Errorf("delivery %d: answered %d %s, %d kept\n%s", i, status, said, count(t, folder), out)
				}
			}
		})
	}
	t.Run("without a secret nobody is believed", func(t *testing.T) {
		for _, e := range receivers()[:3] { // the shop in Go has no such page then
			t.Run(e.name, func(t *testing.T) {
				t.Parallel()
				folder, addr := t.TempDir(), freeAddr(t)
				run(t, e, addr, "TAKEN="+folder)
				d := delivery{header: make(http.Header), body: "{}", path: "/events"}
				if status, said := d.to(t, addr); status != http.StatusInternalServerError || count(t, folder) != 0 {
					t.Errorf("answered %d %s", status, said)
				}
			})
		}
	})
}

// checkKept holds the files to the amount, exactly.
func checkKept(t *testing.T, folder string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var kept struct {
			Amount string `json:"amount"`
		}
		if err := json.Unmarshal(text, &kept); err != nil || kept.Amount != "500.1" {
			t.Errorf("kept is %s: %v", text, err)
		}
	}
}

type negative struct {
	name string
	delivery
}

// negatives are what must be refused. Where a change is signed anew with the
// right key, one check alone stands between it and the shop.
func negatives(t *testing.T, secrets directory.MerchantSecrets) []negative {
	t.Helper()
	good := deposit(t, secrets, "A/1")
	now := time.Now()
	otherPrivate, otherAccess, otherHook := secrets, secrets, secrets
	otherPrivate.PrivateKey, otherPrivate.Webhook = "other", directory.Secret(secrets.WebhookKey())
	otherAccess.AccessKey = "other"
	otherHook.Webhook = "other"
	noHeaders := good
	noHeaders.header = make(http.Header)
	fresh := good.sign(secrets, now.Add(-time.Hour))
	fresh.header.Set("webhook-timestamp", good.header.Get("webhook-timestamp"))
	amount := `"amount":500.1,`
	reordered := good.swap(`"comment":"","amount":"500.1"`, `"amount":"500.1","comment":""`)
	return []negative{
		{"the amount was changed", good.swap(amount, `"amount":5001,`)},
		{"the amount was changed and the webhook signed anew", good.swap(amount, `"amount":5001,`).sign(secrets, now)},
		{"the amount was changed by what a float loses", good.swap(amount, `"amount":500.10000001,`).sign(secrets, now)},
		{"both amounts were changed and the webhook signed anew", good.swap(amount, `"amount":5001,`).swap(`"amount":"500.1"`, `"amount":"5001"`).sign(secrets, now)},
		{"the label was changed", good.swap(`"label":"55`, `"label":"56`)},
		{"the order was changed", good.swap(`A/1`, `A/2`)},
		{"the method was changed and the webhook signed anew", good.swap(`"wallet_type":"upi_l"`, `"wallet_type":"upi_ib"`).sign(secrets, now)},
		{"a deposit became a withdrawal", good.swap(`"ingoing"`, `"outgoing"`).sign(secrets, now)},
		{"the keys were put in another order", reordered},
		{"the keys were put in another order and the webhook signed anew", reordered.sign(secrets, now)},
		{"a space was added", good.swap(`,"label"`, `, "label"`)},
		{"the legacy key is another", deposit(t, otherPrivate, "A/1").sign(secrets, now)},
		{"the access key is another", deposit(t, otherAccess, "A/1").sign(secrets, now)},
		{"the webhook key is another", good.sign(otherHook, now)},
		{"the headers are missing", noHeaders},
		{"it is an hour old", good.sign(secrets, now.Add(-time.Hour))},
		{"it is of tomorrow", good.sign(secrets, now.Add(24*time.Hour))},
		{"an old one was made fresh", fresh},
		{"it is no JSON", delivery{body: "{"}.sign(secrets, now)},
		{"it is empty", delivery{}.sign(secrets, now)},
		{"it has no payment", delivery{body: `{"additional_data":[]}`}.sign(secrets, now)},
		{"it is a list", delivery{body: `[]`}.sign(secrets, now)},
		{"its payment is a text", delivery{body: `{"additional_data":["a"]}`}.sign(secrets, now)},
		{"it is long", delivery{body: strings.Repeat(" ", 300<<10), long: true}.sign(secrets, now)},
	}
}

const installation = `
merchants:
  - {id: shop, name: Tea, plugin_api_secret: s3cret, withdrawal_private_key: wkey, postback: {url: "http://%ADDR%/postback", access_key: AK, private_key: PK}}
wallets:
  - {id: w1, method: upi_l, vpa: test@upi, name: Tea, merchants: [shop]}
feeds:
  - {id: bank1, kind: json, wallet: w1, token: feedtoken}
`

// newGateway runs a real gateway whose merchant takes postbacks at addr.
func newGateway(t *testing.T, addr string) (base string) {
	t.Helper()
	config := server.DefaultConfig()
	config.DatabaseURL = "sqlite://" + filepath.Join(t.TempDir(), "milaan.db")
	config.Listen, config.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	config.AllowPrivateTargets, config.PostbackFirstRetry = true, 10*time.Millisecond
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	g, err := server.Open(ctx, config, slog.New(slog.DiscardHandler))
	if err != nil {
		stop()
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Errorf("the gateway stopped with %v", err)
		}
	})
	file, err := apply.Parse("shop.yaml", []byte(strings.ReplaceAll(installation, "%ADDR%", addr)))
	if err == nil {
		_, err = apply.Run(ctx, g.Store(), file, apply.Options{Now: time.Now})
	}
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + g.Addr().String()
}

// browser follows no redirect by itself.
var browser = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// visit sends a form, or asks for a page where there are no fields.
func visit(t *testing.T, address string, fields url.Values) (status int, location, page string) {
	t.Helper()
	method := http.MethodGet
	if fields != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(fields.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	location = res.Header.Get("Location")
	if location == "" {
		location = res.Header.Get("Content-Location")
	}
	return res.StatusCode, location, string(text)
}

// until loads a page until it has what is wanted.
func until(t *testing.T, address, want string) (page string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, _, page = visit(t, address, nil); strings.Contains(page, want) {
			return page
		}
	}
	t.Fatalf("%s never has %q:\n%s", address, want, page)
	return ""
}

// TestShops walks a payer through each shop and a real gateway: order, payment
// window, UTR, the bank's report, postback, and the way back.
func TestShops(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		example
		amount, paid string
	}{{phpShop(), "499.50", "Paid. Thank you!"}, {goShop(), "499.00", "paid: true, payment window: success"}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr, folder := freeAddr(t), t.TempDir()
			gateway, shop := newGateway(t, addr), "http://"+addr
			out := run(t, tt.example, addr, "GATEWAY="+gateway, "MERCHANT=shop", "SHOP_URL="+shop, "ORDERS="+folder, "TAKEN="+folder)
			if _, _, page := visit(t, shop+"/", nil); !strings.Contains(page, `action="/orders"`) {
				t.Errorf("the shop shows\n%s", page)
			}
			status, link, _ := visit(t, shop+"/orders", url.Values{})
			if status != http.StatusSeeOther || !strings.HasPrefix(link, gateway+"/pay?") {
				t.Fatalf("an order leads to %d %s\n%s", status, link, out)
			}
			status, window, page := visit(t, link, nil) // which checks the hashed URLs
			if status != http.StatusOK || !strings.Contains(page, strings.TrimSuffix(tt.amount, ".00")) {
				t.Fatalf("the window answers %d\n%s", status, page)
			}
			if status, _, page = visit(t, gateway+window+"/utr", url.Values{"utr": {"321323438267"}}); status != http.StatusSeeOther {
				t.Fatalf("the UTR is answered with %d\n%s", status, page)
			}
			// A payer who makes the return up is told nothing, and pays nothing.
			order := queryOf(t, link, "custom_transaction_id")
			forged := "/return?custom_transaction_id=" + order + "&status=success&signature=" + strings.Repeat("0", 64)
			if status, _, _ := visit(t, shop+forged, nil); status != http.StatusForbidden {
				t.Errorf("a forged return is answered with %d", status)
			}
			report(t, gateway, tt.amount)
			page = until(t, gateway+window, `data-outcome="success"`)
			found := regexp.MustCompile(`<a id="return"[^>]* href="([^"]+)"`).FindStringSubmatch(page)
			if found == nil {
				t.Fatalf("the window has no way back:\n%s", page)
			}
			back := html.UnescapeString(found[1])
			if !strings.HasPrefix(back, shop+"/return?") {
				t.Fatalf("the window leads to %s", back)
			}
			if status, location, _ := visit(t, back, nil); status == http.StatusSeeOther {
				back = shop + location
			}
			until(t, back, tt.paid)

			// Nothing else is paid by it.
			_, other, _ := visit(t, shop+"/orders", url.Values{})
			if other := queryOf(t, other, "custom_transaction_id"); tt.name == "php" {
				if _, _, page := visit(t, shop+"/orders/"+other+"?back=success", nil); strings.Contains(page, tt.paid) || !strings.Contains(page, "waiting") {
					t.Errorf("an order nobody paid is shown as\n%s", page)
				}
			}
		})
	}
}

// TestShopHoldsPaymentsToOrders: a genuine postback pays no order but its own,
// and that only whole.
func TestShopHoldsPaymentsToOrders(t *testing.T) {
	t.Parallel()
	addr, folder := freeAddr(t), t.TempDir()
	shop := "http://" + addr
	out := run(t, phpShop(), addr, "MERCHANT=shop", "SHOP_URL="+shop, "ORDERS="+folder)
	secrets := directory.MerchantSecrets{AccessKey: "AK", PrivateKey: "PK"}
	ofCustomer := func(e *postback.Event) { e.Label, e.Amount = "customer-55", 49950 }
	order := func() string {
		_, link, _ := visit(t, shop+"/orders", url.Values{})
		return queryOf(t, link, "custom_transaction_id")
	}
	for _, tt := range []struct {
		name   string
		order  string // that is paid; empty for one that was just placed
		edit   func(*postback.Event)
		status int
		shows  string
	}{
		{"its payment", "", func(*postback.Event) {}, http.StatusOK, "Paid. Thank you!"},
		{"another payer's", "", func(e *postback.Event) { e.Label = "customer-56" }, http.StatusInternalServerError, "Pay by UPI"},
		{"a paisa short", "", func(e *postback.Event) { e.Amount-- }, http.StatusOK, "Another amount arrived"},
		{"no order", "0123456789abcdef", func(*postback.Event) {}, http.StatusInternalServerError, "There is no such order"},
		{"a path", "../0123456789abcdef", func(*postback.Event) {}, http.StatusInternalServerError, ""},
	} {
		id := tt.order
		if id == "" {
			id = order()
		}
		for range 2 { // it is delivered twice
			if status, said := deposit(t, secrets, id, ofCustomer, tt.edit).to(t, addr); status != tt.status || (said == `{"status":"ok"}`) != (status == http.StatusOK) {
				t.Errorf("%s: answered %d %s\n%s", tt.name, status, said, out)
			}
		}
		if _, _, page := visit(t, shop+"/orders/"+id, nil); !strings.Contains(page, tt.shows) {
			t.Errorf("%s: the order shows\n%s", tt.name, page)
		}
	}
}

func queryOf(t *testing.T, address, name string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get(name)
}

func report(t *testing.T, gateway, amount string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, gateway+"/feeds/bank1",
		strings.NewReader(`{"credits":[{"utr":"321323438267","amount":"`+amount+`"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer feedtoken")
	res, err := http.DefaultClient.Do(r)
	if err == nil {
		err = errors.Join(err, res.Body.Close())
	}
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("the feed is answered with %v, %v", res, err)
	}
}
