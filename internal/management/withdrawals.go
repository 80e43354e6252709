package management

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/upi"
)

// Withdrawal is money that leaves a merchant's balance.
type Withdrawal struct {
	WithdrawalID string          `json:"withdrawal_id" doc:"The merchant's own id."`
	State        string          `json:"state" enum:"new,approved,processing,success,failed,canceled" doc:"success, failed and canceled are final, but that a bank may send back what it paid."`
	Method       string          `json:"method" example:"imps_ib"`
	Label        string          `json:"label"`
	Amount       Amount          `json:"amount"`
	Fee          Amount          `json:"fee"`
	Test         bool            `json:"test" doc:"Whether it moves no money."`
	Account      string          `json:"account" doc:"Where it goes, masked." example:"12xxx6789"`
	IFSC         string          `json:"ifsc"`
	BankRef      string          `json:"bank_ref,omitempty" doc:"The bank's reference, once there is one."`
	CreatedAt    time.Time       `json:"created_at"`
	SettledAt    *time.Time      `json:"settled_at,omitempty"`
	Case         *WithdrawalCase `json:"case,omitempty" doc:"What the operator decides on: with an operator's key only."`
}

// WithdrawalCase is what of a withdrawal is the operator's alone.
type WithdrawalCase struct {
	ID          int64        `json:"id" doc:"The number by which it is decided."`
	Merchant    string       `json:"merchant"`
	Reasons     []string     `json:"reasons" nullable:"false" doc:"Codes of why a person has to approve it."`
	Why         string       `json:"why,omitempty" doc:"Why it failed or was canceled."`
	Contested   bool         `json:"contested" doc:"Whether something was told of it that the books do not say, and a person still has to look. Until then it is not sent."`
	Doubts      []string     `json:"doubts" nullable:"false" doc:"What was told of it that the books do not say."`
	Desk        string       `json:"desk" doc:"The payout desk that it goes by."`
	Wallet      string       `json:"wallet,omitempty" doc:"What pays it, once that is known."`
	Reference   string       `json:"reference" doc:"What it is called to providers and banks."`
	CreatedBy   string       `json:"created_by"`
	ApprovedBy  string       `json:"approved_by,omitempty"`
	ApprovedAt  *time.Time   `json:"approved_at,omitempty"`
	SentAt      *time.Time   `json:"sent_at,omitempty"`
	Beneficiary *Beneficiary `json:"beneficiary,omitempty" doc:"Whom to pay, in full: for keys that may say it was paid (withdrawals:write)."`
}

// Beneficiary is who is paid.
type Beneficiary struct {
	Account string `json:"account"`
	Name    string `json:"name"`
	IFSC    string `json:"ifsc"`
}

// viewWithdrawal is a withdrawal as the key may see it.
func viewWithdrawal(key *access.Key) func(**payout.Withdrawal) Withdrawal {
	return func(p **payout.Withdrawal) Withdrawal {
		w := *p
		v := Withdrawal{
			WithdrawalID: w.WithdrawalID, State: string(w.State), Method: w.Method, Label: w.Label, Amount: amountOf(w.Amount), Fee: amountOf(w.Fee),
			Test: w.Test, Account: upi.MaskPayer(string(w.Account)), IFSC: string(w.IFSC), BankRef: w.BankRef,
			CreatedAt: w.CreatedAt.UTC(), SettledAt: instant(w.SettledAt),
		}
		if key.Merchant != "" {
			return v
		}
		v.Case = &WithdrawalCase{
			ID: w.ID, Merchant: w.Merchant, Reasons: slices.Concat([]string{}, w.Reasons), Why: w.Why,
			Contested: w.Contested, Doubts: slices.Concat([]string{}, w.Doubts), Desk: w.Desk, Wallet: w.Wallet,
			Reference: w.Reference(), CreatedBy: w.CreatedBy, ApprovedBy: w.ApprovedBy, ApprovedAt: instant(w.ApprovedAt), SentAt: instant(w.SentAt),
		}
		if key.Allows(access.WithdrawalsWrite) {
			v.Case.Beneficiary = &Beneficiary{Account: string(w.Account), Name: w.Name, IFSC: string(w.IFSC)}
		}
		return v
	}
}

// BankWord is a bank's reference of a payment.
type BankWord struct {
	BankRef string `json:"bank_ref" minLength:"6" maxLength:"35" pattern:"^[0-9A-Za-z]+$" doc:"The bank's reference of the payment, such as the RRN of an IMPS." example:"321323438267"`
	Wallet  string `json:"wallet,omitempty" maxLength:"64" doc:"What paid it, where it was not handed over before; left out, the wallet that the desk would take."`
}

type withdrawalInput[T any] struct {
	ID   int64 `path:"id" minimum:"1" doc:"The withdrawal's number: id of its case."`
	Body T
}

