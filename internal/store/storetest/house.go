package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/internal/store/records"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Clock is a clock that a test sets.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now is the time the test has made it.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance lets time pass.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Start is the time at which every house opens.
var Start = time.Date(2026, time.March, 14, 9, 30, 0, 123456000, time.UTC)

// The people and places of every house:
//
//	wallet  method  serves        merchant  amount policy  fee
//	till    upi_l   shop          shop      exact          none
//	spare   upi_l   shop          cafe      actual         1.5 % and 2 rupees
//	common  upi_l   shop, cafe
//	bar     upi_l   cafe
//	window  upi_w   shop
//	closed  upi_m   shop          upi_m is switched off
//
// upi_w is switched off for cafe. Each wallet has a feed of its own, by its name.
const (
	Shop = "shop"
	Cafe = "cafe"
)

// RatesID is the number of the exchange rates that every house's desks use.
const RatesID = 77

// Setup is what a test wants otherwise than usual.
type Setup struct {
	Policy     func(*deposit.Policy)
	Change     func(*directory.Change)
	Outbox     deposit.Outbox
	Committers int
}

// House is a gateway at work: an open store with the usual directory, a desk
// that runs, and a clock. Its Must… methods end the test on an error.
type House struct {
	testing.TB
	Database  *Database
	Store     store.Store
	Directory *directory.Cache
	Desk      *deposit.Desk
	Clock     *Clock
	setup     Setup
	behind    *sql.DB // see raw
}

// MustOpenHouse opens a house on an empty database.
func MustOpenHouse(tb testing.TB, db *Database, setup Setup) *House {
	tb.Helper()
	h := &House{TB: tb, Database: db, Store: db.Open(tb), Clock: &Clock{now: Start}, setup: setup}
	change := usualDirectory()
	if setup.Change != nil {
		setup.Change(&change)
	}
	if err := h.Store.SaveDirectory(tb.Context(), change); err != nil {
		tb.Fatalf("save the directory: %v", err)
	}
	h.start()
	return h
}

// MustOpenBranch opens a second gateway on the house's database, with a store,
// a directory and a desk of its own. It has the house's clock.
func (h *House) MustOpenBranch() *House {
	h.Helper()
	branch := &House{TB: h.TB, Database: h.Database, Store: h.Database.Open(h.TB), Clock: h.Clock, setup: h.setup}
	branch.start()
	return branch
}

func (h *House) start() {
	h.Helper()
	var err error
	if h.Directory, err = directory.OpenCache(h.Context(), h.Store); err != nil {
		h.Fatalf("open the directory: %v", err)
	}
	policy := deposit.DefaultPolicy()
	if h.setup.Policy != nil {
		h.setup.Policy(&policy)
	}
	committers := h.setup.Committers
	if committers == 0 {
		committers = 1
	}
	h.Desk = deposit.NewDesk(deposit.Config{
		Store: h.Store, Directory: h.Directory, Policy: policy, Now: h.Clock.Now,
		RatesID: func() int64 { return RatesID }, Outbox: h.setup.Outbox, Committers: committers,
		Metrics: deposit.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Desk.Run(ctx) }()
	h.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			h.Errorf("the desk ended: %v", err)
		}
	})
}

