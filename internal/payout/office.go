package payout

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/money"
)

// RefusalCode says why a request was refused without a trace being kept.
type RefusalCode string

// Refusals.
const (
	MethodOff           RefusalCode = "method_off"
	IDUsed              RefusalCode = "withdrawal_id_used"
	AmountTooSmall      RefusalCode = "amount_too_small"
	AmountTooLarge      RefusalCode = "amount_too_large"
	DayLimit            RefusalCode = "day_limit"
	BankUnknown         RefusalCode = "bank_unknown"
	AccountWrong        RefusalCode = "account_wrong"
	InsufficientBalance RefusalCode = "insufficient_balance"
	SamePerson          RefusalCode = "same_person"
	WrongState          RefusalCode = "wrong_state"
	HandedOver          RefusalCode = "handed_over"
	KeptContested       RefusalCode = "kept_contested"
	InDoubt             RefusalCode = "in_doubt"
	TestOnly            RefusalCode = "test_only"
	IDReserved          RefusalCode = "withdrawal_id_reserved"
)

// Refusal is a request that the rules of the business turn down. Its message is
// meant for whoever made the request.
type Refusal struct { //nolint:errname // an answer to the caller first, an error to Go second
	Code    RefusalCode
	Message string
}

// Error gives the message.
func (r *Refusal) Error() string { return r.Message }

func refuse(code RefusalCode, format string, args ...any) *Refusal {
	return &Refusal{code, fmt.Sprintf(format, args...)}
}

// Reasons why a person has to approve a withdrawal.
const (
	ReasonAmount    = "above_limit"
	ReasonDuplicate = "duplicate_beneficiary" // the same amount to the same account lately
	ReasonVelocity  = "many_to_account"       // many to the same account lately
	ReasonBank      = "bank_not_instant"      // the bank may not take IMPS
	ReasonAccount   = "account_new"           // the merchant's own account was registered lately
)

// Rules of velocity: within a day, so many withdrawals of a merchant to one
// account need no approval, and the same amount only once.
const (
	lately        = 24 * time.Hour
	mostToAccount = 5
)

// Config is what an office works with; every field is needed.
type Config struct {
	Store     Store
	Directory *directory.Cache
	// Provider gives what sends a desk's withdrawals; nil for desks that people
	// serve.
	Provider func(desk *directory.PayoutDesk) (Provider, error)
	RatesID  func() int64
	Now      func() time.Time
	Log      *slog.Logger
}

// Office takes withdrawals and sees them through.
type Office struct{ Config }

// Request asks for a withdrawal.
type Request struct {
	Key      // an empty WithdrawalID has one made
	Method   string
	Label    string
	Amount   money.Paise
	Currency money.Currency
	Test     bool
	Beneficiary
	CreatedBy string
	// Settles says that it pays the merchant its own balance: its id begins with
	// SettlementPrefix, and no other's may.
	Settles bool
	// Reason is one that the caller has for a person to approve it; empty for none.
	Reason string
}

// digest is what tells the request from another under the same id.
func (r *Request) digest() [32]byte {
	return digestOf(r.Method, r.Label, r.Amount.Fixed(), string(r.Currency), fmt.Sprint(r.Test), string(r.Account), r.Name, string(r.IFSC))
}

