package deposit

import (
	"fmt"
	"slices"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Policy is how careful matching is. The zero value of a limit switches that
// rule off.
type Policy struct {
	// ClaimTTL is how long a claim waits for its credit.
	ClaimTTL time.Duration
	// AssignmentTTL is how long a payer keeps a wallet that was shown.
	AssignmentTTL time.Duration
	// CreditMaxAge holds claims on credits that the bank booked earlier than
	// this before the claim.
	CreditMaxAge time.Duration
	// FailureWindow is how far back failures count. A failure is another UTR
	// that was named in vain: guessing names many.
	FailureWindow    time.Duration
	LabelFailures    int
	AddressFailures  int
	MerchantFailures int
	// SharedFailures counts for a merchant whose claim is on an account that
	// it shares with other merchants.
	SharedFailures int
	// UnverifiedMax holds larger credits that only provisional feeds reported.
	UnverifiedMax money.Paise
	// Shown says when a wallet that the label was not shown holds the claim.
	Shown ShownPolicy
	// FourEyes has two persons approve, and undo, what is above it. It concerns people alone:
	// matching credits as before.
	FourEyes money.Paise
}

// ShownPolicy says what the rule wallet_not_shown objects to.
type ShownPolicy string

// Shown policies.
const (
	// ShownOther objects when the label was shown wallets of the method
	// lately, and the money came on another. A label that was shown none is
	// vouched for by the merchant, whose server made the call.
	ShownOther ShownPolicy = "other"
	// ShownStrict objects also when the label was shown none at all.
	ShownStrict ShownPolicy = "strict"
	// ShownOff never objects.
	ShownOff ShownPolicy = "off"
)

// DefaultPolicy is the policy of an installation that sets nothing.
func DefaultPolicy() Policy {
	return Policy{
		ClaimTTL:         72 * time.Hour,
		AssignmentTTL:    30 * time.Minute,
		CreditMaxAge:     72 * time.Hour,
		FailureWindow:    time.Hour,
		LabelFailures:    100,
		AddressFailures:  300,
		MerchantFailures: 5000,
		SharedFailures:   300,
		UnverifiedMax:    10_000_00,
		FourEyes:         50_000_00,
		Shown:            ShownOther,
	}
}

// History is what is known of those who claim.
type History struct {
	// Shown are the wallets of the claim's method that the label was shown
	// within the claim window.
	Shown []string `json:"shown,omitempty"`
	// Failures count other UTRs named in vain within the failure window; of
	// the merchant only those that were refused.
	LabelFailures    int `json:"label_failures,omitempty"`
	AddressFailures  int `json:"address_failures,omitempty"`
	MerchantFailures int `json:"merchant_failures,omitempty"`
	// SharedFailures count all the merchant's other UTRs named in vain, where
	// it shares an account.
	SharedFailures int `json:"shared_failures,omitempty"`
	// Named is the UTR that the claim was made with, where a person found that it
	// was mistyped: who asks again by it means this claim.
	Named upi.UTR `json:"named,omitempty"`
	// Approval is a first person's word, where a second one's is needed.
	Approval *Approval `json:"approval,omitempty"`
	// Undoing is a first person's word that the deposit is to be undone, where a
	// second one's is needed.
	Undoing *Approval `json:"undoing,omitempty"`
}

// Case is everything a decision rests on.
type Case struct {
	Claim    *Claim
	Merchant *directory.Merchant
	// Credits have the claim's UTR and stand on wallets of its method that
	// serve its merchant.
	Credits []*Credit
	// Shared says that one of the credits is on an account that serves other
	// merchants, too: what is claimed by mistake there is somebody else's.
	Shared bool
	// Rivals are other open claims that could have the same credits, Rejected
	// those that a person turned down.
	Rivals   int
	Rejected int
	History  History
	Policy   Policy
	Rules    []Rule
}

// Decision is the outcome of a case, with the reasons that explain it.
type Decision struct {
	State   State // Credited, Pending, Waiting or Refused
	Credit  *Credit
	Reasons Reasons
}

// Match decides a case. It is a pure function: the same facts give the same
// decision, on any engine and in any batch. A claim is credited at once only
// when wallet, method, UTR and amount agree, the credit is free and no rule
// objects.
func Match(c Case) Decision {
	if len(c.Credits) == 0 {
		return Decision{State: Waiting}
	}
	credit, state, reasons := candidate(c)
	if state == Refused || credit == nil {
		return Decision{State: state, Reasons: reasons}
	}
	p := c.Policy
	object := func(when bool, r Reason) {
		if when {
			reasons = append(reasons, r)
		}
	}
	object(credit.State == Reversed, CreditReversal)
	object(credit.Contested, CreditContested)
	actual := c.Merchant.AmountPolicy == directory.PolicyActual && !c.Shared
	object(credit.Amount != c.Claim.Amount && !actual, AmountDiffers)
	object(c.Rivals > 0, RivalClaims)
	object(c.Rejected > 0, ClaimRejected)
	object(notShown(p.Shown, credit.Wallet, c.History.Shown), WalletNotShown)
	object(tooMany(c.History.LabelFailures, p.LabelFailures) ||
		tooMany(c.History.AddressFailures, p.AddressFailures) ||
		tooMany(c.History.MerchantFailures, p.MerchantFailures) ||
		c.Shared && tooMany(c.History.SharedFailures, p.SharedFailures), TooManyFailures)
	object(p.CreditMaxAge > 0 && credit.At.Before(c.Claim.CreatedAt.Add(-p.CreditMaxAge)), CreditTooOld)
	object(p.UnverifiedMax > 0 && credit.Trust < feed.Confirmed && credit.Amount > p.UnverifiedMax, CreditUnverified)
	for _, rule := range c.Rules {
		holds, err := rule.holds(c, credit)
		if err != nil {
			// A rule that cannot be read must not let money through.
			reasons = append(reasons, rule.reason())
			continue
		}
		object(holds, rule.reason())
	}
	if len(reasons) > 0 {
		return Decision{State: Pending, Credit: credit, Reasons: reasons}
	}
	return Decision{State: Credited, Credit: credit}
}

// candidate picks the credit a claim is about. Credits with one UTR on several
// of the merchant's wallets are rare; the free one with the claimed amount is
// meant, and a person decides where that does not single one out.
func candidate(c Case) (*Credit, State, Reasons) {
	var free, exact, dead []*Credit
	for _, credit := range c.Credits {
		switch {
		case credit.State == Reversed:
			dead = append(dead, credit)
		case credit.State == Unclaimed:
			free = append(free, credit)
			if credit.Amount == c.Claim.Amount {
				exact = append(exact, credit)
			}
		}
	}
	switch {
	case len(free) == 1:
		return free[0], Pending, nil
	case len(exact) == 1:
		return exact[0], Pending, nil
	case len(free) > 1:
		return nil, Pending, Reasons{CreditAmbiguous}
	case len(dead) > 0:
		return dead[0], Pending, nil
	default:
		return nil, Refused, Reasons{UTRTaken}
	}
}

func notShown(policy ShownPolicy, wallet string, shown []string) bool {
	if policy == ShownOff {
		return false
	}
	if slices.Contains(shown, wallet) {
		return false
	}
	return len(shown) > 0 || policy == ShownStrict
}

func tooMany(failures, limit int) bool { return limit > 0 && failures >= limit }

// Validate reports the first setting that makes no sense.
func (p Policy) Validate() error {
	if p.ClaimTTL <= 0 || p.AssignmentTTL <= 0 {
		return fmt.Errorf("claim and assignment time to live must be above zero")
	}
	if min(p.LabelFailures, p.AddressFailures, p.MerchantFailures, p.SharedFailures) < 0 || p.UnverifiedMax < 0 || p.FourEyes < 0 || p.CreditMaxAge < 0 || p.FailureWindow < 0 {
		return fmt.Errorf("a limit of matching can't be below zero: 0 switches it off")
	}
	switch p.Shown {
	case ShownOther, ShownStrict, ShownOff:
		return nil
	default:
		return fmt.Errorf("wallet_not_shown must be other, strict or off, not %q", p.Shown)
	}
}
