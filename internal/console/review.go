package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// reviewRoutes are what a person decides: claims in review, money that nobody
// claimed, credits that a bank contests. It is the operator's alone: whose money it
// is, is the question.
var reviewRoutes = []route{
	{pattern: "GET /review", name: "page.review", scope: ofInstallation, needs: staff.SeePayments, menu: true},
	{pattern: "GET /review/unclaimed", name: "page.review.unclaimed", scope: ofInstallation, needs: staff.SeePayments},
	{pattern: "GET /review/contested", name: "page.review.contested", scope: ofInstallation, needs: staff.SeePayments},
	{pattern: "GET /review/claims/{claim}", name: "page.review.claim", scope: ofInstallation, needs: staff.SeePayments},
	{pattern: "POST /review/claims/{claim}/approve", name: "page.review.claim", scope: ofInstallation, needs: staff.Review},
	{pattern: "POST /review/claims/{claim}/reject", name: "page.review.claim", scope: ofInstallation, needs: staff.Review},
	{pattern: "GET /review/claims/{claim}/undo", name: "page.review.undo", scope: ofInstallation, needs: staff.Review, sure: true},
	{pattern: "POST /review/claims/{claim}/undo", name: "page.review.undo", scope: ofInstallation, needs: staff.Review, sure: true},
	{pattern: "GET /review/credits/{credit}", name: "page.review.credit", scope: ofInstallation, needs: staff.SeePayments},
	{pattern: "POST /review/credits/{credit}/give", name: "page.review.credit", scope: ofInstallation, needs: staff.Review, sure: true},
	{pattern: "POST /review/credits/{credit}/clear", name: "page.review.credit", scope: ofInstallation, needs: staff.Review},
}

func (d *Door) review() handlers {
	return handlers{
		"GET /review":           d.reviewQueue,
		"GET /review/unclaimed": d.reviewUnclaimed,
		"GET /review/contested": d.reviewContested,

		"GET /review/claims/{claim}":          d.ofClaim(d.casePage),
		"POST /review/claims/{claim}/approve": d.ofClaim(d.approve),
		"POST /review/claims/{claim}/reject":  d.ofClaim(d.reject),
		"GET /review/claims/{claim}/undo":     d.ofClaim(d.undoPage),
		"POST /review/claims/{claim}/undo":    d.ofClaim(d.undo),

		"GET /review/credits/{credit}":        d.ofCredit(d.creditCasePage),
		"POST /review/credits/{credit}/give":  d.ofCredit(d.give),
		"POST /review/credits/{credit}/clear": d.ofCredit(d.clear),
	}
}

const reviewPath = base + "/review"

func claimPath(id int64) string  { return reviewPath + "/claims/" + strconv.FormatInt(id, 10) }
func creditPath(id int64) string { return reviewPath + "/credits/" + strconv.FormatInt(id, 10) }

// ofClaim finds the claim that the address names.
func (d *Door) ofClaim(next func(v *visit, c *deposit.Claim) error) func(*visit) error {
	find := func(ctx context.Context, id int64) (*deposit.Claim, error) { return d.Store.FindClaim(ctx, id) }
	return ofRecord("claim", find, deposit.ErrNoClaim, next)
}

// ofCredit finds the credit that the address names.
func (d *Door) ofCredit(next func(v *visit, c *deposit.Credit) error) func(*visit) error {
	find := func(ctx context.Context, id int64) (*deposit.Credit, error) { return d.Store.FindCredit(ctx, id) }
	return ofRecord("credit", find, deposit.ErrNoCredit, next)
}

// ofRecord finds the record whose number is a part of the address; find fails with
// none where there is no such record.
func ofRecord[T any](part string, find func(context.Context, int64) (T, error), none error, next func(*visit, T) error) func(*visit) error {
	return func(v *visit) error {
		id, err := strconv.ParseInt(v.PathValue(part), 10, 64)
		if err != nil {
			return errNotFound
		}
		record, err := find(v.Context(), id)
		if errors.Is(err, none) {
			return errNotFound
		}
		if err != nil {
			return err
		}
		return next(v, record)
	}
}

