package deposit_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/store/storetest"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// fourEyes is where a second person is needed in TestPeopleMachine: above two of its
// three amounts.
const fourEyes = 200_00

// Whatever people decide in whatever order, a credit is one deposit's at most, the
// books balance, and above the limit nobody moves money alone.
func TestPeopleMachine(t *testing.T) {
	t.Parallel()
	h := storetest.MustOpenHouse(t, storetest.SQLite(t), storetest.Setup{Policy: func(p *deposit.Policy) {
		p.LabelFailures, p.MerchantFailures, p.SharedFailures, p.CreditMaxAge, p.FourEyes = 0, 0, 0, 0, fourEyes
	}})
	run := 0
	var came money.Paise
	var claims, credits []int64 // of all runs: one may reach back
	rapid.Check(t, func(t *rapid.T) {
		run++
		h.Clock.Advance(100 * time.Hour)
		if _, err := h.Desk.ExpireDue(h.Context()); err != nil {
			t.Fatal(err)
		}
		mine := len(claims)
		utr := func() upi.UTR {
			return upi.UTR(fmt.Sprintf("%04d%08d", rapid.IntRange(1, 5).Draw(t, "utr"), run))
		}
		of := func(ids []int64) int64 {
			if len(ids) == 0 {
				t.Skip("none yet")
			}
			return rapid.SampledFrom(ids).Draw(t, "id")
		}
		person := func() string { return rapid.SampledFrom([]string{"user:asha", "user:ravi"}).Draw(t, "person") }
		// decided checks an answer: a claim is credited alone only up to the limit, and
		// else by the second of two.
		decided := func(by string, before *deposit.Claim, c deposit.Claim, err error) {
			var refusal *deposit.Refusal
			switch {
			case errors.As(err, &refusal), errors.Is(err, deposit.ErrNoClaim):
			case err != nil:
				t.Fatalf("no clear answer: %v", err)
			case c.State == deposit.Credited && c.Deposited > fourEyes && (before == nil || before.History.Approval == nil || before.History.Approval.By == by):
				t.Fatalf("%s alone credited %s: %+v", by, c.Deposited, before)
			}
		}
		find := func(id int64) *deposit.Claim {
			c, err := h.Store.FindClaim(h.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		t.Repeat(map[string]func(*rapid.T){
			"activate": func(*rapid.T) {
				a := storetest.Claim(fmt.Sprintf("%d/%d", run, len(claims)), utr(), rapid.SampledFrom(amounts).Draw(t, "amount"))
				a.Merchant = rapid.SampledFrom([]string{storetest.Shop, storetest.Cafe}).Draw(t, "merchant")
				c, err := h.Desk.Activate(h.Context(), a)
				if err != nil {
					t.Fatal(err)
				}
				claims = append(claims, c.ID)
			},
			"report": func(*rapid.T) {
				wallet := rapid.SampledFrom([]string{"bar", "common", "till"}).Draw(t, "wallet")
				e := h.Entry(utr(), rapid.SampledFrom(amounts).Draw(t, "amount"))
				e.Trust = rapid.SampledFrom([]feed.Trust{feed.Provisional, feed.Confirmed}).Draw(t, "trust")
				s, err := h.Report(wallet, e)
				if err != nil {
					t.Fatal(err)
				}
				if s.Accepted == 1 {
					credits = append(credits, h.MustCredit(wallet, e.UTR).ID)
				}
			},
			"approve": func(*rapid.T) {
				by, before := person(), find(of(claims[mine:]))
				c, err := h.Desk.Approve(h.Context(), before.ID, 0, by, "")
				decided(by, before, c, err)
			},
			"bind": func(*rapid.T) {
				by, before := person(), find(of(claims[mine:]))
				c, err := h.Desk.Approve(h.Context(), before.ID, of(credits), by, "")
				decided(by, before, c, err)
			},
			"reject": func(*rapid.T) {
				_, err := h.Desk.Reject(h.Context(), of(claims[mine:]), person(), "")
				decided("", nil, deposit.Claim{}, err)
			},
			"give": func(*rapid.T) {
				by := person()
				g := deposit.Gift{Credit: of(credits), Merchant: rapid.SampledFrom([]string{storetest.Shop, storetest.Cafe}).Draw(t, "merchant"),
					Label: rapid.SampledFrom([]string{"7", "8"}).Draw(t, "label")}
				// The claim that is given again, if there is one, before it is.
				var before *deposit.Claim
				for n := 1; ; n++ {
					id := fmt.Sprintf("credit-%d", g.Credit)
					if n > 1 {
						id = fmt.Sprintf("credit-%d.%d", g.Credit, n)
					}
					c, err := h.Store.FindClaimByKey(h.Context(), deposit.CustomKey{Merchant: g.Merchant, CustomID: id})
					if err != nil {
						break
					}
					if before = c; c.State == deposit.Pending {
						break
					}
				}
				c, err := h.Desk.Give(h.Context(), g, by, "")
				decided(by, before, c, err)
				if err == nil && (before == nil || before.ID != c.ID) {
					claims = append(claims, c.ID)
				}
			},
			"undo": func(*rapid.T) {
				by, before := person(), find(of(claims))
				c, err := h.Desk.Undo(h.Context(), before.ID, by, "")
				decided("", nil, deposit.Claim{}, err)
				want, taken := deposit.Rejected, before.State == deposit.Credited
				if taken && before.Deposited > fourEyes {
					switch first := before.History.Undoing; {
					case first == nil:
						want = deposit.Credited // asked for, and not done
					case first.By == by:
						taken = false
					}
				}
				if (err == nil) != taken || err == nil && c.State != want {
					t.Fatalf("a %s claim, undone by %s, is %s: %v: %+v", before.State, by, c.State, err, before.History)
				}
			},
		})
		r, err := h.Store.Verify(h.Context())
		if err != nil || len(r.Problems) > 0 {
			t.Fatalf("verify: %v, %v", r.Problems, err)
		}
		came = 0
		live := make(map[int64]int64) // credits of deposits
		for _, id := range claims {
			if c := find(id); c.State == deposit.Credited {
				if other := live[c.CreditID]; other != 0 {
					t.Fatalf("credit %d is of the claims %d and %d", c.CreditID, other, id)
				}
				live[c.CreditID] = id
			}
		}
		for _, id := range credits {
			c, err := h.Store.FindCredit(h.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if came += c.Amount; (c.State == deposit.Bound) != (live[id] != 0) || c.ClaimID != live[id] {
				t.Fatalf("credit %d is %s, of claim %d, but claim %d has it", id, c.State, c.ClaimID, live[id])
			}
		}
		if r.Held != came || r.Unclaimed+r.Owed+r.Fees != came {
			t.Fatalf("%s came, but the books say %+v", came, r)
		}
	})
}
