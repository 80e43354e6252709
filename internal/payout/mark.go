package payout

import "context"

// MarkPaid takes a person's word that a withdrawal was paid, under a reference of
// the bank. One that still waited to be sent is handed over first: a person paid it
// in the bank's portal, from the wallet, or from the one that the desk would take
// where it is empty.
func (o *Office) MarkPaid(ctx context.Context, id int64, wallet, bankRef, actor string) (*Withdrawal, error) {
	w, err := o.Store.FindWithdrawal(ctx, id)
	if err != nil {
		return nil, err
	}
	if w.State == Approved {
		if _, err := o.HandFrom(ctx, id, wallet, actor, "paid by hand"); err != nil {
			return nil, err
		}
	}
	return o.Settle(ctx, id, Answer{Standing: Paid, BankRef: bankRef}, actor)
}

// MarkFailed takes a person's word that a withdrawal was definitely not paid, or
// came back.
func (o *Office) MarkFailed(ctx context.Context, id int64, actor, why string) (*Withdrawal, error) {
	return o.Settle(ctx, id, Answer{Standing: Refused, Why: why}, actor)
}
