package management

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Amount is money in answers.
type Amount struct {
	Amount   string `json:"amount" doc:"Exact, with two decimals." example:"500.00"`
	Currency string `json:"currency" example:"INR"`
}

func amountOf(p money.Paise) Amount { return Amount{p.Fixed(), string(money.INR)} }

// instant is a time in answers; nil where there is none.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// List is a page of a list.
type List[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Where the next page begins: send it as after. Absent at the end. A page may be short, even empty, before the end."`
}

// output is an operation's answer.
type output[T any] struct{ Body T }

func listOf[S, T any](items []S, view func(*S) T, next string) *output[List[T]] {
	out := List[T]{Items: make([]T, len(items)), Next: next}
	for i := range items {
		out.Items[i] = view(&items[i])
	}
	return &output[List[T]]{out}
}

// Deposit is a payment as its merchant sees it.
type Deposit struct {
	CustomID  string     `json:"custom_id" doc:"The merchant's own transaction id."`
	State     string     `json:"state" enum:"waiting,pending,credited,refused,rejected,expired" doc:"waiting: no feed has reported the UTR yet; pending: in review; credited: final, the postback follows; refused, rejected, expired: final, no money."`
	Method    string     `json:"method" doc:"The wallet_type of the legacy protocol." example:"upi_l"`
	Label     string     `json:"label" doc:"The merchant's name of the paying user."`
	UTR       string     `json:"utr" example:"321323438267"`
	Claimed   Amount     `json:"claimed" doc:"What the payer said was paid."`
	Deposited *Amount    `json:"deposited,omitempty" doc:"What was credited."`
	Fee       *Amount    `json:"fee,omitempty" doc:"What the operator kept of it."`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at" doc:"When it ends if it still waits then."`
	SettledAt *time.Time `json:"settled_at,omitempty" doc:"When it became final."`
}

func viewDeposit(d *lookup.Deposit) Deposit {
	v := Deposit{
		CustomID: d.CustomID, State: string(d.State), Method: d.Method, Label: d.Label, UTR: string(d.UTR), Claimed: amountOf(d.Amount),
		CreatedAt: d.CreatedAt.UTC(), ExpiresAt: d.ExpiresAt.UTC(), SettledAt: instant(d.SettledAt),
	}
	if d.State == deposit.Credited {
		deposited, fee := amountOf(d.Deposited), amountOf(d.Fee)
		v.Deposited, v.Fee = &deposited, &fee
	}
	return v
}

// Balance is what a merchant has.
type Balance struct {
	Merchant  string `json:"merchant"`
	Available Amount `json:"available" doc:"What may be withdrawn."`
	Held      Amount `json:"held" doc:"What withdrawals under way hold: still the merchant's, and not free."`
}

// Whose says whose records are asked for.
type Whose struct {
	Merchant string `query:"merchant" maxLength:"64" doc:"Whose records: needed with an operator's key, implied by a merchant's."`
}

// owner is the merchant that is asked about, where the key may see it.
func (d *Door) owner(ctx context.Context, asked string) (*directory.Merchant, error) {
	c := callOf(ctx)
	switch {
	case c.merchant != nil && (asked == "" || asked == c.merchant.ID):
		return c.merchant, nil
	case c.merchant != nil:
		return nil, notHere()
	case asked == "":
		return nil, invalid.problem("An operator's key sees every merchant: name one").in("query.merchant", "required with an operator's key")
	}
	m := d.Directory.Current().Merchant(asked)
	if m == nil {
		m = d.Directory.Look(ctx).Merchant(asked)
	}
	if m == nil {
		return nil, notHere()
	}
	return m, nil
}

// Paging says which page.
type Paging struct {
	After string `query:"after" maxLength:"64" doc:"The next of the page before."`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Most records of a page."`
}

// During is a stretch of time.
type During struct {
	From time.Time `query:"from" doc:"Not before this (RFC 3339)." example:"2026-03-01T00:00:00Z"`
	To   time.Time `query:"to" doc:"Before this (RFC 3339)." example:"2026-04-01T00:00:00Z"`
}

func (d During) span() lookup.Range { return lookup.Range{From: d.From.UTC(), To: d.To.UTC()} }

// filterUTR reads a UTR that is looked for; empty for none.
func filterUTR(text string) (upi.UTR, error) {
	if text == "" {
		return "", nil
	}
	utr, err := upi.ParseUTR(text)
	if err != nil {
		return "", invalid.problem("Give the whole UTR").in("query.utr", "is no UTR: expected 12 digits")
	}
	return utr, nil
}

// filterAmount reads an amount that is looked for; zero for none.
func filterAmount(text string) (money.Paise, error) {
	if text == "" {
		return 0, nil
	}
	amount, err := money.ParsePositive(text)
	if err != nil {
		return 0, invalid.problem("Give the amount in rupees").in("query.amount", "is no amount: expected rupees such as 500.00")
	}
	return amount, nil
}

type depositsInput struct {
	Whose
	State  string `query:"state" enum:"waiting,pending,credited,refused,rejected,expired"`
	Label  string `query:"label" maxLength:"190"`
	Custom string `query:"custom_id" maxLength:"190" doc:"The one with this custom id."`
	UTR    string `query:"utr" maxLength:"32" doc:"Those that name this UTR."`
	Amount string `query:"amount" maxLength:"32" doc:"Those that claim this much." example:"500.00"`
	During
	Paging
}