// reviewTab is one of the queues.
type reviewTab struct {
	Name, Path string
	Here       bool
}

func (v *visit) reviewTabs() (tabs []reviewTab) {
	for _, t := range []struct{ name, path string }{
		{"review.tab.claims", reviewPath}, {"review.tab.unclaimed", reviewPath + "/unclaimed"}, {"review.tab.contested", reviewPath + "/contested"},
	} {
		tabs = append(tabs, reviewTab{v.T(t.name), t.path, v.URL.Path == t.path})
	}
	return tabs
}

// claimQueue is what the page of claims in review shows.
type claimQueue struct {
	Tabs []reviewTab
	Rows []queuedClaim
	Next string
}

type queuedClaim struct {
	*deposit.Claim
	Path, Merchant string
	Why            []string
	Credits        []*deposit.Credit
}

func (d *Door) reviewQueue(v *visit) error {
	after, _ := strconv.ParseInt(v.FormValue("after"), 10, 64) // a damaged one begins at the beginning
	list, err := d.Store.PendingClaims(v.Context(), after, rowsOfPage+1)
	if err != nil {
		return err
	}
	q := claimQueue{Tabs: v.reviewTabs()}
	list, q.Next = cut(v, list, func(r deposit.Review) string { return strconv.FormatInt(r.Claim.ID, 10) })
	for _, r := range list {
		row := queuedClaim{Claim: r.Claim, Path: claimPath(r.Claim.ID), Merchant: d.merchantName(r.Claim.Merchant), Credits: r.Credits}
		for _, reason := range r.Claim.Reasons {
			row.Why = append(row.Why, v.reasonName(reason))
		}
		if r.Claim.History.Approval != nil {
			row.Why = append(row.Why, v.T("review.proposed"))
		}
		q.Rows = append(q.Rows, row)
	}
	return v.show(page{Name: "review", Wide: true, Body: q})
}

// reasonName says a reason in a few words, a rule of the operator's by its name.
func (v *visit) reasonName(r deposit.Reason) string {
	if rule, ok := strings.CutPrefix(string(r), "rule:"); ok {
		return v.T("review.reason.rule", "rule", rule)
	}
	return v.T("review.reason." + string(r))
}

// reason is why a claim is held, explained.
type reason struct{ Name, Text string }

func (v *visit) objections(list deposit.Reasons) (out []reason) {
	for _, r := range list {
		key := string(r)
		if strings.HasPrefix(key, "rule:") {
			key = "rule"
		}
		out = append(out, reason{v.reasonName(r), v.T("review.why." + key)})
	}
	return out
}

// creditQueue is what the pages of unclaimed and of contested credits show.
type creditQueue struct {
	Tabs []reviewTab
	Text string
	Rows []*deposit.Credit
	Next string
	More bool // nothing was found as far as was looked, and there is more
}

func (d *Door) reviewUnclaimed(v *visit) error {
	ask := lookup.Credits{State: deposit.Unclaimed, Limit: rowsOfPage}
	if before, err := strconv.ParseInt(v.FormValue("before"), 10, 64); err == nil {
		ask.After = &lookup.Place{ID: before}
	}
	list, err := d.Store.ListCredits(v.Context(), ask)
	if err != nil {
		return err
	}
	q := creditQueue{Tabs: v.reviewTabs(), Text: v.T("review.unclaimed.text"), Rows: list.Items}
	if list.Next != nil {
		q.Next, q.More = v.URL.Path+"?before="+strconv.FormatInt(list.Next.ID, 10), len(list.Items) == 0
	}
	return v.show(page{Name: "reviewcredits", Wide: true, Body: q})
}

func (d *Door) reviewContested(v *visit) error {
	after, _ := strconv.ParseInt(v.FormValue("after"), 10, 64) // a damaged one begins at the beginning
	list, err := d.Store.Disputes(v.Context(), after, rowsOfPage+1)
	if err != nil {
		return err
	}
	q := creditQueue{Tabs: v.reviewTabs(), Text: v.T("review.contested.text")}
	q.Rows, q.Next = cut(v, list, func(c *deposit.Credit) string { return strconv.FormatInt(c.ID, 10) })
	return v.show(page{Name: "reviewcredits", Wide: true, Body: q})
}

