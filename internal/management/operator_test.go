package management_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/management"
	"github.com/milaan/milaan/internal/store/storetest"
)

// everything is an apply file with every field there is.
const everything = `
merchants:
- id: shop
  name: "Shop: ₹ & more"
  domain: shop.localhost
  timezone: Europe/Berlin
  plugin_api_secret: hidden-plugin
  withdrawal_private_key: hidden-withdrawal
  postback: {url: 'https://shop.example/postback', schedule: [5s, 1m30s, 2h], ed25519: on, access_key: hidden-access, private_key: hidden-private, private_key_previous: hidden-private-before, webhook_secret: hidden-webhook, webhook_secret_previous: hidden-webhook-before}
  redirect_urls: {1: 'https://shop.example/fail', two: 'https://shop.example/success'}
  frame_ancestors: ['https://shop.example']
  look: {colour: '#0a6b4d', logo: 'data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4='}
  methods: {upi_l: on, upi_w: off}
  fee: {deposit_percent: 1.25, deposit_fixed: 2.5, withdrawal_percent: 0.5, withdrawal_fixed: 10}
  reports: {daily: [accounts@shop.example, ca@firm.example], monthly: [ca@firm.example]}
  settlement: {account_number: '998877665544', account_name: Shop Traders, ifsc: HDFC0000001, method: imps_ib, schedule: weekly, day: mon, at: '18:05', least: 100, keep: 50.5}
  amount_policy: actual
  allowed_ips: [192.0.2.0/24, '2001:db8::/32']
  webhooks: [{id: hook1, url: 'https://shop.example/events', events: [deposit.expired, 'withdrawal.*'], schedule: [5s, 1h0m0s], ed25519: on, secret: whsec_aGlkZGVuLWhpZGRlbi1oaWRkZW4taGlkZGVu}]
methods:
- {type: own, name: {en: Own, hi: अपना}, enabled: off, min: 1, max: "1,00,000"}
- {type: upi_l, reference: off}
- {type: upi_w}
wallets:
- {id: w1, method: upi_l, vpa: a@upi, merchant_vpa: on, name: Traders, merchants: [shop], daily_limit: 500000, per_payment_max: 100000.5, bank: hdfc, account: "001234"}
- {id: w2, method: own, vpa: b@upi, merchants: [], enabled: off}
feeds:
- {id: bank1, kind: json, wallet: w1, token: hidden-token}
- {id: phone1, kind: sms, wallet: w1, senders: [HDFCBK], scheme: capcom6, secret: hidden-signing}
- {id: mail1, kind: email, wallet: w1, domains: [bank.example], recipients: [a@shop.example], relay: mx.shop.example, mailbox: {address: 'imap.example.com:993', starttls: on, username: u, password: hidden-password, name: Bank}}
- {id: hook1, kind: decentro, wallet: w1, header: X-Key, user: u, secret: hidden-hook, password: hidden-hook-password}
rules:
- {name: big one, when: amount > 100000}
payouts:
- {id: desk, kind: manual, method: imps_ib, wallets: [w1], min: 100, max: 100000, merchant_per_day: 500000, label_per_day: 200000, wallet_per_day: 400000, approve_above: 5000}
- {id: file, kind: bulkfile, method: imps_ib, layout: hdfc, codes: {client: ABC}}
- {id: rzp, kind: razorpayx, method: imps_ib, account: '7878780080316316', key_id: rzp_test_1, key: hidden-key, webhook_secret: hidden-hook, address: 'https://api.razorpay.example'}
webhooks:
- {id: ops, url: 'https://ops.example/milaan', events: ['*']}
`

// mustApply applies a file as the command does.
func (o *office) mustApply(text string) {
	o.Helper()
	file, err := apply.Parse("test", []byte(text))
	if err == nil {
		_, err = apply.Run(o.Context(), o.Store, file, apply.Options{Now: o.Clock.Now})
	}
	if err == nil {
		err = o.Directory.Refresh(o.Context())
	}
	if err != nil {
		o.Fatal(err)
	}
}

func put(key, version, body string) request {
	return request{method: http.MethodPut, path: "/v3/installation", key: key, body: body, header: map[string]string{"If-Match": version}}
}

