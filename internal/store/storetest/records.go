package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/internal/store/records"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

func testDirectory(t *testing.T, fresh Fresh) {
	t.Helper()
	h := MustOpenHouse(t, fresh(t), Setup{})
	ctx := t.Context()
	contents, err := h.Store.LoadDirectory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if contents.Version != 1 || len(contents.Merchants) != 2 || len(contents.Methods) != 3 || len(contents.Wallets) != 6 ||
		len(contents.Feeds) != 6 || len(contents.Accounts) != 29 {
		t.Errorf("loaded version %d: %d merchants, %d methods, %d wallets, %d feeds, %d accounts", contents.Version,
			len(contents.Merchants), len(contents.Methods), len(contents.Wallets), len(contents.Feeds), len(contents.Accounts))
	}
	shop := h.Directory.Current().Merchant(Shop)
	if got := shop.Secrets; len(got.PluginAPI) != 1 || got.PluginAPI[0] != "plugin-secret-of-shop" || got.PrivateKey != "private-key-of-shop" ||
		got.AccessKey != "access-key-of-shop" || got.Webhook != "" {
		t.Errorf("shop's secrets came back as %q", []string{got.PluginAPI[0].Reveal(), got.PrivateKey.Reveal(), got.AccessKey.Reveal()})
	}
	if f := h.Directory.Current().Feed("till"); f.Token != "token-of-till" || f.Wallet != "till" {
		t.Errorf("the feed came back as %+v", f)
	}
	if fee := h.Directory.Current().Merchant(Cafe).Fee; fee.OfDeposit(Rupees(100)) != 3_50 {
		t.Errorf("cafe's fee came back as %+v", fee)
	}

	// All keys of a merchant are sealed and come back.
	keyed := *shop
	keyed.ID, keyed.Domain, keyed.PostbackWaits, keyed.PostbackEd25519 = "keyed", "", []time.Duration{time.Second, time.Hour}, true
	keyed.Secrets = directory.MerchantSecrets{
		PluginAPI: []directory.Secret{"1", "2"}, WithdrawalKey: "3", AccessKey: "4", PrivateKey: "5", Webhook: "6", PrivateKeyPrevious: "7",
		WebhookPrevious: "8", Ed25519: "9", ClientCert: "10\n", ClientKey: "11\n",
	}
	other := MustOpenHouse(t, fresh(t), Setup{Change: func(c *directory.Change) { c.Merchants = append(c.Merchants, &keyed) }})
	if got := other.Directory.Current().Merchant("keyed"); !reflect.DeepEqual(got.Secrets, keyed.Secrets) ||
		!slices.Equal(got.PostbackWaits, keyed.PostbackWaits) || !got.PostbackEd25519 {
		t.Errorf("a merchant's keys came back otherwise: %+v", got)
	}

	// So are a webhook's.
	hook := directory.Webhook{
		Merchant: Shop, ID: "h1", URL: "https://shop.example/", Events: []string{"deposit.*", "withdrawal.failed"}, Waits: []time.Duration{time.Hour}, Ed25519: true,
		Secrets: directory.WebhookSecrets{Signing: "1", Previous: "2", Ed25519: "3"},
	}
	other = MustOpenHouse(t, fresh(t), Setup{Change: func(c *directory.Change) { c.Webhooks = append(c.Webhooks, &hook) }})
	if got := other.Directory.Current().Webhook("shop/h1"); !reflect.DeepEqual(*got, hook) {
		t.Errorf("a webhook came back otherwise: %+v", got)
	}

	// A change worked out on an older version writes nothing.
	renamed := *shop
	renamed.Name = "Renamed"
	err = h.Store.SaveDirectory(ctx, directory.Change{From: 0, Merchants: []*directory.Merchant{&renamed},
		Audit: []audit.Entry{{At: Start, Actor: "test", Action: "directory.changed"}}})
	if !errors.Is(err, directory.ErrMoved) {
		t.Fatalf("an outdated change gave %v", err)
	}
	if contents, err = h.Store.LoadDirectory(ctx); err != nil || contents.Version != 1 || contents.Merchants[1].Name != "Shop" {
		t.Errorf("the outdated change left version %d, %v", contents.Version, err)
	}

	// Of changes made at once on one version a single one wins.
	var wins, moved int
	var mu sync.Mutex
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			m := renamed
			m.Name = fmt.Sprintf("Renamed by %d", i)
			err := h.Store.SaveDirectory(ctx, directory.Change{From: 1, Merchants: []*directory.Merchant{&m},
				Audit: []audit.Entry{{At: Start, Actor: "test", Action: "directory.changed", Why: m.Name}}})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				wins++
			case errors.Is(err, directory.ErrMoved):
				moved++
			default:
				t.Errorf("change %d: %v", i, err)
			}
		})
	}
	group.Wait()
	if wins != 1 || moved != 7 {
		t.Errorf("%d changes won, %d found the directory moved", wins, moved)
	}
	if err := h.Directory.Refresh(ctx); err != nil || h.Directory.Current().Version != 2 ||
		!strings.HasPrefix(h.Directory.Current().Merchant(Shop).Name, "Renamed by ") {
		t.Errorf("the change did not reach the cache: %v", err)
	}
	if r := h.MustVerify(); r.AuditEntries != 2 {
		t.Errorf("%d audit entries, want one for each change", r.AuditEntries)
	}
}