func usualDirectory() directory.Change {
	percent, err := money.ParsePercent("1.5")
	if err != nil {
		panic(err)
	}
	change := directory.Change{
		Merchants: []*directory.Merchant{
			{ID: Shop, Name: "Shop", Timezone: "Asia/Kolkata", AmountPolicy: directory.PolicyExact, PostbackURL: "https://shop.example/postback",
				Secrets: directory.MerchantSecrets{PluginAPI: []directory.Secret{"plugin-secret-of-shop"}, PrivateKey: "private-key-of-shop", AccessKey: "access-key-of-shop"}},
			{ID: Cafe, Name: "Café", Timezone: "Asia/Kolkata", AmountPolicy: directory.PolicyActual,
				Fee:     directory.Fee{DepositPercent: percent, DepositFixed: 2 * money.Rupee},
				Methods: map[string]bool{"upi_w": false},
				Secrets: directory.MerchantSecrets{PluginAPI: []directory.Secret{"plugin-secret-of-cafe"}}},
		},
		Methods: []*directory.Method{
			{Type: "upi_l", Name: map[string]string{"en": "UPI"}, Enabled: true, Order: 1, Min: 100 * money.Rupee, Max: 100_000 * money.Rupee},
			{Type: "upi_w", Name: map[string]string{"en": "Window"}, Enabled: true, Order: 2},
			{Type: "upi_m", Name: map[string]string{"en": "Off"}, Order: 3},
		},
		Audit: []audit.Entry{{At: Start, Actor: "test", Action: "directory.changed", Why: "a house opens"}},
	}
	for _, w := range []struct {
		id, method string
		merchants  []string
	}{
		{"till", "upi_l", []string{Shop}},
		{"spare", "upi_l", []string{Shop}},
		{"common", "upi_l", []string{Shop, Cafe}},
		{"bar", "upi_l", []string{Cafe}},
		{"window", "upi_w", []string{Shop, Cafe}},
		{"closed", "upi_m", []string{Shop}},
	} {
		change.Wallets = append(change.Wallets, &directory.Wallet{
			ID: w.id, Method: w.method, VPA: upi.VPA(w.id + "@upi"), Name: w.id, Currency: money.INR,
			Merchants: w.merchants, Enabled: true,
		})
		change.Feeds = append(change.Feeds, &directory.Feed{ID: w.id, Kind: directory.FeedJSON, Wallet: w.id, Token: directory.Secret("token-of-" + w.id)})
		change.Accounts = append(change.Accounts,
			ledger.Account{Code: ledger.WalletCode(w.id), Kind: ledger.Asset, Currency: money.INR},
			ledger.Account{Code: ledger.SuspenseCode(w.id), Kind: ledger.Liability, Currency: money.INR},
			ledger.Account{Code: ledger.OutflowCode(w.id), Kind: ledger.Asset, Currency: money.INR},
			ledger.Account{Code: ledger.IncomeCode(w.id), Kind: ledger.Liability, Currency: money.INR})
	}
	change.Accounts = append(change.Accounts,
		ledger.Account{Code: ledger.MerchantCode(Shop), Kind: ledger.Liability, Currency: money.INR},
		ledger.Account{Code: ledger.MerchantCode(Cafe), Kind: ledger.Liability, Currency: money.INR},
		ledger.Account{Code: ledger.HoldCode(Shop), Kind: ledger.Liability, Currency: money.INR},
		ledger.Account{Code: ledger.HoldCode(Cafe), Kind: ledger.Liability, Currency: money.INR},
		ledger.Account{Code: ledger.FeesCode, Kind: ledger.Revenue, Currency: money.INR})
	return change
}

// UTR makes the n-th UTR: twelve digits with leading zeros.
func UTR(n int) upi.UTR { return upi.UTR(fmt.Sprintf("%012d", n)) }

// Claim is an activation as shop's payer "55" sends it.
func Claim(customID string, utr upi.UTR, amount money.Paise) deposit.Activation {
	return deposit.Activation{
		Merchant: Shop, CustomID: customID, Method: "upi_l", Label: "55",
		UTR: utr, Amount: amount, Currency: money.INR, Via: "api",
	}
}

// Entry is a bank's confirmed report of money that came a minute before now.
func (h *House) Entry(utr upi.UTR, amount money.Paise) feed.Entry {
	return feed.Entry{
		UTR: utr, Amount: amount, Currency: money.INR, PayerVPA: "payer@okaxis", PayerName: "Asha",
		At: h.Clock.Now().Add(-time.Minute), Trust: feed.Confirmed,
	}
}

