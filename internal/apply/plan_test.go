package apply_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/ledger"
)

func printed(t *testing.T, p *apply.Plan) string {
	t.Helper()
	var b strings.Builder
	if err := apply.Write(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func sample(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../examples/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheSampleAppliesOnce(t *testing.T) {
	t.Parallel()
	m := newMemory()
	first := m.mustApply(t, sample(t))
	want := `+ merchant shop
+ method upi_l
+ method upi_ib
+ wallet w1
+ feed bank1
+ feed phone1
+ rule large
+ payout desk
`
	if got := printed(t, first); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
	if got := printed(t, m.mustApply(t, sample(t))); got != "no changes\n" || m.saves != 1 {
		t.Errorf("the second time, %d saves and\n%s", m.saves, got)
	}

	s := m.snapshot(t)
	shop := s.MerchantBySecret("s3cret")
	if shop == nil || shop != s.MerchantByDomain("shop.localhost") || !shop.MethodOn(s.Method("upi_l")) || shop.MethodOn(s.Method("upi_ib")) {
		t.Errorf("the shop is %+v", shop)
	}
	if w := s.WalletsFor("shop", "upi_l"); len(w) != 1 || w[0].DailyLimit != 500000_00 || w[0].PerPaymentMax != 100000_00 || !w[0].Open() {
		t.Errorf("the shop's wallets are %+v", w)
	}
	codes := slices.Sorted(maps.Keys(s.Accounts))
	if got := strings.Join(codes, " "); got != "fees hold:shop income:w1 merchant:shop outflow:w1 suspense:w1 wallet:w1" {
		t.Errorf("accounts %s", got)
	}
	for _, a := range first.Change.Accounts {
		want := map[string]ledger.AccountKind{"fees": ledger.Revenue, "wallet:w1": ledger.Asset, "outflow:w1": ledger.Asset}[a.Code]
		if want == "" {
			want = ledger.Liability
		}
		if a.Kind != want || a.Currency != "INR" || a.ID != 0 || a.Balance != 0 {
			t.Errorf("account %+v", a)
		}
	}
	for i, e := range m.audit {
		if e.Actor != "apply" || e.Action != "directory.created" || e.Subject != 0 || !e.At.Equal(noon) || "+ "+e.Why != first.Lines[i].String() {
			t.Errorf("audit %d: %+v", i, e)
		}
	}
}

func TestChangesAreShown(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.mustApply(t, sample(t))
	edited := strings.NewReplacer(
		"daily_limit: 500000", "daily_limit: 600000.5",
		"vpa: test@upi", "vpa: Test@UPI",
		"per_payment_max: 100000, enabled: true", "enabled: off",
		"plugin_api_secret: s3cret", "plugin_api_secret: n3w\n    plugin_api_secret_previous: s3cret",
		"private_key: PK", "private_key: PK2, webhook_secret: hook",
		"domain: shop.localhost", "domain: SHOP.example",
		"upi_ib: off", "upi_ib: on",
		"{deposit_percent: 0,", "{deposit_percent: 1.25,",
		"  - {id: phone1, kind: sms, wallet: w1, token: smstoken}\n", "",
		"amount > 100000", "amount > 200000",
	).Replace(sample(t))
	plan := m.mustApply(t, edited)
	want := `~ merchant shop: domain shop.localhost → shop.example, plugin_api_secret (secret), postback.private_key (secret), postback.webhook_secret (secret), methods upi_ib: off, upi_l: on → upi_ib: on, upi_l: on, fee.deposit_percent 0 % → 1.25 %
~ wallet w1: vpa test@upi → Test@UPI, daily_limit ₹5,00,000.00 → ₹6,00,000.50, per_payment_max ₹1,00,000.00 → ₹0.00, enabled on → off
- feed phone1 (retired: not in the file)
~ rule large: when amount > 100000 → amount > 200000
`
	if got := printed(t, plan); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
	var whys []string
	for _, e := range plan.Change.Audit {
		whys = append(whys, e.Action+" "+e.Why)
	}
	want = `directory.changed merchant shop: domain, plugin_api_secret, postback.private_key, postback.webhook_secret, methods, fee.deposit_percent
directory.changed wallet w1: vpa, daily_limit, per_payment_max, enabled
directory.retired feed phone1
directory.changed rule large: when`
	if got := strings.Join(whys, "\n"); got != want {
		t.Errorf("audit\n%s\nwant\n%s", got, want)
	}
	s := m.snapshot(t)
	if s.MerchantBySecret("n3w") == nil || s.MerchantBySecret("s3cret") == nil || !s.Feed("phone1").Retired {
		t.Error("the rotation or the retirement is not in force")
	}

	// The rotation ends when the old secret leaves the file.
	m.mustApply(t, strings.Replace(edited, "    plugin_api_secret_previous: s3cret\n", "", 1))
	if s := m.snapshot(t); s.MerchantBySecret("n3w") == nil || s.MerchantBySecret("s3cret") != nil {
		t.Error("the old secret is still valid")
	}
}

func TestSecretsAreMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	m := newMemory()
	const bare = `
merchants:
- id: shop
  postback: {url: https://shop.example/hook}
wallets:
- {id: w1, method: upi_l, vpa: test@upi, merchants: [shop]}
feeds:
- {id: bank, kind: json, wallet: w1}
`
	dry, err := apply.Run(t.Context(), m, mustParse(t, bare), apply.Options{DryRun: true, Now: options().Now})
	if err != nil || m.saves != 0 || dry.Saved {
		t.Fatalf("dry run: %v, %d saves", err, m.saves)
	}
	want := `+ merchant shop
+ method upi_l
+ wallet w1
+ feed bank

would be generated and shown once:
  merchant shop plugin_api_secret
  merchant shop withdrawal_private_key
  merchant shop postback.access_key
  merchant shop postback.private_key
  feed bank token

dry run: nothing was changed
`
	if got := printed(t, dry); got != want {
		t.Errorf("the dry run printed\n%s\nwant\n%s", got, want)
	}

	plan := m.mustApply(t, bare)
	shop := m.snapshot(t).Merchant("shop")
	s := shop.Secrets
	made := []directory.Secret{s.PluginAPI[0], s.WithdrawalKey, s.AccessKey, s.PrivateKey, m.snapshot(t).Feed("bank").Token}
	out := printed(t, plan)
	for i, secret := range made {
		if plan.Generated[i].Value != secret || strings.Count(out, secret.Reveal()) != 1 || len(secret) < 20 {
			t.Errorf("%s: stored %q is not what is printed:\n%s", plan.Generated[i].Name, secret.Reveal(), out)
		}
	}
	slices.Sort(made)
	if len(slices.Compact(made)) != 5 {
		t.Error("two secrets are the same")
	}
	if again := m.mustApply(t, bare); !again.Empty() || len(again.Generated) != 0 {
		t.Errorf("the second time: %s", printed(t, again))
	}

	// A file may set one secret and leave the others as they are.
	plan = m.mustApply(t, strings.Replace(bare, "/hook", "/hook, webhook_secret: mine", 1))
	now := m.snapshot(t).Merchant("shop").Secrets
	if string(now.WebhookKey()) != "mine" || now.PrivateKey != s.PrivateKey || now.PluginAPI[0] != s.PluginAPI[0] || len(plan.Generated) != 0 {
		t.Errorf("after setting one: %s", printed(t, plan))
	}
	m.mustApply(t, bare)
	if got := m.snapshot(t).Merchant("shop").Secrets.Webhook; got != "mine" {
		t.Error("an omitted webhook secret was not kept")
	}
	m.mustApply(t, strings.Replace(bare, "/hook", "/hook, webhook_secret: ''", 1))
	if got := m.snapshot(t).Merchant("shop").Secrets.WebhookKey(); string(got) != s.PrivateKey.Reveal() {
		t.Error("the webhook secret was not taken back")
	}
	m.mustApply(t, strings.Replace(bare, "  postback: {url: https://shop.example/hook}\n", "", 1))
	if got := m.snapshot(t).Merchant("shop"); got.PostbackURL != "" || got.Secrets.PrivateKey != s.PrivateKey {
		t.Error("without a postback, its URL should go and its keys stay")
	}
}

func TestLeavingOutRetiresAndNamingRestores(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.mustApply(t, sample(t))
	const elsewhere = `
merchants:
- {id: other, plugin_api_secret: x, withdrawal_private_key: y}
wallets: []
feeds: []
`
	want := `+ merchant other
- merchant shop (retired: not in the file)
- wallet w1 (retired: not in the file)
- feed bank1 (retired: not in the file)
- feed phone1 (retired: not in the file)
`
	if got := printed(t, m.mustApply(t, elsewhere)); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
	s := m.snapshot(t)
	if s.MerchantBySecret("s3cret") != nil || s.Merchant("shop").Secrets.PrivateKey != "PK" || s.Wallet("w1").Open() || s.Method("upi_l").Retired || len(s.ActiveRules()) != 1 {
		t.Error("retiring took too little or too much")
	}
	back := strings.Replace(sample(t), "name: Sample shop", "name: Shop again", 1)
	want = `+ merchant shop (restored): name Sample shop → Shop again
- merchant other (retired: not in the file)
+ wallet w1 (restored)
+ feed bank1 (restored)
+ feed phone1 (restored)
`
	if got := printed(t, m.mustApply(t, back)); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
	if e := m.audit[len(m.audit)-1]; e.Action != "directory.restored" || e.Why != "feed phone1" {
		t.Errorf("audit %+v", e)
	}
}

func TestMethodsThatNeedNoDeclaration(t *testing.T) {
	t.Parallel()
	m := newMemory()
	const named = "wallets:\n- {id: w1, method: upi_hb, vpa: test@upi, merchants: []}\n"
	const declared = "methods:\n- {type: own_1}\n- {type: own_2, name: Two}\n"
	m.mustApply(t, named)
	if got := m.snapshot(t).Method("upi_hb"); !got.Usable() || got.Order != 1 {
		t.Errorf("named alone: %+v", got)
	}
	// A file of methods alone must not retire what a stored wallet needs.
	want := "+ method own_1\n+ method own_2\n~ method upi_hb: order 1 → 3\n"
	if got := printed(t, m.mustApply(t, declared)); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
	for _, text := range []string{named, declared} {
		if plan := m.mustApply(t, text); !plan.Empty() {
			t.Errorf("two files fight over a method: %s", printed(t, plan))
		}
	}
	m.mustApply(t, declared+"- {type: upi_hb, enabled: off, min: 5}\n")
	if plan := m.mustApply(t, named); !plan.Empty() || m.snapshot(t).Method("upi_hb").Min != 500 {
		t.Error("naming a method changed its declaration")
	}
	// Once nothing needs it, it goes with its section, and comes back by name.
	m.mustApply(t, "wallets: []\n"+declared)
	if !m.snapshot(t).Method("upi_hb").Retired {
		t.Error("an undeclared method nobody names is still there")
	}
	m.mustApply(t, named)
	if !m.snapshot(t).Method("upi_hb").Usable() {
		t.Error("naming it did not bring it back")
	}
}

func TestReferencesAreChecked(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, stored, in, want string }{
		{"nothing is there", "", "merchants:\n- id: shop\n  methods:\n    own: on\nwallets:\n- id: w1\n  method: upi_x\n  vpa: a@upi\n  merchants:\n  - shop\n  - shpo\nfeeds:\n- {id: f, kind: json, wallet: w2}\npayouts:\n- {id: d, kind: manual, method: own}\n",
			`x.yaml:4: merchants[0].methods.own: there is no method "own": declare it under methods, or name one that is there
x.yaml:7: wallets[0].method: there is no method "upi_x": did you mean upi_l?
x.yaml:11: wallets[0].merchants[1]: there is no merchant "shpo": did you mean shop?
x.yaml:13: feeds[0].wallet: there is no wallet "w2": did you mean w1?
x.yaml:15: payouts[0].method: there is no method "own": declare it under methods, or name one that is there`},
		{"stored ones serve", stored, "wallets:\n- {id: w2, method: own, vpa: b@upi, merchants: [shop]}\n", ""},
		{"not where the section is given", stored, "merchants: []\nmethods: []\nwallets:\n- {id: w2, method: own, vpa: b@upi, merchants: [shop]}\n",
			`x.yaml:4: wallets[0].method: there is no method "own": declare it under methods, or name one that is there
x.yaml:4: wallets[0].merchants[0]: there is no merchant "shop": declare it under merchants, or name one that is there`},
		{"feed of a retired wallet", stored + "---\nwallets: []\nfeeds: []\n", "feeds:\n- {id: g, kind: json, wallet: w1}\n",
			`x.yaml:2: feeds[0].wallet: there is no wallet "w1": declare it under wallets, or name one that is there`},
		{"wallet turned into another", stored, "wallets:\n- id: w1\n  method: upi_l\n  vpa: b@upi\n  merchants: []\n",
			`x.yaml:3: wallets[0].method: wallet w1 is of method own and stays so: money would be booked to the wrong account; declare a new wallet under a new id
x.yaml:4: wallets[0].vpa: wallet w1 has the VPA a@upi and keeps it: money would be booked to the wrong account; declare a new wallet under a new id`},
		{"retired wallet turned into another", stored + "---\nwallets: []\n", "wallets:\n- {id: w1, method: own, vpa: b@upi, merchants: []}\n",
			`x.yaml:2: wallets[0].vpa: wallet w1 has the VPA a@upi and keeps it: money would be booked to the wrong account; declare a new wallet under a new id`},
		{"feed turned", stored, "wallets:\n- {id: w1, method: own, vpa: a@upi, merchants: []}\n- {id: w2, method: own, vpa: b@upi, merchants: []}\nfeeds:\n- {id: f, kind: json, wallet: w2}\n",
			`x.yaml:5: feeds[0].wallet: feed f reports on wallet w1 and can't be turned to w2: what it reported would be misread; declare a new feed under a new id`},
		{"scheme without secret", stored, "feeds:\n- {id: f, kind: json, wallet: w1}\n- {id: p, kind: sms, wallet: w1, scheme: capcom6}\n",
			`x.yaml:3: feeds[1].scheme: needs the secret that the app signs with: add secret`},
		{"scheme with the secret that is stored", stored + "---\nfeeds:\n- {id: f, kind: json, wallet: w1}\n- {id: p, kind: sms, wallet: w1, scheme: capcom6, secret: s}\n",
			"feeds:\n- {id: f, kind: json, wallet: w1}\n- {id: p, kind: sms, wallet: w1, scheme: capcom6}\n", ""},
		{"other spelling", stored, "merchants:\n- id: Shop\n", `x.yaml:2: merchants[0].id: "Shop" is stored as "shop": keep its spelling`},
		{"secret of another", stored, "merchants:\n- id: shop\n- id: new\n  plugin_api_secret: s3cret\n",
			`x.yaml:4: merchants[1].plugin_api_secret: merchant shop has this secret already: give each its own`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMemory()
			for text := range strings.SplitSeq(tt.stored, "---\n") {
				if text != "" {
					m.mustApply(t, text)
				}
			}
			before, saves := m.contents.Version, m.saves
			f, err := apply.Parse("x.yaml", []byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			_, err = apply.Run(t.Context(), m, f, options())
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if m.contents.Version != before || m.saves != saves {
				t.Error("something was stored")
			}
		})
	}
}

const stored = `merchants:
- {id: shop, plugin_api_secret: s3cret}
methods:
- type: own
wallets:
- {id: w1, method: own, vpa: a@upi, merchants: [shop]}
feeds:
- {id: f, kind: json, wallet: w1}
`

func TestAClashWithKeptSecretsIsRefused(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.mustApply(t, "merchants:\n- {id: a, plugin_api_secret: same}\n")
	m.mustApply(t, "merchants:\n- {id: b, plugin_api_secret: same}\n")
	_, err := apply.Run(t.Context(), m, mustParse(t, "merchants:\n- id: a\n- id: b\n"), options())
	if err == nil || !strings.Contains(err.Error(), "same plugin API secret") || m.saves != 2 {
		t.Errorf("got %v after %d saves", err, m.saves)
	}
}

func TestRunGivesWayAndGivesUp(t *testing.T) {
	t.Parallel()
	f := mustParse(t, sample(t))
	m := newMemory()
	m.moved = 2
	if plan, err := apply.Run(t.Context(), m, f, options()); err != nil || m.saves != 3 || !plan.Saved {
		t.Errorf("moved twice: %v after %d saves", err, m.saves)
	}
	m = newMemory()
	m.moved = 1000
	if _, err := apply.Run(t.Context(), m, f, options()); !errors.Is(err, directory.ErrMoved) || m.saves > 10 {
		t.Errorf("always moved: %v after %d saves", err, m.saves)
	}
	m = newMemory()
	m.broken = errors.New("disk full")
	if plan, err := apply.Run(t.Context(), m, f, options()); !errors.Is(err, m.broken) || m.saves != 1 || plan != nil {
		t.Errorf("broken: %v after %d saves", err, m.saves)
	}
}

func TestPlanLeavesItsInputsAlone(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.mustApply(t, sample(t))
	current, err := m.LoadDirectory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprintf("%+v", *current.Wallets[0])
	f := mustParse(t, "wallets: []\n")
	for range 2 {
		plan, err := apply.NewPlan(current, f, func() (directory.Secret, error) { return "", errors.New("none needed") })
		if err != nil || len(plan.Lines) != 1 || !plan.Change.Wallets[0].Retired {
			t.Fatalf("%+v, %v", plan, err)
		}
	}
	if now := fmt.Sprintf("%+v", *current.Wallets[0]); now != before {
		t.Errorf("the stored wallet became %s", now)
	}
	_, err = apply.NewPlan(current, mustParse(t, "merchants:\n- id: new\n"), func() (directory.Secret, error) { return "", context.Canceled })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a failing generator gave %v", err)
	}
}