// Create takes a withdrawal and holds its money in the same commit. The same
// request again gives the same withdrawal. A *Refusal says why there is none.
func (o *Office) Create(ctx context.Context, r Request) (*Withdrawal, error) {
	dir := o.Directory.Current()
	if r.Settlement() != r.Settles {
		return nil, refuse(IDReserved, "withdrawal_id must not begin with %s: such ids are the gateway's own", SettlementPrefix)
	}
	merchant := dir.Merchant(r.Merchant)
	if merchant == nil || merchant.Retired {
		return nil, refuse(MethodOff, "This merchant pays nothing out")
	}
	desk, err := deskFor(dir, merchant, r.Method)
	if err != nil {
		return nil, err
	}
	if r.WithdrawalID == "" {
		r.WithdrawalID = rand.Text()
	}
	id, err := o.Store.ReserveIDs(ctx, 1)
	if err != nil {
		return nil, fmt.Errorf("reserve an id: %w", err)
	}
	now := o.now()
	var made *Withdrawal
	err = o.Store.ChangeWithdrawal(ctx, Find{
		Key: r.Key, Label: r.Label, Account: r.Account, Amount: r.Amount, Today: startOfDay(now), Lately: now.Add(-lately),
	}, func(f *Facts) (*Changes, error) {
		if made = f.Withdrawal; made != nil {
			if made.Request != r.digest() {
				return nil, refuse(IDUsed, "withdrawal_id was used before with other content: send a new one")
			}
			return nil, nil
		}
		made = &Withdrawal{
			ID: id, Key: r.Key, Method: r.Method, Label: r.Label, Amount: r.Amount, Currency: r.Currency, Test: r.Test,
			Beneficiary: r.Beneficiary, Request: r.digest(), State: New, CreatedBy: r.CreatedBy, CreatedAt: now, Desk: desk.ID,
		}
		if !r.Test {
			made.Fee = merchant.Fee.OfWithdrawal(r.Amount)
		}
		if err := check(made, desk, f); err != nil {
			return nil, err
		}
		if made.Reasons, err = suspicions(made, desk, f); err != nil {
			return nil, err
		}
		if r.Reason != "" && !r.Test {
			made.Reasons = append(made.Reasons, r.Reason)
		}
		c := o.change(made, now)
		if err := c.post(dir, ledger.WithdrawalHeld, ledger.MerchantCode(r.Merchant), ledger.HoldCode(r.Merchant), made.Held()); err != nil {
			return nil, err
		}
		c.record(r.CreatedBy, "withdrawal.created", "held "+made.Held().String()+" "+strings.Join(made.Reasons, ","))
		c.tell()
		if len(made.Reasons) == 0 {
			made.State, made.ApprovedBy, made.ApprovedAt, made.AskAt = Approved, "policy", now, now
			c.record("policy", "withdrawal.approved", "up to "+desk.ApproveAbove.String()+" no person is asked")
			c.tell()
		}
		return &c.Changes, nil
	})
	return made, err
}

// deskFor finds the desk that a merchant's withdrawals by a method go by.
func deskFor(dir *directory.Snapshot, merchant *directory.Merchant, method string) (*directory.PayoutDesk, error) {
	off := refuse(MethodOff, "Payment system %s is switched off", method)
	if on, named := merchant.Methods[method]; named && !on {
		return nil, off
	}
	if m := dir.Method(method); m != nil && !m.Usable() {
		return nil, off
	}
	for _, d := range dir.Payouts {
		if d.Method == method && !d.Retired {
			return d, nil
		}
	}
	return nil, off
}

// check holds a new withdrawal to what can't be overruled.
func check(w *Withdrawal, desk *directory.PayoutDesk, f *Facts) error {
	_, known, err := bankOf(w.IFSC)
	switch {
	case err != nil:
		return err
	case w.Amount < max(desk.Min, 1):
		return refuse(AmountTooSmall, "The amount is below the least of %s", desk.Min)
	case desk.Max > 0 && w.Amount > desk.Max:
		return refuse(AmountTooLarge, "The amount is above the most of %s", desk.Max)
	case desk.WalletDay > 0 && w.Amount > desk.WalletDay:
		return refuse(AmountTooLarge, "The amount is above the most of %s", desk.WalletDay)
	case !known:
		return refuse(BankUnknown, "The IFSC %s is of no bank that is known: check it", w.IFSC)
	case strings.Count(string(w.Account), string(w.Account[:1])) == len(w.Account):
		return refuse(AccountWrong, "The account number is not one: all its digits are the same")
	case w.Test:
		return nil
	case desk.MerchantDay > 0 && f.MerchantToday > desk.MerchantDay-w.Amount:
		return refuse(DayLimit, "The most for a day of %s is reached: try tomorrow", desk.MerchantDay)
	case desk.LabelDay > 0 && !w.Settlement() && f.LabelToday > desk.LabelDay-w.Amount:
		return refuse(DayLimit, "The most for a day and payer of %s is reached: try tomorrow", desk.LabelDay)
	case f.Available-w.Amount < w.Fee: // their sum could be more than a number holds
		return refuse(InsufficientBalance, "Insufficient balance")
	default:
		return nil
	}
}