// TestInstallationComesAndGoes: what the API gives out, it takes back without a
// change, and it shows no secret.
func TestInstallationComesAndGoes(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	key := o.mustKey(access.Operator)
	o.mustApply("wallets: []\nfeeds: []\nmerchants: []\nmethods: []\n") // the house's own are retired
	o.mustApply(everything)
	res := o.send(request{path: "/v3/installation", key: key})
	_ = res.Body.Close()
	version := res.Header.Get("ETag")
	_, text := o.ask(request{path: "/v3/installation", key: key})
	if strings.Contains(text, "hidden-") || strings.Contains(text, "whsec_") || strings.Contains(text, "secret]") {
		t.Errorf("a secret is shown: %s", text)
	}
	plan := mustAsk[management.Plan](o, http.StatusOK, put(key, version, text))
	if len(plan.Changes) != 0 || plan.Saved || len(plan.Generated) != 0 {
		t.Errorf("sent back, it changes %+v", plan)
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	// So does each object by itself, as the console changes them.
	plain, err := apply.Edit(t.Context(), o.Store, apply.Options{Now: o.Clock.Now}, func(c *directory.Contents) (any, error) {
		one := apply.InstallationOf(c)
		for i := range one.Merchants {
			one.Merchants[i].Webhooks = nil // which stay, where nothing is said of them
		}
		return map[string]any{"merchants": one.Merchants, "methods": one.Methods, "wallets": one.Wallets, "feeds": one.Feeds, "rules": one.Rules, "payouts": one.Payouts}, nil
	})
	if err != nil || !plain.Empty() {
		t.Errorf("objects by themselves change %+v, %v", plain, err)
	}
	for kind, objects := range doc {
		list, _ := objects.([]any)
		if len(list) == 0 {
			t.Errorf("there are no %s", kind)
		}
		for _, item := range list {
			object, _ := item.(map[string]any)
			id := ""
			for _, name := range []string{"id", "type", "name"} {
				if text, ok := object[name].(string); ok && id == "" {
					id = text
				}
			}
			one := mustAsk[map[string]any](o, http.StatusOK, request{path: "/v3/" + kind + "/" + strings.ReplaceAll(id, " ", "%20"), key: key})
			if !reflect.DeepEqual(one, object) {
				t.Errorf("%s %s is %v alone and %v with the others", kind, id, one, object)
			}
		}
		o.mustRefuse(http.StatusNotFound, "not-found", request{path: "/v3/" + kind + "/nothing", key: key})
	}
	o.mustRefuse(http.StatusNotFound, "not-found", request{path: "/v3/merchants/cafe", key: key}) // retired
}

// TestEveryFieldIsGivenOut fails when the directory learns a field: the document
// has to show it, or sending the document back would take it away.
func TestEveryFieldIsGivenOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		stored any
		fields int
	}{
		{directory.Merchant{}, 18}, {directory.Reports{}, 2}, {directory.Method{}, 8}, {directory.Wallet{}, 13}, {directory.Feed{}, 14}, {directory.Mailbox{}, 4},
		{directory.Rule{}, 5}, {directory.PayoutDesk{}, 17}, {directory.Webhook{}, 8}, {directory.WebhookSecrets{}, 3}, {directory.PayoutSecrets{}, 2}, {directory.Look{}, 2}, {directory.Fee{}, 4}, {directory.Settlement{}, 8}, {directory.Schedule{}, 5}, {directory.FeedSecrets{}, 4}, {directory.MerchantSecrets{}, 10},
	} {
		kind := reflect.TypeOf(tt.stored)
		exported := 0
		for field := range kind.Fields() {
			if field.IsExported() {
				exported++
			}
		}
		if exported != tt.fields {
			t.Errorf("%s has %d fields, and package management knows of %d: show the new one in installation.go, try it in this file, and count it here", kind, exported, tt.fields)
		}
	}
}