// CreditPath is where a credit is decided about.
func (*visit) CreditPath(id int64) string { return creditPath(id) }

// ClaimPath is where a claim is decided about.
func (*visit) ClaimPath(id int64) string { return claimPath(id) }

// Payer is who paid, masked as merchants see it.
func (*visit) Payer(c *deposit.Credit) string { return upi.MaskPayer(c.Payer()) }

// claimCase is all that a decision about a claim rests on.
type claimCase struct {
	Problem  string
	Claim    *deposit.Claim
	Merchant string
	Reasons  []reason
	// Undecided says that a person may approve or reject; Bindable that another
	// credit may be bound.
	Undecided, Bindable bool
	Approval            *deposit.Approval
	Mine                bool        // the approval is the reader's own
	FourEyes            money.Paise // above which two have to agree; 0 for never
	Candidates          []candidate
	Best                int64            // the candidate that approving binds; 0 where a person has to choose
	Offers              []candidate      // free credits that may be bound instead
	Label               []lookup.Deposit // the label's other claims
	Payers              []payerPast
	Undone              *deposit.Undone
	Before, After       string // addresses of the claims next to it in the queue
	Why                 string // as it was typed
}

// candidate is a credit beside a claim.
type candidate struct {
	*deposit.Credit
	// Fits says that it may be the claim's: its wallet serves the merchant by the
	// claim's method, and nobody has it.
	Fits bool
	// OtherAmount, OtherUTR and NotShown are where the two differ.
	OtherAmount, OtherUTR, NotShown bool
	Late                            time.Duration // from the bank's time to the claim; below zero where the claim was first
}

// payerPast is what a payer paid before.
type payerPast struct {
	Payer string
	Rows  []lookup.PaidCredit
}

// How much of the past is shown.
const (
	pastRows    = 6
	offerRows   = 5
	mostWallets = 6 // whose unclaimed credits are offered
	offerWithin = 72 * time.Hour
)

func (d *Door) casePage(v *visit, c *deposit.Claim) error {
	return d.showCase(v, http.StatusOK, c, "")
}

func (d *Door) showCase(v *visit, status int, c *deposit.Claim, problem string) error {
	k := claimCase{
		Problem: problem, Claim: c, Merchant: d.merchantName(c.Merchant), Reasons: v.objections(c.Reasons),
		Undecided: c.State == deposit.Pending, Bindable: c.State == deposit.Pending || c.State == deposit.Waiting && !c.Overdue(v.now),
		FourEyes: d.Deposits.Policy.FourEyes, Why: v.PostFormValue("why"),
	}
	if c.State == deposit.Pending {
		k.Approval = c.History.Approval
		k.Mine = k.Approval != nil && deposit.OnePerson(k.Approval.By, staff.By(v.user))
	}
	for _, load := range []func(*visit, *claimCase) error{d.loadCandidates, d.loadOffers, d.loadPast, d.loadPlace} {
		if err := load(v, &k); err != nil {
			return err
		}
	}
	title := v.T("review.claim.title", "claim", strconv.FormatInt(c.ID, 10))
	return v.show(page{Status: status, Name: "reviewclaim", Title: title, Wide: true, Body: k})
}

// beside puts a credit beside a claim.
func (d *Door) beside(c *deposit.Claim, credit *deposit.Credit) candidate {
	shown := c.History.Shown
	return candidate{
		Credit: credit, Fits: credit.State == deposit.Unclaimed && d.serves(credit.Wallet, c.Merchant, c.Method),
		OtherAmount: credit.Amount != c.Amount, OtherUTR: credit.UTR != c.UTR,
		NotShown: len(shown) > 0 && !slices.Contains(shown, credit.Wallet), Late: c.CreatedAt.Sub(credit.At),
	}
}