// suspicions are why a person has to approve a withdrawal. The money of a test
// is nobody's.
func suspicions(w *Withdrawal, desk *directory.PayoutDesk, f *Facts) (reasons []string, err error) {
	if w.Test {
		return nil, nil
	}
	bank, _, err := bankOf(w.IFSC)
	if err != nil {
		return nil, err
	}
	// What falls due by schedule goes to one account, and may be as much as before.
	scheduled := w.Settlement() && w.CreatedBy == ScheduleActor
	for _, s := range []struct {
		when   bool
		reason string
	}{
		{w.Amount > desk.ApproveAbove, ReasonAmount},
		{f.SameLately > 0 && !scheduled, ReasonDuplicate},
		{f.AccountLately >= mostToAccount && !scheduled, ReasonVelocity},
		{!bank.Instant, ReasonBank},
	} {
		if s.when {
			reasons = append(reasons, s.reason)
		}
	}
	return reasons, nil
}

// Approve lets a withdrawal be sent, on the word of somebody who did not ask for
// it.
func (o *Office) Approve(ctx context.Context, id int64, actor string) (*Withdrawal, error) {
	return o.move(ctx, id, Approved, actor, "", func(c *changing, w *Withdrawal) error {
		if actor == w.CreatedBy {
			return refuse(SamePerson, "Whoever asked for a withdrawal can't approve it")
		}
		w.ApprovedBy, w.ApprovedAt, w.AskAt = actor, c.now, c.now
		return nil
	})
}

// Cancel takes a withdrawal back that was not sent, and returns its money.
func (o *Office) Cancel(ctx context.Context, id int64, actor, why string) (*Withdrawal, error) {
	return o.move(ctx, id, Canceled, actor, why, nil)
}

// byHand is who was given a withdrawal that a person pays.
const byHand = "hand"

// Hand marks a withdrawal as handed over: a person pays it in the bank's portal,
// or it is in a file for it. Whether it was paid is told by Settle. One that is
// handed over already is refused: whoever has it may have paid it. A test is,
// too: what a person or a file pays is real.
func (o *Office) Hand(ctx context.Context, id int64, actor, why string) (*Withdrawal, error) {
	return o.HandFrom(ctx, id, "", actor, why)
}

// HandFrom is Hand with the wallet that pays; empty for any that can.
func (o *Office) HandFrom(ctx context.Context, id int64, wallet, actor, why string) (*Withdrawal, error) {
	return o.moveFrom(ctx, id, Processing, wallet, actor, why, func(c *changing, w *Withdrawal) error {
		if w.Test {
			return refuse(TestOnly, "Withdrawal %d is a test: the gateway plays it, nobody pays it", w.ID)
		}
		w.SentAt, w.AskAt, w.Tries, w.SentBy, w.Why = c.now, time.Time{}, w.Tries+1, byHand, ""
		return nil
	})
}

// Settle ends a withdrawal that was handed over, on a provider's or a person's
// definite word: Paid or Refused. A paid one that came back is Refused, too. That
// one was paid of which the books say otherwise is refused and kept as a doubt:
// no balance changes, and a person looks at it.
func (o *Office) Settle(ctx context.Context, id int64, answer Answer, actor string) (*Withdrawal, error) {
	to := Success
	switch answer.Standing {
	case Paid:
	case Refused:
		to = Failed
	case Accepted, Absent, Unclear:
		return nil, fmt.Errorf("withdrawal %d: %s is no definite answer", id, answer.Standing)
	}
	return o.move(ctx, id, to, actor, answer.Why, func(_ *changing, w *Withdrawal) error {
		keep(&w.ProviderRef, answer.ProviderRef)
		keep(&w.BankRef, answer.BankRef)
		return nil
	})
}

// Hear is Settle on the word of a bank's file, which may be an old one: that a
// withdrawal was refused which counts as paid is kept as a doubt. A statement, or
// a person by Settle, says that it came back.
func (o *Office) Hear(ctx context.Context, id int64, answer Answer, actor string) (*Withdrawal, error) {
	var heard *Withdrawal
	err := o.Store.ChangeWithdrawal(ctx, Find{ID: id}, func(f *Facts) (*Changes, error) {
		heard = f.Withdrawal
		if heard == nil || heard.State != Success || answer.Standing != Refused {
			heard = nil
			return nil, nil
		}
		c := o.change(heard, o.now())
		if heard.Test || !o.doubt(ctx, c, actor, actor+" brought a file that says that it was refused, while it was success") {
			return nil, nil
		}
		return &c.Changes, nil
	})
	if err != nil {
		return nil, err
	}
	if heard != nil {
		return heard, refuse(KeptContested, "Withdrawal %d counts as paid: it is kept as contested, see what the bank says", id)
	}
	return o.Settle(ctx, id, answer, actor)
}