func testSecrets(t *testing.T, fresh Fresh) {
	t.Helper()
	db := fresh(t)
	h := MustOpenHouse(t, db, hooked)
	if _, err := db.TryOpen(t, mustKey("another key, just as long as the first")); !errors.Is(err, records.ErrWrongKey) {
		t.Errorf("another key gave %v", err)
	}
	if _, err := db.TryOpen(t, Key); err != nil {
		t.Errorf("the right key gave %v", err)
	}
	secrets := []string{"plugin-secret-of", "private-key-of", "access-key-of", "token-of", string(whsec[6:])}
	var raw bytes.Buffer
	rows, err := db.Raw(t).QueryContext(t.Context(), `SELECT kind, id, doc, sealed FROM directory`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var kind, id, doc string
		var sealed []byte
		if err := rows.Scan(&kind, &id, &doc, &sealed); err != nil {
			t.Fatal(err)
		}
		raw.WriteString(doc)
		raw.Write(sealed)
	}
	if err := rows.Err(); err != nil || !bytes.Contains(raw.Bytes(), []byte("Café")) {
		t.Fatalf("the directory was not read: %v", err)
	}
	if db.Embedded() {
		for _, suffix := range []string{"", "-wal"} {
			file, err := os.ReadFile(db.Path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			raw.Write(file)
		}
		if info, err := os.Stat(db.Path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file can be read by others: %v, %v", info.Mode(), err)
		}
	}
	for _, secret := range secrets {
		if bytes.Contains(raw.Bytes(), []byte(secret)) {
			t.Errorf("%q is kept in clear", secret)
		}
	}
	// A sealed value copied to another object does not open there.
	h.mustExec(`UPDATE directory SET sealed = (SELECT sealed FROM directory WHERE kind = 'feed' AND id = 'till') WHERE kind = 'feed' AND id = 'bar'`)
	if _, err := h.Store.LoadDirectory(t.Context()); err == nil {
		t.Error("a feed took another's token")
	}
}

func testIDs(t *testing.T, fresh Fresh) {
	t.Helper()
	db := fresh(t)
	type block struct{ first, n int64 }
	var mu sync.Mutex
	var blocks []block
	var group sync.WaitGroup
	for i := range 4 {
		s := db.Open(t)
		group.Go(func() {
			for j := range 25 {
				n := int64(1 + (i*j)%7)
				first, err := s.ReserveIDs(t.Context(), n)
				if err != nil {
					t.Errorf("reserve: %v", err)
					return
				}
				mu.Lock()
				blocks = append(blocks, block{first, n})
				mu.Unlock()
			}
		})
	}
	group.Wait()
	first, err := db.Open(t).ReserveIDs(t.Context(), 5) // opened again
	if err != nil {
		t.Fatal(err)
	}
	blocks = append(blocks, block{first, 5})
	seen := make(map[int64]bool)
	for _, b := range blocks {
		for id := b.first; id < b.first+b.n; id++ {
			if seen[id] || id < 1 {
				t.Fatalf("id %d was given twice, or is none", id)
			}
			seen[id] = true
		}
	}
}

// testStart has gateways start together on a database that nobody opened yet.
func testStart(t *testing.T, fresh Fresh) {
	t.Helper()
	db := fresh(t)
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			if s, err := db.TryOpen(t, Key); err != nil {
				t.Errorf("open: %v", err)
			} else if version, err := s.DirectoryVersion(t.Context()); err != nil || version != 0 {
				t.Errorf("version %d, %v", version, err)
			}
		})
	}
	group.Wait()
}

var errStop = errors.New("decided not to")