// serves reports whether money on a wallet's account may be a merchant's, by a
// method or, where that is empty, by any.
func (d *Door) serves(wallet, merchant, method string) bool {
	dir := d.Directory.Current()
	w := dir.Wallet(wallet)
	return w != nil && slices.ContainsFunc(dir.OnAccount(w), func(twin *directory.Wallet) bool {
		return (method == "" || twin.Method == method) && twin.Serves(merchant) && (twin == w || !twin.Retired)
	})
}

func (d *Door) loadCandidates(v *visit, k *claimCase) error {
	credits, err := d.Store.CreditsByUTR(v.Context(), k.Claim)
	if err != nil {
		return err
	}
	// By hand a claim may have a candidate of another UTR.
	if id := k.Claim.CreditID; id != 0 && !slices.ContainsFunc(credits, func(c *deposit.Credit) bool { return c.ID == id }) {
		c, err := d.Store.FindCredit(v.Context(), id)
		if err != nil {
			return err
		}
		credits = append(credits, c)
	}
	for _, credit := range credits {
		if !d.serves(credit.Wallet, k.Claim.Merchant, "") {
			continue // as unknown to the merchant as if it were not there
		}
		k.Candidates = append(k.Candidates, d.beside(k.Claim, credit))
		if credit.ID == k.Claim.CreditID && k.Undecided {
			k.Best = credit.ID
		}
	}
	return nil
}

// loadOffers finds unclaimed credits that the payer may have meant: of the same
// amount and about the same time.
func (d *Door) loadOffers(v *visit, k *claimCase) error {
	if !k.Bindable {
		return nil
	}
	for _, c := range k.Candidates {
		if c.Fits && c.ID != k.Best {
			k.Offers = append(k.Offers, c)
		}
	}
	wallets := d.Directory.Current().WalletsFor(k.Claim.Merchant, k.Claim.Method)
	for _, w := range wallets[:min(len(wallets), mostWallets)] {
		list, err := d.Store.ListCredits(v.Context(), lookup.Credits{
			Wallet: w.ID, State: deposit.Unclaimed, Amount: k.Claim.Amount, Limit: offerRows,
			Range: lookup.Range{From: k.Claim.CreatedAt.Add(-offerWithin), To: k.Claim.CreatedAt.Add(offerWithin)},
		})
		if err != nil {
			return err
		}
		for _, credit := range list.Items {
			if !slices.ContainsFunc(k.Candidates, func(c candidate) bool { return c.ID == credit.ID }) {
				k.Offers = append(k.Offers, d.beside(k.Claim, credit))
			}
		}
	}
	slices.SortFunc(k.Offers, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(unlike(a.UTR, k.Claim.UTR), unlike(b.UTR, k.Claim.UTR)), cmp.Compare(a.Late.Abs(), b.Late.Abs()))
	})
	k.Offers = k.Offers[:min(len(k.Offers), offerRows)]
	return nil
}

