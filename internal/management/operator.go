package management

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/health"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Claim is a deposit as the operator sees it.
type Claim struct {
	ID       int64  `json:"id"`
	Merchant string `json:"merchant"`
	Deposit
	Reasons  []string `json:"reasons" nullable:"false" doc:"Codes of why it is held or refused."`
	CreditID int64    `json:"credit_id,omitempty" doc:"The credit it has, or in review the candidate."`
}

func viewClaim(c *deposit.Claim) Claim {
	v := Claim{ID: c.ID, Merchant: c.Merchant, Deposit: viewDeposit(&lookup.Deposit{Claim: *c}), Reasons: make([]string, len(c.Reasons)), CreditID: c.CreditID}
	v.Fee = nil // which a claim alone does not know
	for i, r := range c.Reasons {
		v.Reasons[i] = string(r)
	}
	return v
}

// Credit is money that came in.
type Credit struct {
	ID         int64     `json:"id"`
	Wallet     string    `json:"wallet"`
	UTR        string    `json:"utr"`
	Amount     Amount    `json:"amount"`
	Payer      string    `json:"payer,omitempty" doc:"As the feed knows it, masked." example:"raxxxxxx@okaxis"`
	BookedAt   time.Time `json:"booked_at" doc:"The bank's time."`
	ReceivedAt time.Time `json:"received_at"`
	Feed       string    `json:"feed"`
	Confirmed  bool      `json:"confirmed" doc:"Whether the bank itself said so, not an SMS alone."`
	State      string    `json:"state" enum:"unclaimed,bound,reversed"`
	ClaimID    int64     `json:"claim_id,omitempty"`
	Contested  bool      `json:"contested" doc:"Whether a bank reported it otherwise, or took it back: a person decides."`
}

func viewCredit(c **deposit.Credit) Credit {
	v := *c
	return Credit{
		ID: v.ID, Wallet: v.Wallet, UTR: string(v.UTR), Amount: amountOf(v.Amount), Payer: upi.MaskPayer(v.Payer()),
		BookedAt: v.At.UTC(), ReceivedAt: v.ReceivedAt.UTC(), Feed: v.Feed, Confirmed: v.Trust >= feed.Confirmed,
		State: string(v.State), ClaimID: v.ClaimID, Contested: v.Contested,
	}
}

func viewCredits(list []*deposit.Credit) []Credit {
	out := make([]Credit, len(list))
	for i := range list {
		out[i] = viewCredit(&list[i])
	}
	return out
}

// Review is a claim that waits for a person.
type Review struct {
	Claim   Claim    `json:"claim"`
	Credits []Credit `json:"credits" nullable:"false" doc:"Those with its UTR."`
}

// Reason is why a person decides so.
type Reason struct {
	Why string `json:"why" minLength:"1" maxLength:"500" doc:"Kept in the audit log."`
}

// Approval credits a claim.
type Approval struct {
	Reason
	CreditID int64 `json:"credit_id,omitempty" minimum:"1" doc:"The credit to bind, where the claim could have more than one."`
}

// Numbered is a page of a list in the order of its numbers.
type Numbered struct {
	After int64 `query:"after" minimum:"0" doc:"The next of the page before."`
	Limit int   `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Most records of a page."`
}

// next is the number behind which the next page begins.
func (n Numbered) next(count int, last func() int64) string {
	if count < n.Limit {
		return ""
	}
	return strconv.FormatInt(last(), 10)
}

// FeedHealth is how a feed is. Its figures are of the last 24 hours.
type FeedHealth struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind"`
	Wallet    string     `json:"wallet"`
	State     string     `json:"state" enum:"failing,strained,never,learning,good"`
	LastAt    *time.Time `json:"last_at,omitempty"`
	Items     int64      `json:"items"`
	Credits   int64      `json:"credits"`
	UnreadPer int64      `json:"unread_per_mille" doc:"Items that were not understood, of a thousand."`
	LagMillis int64      `json:"mean_lag_ms" doc:"From the bank to here, in the mean."`
	Findings  []Finding  `json:"findings" nullable:"false"`
}

// Finding is something wrong with a feed.
type Finding struct {
	Code     string `json:"code"`
	Severity string `json:"severity" enum:"warning,critical"`
	Text     string `json:"text"`
}