func testSettle(t *testing.T, fresh Fresh) {
	t.Helper()
	h := MustOpenHouse(t, fresh(t), Setup{})
	ctx := t.Context()
	now := Start
	first, err := h.Store.ReserveIDs(ctx, 100)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(id int64, customID string, utr upi.UTR, state deposit.State) *deposit.Claim {
		c := &deposit.Claim{ID: id, Merchant: Shop, CustomID: customID, Method: "upi_l", Label: "55", UTR: utr, Amount: 500_00,
			Currency: money.INR, Via: "api", State: state, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
		if !state.Open() {
			c.SettledAt = now
		}
		return c
	}
	entry := func(c *deposit.Claim) audit.Entry {
		return audit.Entry{At: now, Actor: "test", Action: "claim." + string(c.State), Subject: c.ID}
	}
	settle := func(keys *deposit.Keys, decide func(*deposit.Facts) (*deposit.Changes, error)) error {
		return h.Store.Settle(ctx, keys, decide)
	}
	add := func(claims ...*deposit.Claim) error {
		return settle(&deposit.Keys{}, func(*deposit.Facts) (*deposit.Changes, error) {
			changes := &deposit.Changes{NewClaims: claims}
			for _, c := range claims {
				changes.Audit = append(changes.Audit, entry(c))
			}
			return changes, nil
		})
	}

	// What decide refuses is not written; its error comes back as it is.
	if err := settle(&deposit.Keys{}, func(*deposit.Facts) (*deposit.Changes, error) {
		return &deposit.Changes{NewClaims: []*deposit.Claim{claim(first, "a", UTR(1), deposit.Waiting)}}, errStop
	}); !errors.Is(err, errStop) {
		t.Errorf("deciding not to gave %v", err)
	}
	// One bad record takes all of its batch with it, and nothing more.
	bad := claim(first+1, "b", UTR(1), deposit.Waiting)
	bad.Amount = 0
	if err := add(claim(first, "a", UTR(1), deposit.Waiting), bad); err == nil {
		t.Error("an amount of nothing was kept")
	}
	if _, err := h.Store.FindClaim(ctx, first); !errors.Is(err, deposit.ErrNoClaim) {
		t.Errorf("a failed batch left a claim: %v", err)
	}

	// A claim and a credit come back as they were written.
	full := claim(first, "a", UTR(1), deposit.Waiting)
	full.Label, full.Addr = "naïve \"label\"\\ हिन्दी 😀 ", netip.MustParseAddr("2001:db8::1")
	full.History = deposit.History{Shown: []string{"till", "bar"}, LabelFailures: 3, AddressFailures: 2, MerchantFailures: 1, SharedFailures: 4}
	held := claim(first+1, "b", UTR(1), deposit.Pending)
	held.Reasons, held.CreditID = deposit.Reasons{deposit.AmountDiffers, "rule:x y"}, 4711
	if err := add(full, held, claim(first+2, "c", UTR(1), deposit.Rejected), claim(first+3, "d", UTR(2), deposit.Waiting)); err != nil {
		t.Fatal(err)
	}
	credit := &deposit.Credit{ID: first + 50, Wallet: "till", Feed: "till", ReceivedAt: now, State: deposit.Unclaimed, Contested: true,
		Entry: feed.Entry{UTR: UTR(1), Amount: 1, Currency: money.INR, PayerVPA: "a@b", PayerName: "आशा", Note: "n", Reference: "r",
			At: now.Add(-time.Hour), Trust: feed.Provisional}}
	if err := settle(&deposit.Keys{}, func(*deposit.Facts) (*deposit.Changes, error) {
		return &deposit.Changes{
			NewCredits: []*deposit.Credit{credit},
			Assignments: []deposit.Assignment{
				{Merchant: Shop, Method: "upi_l", Label: "55", Wallet: "till", ShownAt: now, ExpiresAt: now.Add(2 * time.Hour)},
				{Merchant: Shop, Method: "upi_l", Label: "55", Wallet: "bar", ShownAt: now, ExpiresAt: now.Add(time.Hour)},
				{Merchant: Shop, Method: "upi_l", Label: "55", Wallet: "old", ShownAt: now.Add(-2 * time.Hour), ExpiresAt: now.Add(-time.Hour)},
				{Merchant: Shop, Method: "upi_w", Label: "55", Wallet: "window", ShownAt: now, ExpiresAt: now},
			},
			WalletUse: map[deposit.WalletDay]money.Paise{{Wallet: "till", Day: 20260314}: 1},
		}, nil
	}); err != nil {
		t.Fatal(err)
	}

	key := deposit.LabelKey{Merchant: Shop, Method: "upi_l", Label: "55"}
	keys := &deposit.Keys{
		UTRs:    map[upi.UTR]struct{}{UTR(1): {}, UTR(9): {}},
		Customs: map[deposit.CustomKey]struct{}{{Merchant: Shop, CustomID: "a"}: {}, {Merchant: Shop, CustomID: "d"}: {}, {Merchant: Cafe, CustomID: "a"}: {}},
		Claims:  map[int64]struct{}{first + 1: {}, first + 2: {}, first + 99: {}},
		Labels:  map[deposit.LabelKey]struct{}{key: {}}, Merchants: map[string]struct{}{Shop: {}},
		WalletDays: map[deposit.WalletDay]struct{}{{Wallet: "till", Day: 20260314}: {}, {Wallet: "bar", Day: 20260314}: {}},
		ShownSince: now.Add(-time.Hour), FailedSince: now.Add(-time.Hour), Limits: deposit.Limits{Label: 10, Address: 10, Merchant: 10, Shared: 10},
	}
	err = settle(keys, func(f *deposit.Facts) (*deposit.Changes, error) {
		if f.DirectoryVersion != 1 {
			t.Errorf("directory version %d", f.DirectoryVersion)
		}
		if len(f.Claims) != 4 || len(f.Customs) != 4 || f.Customs[full.Key()] != f.Claims[full.ID] {
			t.Errorf("loaded %d claims under %d names", len(f.Claims), len(f.Customs))
		}
		if got := f.Claims[full.ID]; got == nil || fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", *full) {
			t.Errorf("kept   %+v\nloaded %+v", full, got)
		}
		if got := f.Claims[held.ID]; got == nil || fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", *held) {
			t.Errorf("kept   %+v\nloaded %+v", held, got)
		}
		if c := f.Contenders[UTR(1)]; len(c) != 3 || c[0].ID != full.ID || c[1].ID != held.ID || c[2].State != deposit.Rejected {
			t.Errorf("contenders for the UTR: %v", c)
		}
		if got := f.Credits[UTR(1)]; len(got) != 1 || fmt.Sprintf("%+v", *got[0]) != fmt.Sprintf("%+v", *credit) {
			t.Errorf("kept   %+v\nloaded %+v", credit, got)
		}
		if got := f.Assignments[key]; len(got) != 2 || got[0].Wallet != "bar" || got[1].Wallet != "till" || !got[1].ExpiresAt.Equal(now.Add(2*time.Hour)) {
			t.Errorf("assignments %+v", got)
		}
		if got := f.LabelFailures[key]; len(got) != 2 { // a, and d with another label's text; c is of UTR 1 too
			t.Errorf("the label failed with %v", got)
		}
		if got := f.WalletUse; got[deposit.WalletDay{Wallet: "till", Day: 20260314}] != 1 || got[deposit.WalletDay{Wallet: "bar", Day: 20260314}] != 0 {
			t.Errorf("use %v", got)
		}
		return &deposit.Changes{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}

	// A gateway that is beaten to a custom id finds out, and writes nothing.
	if err := add(claim(first+10, "fresh", UTR(3), deposit.Waiting), claim(first+11, "a", UTR(4), deposit.Waiting)); err == nil {
		t.Error("a custom id was used twice")
	} else if !h.Database.Embedded() && !errors.Is(err, deposit.ErrConflict) {
		t.Errorf("a custom id used twice gave %v", err)
	}
	if _, err := h.Store.FindClaim(ctx, first+10); !errors.Is(err, deposit.ErrNoClaim) {
		t.Errorf("a beaten batch left a claim: %v", err)
	}
	// A caller that has gone does no harm.
	gone, leave := context.WithCancel(ctx)
	leave()
	_ = h.Store.Settle(gone, &deposit.Keys{}, func(*deposit.Facts) (*deposit.Changes, error) { return nil, errStop })
	if err := add(claim(first+20, "after", UTR(5), deposit.Waiting)); err != nil {
		t.Errorf("the store does not work any more: %v", err)
	}
}

func testQueries(t *testing.T, fresh Fresh) {
	t.Helper()
	h := MustOpenHouse(t, fresh(t), Setup{})
	ctx := t.Context()
	var ids []int64
	for i := range 5 {
		h.MustReport("till", 1, 0, 0, h.Entry(UTR(i), 500_00))
		ids = append(ids, h.MustActivate(Claim(string(UTR(i)), UTR(i), 600_00), deposit.Pending, deposit.AmountDiffers).ID)
	}
	h.MustActivate(Claim("waits", UTR(99), 600_00), deposit.Waiting)
	var paged []int64
	for after := int64(0); ; {
		page, err := h.Store.PendingClaims(ctx, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			if len(r.Credits) != 1 || r.Credits[0].UTR != r.Claim.UTR {
				t.Errorf("claim %d is shown credits %v", r.Claim.ID, r.Credits)
			}
			paged = append(paged, r.Claim.ID)
			after = r.Claim.ID
		}
	}
	if fmt.Sprint(paged) != fmt.Sprint(ids) {
		t.Errorf("in review are %v, paged %v", ids, paged)
	}
	if due, err := h.Store.DueClaims(ctx, Start.Add(72*time.Hour-1), 10); err != nil || len(due) != 0 {
		t.Errorf("due too early: %v, %v", due, err)
	}
	if due, err := h.Store.DueClaims(ctx, Start.Add(72*time.Hour), 10); err != nil || len(due) != 1 || due[0].UTR != UTR(99) {
		t.Errorf("due: %v, %v", due, err)
	}
	if err := h.Store.Ping(ctx); err != nil {
		t.Error(err)
	}
	h.MustVerify()
}

func testDuties(t *testing.T, fresh Fresh) {
	t.Helper()
	db := fresh(t)
	a, b := db.Open(t), db.Open(t)
	hold := func(s interface {
		Hold(context.Context, string, string, time.Time, time.Duration) (bool, error)
	}, duty, who string, at time.Time, want bool) {
		t.Helper()
		if got, err := s.Hold(t.Context(), duty, who, at, time.Minute); err != nil || got != want {
			t.Errorf("%s holds %s at %s: %t, %v", who, duty, at, got, err)
		}
	}
	hold(a, "sweep", "a", Start, true)
	hold(b, "sweep", "b", Start, false)
	hold(b, "rates", "b", Start, true)
	hold(a, "sweep", "a", Start.Add(30*time.Second), true) // renewed
	hold(b, "sweep", "b", Start.Add(60*time.Second), false)
	hold(b, "sweep", "b", Start.Add(90*time.Second), true) // its time was up
	hold(a, "sweep", "a", Start.Add(91*time.Second), false)
	hold(a, "keep", "a", Start.Add(24*time.Hour), true) // by a clock that is wrong
	hold(b, "keep", "b", Start, true)
	hold(a, "keep", "a", Start.Add(time.Second), false)
	if _, err := a.Hold(t.Context(), "keep", "a", Start, 0); err != nil { // handed back by who has it no more
		t.Error(err)
	}
	hold(a, "keep", "a", Start.Add(2*time.Second), false)
	var mu sync.Mutex
	var group sync.WaitGroup
	holders := 0
	for i := range 16 {
		s := a
		if i%2 == 1 {
			s = b
		}
		group.Go(func() {
			held, err := s.Hold(t.Context(), "race", fmt.Sprint(i), Start, time.Minute)
			if err != nil {
				t.Errorf("hold: %v", err)
			}
			if held {
				mu.Lock()
				holders++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if holders != 1 {
		t.Errorf("%d hold one duty", holders)
	}
}

func testRates(t *testing.T, fresh Fresh) {
	t.Helper()
	s := fresh(t).Open(t)
	ctx := t.Context()
	if _, err := s.NewestRates(ctx); !errors.Is(err, fx.ErrNoRates) {
		t.Errorf("no rates gave %v", err)
	}
	bundled, err := fx.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.SaveRates(ctx, bundled)
	if err != nil || first.ID == 0 {
		t.Fatalf("saved as %d, %v", first.ID, err)
	}
	same, err := s.SaveRates(ctx, bundled)
	if err != nil || same.ID != first.ID {
		t.Errorf("rates that say the same became %d, %v", same.ID, err)
	}
	other, err := fx.ParseOpenExchangeRates(strings.NewReader(`{"timestamp":1767225600,"base":"USD","rates":{"INR":90.1234,"EUR":0.85}}`))
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.SaveRates(ctx, other)
	if err != nil || second.ID <= first.ID {
		t.Fatalf("other rates became %d after %d, %v", second.ID, first.ID, err)
	}
	newest, err := s.NewestRates(ctx)
	if err != nil || newest.ID != second.ID || !bytes.Equal(newest.Encode(), other.Encode()) {
		t.Errorf("the newest rates are %d, %v", newest.ID, err)
	}
	again, err := s.Rates(ctx, first.ID)
	if err != nil || !bytes.Equal(again.Encode(), bundled.Encode()) {
		t.Errorf("the first rates came back otherwise: %v", err)
	}
	if _, err := s.Rates(ctx, 999_999); !errors.Is(err, fx.ErrNoRates) {
		t.Errorf("unknown rates gave %v", err)
	}
}