// unlike counts the places in which two UTRs differ.
func unlike(a, b upi.UTR) (n int) {
	if len(a) != len(b) {
		return max(len(a), len(b))
	}
	for i := range len(a) {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

func (d *Door) loadPast(v *visit, k *claimCase) error {
	list, err := d.Store.ListDeposits(v.Context(), lookup.Deposits{Merchant: k.Claim.Merchant, Label: k.Claim.Label, Limit: pastRows + 1})
	if err != nil {
		return err
	}
	k.Label = slices.DeleteFunc(list.Items, func(o lookup.Deposit) bool { return o.ID == k.Claim.ID })
	k.Label = k.Label[:min(len(k.Label), pastRows)]
	known := make(map[string]bool)
	for _, c := range k.Candidates {
		who := c.Payer()
		if who == "" || known[c.Wallet+" "+who] || len(known) == offerRows {
			continue
		}
		known[c.Wallet+" "+who] = true
		rows, err := d.Store.PayerCredits(v.Context(), c.Credit, pastRows)
		if err != nil {
			return err
		}
		k.Payers = append(k.Payers, payerPast{upi.MaskPayer(who), rows})
	}
	if k.Claim.State == deposit.Rejected {
		switch u, err := d.Store.Undone(v.Context(), k.Claim.ID); {
		case err == nil:
			k.Undone = &u
		case !errors.Is(err, lookup.ErrNone):
			return err
		}
	}
	return nil
}

// loadPlace finds the claims next to this one in the queue.
func (d *Door) loadPlace(v *visit, k *claimCase) error {
	before, after, err := d.Store.PendingAround(v.Context(), k.Claim.ID)
	if before != 0 {
		k.Before = claimPath(before)
	}
	if after != 0 {
		k.After = claimPath(after)
	}
	return err
}

// MerchantName is what a merchant is called.
func (v *visit) MerchantName(id string) string { return v.door.merchantName(id) }

// Confirmed reports whether a bank, not an SMS alone, reported a credit.
func (*visit) Confirmed(c *deposit.Credit) bool { return c.Trust >= feed.Confirmed }

// Span writes a length of time in a few words.
func (v *visit) Span(d time.Duration) string {
	d = d.Abs()
	for _, unit := range []struct {
		of  time.Duration
		key string
	}{{24 * time.Hour, "span.days"}, {time.Hour, "span.hours"}, {time.Minute, "span.minutes"}} {
		if d >= 2*unit.of {
			return v.T(unit.key, "n", strconv.Itoa(int(d/unit.of)))
		}
	}
	return v.T("span.seconds", "n", strconv.Itoa(int(d/time.Second)))
}

// errNoWhy: a decision needs a reason.
var errNoWhy = errors.New("a reason is needed")

const mostWhy = 300 // characters

// because reads the reason that every decision needs.
func (v *visit) because() (string, error) {
	why := strings.Join(strings.Fields(v.PostFormValue("why")), " ")
	if n := utf8.RuneCountInString(why); n == 0 || n > mostWhy || !utf8.ValidString(why) {
		return "", errNoWhy
	}
	return why, nil
}

// refused is a text for a decision that can't be carried out; ok is false where it
// failed for another reason.
func (v *visit) refused(err error) (text string, ok bool) {
	if errors.Is(err, errNoWhy) {
		return v.T("review.problem.why", "most", strconv.Itoa(mostWhy)), true
	}
	refusal, ok := errors.AsType[*deposit.Refusal](err)
	switch {
	case !ok && (errors.Is(err, deposit.ErrNoCredit) || errors.Is(err, errNoCredit)):
		return v.T("review.problem.nocredit"), true
	case !ok && (errors.Is(err, deposit.ErrBusy) || errors.Is(err, deposit.ErrTooMany) || errors.Is(err, deposit.ErrClosed)):
		return v.T("review.problem.busy"), true
	case !ok:
		return "", false
	case v.Has("review.refused." + string(refusal.Code)):
		return v.T("review.refused." + string(refusal.Code)), true
	default:
		return refusal.Message, true
	}
}

var errNoCredit = errors.New("no such credit")

// decideClaim carries out a decision about a claim and goes on to the next one; what
// can't be carried out is said on the page of the claim as it stands by now.
func (d *Door) decideClaim(v *visit, c *deposit.Claim, act func(why string) (deposit.Claim, error)) error {
	why, err := v.because()
	var got deposit.Claim
	if err == nil {
		got, err = act(why)
	}
	if err != nil {
		text, ok := v.refused(err)
		if !ok {
			return err
		}
		now, err := d.Store.FindClaim(v.Context(), c.ID)
		if err != nil {
			return err
		}
		return d.showCase(v, http.StatusConflict, now, text)
	}
	switch {
	case got.State == deposit.Pending:
		v.say("said.review.proposed")
	case got.State == deposit.Credited:
		v.say("said.review.credited")
	default:
		v.say("said.review.rejected")
	}
	return d.onward(v, c.ID)
}

// onward leads to the claim in the queue behind one that was decided.
func (d *Door) onward(v *visit, id int64) error {
	_, after, err := d.Store.PendingAround(v.Context(), id)
	if err != nil {
		return err
	}
	if after == 0 {
		return v.lead(reviewPath)
	}
	return v.lead(claimPath(after))
}

func (d *Door) approve(v *visit, c *deposit.Claim) error {
	return d.decideClaim(v, c, func(why string) (deposit.Claim, error) {
		credit, err := d.namedCredit(v, c)
		if err != nil {
			return deposit.Claim{}, err
		}
		return d.Deposits.Approve(v.Context(), c.ID, credit, staff.By(v.user), why)
	})
}

// namedCredit is the credit that a form names: by its number, or by its UTR where
// one credit of that UTR could be the claim's.
func (d *Door) namedCredit(v *visit, c *deposit.Claim) (int64, error) {
	text := strings.TrimSpace(cmp.Or(v.PostFormValue("other"), v.PostFormValue("credit")))
	if text == "" {
		return 0, nil
	}
	utr, err := upi.ParseUTR(text)
	if err != nil {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil || id <= 0 {
			return 0, errNoCredit
		}
		return id, nil
	}
	list, err := d.Store.CreditsByUTR(v.Context(), &deposit.Claim{UTR: utr})
	if err != nil {
		return 0, err
	}
	list = slices.DeleteFunc(list, func(credit *deposit.Credit) bool { return !d.serves(credit.Wallet, c.Merchant, c.Method) })
	if len(list) != 1 {
		return 0, errNoCredit
	}
	return list[0].ID, nil
}

func (d *Door) reject(v *visit, c *deposit.Claim) error {
	return d.decideClaim(v, c, func(why string) (deposit.Claim, error) {
		return d.Deposits.Reject(v.Context(), c.ID, staff.By(v.user), why)
	})
}

// undoing is what the page before an undoing shows.
type undoing struct {
	Problem   string
	Claim     *deposit.Claim
	Merchant  string
	Available money.Paise
	Told      bool              // the merchant has the postback
	FourEyes  bool              // its amount takes two
	First     *deposit.Approval // the first one's word
	Mine      bool              // which is the user's own
	Why       string
}

func (d *Door) undoPage(v *visit, c *deposit.Claim) error { return d.askUndo(v, http.StatusOK, c, "") }

func (d *Door) askUndo(v *visit, status int, c *deposit.Claim, problem string) error {
	if c.State != deposit.Credited {
		text, _ := v.refused(&deposit.Refusal{Code: deposit.NotCredited})
		return d.showCase(v, http.StatusConflict, c, text)
	}
	limit := d.Deposits.Policy.FourEyes
	u := undoing{
		Problem: problem, Claim: c, Merchant: d.merchantName(c.Merchant), Why: v.PostFormValue("why"),
		FourEyes: limit > 0 && c.Deposited > limit, First: c.History.Undoing,
	}
	u.Mine = u.First != nil && deposit.OnePerson(u.First.By, staff.By(v.user))
	var err error
	if u.Available, _, err = d.Store.MerchantBalance(v.Context(), c.Merchant); err != nil {
		return err
	}
	told, err := d.Store.Postback(v.Context(), c.ID)
	if err != nil {
		return err
	}
	u.Told = !told.DeliveredAt.IsZero()
	return v.show(page{Status: status, Name: "reviewundo", Body: u})
}

func (d *Door) undo(v *visit, c *deposit.Claim) error {
	var undone deposit.Claim
	why, err := v.because()
	if err == nil {
		undone, err = d.Deposits.Undo(v.Context(), c.ID, staff.By(v.user), why)
	}
	if err != nil {
		text, ok := v.refused(err)
		if !ok {
			return err
		}
		now, err := d.Store.FindClaim(v.Context(), c.ID)
		if err != nil {
			return err
		}
		return d.askUndo(v, http.StatusConflict, now, text)
	}
	if undone.State == deposit.Credited { // above the limit: this was the first one's word
		v.say("said.review.proposed")
		return v.lead(claimPath(c.ID) + "/undo")
	}
	v.say("said.review.undone")
	return v.lead(claimPath(c.ID))
}

// creditCase is what the page of one credit shows.
type creditCase struct {
	Problem   string
	Credit    *deposit.Credit
	Merchants []field // to choose whose it is
	FourEyes  bool    // its amount takes two
	Claims    []*deposit.Claim
	Past      []lookup.PaidCredit
	Why       string
	Label     string
	CustomID  string
}

func (d *Door) creditCasePage(v *visit, c *deposit.Credit) error {
	return d.showCredit(v, http.StatusOK, c, "")
}

func (d *Door) showCredit(v *visit, status int, c *deposit.Credit, problem string) error {
	limit := d.Deposits.Policy.FourEyes
	k := creditCase{
		Problem: problem, Credit: c, FourEyes: limit > 0 && c.Amount > limit,
		Why: v.PostFormValue("why"), Label: v.PostFormValue("label"), CustomID: v.PostFormValue("custom_id"),
	}
	var err error
	if c.State == deposit.Unclaimed {
		who := field{Name: "merchant", Label: v.T("review.merchant"), Type: "select"}
		for _, m := range d.Directory.Current().Merchants {
			if !m.Retired && d.serves(c.Wallet, m.ID, "") {
				who.Options = append(who.Options, option{m.ID, d.merchantName(m.ID), v.PostFormValue("merchant") == m.ID})
			}
		}
		k.Merchants = []field{who}
		waiting, err := d.Store.WaitingClaims(v.Context(), c.Amount, rowsOfPage)
		if err != nil {
			return err
		}
		for _, claim := range waiting {
			if d.serves(c.Wallet, claim.Merchant, claim.Method) && len(k.Claims) < offerRows {
				k.Claims = append(k.Claims, claim)
			}
		}
	}
	if k.Past, err = d.Store.PayerCredits(v.Context(), c, pastRows); err != nil {
		return err
	}
	title := v.T("review.credit.title", "credit", strconv.FormatInt(c.ID, 10))
	return v.show(page{Status: status, Name: "reviewcredit", Title: title, Wide: true, Body: k})
}

// decideCredit carries out a decision about a credit.
func (d *Door) decideCredit(v *visit, c *deposit.Credit, act func(why string) error, done func() error) error {
	why, err := v.because()
	if err == nil {
		err = act(why)
	}
	if err == nil {
		return done()
	}
	text, ok := v.refused(err)
	if !ok {
		return err
	}
	now, err := d.Store.FindCredit(v.Context(), c.ID)
	if err != nil {
		return err
	}
	return d.showCredit(v, http.StatusConflict, now, text)
}

func (d *Door) give(v *visit, c *deposit.Credit) error {
	var got deposit.Claim
	return d.decideCredit(v, c, func(why string) (err error) {
		got, err = d.Deposits.Give(v.Context(), deposit.Gift{
			Credit: c.ID, Merchant: v.PostFormValue("merchant"), Label: strings.TrimSpace(v.PostFormValue("label")),
			CustomID: strings.TrimSpace(v.PostFormValue("custom_id")),
		}, staff.By(v.user), why)
		return err
	}, func() error {
		if got.State == deposit.Credited {
			v.say("said.review.given")
		} else {
			v.say("said.review.proposed")
		}
		return v.lead(claimPath(got.ID))
	})
}

func (d *Door) clear(v *visit, c *deposit.Credit) error {
	return d.decideCredit(v, c, func(why string) error {
		return d.Deposits.Clear(v.Context(), c.ID, staff.By(v.user), why)
	}, func() error {
		v.say("said.review.cleared")
		return v.lead(creditPath(c.ID))
	})
}

// offered is a credit that may be bound, as the template "offer" takes it.
type offered struct {
	candidate
	V *visit
}

// Offer is a credit for the template "offer".
func (v *visit) Offer(c candidate) offered { return offered{c, v} }

// paidRows are credits, as the template "paid" takes them.
type paidRows struct {
	Rows []lookup.PaidCredit
	V    *visit
}

// Paid are credits for the template "paid".
func (v *visit) Paid(rows []lookup.PaidCredit) paidRows { return paidRows{rows, v} }

// Count64 writes a count.
func (v *visit) Count64(n int) string { return v.Count(int64(n)) }