func TestInstallationIsChanged(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	key := o.mustKey(access.Operator)
	const change = "merchants: [{id: shop}, {id: cafe}, {id: new}]"
	dry := put(key, "", change)
	dry.path += "?dry_run=true"
	plan := mustAsk[management.Plan](o, http.StatusOK, dry)
	if plan.Saved || len(plan.Changes) != 3 || plan.Generated[0].Value != "" || o.Directory.Current().Merchant("new") != nil {
		t.Errorf("a dry run gives %+v", plan)
	}
	o.mustRefuse(http.StatusPreconditionRequired, "version-missing", put(key, "", change))
	for _, version := range []string{`"0"`, `"2"`, "1", "*", `W/"1"`} {
		o.mustRefuse(http.StatusPreconditionFailed, "version-moved", put(key, version, change))
	}
	r := put(key, `"1"`, change)
	r.header["Idempotency-Key"] = "make new"
	first, answer := o.ask(r)
	again, same := o.ask(r)
	if first != http.StatusOK || again != first || same != answer {
		t.Errorf("twice, it is answered %d %s and %d %s", first, answer, again, same)
	}
	if err := json.Unmarshal([]byte(answer), &plan); err != nil {
		t.Fatal(err)
	}
	secret := plan.Generated[slices.IndexFunc(plan.Generated, func(g management.Generated) bool { return g.ID == "new" && g.Name == "plugin_api_secret" })].Value
	if m := o.Directory.Current().MerchantBySecret(secret); !plan.Saved || m == nil || m.ID != "new" {
		t.Errorf("the plan is %+v", plan)
	}
	o.mustRefuse(http.StatusPreconditionFailed, "version-moved", put(key, `"1"`, change)) // a new call
	p := o.mustRefuse(http.StatusUnprocessableEntity, "invalid", put(key, `"2"`, "merchants:\n- {id: shop, postbacks: 1}\nwallets: [{}]"))
	if len(p.Errors) < 2 || p.Errors[0].Location != "line 2: merchants[0]" {
		t.Errorf("it is refused with %+v", p)
	}
	var actor string
	if err := o.Database.Raw(t).QueryRowContext(t.Context(), `SELECT actor FROM audit WHERE action = 'directory.created' AND why LIKE 'merchant new%'`).
		Scan(&actor); err != nil || !strings.HasPrefix(actor, "key:") {
		t.Errorf("the audit log names %q, %v", actor, err)
	}
	o.MustVerify()
}