// Message is a bank's message that a person should look at.
type Message struct {
	ID         int64      `json:"id"`
	Feed       string     `json:"feed"`
	Wallet     string     `json:"wallet"`
	Result     string     `json:"result" enum:"unparsed,no_utr,refused"`
	Why        string     `json:"why"`
	Sender     string     `json:"sender,omitempty"`
	SentAt     *time.Time `json:"sent_at,omitempty"`
	ReceivedAt time.Time  `json:"received_at"`
	Text       string     `json:"text,omitempty" doc:"Without names, numbers and addresses; milaan feeds inbox shows it whole."`
}

// BankStatement is a bank's statement that was imported.
type BankStatement struct {
	ID         int64     `json:"id"`
	Wallet     string    `json:"wallet"`
	Name       string    `json:"name" doc:"Of the file."`
	Layout     string    `json:"layout"`
	From       time.Time `json:"from" doc:"The first day's first moment."`
	To         time.Time `json:"to" doc:"The last day's first moment."`
	Opening    *Amount   `json:"opening,omitempty"`
	Closing    *Amount   `json:"closing,omitempty"`
	Lines      int       `json:"lines"`
	ImportedAt time.Time `json:"imported_at"`
}

func viewStatement(s *feed.Statement) BankStatement {
	return BankStatement{
		ID: s.ID, Wallet: s.Wallet, Name: s.Name, Layout: s.Layout, From: s.From.UTC(), To: s.To.UTC(),
		Opening: optional(s.Opening), Closing: optional(s.Closing), Lines: s.Lines, ImportedAt: s.ImportedAt.UTC(),
	}
}

func optional(p *money.Paise) *Amount {
	if p == nil {
		return nil
	}
	a := amountOf(*p)
	return &a
}

// Reconciliation compares a statement with the books.
type Reconciliation struct {
	Statement  BankStatement   `json:"statement"`
	Settled    bool            `json:"settled" doc:"Whether statement and books agree in everything."`
	Credits    Amount          `json:"credits" doc:"What the books have of its lines."`
	Income     Amount          `json:"income"`
	Debits     Amount          `json:"debits"`
	Difference *Amount         `json:"difference,omitempty" doc:"What it moved and the books have not; absent where it has no balances."`
	Ledger     Amount          `json:"ledger" doc:"The wallet's balance in the books, now."`
	Open       []StatementLine `json:"open" nullable:"false" doc:"Lines that stand nowhere in the books."`
	Unseen     []Credit        `json:"unseen" nullable:"false" doc:"Credits of these days that no statement has."`
	Contested  []Credit        `json:"contested" nullable:"false"`
	More       bool            `json:"more" doc:"Whether there is more of these than is listed."`
}

// StatementLine is a line that stands nowhere in the books.
type StatementLine struct {
	Line   int       `json:"line"`
	Kind   string    `json:"kind"`
	At     time.Time `json:"at"`
	UTR    string    `json:"utr,omitempty"`
	Amount Amount    `json:"amount"`
	Result string    `json:"result"`
	Why    string    `json:"why"`
}

// Books are what a reconciliation found, for [NewReconciliation].
type Books struct {
	Statement               feed.Statement
	Settled                 bool
	Credits, Income, Debits money.Paise
	Difference              *money.Paise
	Ledger                  money.Paise
	Open                    []feed.StatementLine
	Unseen, Contested       []*deposit.Credit
	More                    bool
}

// NewReconciliation words what a reconciliation found.
func NewReconciliation(b *Books) Reconciliation {
	out := Reconciliation{
		Statement: viewStatement(&b.Statement), Settled: b.Settled,
		Credits: amountOf(b.Credits), Income: amountOf(b.Income), Debits: amountOf(b.Debits), Difference: optional(b.Difference),
		Ledger: amountOf(b.Ledger), Open: make([]StatementLine, len(b.Open)), Unseen: viewCredits(b.Unseen), Contested: viewCredits(b.Contested), More: b.More,
	}
	for i := range b.Open {
		l := &b.Open[i]
		out.Open[i] = StatementLine{
			Line: l.Number, Kind: string(l.Kind), At: l.At.UTC(), UTR: string(l.UTR), Amount: amountOf(l.Amount),
			Result: string(l.Outcome.Result), Why: l.Outcome.Why,
		}
	}
	return out
}

func (d *Door) ofOperator(api huma.API) {
	d.ofInstallation(api)
	d.ofReviews(api)
	d.ofCredits(api)
	d.ofFeeds(api)
	d.ofKeys(api)
}