// MustActivate activates and checks the state of the claim.
func (h *House) MustActivate(a deposit.Activation, want deposit.State, reasons ...deposit.Reason) deposit.Claim {
	h.Helper()
	c, err := h.Desk.Activate(h.Context(), a)
	if err != nil {
		h.Fatalf("activate %s: %v", a.CustomID, err)
	}
	h.mustBe(&c, want, reasons)
	return c
}

// MustRefuse activates and checks the refusal.
func (h *House) MustRefuse(a deposit.Activation, want deposit.RefusalCode) {
	h.Helper()
	c, err := h.Desk.Activate(h.Context(), a)
	h.mustRefuse(err, want)
	if c.ID != 0 {
		h.Fatalf("a refused activation made claim %d", c.ID)
	}
}

func (h *House) mustRefuse(err error, want deposit.RefusalCode) {
	h.Helper()
	var refusal *deposit.Refusal
	if !errors.As(err, &refusal) || refusal.Code != want || refusal.Message == "" {
		h.Fatalf("want the refusal %s, got %#v", want, err)
	}
}

// MustFind reads a claim back from the store and checks its state.
func (h *House) MustFind(id int64, want deposit.State, reasons ...deposit.Reason) deposit.Claim {
	h.Helper()
	c, err := h.Store.FindClaim(h.Context(), id)
	if err != nil {
		h.Fatalf("find claim %d: %v", id, err)
	}
	h.mustBe(c, want, reasons)
	return *c
}

func (h *House) mustBe(c *deposit.Claim, want deposit.State, reasons deposit.Reasons) {
	h.Helper()
	if c.State != want || c.Reasons.String() != reasons.String() {
		h.Fatalf("claim %s is %s (%s), want %s (%s)", c.CustomID, c.State, c.Reasons, want, reasons)
	}
}

// MustReport has a wallet's feed report entries, and checks how many were new,
// known, and settled a claim.
func (h *House) MustReport(wallet string, accepted, duplicate, matched int, entries ...feed.Entry) feed.Summary {
	h.Helper()
	s, err := h.Report(wallet, entries...)
	if err != nil {
		h.Fatalf("report on %s: %v", wallet, err)
	}
	if s.Accepted != accepted || s.Duplicate != duplicate || s.Matched != matched || len(s.Refused) != len(entries)-accepted-duplicate {
		h.Fatalf("the report on %s gave %+v, want %d accepted, %d duplicate, %d matched, the rest refused", wallet, s, accepted, duplicate, matched)
	}
	return s
}

// Report has a wallet's feed report entries.
func (h *House) Report(wallet string, entries ...feed.Entry) (feed.Summary, error) {
	items := make([]feed.Item, len(entries))
	for i := range entries {
		items[i] = feed.Item{Place: i, Credit: &entries[i]}
	}
	taken, err := h.Desk.Ingest(h.Context(), h.Directory.Current().Feed(wallet), items)
	return taken.Summary, err
}

// MustVerify checks every invariant, and that no credit is lost: what came is
// either a deposit's or in suspense.
func (h *House) MustVerify() records.Report {
	h.Helper()
	r, err := h.Store.Verify(h.Context())
	if err != nil {
		h.Fatalf("verify: %v", err)
	}
	for _, problem := range r.Problems {
		h.Errorf("verify: %s", problem)
	}
	if r.Held+r.Outflow != r.Unclaimed+r.Owed+r.Fees+r.Income+r.OnHold {
		h.Errorf("%s is held and %s left, but %s is unclaimed, %s owed, %s on hold, %s fees and %s other income",
			r.Held, r.Outflow, r.Unclaimed, r.Owed, r.OnHold, r.Fees, r.Income)
	}
	if r.Postbacks < r.Deposits { // withdrawals have theirs, too
		h.Errorf("%d deposits have %d postbacks", r.Deposits, r.Postbacks)
	}
	return r
}