func TestReviews(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	key := o.mustKey(access.Operator)
	for i := 1; i <= 3; i++ {
		o.MustReport("till", 1, 0, 0, o.Entry(storetest.UTR(i), 400_00))
		o.MustActivate(storetest.Claim(fmt.Sprint("c", i), storetest.UTR(i), 500_00), deposit.Pending, deposit.AmountDiffers)
	}
	page := mustAsk[management.List[management.Review]](o, http.StatusOK, request{path: "/v3/reviews?limit=2", key: key})
	rest := mustAsk[management.List[management.Review]](o, http.StatusOK, request{path: "/v3/reviews?limit=2&after=" + page.Next, key: key})
	if len(page.Items) != 2 || len(rest.Items) != 1 || rest.Next != "" {
		t.Fatalf("the reviews are %+v and %+v", page, rest)
	}
	first := page.Items[0]
	if first.Claim.Reasons[0] != "amount_differs" || len(first.Credits) != 1 || first.Credits[0].Payer == "payer@okaxis" || !strings.HasSuffix(first.Credits[0].Payer, "@okaxis") {
		t.Errorf("the review is %+v", first)
	}
	decide := func(id int64, word, body string) request {
		return request{method: http.MethodPost, path: fmt.Sprintf("/v3/reviews/%d/%s", id, word), key: key, body: body}
	}
	o.mustRefuse(http.StatusUnprocessableEntity, "invalid", decide(first.Claim.ID, "approve", `{}`))
	approved := mustAsk[management.Claim](o, http.StatusOK, decide(first.Claim.ID, "approve", `{"why":"seen on the statement"}`))
	rejected := mustAsk[management.Claim](o, http.StatusOK, decide(page.Items[1].Claim.ID, "reject", `{"why":"not theirs"}`))
	if approved.State != "credited" || approved.Deposited.Amount != "400.00" || rejected.State != "rejected" {
		t.Errorf("decided as %+v and %+v", approved, rejected)
	}
	o.mustRefuse(http.StatusConflict, "refused", decide(first.Claim.ID, "approve", `{"why":"again"}`))
	o.mustRefuse(http.StatusNotFound, "not-found", decide(999999, "reject", `{"why":"no such claim"}`))

	o.MustReverse("till", storetest.UTR(1))
	disputes := mustAsk[management.List[management.Credit]](o, http.StatusOK, request{path: "/v3/disputes", key: key})
	if len(disputes.Items) != 1 || !disputes.Items[0].Contested || disputes.Items[0].ClaimID != first.Claim.ID {
		t.Fatalf("the disputes are %+v", disputes)
	}
	clearing := request{method: http.MethodPost, path: fmt.Sprintf("/v3/credits/%d/clear", disputes.Items[0].ID), key: key, body: `{"why":"the bank's error"}`}
	if c := mustAsk[management.Credit](o, http.StatusOK, clearing); c.Contested {
		t.Errorf("the credit is %+v", c)
	}
	o.mustRefuse(http.StatusConflict, "refused", clearing)
	var entries int
	if err := o.Database.Raw(t).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM audit WHERE actor LIKE 'key:%' AND why LIKE '%statement%' OR why IN ('not theirs', 'the bank''s error')`).
		Scan(&entries); err != nil || entries != 3 {
		t.Errorf("the audit log has %d entries, %v", entries, err)
	}
	o.MustVerify()
}

func TestCreditsFeedsAndStatements(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	key := o.mustKey(access.Operator)
	o.MustReport("till", 3, 0, 0, o.Entry(storetest.UTR(1), 400_00), o.Entry(storetest.UTR(2), 500_00), o.Entry(storetest.UTR(3), 500_00))
	o.MustReport("bar", 1, 0, 0, o.Entry(storetest.UTR(1), 100_00))
	for query, want := range map[string]int{
		"": 4, "wallet=till": 3, "wallet=till&amount=500": 2, "utr=000000000001": 2, "utr=000000000001&wallet=bar": 1, "state=bound": 0,
		"wallet=till&from=2026-03-14T00:00:00Z": 3, "wallet=till&to=2026-03-14T00:00:00Z": 0,
	} {
		count := 0
		for path := "/v3/credits?limit=1&" + query; ; {
			page := mustAsk[management.List[management.Credit]](o, http.StatusOK, request{path: path, key: key})
			count += len(page.Items)
			if page.Next == "" {
				break
			}
			path = "/v3/credits?limit=1&" + query + "&after=" + page.Next
		}
		if count != want {
			t.Errorf("%s: %d credits, want %d", query, count, want)
		}
	}
	o.mustRefuse(http.StatusUnprocessableEntity, "invalid", request{path: "/v3/credits?from=2026-03-14T00:00:00Z", key: key})

	// A message that nobody understood, and a statement with a line in no book.
	raw := []byte("Dear Asha, 9876543210 did something at http://bank.example")
	m := &feed.Message{Raw: raw, Digest: sha256.Sum256(raw), Sender: "VM-HDFCBK", SentAt: o.Clock.Now(), Reading: feed.Reading{Kind: feed.Unparsed, Why: "no template fits"}}
	if _, err := o.Desk.Ingest(t.Context(), o.Directory.Current().Feed("till"), []feed.Item{{Message: m}}); err != nil {
		t.Fatal(err)
	}
	inbox := mustAsk[management.List[management.Message]](o, http.StatusOK, request{path: "/v3/inbox?feed=till", key: key})
	if len(inbox.Items) != 1 || inbox.Items[0].Result != "unparsed" || strings.Contains(inbox.Items[0].Text, "9876543210") {
		t.Errorf("the inbox is %+v", inbox)
	}
	if other := mustAsk[management.List[management.Message]](o, http.StatusOK, request{path: "/v3/inbox?feed=bar", key: key}); len(other.Items) != 0 {
		t.Errorf("another feed's inbox is %+v", other)
	}
	feeds := mustAsk[management.List[management.FeedHealth]](o, http.StatusOK, request{path: "/v3/feeds", key: key})
	if i := slices.IndexFunc(feeds.Items, func(f management.FeedHealth) bool { return f.ID == "till" }); len(feeds.Items) != 6 || feeds.Items[i].Credits != 3 {
		t.Errorf("the feeds are %+v", feeds)
	}
	day := o.Clock.Now().Truncate(24 * time.Hour)
	id, err := o.Store.KeepStatement(t.Context(), &feed.Statement{Wallet: "till", Name: "may.csv", Layout: "test", From: day, To: day, Lines: 1, ImportedAt: o.Clock.Now(), Actor: "test"})
	if err == nil {
		err = o.Store.KeepLines(t.Context(), id, []feed.StatementLine{{Number: 7, Kind: feed.Credit, Amount: 1_00, At: day, Outcome: feed.Outcome{Place: 7, Result: feed.NoUTR, Why: "has no UTR"}}})
	}
	if err == nil {
		err = o.Store.EndStatement(t.Context(), id)
	}
	if err != nil {
		t.Fatal(err)
	}
	statements := mustAsk[management.List[management.BankStatement]](o, http.StatusOK, request{path: "/v3/wallets/till/statements", key: key})
	if len(statements.Items) != 1 || statements.Items[0].Name != "may.csv" {
		t.Fatalf("the statements are %+v", statements)
	}
	path := fmt.Sprintf("/v3/wallets/till/statements/%d/reconciliation", id)
	if r := mustAsk[management.Reconciliation](o, http.StatusOK, request{path: path, key: key}); r.Settled || len(r.Open) != 1 || r.Open[0].Line != 7 {
		t.Errorf("the reconciliation is %+v", r)
	}
	o.mustRefuse(http.StatusNotFound, "not-found", request{path: strings.Replace(path, "till", "bar", 1), key: key})
	o.mustRefuse(http.StatusNotFound, "not-found", request{path: "/v3/wallets/nothing/statements", key: key})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	maker := o.mustKey(access.Operator, access.KeysRead, access.KeysWrite, access.BalanceRead, access.DepositsRead)
	tomorrow := o.Clock.Now().Add(12 * time.Hour).Format(time.RFC3339)
	add := func(owner, scopes, expires string) request {
		return request{method: http.MethodPost, path: "/v3/keys", key: maker, body: fmt.Sprintf(`{"name":"n","owner":%q,"scopes":[%s],"expires_at":%q}`, owner, scopes, expires)}
	}
	made := mustAsk[management.NewKey](o, http.StatusCreated, add(storetest.Shop, `"balance:read"`, tomorrow))
	mustAsk[management.Balance](o, http.StatusOK, request{path: "/v3/balance", key: made.Token})
	o.mustRefuse(http.StatusForbidden, "forbidden", add(access.Operator, `"directory:write"`, tomorrow))                                         // which the maker lacks
	o.mustRefuse(http.StatusForbidden, "forbidden", add(storetest.Shop, `"balance:read"`, o.Clock.Now().Add(48*time.Hour).Format(time.RFC3339))) // longer than the maker's
	o.mustRefuse(http.StatusUnprocessableEntity, "invalid", add("nobody", `"balance:read"`, tomorrow))
	o.mustRefuse(http.StatusUnprocessableEntity, "invalid", add(storetest.Shop, `"keys:write"`, tomorrow)) // not a merchant's
	o.mustRefuse(http.StatusUnprocessableEntity, "invalid", add(storetest.Shop, `"balance:read"`, "2020-01-01T00:00:00Z"))
	status, text := o.ask(request{path: "/v3/keys", key: maker})
	if status != http.StatusOK || strings.Contains(text, "mln_") || !strings.Contains(text, `"owner":"shop"`) {
		t.Errorf("the keys are %d %s", status, text)
	}
	revoke := request{method: http.MethodDelete, path: fmt.Sprint("/v3/keys/", made.ID), key: maker}
	if status, text := o.ask(revoke); status != http.StatusNoContent || text != "" {
		t.Errorf("revoked: %d %s", status, text)
	}
	o.mustRefuse(http.StatusUnauthorized, "unauthorized", request{path: "/v3/balance", key: made.Token})
	o.mustRefuse(http.StatusNotFound, "not-found", revoke)
}