func (d *Door) ofReviews(api huma.API) {
	tags := []string{"Reviews"}
	register(d, api, access.ReviewsRead, huma.Operation{
		OperationID: "list-reviews", Method: http.MethodGet, Path: "/v3/reviews", Tags: tags,
		Summary: "List claims in review", Description: "The oldest first.",
	}, func(ctx context.Context, in *struct{ Numbered }) (*output[List[Review]], error) {
		reviews, err := d.Store.PendingClaims(ctx, in.After, in.Limit)
		return listOf(reviews, func(r *deposit.Review) Review {
			return Review{Claim: viewClaim(r.Claim), Credits: viewCredits(r.Credits)}
		}, in.next(len(reviews), func() int64 { return reviews[len(reviews)-1].Claim.ID })), err
	})
	register(d, api, access.ReviewsWrite, huma.Operation{
		OperationID: "approve-claim", Method: http.MethodPost, Path: "/v3/reviews/{id}/approve", Tags: tags,
		Summary: "Credit a claim in review", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		ID   int64 `path:"id" minimum:"1"`
		Body Approval
	}) (*output[Claim], error) {
		c, err := d.Desk.Approve(ctx, in.ID, in.Body.CreditID, callOf(ctx).key.Actor(), in.Body.Why)
		return &output[Claim]{viewClaim(&c)}, err
	})
	register(d, api, access.ReviewsWrite, huma.Operation{
		OperationID: "reject-claim", Method: http.MethodPost, Path: "/v3/reviews/{id}/reject", Tags: tags,
		Summary: "End a claim in review without money", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		ID   int64 `path:"id" minimum:"1"`
		Body Reason
	}) (*output[Claim], error) {
		c, err := d.Desk.Reject(ctx, in.ID, callOf(ctx).key.Actor(), in.Body.Why)
		return &output[Claim]{viewClaim(&c)}, err
	})
	register(d, api, access.ReviewsRead, huma.Operation{
		OperationID: "list-disputes", Method: http.MethodGet, Path: "/v3/disputes", Tags: tags,
		Summary: "List credited payments that a bank contests", Description: "The oldest first. Compare each with the bank, then clear it.",
	}, func(ctx context.Context, in *struct{ Numbered }) (*output[List[Credit]], error) {
		credits, err := d.Store.Disputes(ctx, in.After, in.Limit)
		return listOf(credits, viewCredit, in.next(len(credits), func() int64 { return credits[len(credits)-1].ID })), err
	})
	register(d, api, access.ReviewsWrite, huma.Operation{
		OperationID: "clear-credit", Method: http.MethodPost, Path: "/v3/credits/{id}/clear", Tags: tags,
		Summary: "Take the mark off a contested credit", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		ID   int64 `path:"id" minimum:"1"`
		Body Reason
	}) (*output[Credit], error) {
		if err := d.Desk.Clear(ctx, in.ID, callOf(ctx).key.Actor(), in.Body.Why); err != nil {
			return nil, err
		}
		c, err := d.Store.FindCredit(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &output[Credit]{viewCredit(&c)}, nil
	})
}

func (d *Door) ofCredits(api huma.API) {
	tags := []string{"Credits"}
	register(d, api, access.CreditsRead, huma.Operation{
		OperationID: "list-credits", Method: http.MethodGet, Path: "/v3/credits", Tags: tags,
		Summary:     "Search credits",
		Description: "Money that came in, the newest first. from and to are of the bank's time and need a wallet.",
	}, d.listCredits)
	register(d, api, access.CreditsRead, huma.Operation{
		OperationID: "get-credit", Method: http.MethodGet, Path: "/v3/credits/{id}", Tags: tags,
		Summary: "Get a credit", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		ID int64 `path:"id" minimum:"1"`
	}) (*output[Credit], error) {
		c, err := d.Store.FindCredit(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &output[Credit]{viewCredit(&c)}, nil
	})
}

func (d *Door) listCredits(ctx context.Context, in *struct {
	UTR    string `query:"utr" maxLength:"32"`
	Wallet string `query:"wallet" maxLength:"64"`
	State  string `query:"state" enum:"unclaimed,bound,reversed"`
	Amount string `query:"amount" maxLength:"32" example:"500.00"`
	During
	Paging
}) (*output[List[Credit]], error) {
	utr, err := filterUTR(in.UTR)
	if err != nil {
		return nil, err
	}
	amount, err := filterAmount(in.Amount)
	if err != nil {
		return nil, err
	}
	if (in.Wallet == "" || utr != "") && !(in.From.IsZero() && in.To.IsZero()) {
		return nil, invalid.problem("Name a wallet, or leave from and to out").in("query.wallet", "required beside from and to, without utr")
	}
	query := list("credits", utr, in.Wallet, in.State, amount, in.From, in.To)
	after, _, err := readCursor(in.After, query)
	if err != nil {
		return nil, err
	}
	page, err := d.Store.ListCredits(ctx, lookup.Credits{
		UTR: utr, Wallet: in.Wallet, State: deposit.CreditState(in.State), Amount: amount, Range: in.span(), After: after, Limit: in.Limit,
	})
	return listOf(page.Items, viewCredit, cursor(query, page.Next, 0)), err
}