// Clear says that a person looked at a withdrawal that is contested. One that is
// still to be paid goes on.
func (o *Office) Clear(ctx context.Context, id int64, actor, why string) (*Withdrawal, error) {
	var cleared *Withdrawal
	err := o.Store.ChangeWithdrawal(ctx, Find{ID: id}, func(f *Facts) (*Changes, error) {
		w := f.Withdrawal
		if cleared = w; w == nil {
			return nil, ErrNoWithdrawal
		}
		if !w.Contested {
			return nil, refuse(WrongState, "Withdrawal %d is not contested", w.ID)
		}
		c := o.change(w, o.now())
		w.Contested = false
		if w.State == Approved || w.State == Processing && w.SentBy != byHand {
			w.AskAt = c.now
		}
		c.record(actor, "payout.cleared", why)
		return &c.Changes, nil
	})
	return cleared, err
}

// doubt keeps what was told of a withdrawal that the books do not say; false where
// it was told before. A person looks at it, and until then it is not sent.
func (o *Office) doubt(ctx context.Context, c *changing, actor, told string) bool {
	w := c.Withdrawal
	told = strings.Join(strings.Fields(told), " ") // a line each
	if slices.Contains(w.Doubts, told) {
		return false
	}
	w.Doubts, w.Contested = append(w.Doubts, told), true
	if w.State == Approved {
		w.AskAt = time.Time{}
	}
	c.record(actor, "payout.contested", told)
	o.Log.ErrorContext(ctx, "a withdrawal is contested: a person has to look at it", "withdrawal", w.ID, "state", string(w.State), "told", told)
	return true
}

func keep(have *string, told string) {
	if told != "" {
		*have = told
	}
}

// move brings a withdrawal to a state, with the postings and the postback that go
// with it. One that is there already stays as it is.
func (o *Office) move(ctx context.Context, id int64, to State, actor, why string, also func(*changing, *Withdrawal) error) (*Withdrawal, error) {
	return o.moveFrom(ctx, id, to, "", actor, why, also)
}

// moveFrom is move with the wallet that is to pay; empty for any that can.
func (o *Office) moveFrom(ctx context.Context, id int64, to State, wallet, actor, why string, also func(*changing, *Withdrawal) error) (*Withdrawal, error) {
	var moved *Withdrawal
	var refusal *Refusal // with which something is kept
	find := Find{ID: id, Today: startOfDay(o.now())}
	if wallet != "" {
		find.Wallets = []string{wallet}
	} else if to == Processing {
		find.Wallets = o.payers()
	}
	err := o.Store.ChangeWithdrawal(ctx, find, func(f *Facts) (*Changes, error) {
		w := f.Withdrawal
		if moved, refusal = w, nil; w == nil {
			return nil, ErrNoWithdrawal
		}
		c := o.change(w, o.now())
		switch {
		case w.State == to && to == Processing:
			return nil, refuse(HandedOver, "Withdrawal %d is handed over already: it may have been paid", w.ID)
		case w.State == to:
			return nil, nil
		case !w.State.May(to) && to == Success:
			refusal = refuse(KeptContested, "Withdrawal %d is %s and can't become %s: it is kept as contested, see what the bank says", w.ID, w.State, to)
			if w.Test || !o.doubt(ctx, c, actor, fmt.Sprintf("%s says that it was paid, while it was %s", actor, w.State)) {
				return nil, nil
			}
			return &c.Changes, nil
		case !w.State.May(to):
			return nil, refuse(WrongState, "Withdrawal %d is %s and can't become %s", w.ID, w.State, to)
		case w.Contested && !to.settles():
			return nil, refuse(InDoubt, "Withdrawal %d is contested: see why with milaan payout list, then milaan payout clear %d", w.ID, w.ID)
		}
		if err := o.enter(c, f, to); err != nil {
			return nil, err
		}
		if also != nil {
			if err := also(c, w); err != nil {
				return nil, err
			}
		}
		if to == Failed || to == Canceled {
			w.Why = why
		}
		c.record(actor, "withdrawal."+string(to), why)
		c.tell()
		return &c.Changes, nil
	})
	if err == nil && refusal != nil {
		err = refusal
	}
	return moved, err
}