func (d *Door) ofMerchants(api huma.API) {
	const deposits, account = "Deposits", "Account"
	register(d, api, access.DepositsRead, huma.Operation{
		OperationID: "list-deposits", Method: http.MethodGet, Path: "/v3/deposits", Tags: []string{deposits},
		Summary:     "List deposits",
		Description: "A merchant's deposits of every state, the newest first; from and to are of their making.",
	}, d.listDeposits)
	register(d, api, access.DepositsRead, huma.Operation{
		OperationID: "get-deposit", Method: http.MethodGet, Path: "/v3/deposits/{custom_id}", Tags: []string{deposits},
		Summary: "Get a deposit", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		Whose
		CustomID string `path:"custom_id" maxLength:"190"`
	}) (*output[Deposit], error) {
		m, err := d.owner(ctx, in.Merchant)
		if err != nil {
			return nil, err
		}
		found, err := d.Store.FindDeposit(ctx, deposit.CustomKey{Merchant: m.ID, CustomID: in.CustomID})
		return &output[Deposit]{viewDeposit(&found)}, err
	})
	d.ofPostbacks(api)
	d.ofWithdrawals(api)
	register(d, api, access.BalanceRead, huma.Operation{
		OperationID: "get-balance", Method: http.MethodGet, Path: "/v3/balance", Tags: []string{account},
		Summary: "Get the balance",
	}, func(ctx context.Context, in *struct{ Whose }) (*output[Balance], error) {
		m, err := d.owner(ctx, in.Merchant)
		if err != nil {
			return nil, err
		}
		available, held, err := d.Store.MerchantBalance(ctx, m.ID)
		return &output[Balance]{Balance{Merchant: m.ID, Available: amountOf(available), Held: amountOf(held)}}, err
	})
	register(d, api, access.StatementRead, huma.Operation{
		OperationID: "get-account-statement", Method: http.MethodGet, Path: "/v3/account-statement", Tags: []string{account},
		Summary: "Get a statement of account",
		Description: "What moved the balance that may be withdrawn, the oldest first, with the balance after each: deposits, withdrawals from the moment they are asked for, and those that were not paid or came back; from the beginning of this month in the merchant's time zone where from is not given. " +
			"As CSV, by format=csv or Accept: text/csv, it comes whole; limit and after are of JSON.",
		Responses: statementResponses(api.OpenAPI().Components.Schemas),
	}, d.accountStatement)
	register(d, api, "", huma.Operation{
		OperationID: "get-key", Method: http.MethodGet, Path: "/v3/key", Tags: []string{"Keys"},
		Summary: "Get the key that is calling",
	}, func(ctx context.Context, _ *struct{}) (*output[Key], error) {
		return &output[Key]{viewKey(&callOf(ctx).key)}, nil
	})
}

func (d *Door) listDeposits(ctx context.Context, in *depositsInput) (*output[List[Deposit]], error) {
	m, err := d.owner(ctx, in.Merchant)
	if err != nil {
		return nil, err
	}
	utr, err := filterUTR(in.UTR)
	if err != nil {
		return nil, err
	}
	amount, err := filterAmount(in.Amount)
	if err != nil {
		return nil, err
	}
	query := list("deposits", m.ID, in.State, in.Label, in.Custom, utr, amount, in.From, in.To)
	after, _, err := readCursor(in.After, query)
	if err != nil {
		return nil, err
	}
	if in.Custom != "" {
		return d.depositByCustomID(ctx, m.ID, in)
	}
	page, err := d.Store.ListDeposits(ctx, lookup.Deposits{
		Merchant: m.ID, State: deposit.State(in.State), Label: in.Label, UTR: utr, Amount: amount,
		Range: in.span(), After: after, Limit: in.Limit,
	})
	return listOf(page.Items, viewDeposit, cursor(query, page.Next, 0)), err
}

// depositByCustomID lists the one deposit with a custom id, where the other filters
// let it through.
func (d *Door) depositByCustomID(ctx context.Context, merchant string, in *depositsInput) (*output[List[Deposit]], error) {
	found, err := d.Store.FindDeposit(ctx, deposit.CustomKey{Merchant: merchant, CustomID: in.Custom})
	if isNone(err) {
		return listOf([]lookup.Deposit{}, viewDeposit, ""), nil
	}
	v := viewDeposit(&found)
	amount, _ := filterAmount(in.Amount) // the caller read it before
	fits := (in.State == "" || in.State == v.State) && (in.Label == "" || in.Label == v.Label) && (in.UTR == "" || in.UTR == v.UTR) &&
		(amount == 0 || amount == found.Amount) &&
		(in.From.IsZero() || !v.CreatedAt.Before(in.From)) && (in.To.IsZero() || v.CreatedAt.Before(in.To))
	if !fits {
		return listOf([]lookup.Deposit{}, viewDeposit, ""), err
	}
	return listOf([]lookup.Deposit{found}, viewDeposit, ""), err
}