// mostStatements is how many statements of a wallet are listed.
const mostStatements = 200

func (d *Door) ofFeeds(api huma.API) {
	tags := []string{"Feeds"}
	register(d, api, access.FeedsRead, huma.Operation{
		OperationID: "list-feeds", Method: http.MethodGet, Path: "/v3/feeds", Tags: tags,
		Summary: "List feeds and how they are", Description: "Feeds of statements are no streams and are left out. docs/feeds-health.md explains the findings.",
	}, func(ctx context.Context, _ *struct{}) (*output[List[FeedHealth]], error) {
		dir := d.Directory.Current()
		judged, err := intake.Health(ctx, d.Store, dir, d.Now())
		return listOf(judged, func(h *health.Health) FeedHealth {
			f := dir.Feed(h.Feed)
			v := FeedHealth{
				ID: h.Feed, Kind: f.Kind, Wallet: f.Wallet, State: string(h.State), LastAt: instant(h.LastAt), Items: h.Items24h, Credits: h.Credits24h,
				UnreadPer: h.UnreadRate, LagMillis: h.MeanLag.Milliseconds(), Findings: make([]Finding, len(h.Findings)),
			}
			for i, found := range h.Findings {
				v.Findings[i] = Finding{string(found.Code), string(found.Severity), found.Text}
			}
			return v
		}, ""), err
	})
	register(d, api, access.FeedsRead, huma.Operation{
		OperationID: "list-inbox", Method: http.MethodGet, Path: "/v3/inbox", Tags: tags,
		Summary: "List messages that a person should look at", Description: "Not understood, without a UTR, or not believed; the oldest first.",
	}, func(ctx context.Context, in *struct {
		Feed string `query:"feed" maxLength:"64" doc:"One feed's alone."`
		Numbered
	}) (*output[List[Message]], error) {
		messages, err := d.Store.Inbox(ctx, in.Feed, in.After, in.Limit)
		return listOf(messages, func(m *deposit.KeptMessage) Message {
			return Message{
				ID: m.ID, Feed: m.Feed, Wallet: m.Wallet, Result: string(m.Outcome.Result), Why: m.Why(), Sender: m.Sender,
				SentAt: instant(m.SentAt), ReceivedAt: m.ReceivedAt.UTC(), Text: intake.Anonymise(string(m.Raw)),
			}
		}, in.next(len(messages), func() int64 { return messages[len(messages)-1].ID })), err
	})
	register(d, api, access.FeedsRead, huma.Operation{
		OperationID: "list-bank-statements", Method: http.MethodGet, Path: "/v3/wallets/{wallet}/statements", Tags: tags,
		Summary: "List a wallet's bank statements", Description: "Those imported last, up to 200; the last period first.",
	}, func(ctx context.Context, in *struct {
		Wallet string `path:"wallet" maxLength:"64"`
	}) (*output[List[BankStatement]], error) {
		if d.Directory.Current().Wallet(in.Wallet) == nil {
			return nil, notHere()
		}
		statements, err := d.Store.Statements(ctx, in.Wallet, mostStatements)
		return listOf(statements, viewStatement, ""), err
	})
	register(d, api, access.FeedsRead, huma.Operation{
		OperationID: "reconcile-bank-statement", Method: http.MethodGet, Path: "/v3/wallets/{wallet}/statements/{id}/reconciliation", Tags: tags,
		Summary: "Compare a bank statement with the books", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		Wallet string `path:"wallet" maxLength:"64"`
		ID     int64  `path:"id" minimum:"1"`
	}) (*output[Reconciliation], error) {
		s, err := d.Store.FindStatement(ctx, in.Wallet, in.ID)
		if err != nil {
			return nil, err
		}
		r, err := d.Reconcile(ctx, s)
		return &output[Reconciliation]{r}, err
	})
}