// Rupees are whole rupees.
func Rupees(n int64) money.Paise { return money.Paise(n) * money.Rupee }

// MustChange changes the directory as another process would: the house's own
// snapshot is left as it is until a batch finds out.
func (h *House) MustChange(change directory.Change) {
	h.Helper()
	version, err := h.Store.DirectoryVersion(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	change.From = version
	if err := h.Store.SaveDirectory(h.Context(), change); err != nil {
		h.Fatalf("change the directory: %v", err)
	}
}

// MustExpire ends what is due and checks how many claims that were.
func (h *House) MustExpire(want int) {
	h.Helper()
	if got, err := h.Desk.ExpireDue(h.Context()); err != nil || got != want {
		h.Fatalf("%d claims expired, %v; want %d", got, err, want)
	}
}

// MustApprove credits a claim in review with its candidate.
func (h *House) MustApprove(id int64) {
	h.Helper()
	if c, err := h.Desk.Approve(h.Context(), id, 0, "operator:asha", "seen on the statement"); err != nil || c.State != deposit.Credited {
		h.Fatalf("approve claim %d: %s, %v", id, c.State, err)
	}
}

// MustReject ends a claim in review.
func (h *House) MustReject(id int64) {
	h.Helper()
	if c, err := h.Desk.Reject(h.Context(), id, "operator:asha", "not theirs"); err != nil || c.State != deposit.Rejected {
		h.Fatalf("reject claim %d: %s, %v", id, c.State, err)
	}
}

// MustAssign shows a label a wallet of upi_l.
func (h *House) MustAssign(merchant, label string) deposit.Assignment {
	h.Helper()
	a, err := h.Desk.Assign(h.Context(), deposit.AssignmentRequest{
		Merchant: merchant, Method: "upi_l", Label: label, Currency: money.INR})
	if err != nil {
		h.Fatalf("assign a wallet to %s: %v", label, err)
	}
	return a
}

// MustCreditOn returns the credit on a wallet that a claim in review could have.
func (h *House) MustCreditOn(wallet string, claim int64) *deposit.Credit {
	h.Helper()
	reviews, err := h.Store.PendingClaims(h.Context(), claim-1, 1)
	if err != nil || len(reviews) != 1 || reviews[0].Claim.ID != claim {
		h.Fatalf("claim %d is not in review: %v", claim, err)
	}
	for _, credit := range reviews[0].Credits {
		if credit.Wallet == wallet {
			return credit
		}
	}
	h.Fatalf("no credit of claim %d is on %s", claim, wallet)
	return nil
}

// MustCredit reads a credit as a batch would load it.
func (h *House) MustCredit(wallet string, utr upi.UTR) *deposit.Credit {
	h.Helper()
	var found *deposit.Credit
	keys := &deposit.Keys{UTRs: map[upi.UTR]struct{}{utr: {}}}
	err := h.Store.Settle(h.Context(), keys, func(f *deposit.Facts) (*deposit.Changes, error) {
		for _, credit := range f.Credits[utr] {
			if credit.Wallet == wallet {
				found = credit
			}
		}
		return &deposit.Changes{}, nil
	})
	if err != nil || found == nil {
		h.Fatalf("credit %s on %s: %+v, %v", utr, wallet, found, err)
	}
	return found
}

// MustCredits reads the credits with those UTRs as a batch would load them.
func (h *House) MustCredits(utrs ...upi.UTR) []*deposit.Credit {
	h.Helper()
	keys := &deposit.Keys{UTRs: make(map[upi.UTR]struct{})}
	for _, utr := range utrs {
		keys.UTRs[utr] = struct{}{}
	}
	var found []*deposit.Credit
	err := h.Store.Settle(h.Context(), keys, func(f *deposit.Facts) (*deposit.Changes, error) {
		found = slices.Concat(slices.Collect(maps.Values(f.Credits))...)
		return &deposit.Changes{}, nil
	})
	if err != nil {
		h.Fatalf("load credits: %v", err)
	}
	return found
}

// MustReverse takes a credit back, as a bank's statement tells it.
func (h *House) MustReverse(wallet string, utr upi.UTR) {
	h.Helper()
	h.mustMove(wallet, h.movement(feed.Debit, utr, h.MustCredit(wallet, utr).Amount), feed.Recorded)
}

// movement is a line of a statement that is no payment.
func (h *House) movement(kind feed.Kind, utr upi.UTR, amount money.Paise) *feed.Movement {
	r := feed.Reading{Kind: kind, UTR: utr, Amount: amount, At: h.Clock.Now()}
	return &feed.Movement{
		Kind: kind, UTR: utr, Amount: amount, Currency: money.INR, At: r.At, Reversal: utr != "", Narration: "line of the test",
		Key: feed.LineKey("test", &r, "line of the test", nil, 0),
	}
}

// mustMove has a wallet's feed report a movement.
func (h *House) mustMove(wallet string, m *feed.Movement, want feed.Result) feed.Outcome {
	h.Helper()
	taken, err := h.Desk.Ingest(h.Context(), h.Directory.Current().Feed(wallet), []feed.Item{{Movement: m}})
	if err != nil || taken.Outcomes[0].Result != want {
		h.Fatalf("a movement on %s gave %+v, %v, want %s", wallet, taken, err, want)
	}
	return taken.Outcomes[0]
}

// MustBalances reads the balance of every account by its code, debit-positive.
func (h *House) MustBalances() map[string]money.Paise {
	h.Helper()
	balances := make(map[string]money.Paise)
	for _, row := range h.mustRead("accounts", "code", "balance") {
		balance, err := strconv.ParseInt(row[1], 10, 64)
		if err != nil {
			h.Fatal(err)
		}
		balances[row[0]] = money.Paise(balance)
	}
	return balances
}

// MustDump reads all that a report could change but the counts of its feed, a
// line for each record.
func (h *House) MustDump() []string {
	h.Helper()
	var lines []string
	for _, table := range []string{
		"accounts", "credits", "claims", "deposits", "postings", "movements", "messages", "postbacks", "wallet_days", "audit",
	} {
		for _, row := range h.mustRead(table, "*") {
			lines = append(lines, table+" "+strings.Join(row, " | "))
		}
	}
	slices.Sort(lines)
	return lines
}

// mustRead reads columns of a table behind the store's back, as texts.
func (h *House) mustRead(table string, columns ...string) (all [][]string) {
	h.Helper()
	return h.mustReadWhere(table, "1 = 1", columns...)
}

// mustReadWhere is mustRead for the rows that fit a condition.
func (h *House) mustReadWhere(table, where string, columns ...string) (all [][]string) {
	h.Helper()
	rows, err := h.raw().QueryContext(h.Context(), `SELECT `+strings.Join(columns, ", ")+` FROM `+table+` WHERE `+where)
	if err != nil {
		h.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		h.Fatal(err)
	}
	for rows.Next() {
		values := make([]sql.RawBytes, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			h.Fatal(err)
		}
		row := make([]string, len(names))
		for i := range values {
			row[i] = string(values[i])
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		h.Fatal(err)
	}
	return all
}

func (h *House) mustAccount(code string) int64 {
	h.Helper()
	id, err := h.Directory.Current().Account(code)
	if err != nil {
		h.Fatal(err)
	}
	return id
}

// raw is the database behind the store's back.
func (h *House) raw() *sql.DB {
	h.Helper()
	if h.behind == nil {
		h.behind = h.Database.Raw(h.TB)
	}
	return h.behind
}

func (h *House) mustExec(query string, args ...any) {
	h.Helper()
	if _, err := h.raw().ExecContext(h.Context(), query, args...); err != nil {
		h.Fatalf("%s: %v", query, err)
	}
}
