package management

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/upi"
)

// Withdrawal is money that leaves a merchant's balance, as its merchant sees it.
type Withdrawal struct {
	WithdrawalID string     `json:"withdrawal_id" doc:"The merchant's own id."`
	State        string     `json:"state" enum:"new,approved,processing,success,failed,canceled" doc:"success, failed and canceled are final, but that a bank may send back what it paid."`
	Method       string     `json:"method" example:"imps_ib"`
	Label        string     `json:"label"`
	Amount       Amount     `json:"amount"`
	Fee          Amount     `json:"fee"`
	Test         bool       `json:"test" doc:"Whether it moves no money."`
	Account      string     `json:"account" doc:"Where it goes, masked." example:"12xxx6789"`
	IFSC         string     `json:"ifsc"`
	BankRef      string     `json:"bank_ref,omitempty" doc:"The bank's reference, once there is one."`
	CreatedAt    time.Time  `json:"created_at"`
	SettledAt    *time.Time `json:"settled_at,omitempty"`
}

func viewWithdrawal(p **payout.Withdrawal) Withdrawal {
	w := *p
	return Withdrawal{
		WithdrawalID: w.WithdrawalID, State: string(w.State), Method: w.Method, Label: w.Label, Amount: amountOf(w.Amount), Fee: amountOf(w.Fee),
		Test: w.Test, Account: upi.MaskPayer(string(w.Account)), IFSC: string(w.IFSC), BankRef: w.BankRef,
		CreatedAt: w.CreatedAt.UTC(), SettledAt: instant(w.SettledAt),
	}
}

func (d *Door) ofWithdrawals(api huma.API) {
	tags := []string{"Withdrawals"}
	register(d, api, access.WithdrawalsRead, huma.Operation{
		OperationID: "list-withdrawals", Method: http.MethodGet, Path: "/v3/withdrawals", Tags: tags,
		Summary:     "List withdrawals",
		Description: "A merchant's withdrawals of every state, the newest first; from and to are of their making.",
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
		w, err := d.Store.FindWithdrawalByKey(ctx, payout.Key{Merchant: m.ID, WithdrawalID: in.WithdrawalID})
		if err != nil {
			return nil, err
		}
		return &output[Withdrawal]{viewWithdrawal(&w)}, nil
	})
}

func (d *Door) listWithdrawals(ctx context.Context, in *struct {
	Whose
	State  string `query:"state" enum:"new,approved,processing,success,failed,canceled"`
	Label  string `query:"label" maxLength:"36"`
	Amount string `query:"amount" maxLength:"32" example:"500.00"`
	During
	Paging
}) (*output[List[Withdrawal]], error) {
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
	return listOf(page.Items, viewWithdrawal, cursor(query, page.Next, 0)), err
}