func TestTerminalIsNotObeyed(t *testing.T) {
	t.Parallel()
	field := apply.Field{Name: "name", From: "", To: "\x1b[2J" + strings.Repeat("x", 500)}
	if got := field.String(); strings.Contains(got, "\x1b") || len(got) > 120 || !strings.HasPrefix(got, `name none → "\x1b[2J`) {
		t.Errorf("%q", got)
	}
}

// installation draws a file that is in order by itself and has every section,
// so that it depends on nothing stored. Ids come from a small set, so that files
// overlap; a wallet's id settles what may not change.
func installation(t *rapid.T, label string) string {
	var b strings.Builder
	some := func(what string, from ...string) []string {
		if len(from) == 0 {
			return nil
		}
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, len(from), rapid.ID[string]).Draw(t, label+what)
	}
	pick := func(what string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label+what) }
	section := func(name string, items []string, item func(id string) string) {
		if len(items) == 0 {
			fmt.Fprintf(&b, "%s: []\n", name)
			return
		}
		fmt.Fprintf(&b, "%s:\n", name)
		for _, id := range items {
			fmt.Fprintf(&b, "- {%s}\n", item(id))
		}
	}
	merchants := some("merchants", "a", "b", "c")
	section("merchants", merchants, func(id string) string {
		return "id: " + id + pick("merchant "+id, "", ", name: N", ", plugin_api_secret: s"+id, ", plugin_api_secret: t"+id+", plugin_api_secret_previous: s"+id,
			", postback: {url: 'https://x.example'}", ", postback: {url: 'https://x.example', webhook_secret: ''}", ", methods: {upi_m: off, own: on}",
			", redirect_urls: {1: 'https://x.example', 2: 'https://y.example'}", ", fee: {deposit_percent: 0.5, deposit_fixed: 0.1}", ", allowed_ips: [10.0.0.1]", ", domain: "+id+".example",
			", webhooks: [{id: h1, url: 'https://x.example', events: ['*']}, {id: h2, url: 'https://y.example', events: [deposit.expired], ed25519: on}]",
			", webhooks: [{id: h2, url: 'https://x.example', events: [deposit.*]}]")
	})
	section("methods", append([]string{"own"}, some("methods", "upi_l", "upi_w")...), func(id string) string {
		return "type: " + id + pick("method "+id, "", ", enabled: off", ", min: 0.1", ", name: {hi: क, en: K}")
	})
	wallets := some("wallets", "w1", "w2", "w3")
	section("wallets", wallets, func(id string) string {
		return "id: " + id + ", vpa: " + id + "@upi, method: " + map[string]string{"w1": "own", "w2": "upi_l", "w3": "upi_in"}[id] +
			", merchants: [" + strings.Join(some("served by "+id, merchants...), ", ") + "]" +
			pick("wallet "+id, "", ", enabled: no", `, daily_limit: "1,00,000"`, ", name: N")
	})
	section("feeds", wallets, func(id string) string {
		return "id: f" + id + ", wallet: " + id + ", kind: " + pick("feed "+id, "json", "sms")
	})
	section("rules", some("rules", "r1", "r2"), func(id string) string {
		return "name: " + id + ", when: amount > " + pick("rule "+id, "1", "0.5")
	})
	section("payouts", some("payouts", "d1"), func(id string) string { return "id: " + id + ", kind: manual, method: imps_ib" })
	section("webhooks", some("webhooks", "o1", "o2"), func(id string) string {
		return "id: " + id + ", url: 'https://x.example', events: [" + pick("webhook "+id, "'*'", "feed.silent") + "]"
	})
	return b.String()
}

func TestApplyingIsIdempotentAndForgetsNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, fresh := newMemory(), newMemory()
		var text string
		everHad := make(map[string]bool)
		for i := range rapid.IntRange(1, 4).Draw(t, "files") {
			text = installation(t, fmt.Sprintf("%d ", i))
			for _, l := range m.mustApply(t, text).Lines {
				everHad[l.Kind+" "+l.ID] = true
			}
			if again := m.mustApply(t, text); !again.Empty() {
				t.Fatalf("again: %v\n%s", again.Lines, text)
			}
		}
		// What is in force depends on the last file alone, secrets apart.
		fresh.mustApply(t, text)
		if got, want := inForce(m.contents), inForce(fresh.contents); got != want {
			t.Fatalf("after a history\n%s\nat once\n%s\nfile\n%s", got, want, text)
		}
		c := m.contents
		if stored := len(c.Merchants) + len(c.Methods) + len(c.Wallets) + len(c.Feeds) + len(c.Rules) + len(c.Payouts) + len(c.Webhooks); stored != len(everHad) {
			t.Fatalf("%d objects stored of %d there ever were", stored, len(everHad))
		}
		for _, w := range c.Wallets {
			if c.Accounts[ledger.WalletCode(w.ID)] == 0 || c.Accounts[ledger.SuspenseCode(w.ID)] == 0 {
				t.Fatalf("wallet %s has no accounts", w.ID)
			}
		}
	})
}

// inForce describes the objects that are not retired, without secrets.
func inForce(c directory.Contents) string {
	var lines []string
	for _, o := range c.Merchants {
		if plain := *o; !o.Retired {
			plain.Secrets = directory.MerchantSecrets{}
			lines = append(lines, fmt.Sprintf("%+v", plain))
		}
	}
	for _, o := range c.Methods {
		if !o.Retired {
			lines = append(lines, fmt.Sprintf("%+v", *o))
		}
	}
	for _, o := range c.Wallets {
		if !o.Retired {
			lines = append(lines, fmt.Sprintf("%+v", *o))
		}
	}
	for _, o := range c.Feeds {
		if !o.Retired {
			lines = append(lines, o.ID+" "+o.Kind+" "+o.Wallet)
		}
	}
	for _, o := range c.Rules {
		if !o.Retired {
			lines = append(lines, fmt.Sprintf("%+v", *o))
		}
	}
	for _, o := range c.Payouts {
		if !o.Retired {
			lines = append(lines, fmt.Sprintf("%+v", *o))
		}
	}
	for _, o := range c.Webhooks {
		if plain := *o; !o.Retired {
			plain.Secrets = directory.WebhookSecrets{}
			lines = append(lines, fmt.Sprintf("%+v", plain))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