// enter makes what a state brings with it.
func (o *Office) enter(c *changing, f *Facts, to State) error {
	w := c.Withdrawal
	dir := o.Directory.Current()
	came := w.State == Success
	w.State = to
	if to.Final() {
		w.SettledAt, w.AskAt, w.RatesID = c.now, time.Time{}, o.RatesID()
		c.Announce = true
	}
	if to == Success {
		w.PaidAt, w.Why = c.now, ""
	}
	merchant, hold := ledger.MerchantCode(w.Merchant), ledger.HoldCode(w.Merchant)
	switch {
	case w.Test:
		return nil
	case to == Processing:
		if w.Wallet == "" {
			w.Wallet = choose(dir, w, f)
		}
		if w.Wallet == "" {
			return refuse(InsufficientBalance, "No wallet of the desk holds %s and may still pay it today: move money to one, or give the desk another", w.Amount)
		}
		return nil
	case to == Success:
		if err := c.post(dir, ledger.WithdrawalPaid, hold, ledger.WalletCode(w.Wallet), w.Amount); err != nil {
			return err
		}
		return c.post(dir, ledger.WithdrawalFee, hold, ledger.FeesCode, w.Fee)
	case came:
		if err := c.post(dir, ledger.WithdrawalCameBack, ledger.WalletCode(w.Wallet), merchant, w.Amount); err != nil {
			return err
		}
		return c.post(dir, ledger.WithdrawalCameBack, ledger.FeesCode, merchant, w.Fee)
	case to == Failed || to == Canceled:
		return c.post(dir, ledger.WithdrawalReturned, hold, merchant, w.Held())
	default:
		return nil
	}
}

// choose picks the wallet that pays: of those that the desk may use, that hold
// enough and have not paid too much today, the fullest. A desk without wallets of
// its own uses the merchant's.
func choose(dir *directory.Snapshot, w *Withdrawal, f *Facts) string {
	balances := f.WalletBalances
	var desk *directory.PayoutDesk
	for _, d := range dir.Payouts {
		if d.ID == w.Desk {
			desk = d
		}
	}
	best := ""
	for id, balance := range balances {
		wallet := dir.Wallet(id)
		if wallet == nil || wallet.Retired || balance < w.Amount || wallet.Currency != w.Currency {
			continue
		}
		if desk == nil || len(desk.Wallets) == 0 {
			if !wallet.Serves(w.Merchant) {
				continue
			}
		} else if !slices.Contains(desk.Wallets, id) {
			continue
		}
		if desk != nil && desk.WalletDay > 0 && f.WalletToday[id] > desk.WalletDay-w.Amount {
			continue
		}
		if best == "" || balance > balances[best] || balance == balances[best] && id < best {
			best = id
		}
	}
	return best
}

// payers are the wallets that could pay a withdrawal.
func (o *Office) payers() []string {
	var ids []string
	for _, w := range o.Directory.Current().Wallets {
		ids = append(ids, w.ID)
	}
	return ids
}

// changing is a change being made.
type changing struct {
	Changes
	now time.Time
	dir *directory.Snapshot
}

func (o *Office) change(w *Withdrawal, now time.Time) *changing {
	return &changing{Changes: Changes{Withdrawal: w}, now: now, dir: o.Directory.Current()}
}

// post adds a posting by the codes of its accounts; an amount of 0 adds none.
func (c *changing) post(dir *directory.Snapshot, kind ledger.PostingKind, debit, credit string, amount money.Paise) error {
	if amount == 0 {
		return nil
	}
	from, err := dir.Account(debit)
	if err != nil {
		return err
	}
	to, err := dir.Account(credit)
	if err != nil {
		return err
	}
	w := c.Withdrawal
	w.Lines++
	c.Postings = append(c.Postings, ledger.Posting{
		TransactionID: w.ID, Line: w.Lines, Kind: kind, Debit: from, Credit: to, Amount: amount, Currency: w.Currency, At: c.now,
	})
	return nil
}

func (c *changing) record(actor, action, why string) {
	c.Audit = append(c.Audit, audit.Entry{At: c.now, Actor: actor, Action: action, Subject: c.Withdrawal.ID, Why: strings.TrimSpace(why)})
}

func (o *Office) now() time.Time { return o.Now().UTC().Truncate(time.Microsecond) } // what the engines keep

// india is the zone of bank days.
var india = time.FixedZone("IST", 5*3600+1800)

func startOfDay(t time.Time) time.Time {
	y, m, d := t.In(india).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, india).UTC()
}

// errNoProvider is of a desk that people serve.
var errNoProvider = errors.New("people serve this desk")