func (d *Door) ofWithdrawals(api huma.API) {
	tags := []string{"Withdrawals"}
	register(d, api, access.WithdrawalsRead, huma.Operation{
		OperationID: "list-withdrawals", Method: http.MethodGet, Path: "/v3/withdrawals", Tags: tags,
		Summary: "List withdrawals",
		Description: "A merchant's withdrawals of every state, the newest first; from and to are of their making.\n\n" +
			"With an operator's key and no merchant: the open withdrawals of all merchants, the oldest first, each with why a person has to approve it; of the filters there is state alone.",
	}, d.listWithdrawals)
	register(d, api, access.WithdrawalsRead, huma.Operation{
		OperationID: "get-withdrawal", Method: http.MethodGet, Path: "/v3/withdrawals/{withdrawal_id}", Tags: tags,
		Summary: "Get a withdrawal", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		Whose
		WithdrawalID string `path:"withdrawal_id" maxLength:"36"`
	}) (*output[Withdrawal], error) {
		m, err := d.owner(ctx, in.Merchant)
		if err != nil {
			return nil, err
		}
		return decided(ctx)(d.Store.FindWithdrawalByKey(ctx, payout.Key{Merchant: m.ID, WithdrawalID: in.WithdrawalID}))
	})
	decision := func(word, summary, about string) huma.Operation {
		return huma.Operation{
			OperationID: word + "-withdrawal", Method: http.MethodPost, Path: "/v3/withdrawals/{id}/" + word, Tags: tags,
			Summary: summary, Description: about, Errors: []int{http.StatusNotFound},
		}
	}
	register(d, api, access.WithdrawalsWrite, decision("approve", "Let a withdrawal be sent", "Not by whoever asked for it."),
		func(ctx context.Context, in *struct {
			ID int64 `path:"id" minimum:"1" doc:"The withdrawal's number: id of its case."`
		}) (*output[Withdrawal], error) {
			return decided(ctx)(d.Office.Approve(ctx, in.ID, callOf(ctx).key.Actor()))
		})
	register(d, api, access.WithdrawalsWrite, decision("reject", "Take back a withdrawal that was not sent", "Its money returns to the merchant, who is told."),
		func(ctx context.Context, in *withdrawalInput[Reason]) (*output[Withdrawal], error) {
			return decided(ctx)(d.Office.Cancel(ctx, in.ID, callOf(ctx).key.Actor(), in.Body.Why))
		})
	register(d, api, access.WithdrawalsWrite, decision("mark-paid", "Say that a withdrawal was paid",
		"An approved one that a person paid in the bank's portal, or one that was handed over and whose provider does not say."),
		func(ctx context.Context, in *withdrawalInput[BankWord]) (*output[Withdrawal], error) {
			return decided(ctx)(d.Office.MarkPaid(ctx, in.ID, in.Body.Wallet, in.Body.BankRef, callOf(ctx).key.Actor()))
		})
	register(d, api, access.WithdrawalsWrite, decision("mark-failed", "Say that a withdrawal was not paid, or came back",
		"Only when that is certain: its money returns to the merchant, who may withdraw it again."),
		func(ctx context.Context, in *withdrawalInput[Reason]) (*output[Withdrawal], error) {
			return decided(ctx)(d.Office.MarkFailed(ctx, in.ID, callOf(ctx).key.Actor(), in.Body.Why))
		})
	register(d, api, access.WithdrawalsWrite, decision("clear", "Say that a person looked at a contested withdrawal",
		"No balance changes. One that is still to be paid goes on."),
		func(ctx context.Context, in *withdrawalInput[Reason]) (*output[Withdrawal], error) {
			return decided(ctx)(d.Office.Clear(ctx, in.ID, callOf(ctx).key.Actor(), in.Body.Why))
		})
}

// decided answers with a withdrawal.
func decided(ctx context.Context) func(*payout.Withdrawal, error) (*output[Withdrawal], error) {
	return func(w *payout.Withdrawal, err error) (*output[Withdrawal], error) {
		if err != nil {
			return nil, err
		}
		return &output[Withdrawal]{viewWithdrawal(&callOf(ctx).key)(&w)}, nil
	}
}

type withdrawalsInput struct {
	Whose
	State  string `query:"state" enum:"new,approved,processing,success,failed,canceled"`
	Label  string `query:"label" maxLength:"36"`
	Amount string `query:"amount" maxLength:"32" example:"500.00"`
	During
	Paging
}

func (d *Door) listWithdrawals(ctx context.Context, in *withdrawalsInput) (*output[List[Withdrawal]], error) {
	view := viewWithdrawal(&callOf(ctx).key)
	if callOf(ctx).merchant == nil && in.Merchant == "" {
		return d.listOpenWithdrawals(ctx, in)
	}
	m, err := d.owner(ctx, in.Merchant)
	if err != nil {
		return nil, err
	}
	amount, err := filterAmount(in.Amount)
	if err != nil {
		return nil, err
	}
	query := list("withdrawals", m.ID, in.State, in.Label, amount, in.From, in.To)
	after, _, err := readCursor(in.After, query)
	if err != nil {
		return nil, err
	}
	page, err := d.Store.ListWithdrawalsOf(ctx, lookup.Withdrawals{
		Merchant: m.ID, State: payout.State(in.State), Label: in.Label, Amount: amount, Range: in.span(), After: after, Limit: in.Limit,
	})
	return listOf(page.Items, view, cursor(query, page.Next, 0)), err
}

// listOpenWithdrawals lists what waits at the desks, of all merchants.
func (d *Door) listOpenWithdrawals(ctx context.Context, in *withdrawalsInput) (*output[List[Withdrawal]], error) {
	states := []payout.State{payout.New, payout.Approved, payout.Processing}
	if in.State != "" {
		states = []payout.State{payout.State(in.State)}
	}
	if states[0].Final() || in.Label != "" || in.Amount != "" || !in.From.IsZero() || !in.To.IsZero() {
		return nil, invalid.problem("Name a merchant, or ask for open withdrawals by no more than their state").
			in("query.merchant", "required beside label, amount, from, to and final states")
	}
	query := list("open withdrawals", in.State)
	after, _, err := readCursor(in.After, query)
	if err != nil {
		return nil, err
	}
	if after == nil {
		after = &lookup.Place{}
	}
	items, err := d.Store.ListWithdrawals(ctx, states, "", after.ID, in.Limit+1)
	if err != nil {
		return nil, err
	}
	var next *lookup.Place
	if len(items) > in.Limit {
		items = items[:in.Limit]
		next = &lookup.Place{ID: items[in.Limit-1].ID}
	}
	return listOf(items, viewWithdrawal(&callOf(ctx).key), cursor(query, next, 0)), nil
}
