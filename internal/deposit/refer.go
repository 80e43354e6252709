package deposit

import (
	"context"
	"errors"
	"fmt"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/payment"
)

// Referral is a payment of the window that a credit names by its reference: the
// payer's app carried it to the bank, which reported it with the credit. It is
// taken as if the payer had typed the credit's UTR, so that every rule of
// matching holds; the amount alone never refers a credit to a payment.
type Referral struct {
	Reference string
	// Activation is the payment as the window knows it, without a UTR.
	Activation
	// Claim is what the payment led to already: a UTR that was mistyped.
	Claim *ClaimRef
}

func (r *Referral) need(k *Keys, dir *directory.Snapshot) {
	if r.Claim != nil {
		k.UTRs[r.Claim.UTR] = struct{}{}
	}
	k.Customs[CustomKey{r.Merchant, r.CustomID}] = struct{}{}
	k.Labels[LabelKey{r.Merchant, r.Method, r.Label}] = struct{}{}
	k.Merchants[r.Merchant] = struct{}{}
	k.share(dir, r.Merchant, r.Method)
}

// referrals finds the payments whose references credits carry.
func (d *Desk) referrals(ctx context.Context, items []feed.Item) (map[string]*Referral, error) {
	var refs []string
	for i := range items {
		if e := items[i].Credit; e != nil {
			if ref := payment.FindReference(e.Note, e.Reference); ref != "" {
				refs = append(refs, ref)
			}
		}
	}
	if len(refs) == 0 {
		return nil, nil
	}
	list, err := d.Store.FindReferrals(ctx, refs)
	if err != nil {
		return nil, fmt.Errorf("find the payments that credits refer to: %w", err)
	}
	found := make(map[string]*Referral, len(list))
	for i := range list {
		list[i].Via = "reference"
		found[list[i].Reference] = &list[i]
	}
	return found, nil
}

// refer gives an unclaimed credit to the payment that it names, where that has
// no claim yet or one whose UTR was mistyped.
func (b *book) refer(credit *Credit, r *Referral) (credited bool, err error) {
	method := b.dir.Method(r.Method)
	if credit.State != Unclaimed || r.Amount <= 0 || method == nil || method.IgnoreReference {
		return false, nil
	}
	a := r.Activation
	a.UTR = credit.UTR
	// The credit must be one the payment could have: else its claim would only
	// wait for money that came elsewhere.
	if !b.fits(&Claim{Merchant: a.Merchant, Method: a.Method, Currency: a.Currency}, credit) {
		return false, nil
	}
	c := b.facts.Customs[CustomKey{a.Merchant, a.CustomID}]
	switch {
	case c == nil:
		cmd := &activate{Activation: a}
		var refusal *Refusal
		switch err := cmd.run(b); {
		case errors.As(err, &refusal): // the method was switched off since: a person has to look
			return false, nil
		case err != nil:
			return false, err
		}
	case c.UTR != credit.UTR && c.Label == a.Label && c.Method == a.Method && (c.State == Waiting || c.State == Refused) && r.Claim != nil && c.UTR == r.Claim.UTR:
		actor := a.Via + ":" + a.Merchant
		b.record(actor, "claim.amended", c.ID, "UTR "+c.UTR.Masked()+" was mistyped: the credit names the payment")
		if err := b.rename(actor, c, credit.UTR, c.History); err != nil {
			return false, err
		}
	}
	return credit.State == Bound, nil
}
