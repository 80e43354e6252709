package storetest

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/money"
)

// scenario is a story of one house; the books are checked at its end.
type scenario struct {
	name  string
	setup Setup
	play  func(h *House)
}

func play(t *testing.T, fresh Fresh, scenarios []scenario) {
	t.Helper()
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			h := MustOpenHouse(t, fresh(t), s.setup)
			s.play(h)
			h.MustVerify()
			h.mustHaveToldNobody()
		})
	}
}

func policy(change func(*deposit.Policy)) Setup { return Setup{Policy: change} }

// testActivate plays every outcome of an activation (protocol, section 3).
func testActivate(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{
		{"credited at once", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_50))
			c := h.MustActivate(Claim("a", UTR(1), 500_50), deposit.Credited)
			if c.Deposited != 500_50 || c.CreditID == 0 || !c.SettledAt.Equal(Start) || !c.CreatedAt.Equal(Start) {
				h.Errorf("credited as %+v", c)
			}
			kept, err := h.Store.FindClaimByKey(h.Context(), c.Key())
			if err != nil || kept.ID != c.ID || kept.Deposited != c.Deposited || !kept.SettledAt.Equal(c.SettledAt) {
				h.Errorf("kept as %+v, %v", kept, err)
			}
		}},
		{"credited late", Setup{}, func(h *House) {
			c := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
			h.Clock.Advance(time.Hour)
			h.MustReport("till", 1, 0, 1, h.Entry(UTR(1), 500_00))
			c = h.MustFind(c.ID, deposit.Credited)
			if !c.SettledAt.Equal(Start.Add(time.Hour)) {
				h.Errorf("settled at %s", c.SettledAt)
			}
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
		}},
		{"the same request again", Setup{}, func(h *House) {
			first := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
			again := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
			if first.ID != again.ID {
				h.Errorf("claims %d and %d", first.ID, again.ID)
			}
			other := Claim("a", UTR(1), 500_00)
			other.Merchant, other.Label = Cafe, "77"
			if c := h.MustActivate(other, deposit.Waiting); c.ID == first.ID {
				h.Error("another merchant's id is the same claim")
			}
		}},
		{"an id used before with other content", Setup{}, func(h *House) {
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
			for _, change := range []func(*deposit.Activation){
				func(a *deposit.Activation) { a.UTR = UTR(2) },
				func(a *deposit.Activation) { a.Amount++ },
				func(a *deposit.Activation) { a.Label = "56" },
				func(a *deposit.Activation) { a.Method = "upi_w" },
				func(a *deposit.Activation) { a.Currency = "USD" },
			} {
				a := Claim("a", UTR(1), 500_00)
				change(&a)
				h.MustRefuse(a, deposit.CustomIDUsed)
			}
		}},
		{"method, merchant and currency", Setup{}, func(h *House) {
			for _, c := range []struct {
				merchant, method string
				currency         money.Currency
				want             deposit.RefusalCode
			}{
				{Shop, "upi_zz", money.INR, deposit.MethodUnknown},
				{Shop, "upi_m", money.INR, deposit.MethodOff},
				{Cafe, "upi_w", money.INR, deposit.MethodOff},
				{Shop, "upi_l", "USD", deposit.CurrencyUnknown},
				{"nobody", "upi_l", money.INR, deposit.MerchantGone},
			} {
				a := Claim("a", UTR(1), 500_00)
				a.Merchant, a.Method, a.Currency = c.merchant, c.method, c.currency
				h.MustRefuse(a, c.want)
			}
			if r := h.MustVerify(); r.Claims != 0 {
				h.Errorf("refusals left %d claims", r.Claims)
			}
		}},
		{"switched off after the claim", Setup{}, func(h *House) {
			c := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
			off := *h.Directory.Current().Method("upi_l")
			off.Enabled = false
			h.MustChange(directory.Change{Methods: []*directory.Method{&off}})
			h.MustRefuse(Claim("b", UTR(2), 500_00), deposit.MethodOff)
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting) // its claim is known still
			h.MustReport("till", 1, 0, 1, h.Entry(UTR(1), 500_00))      // and money that came, came
			h.MustFind(c.ID, deposit.Credited)
		}},
		{"UTR taken", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
			h.MustActivate(Claim("b", UTR(1), 500_00), deposit.Refused, deposit.UTRTaken)
			h.MustActivate(Claim("c", UTR(1), 600_00), deposit.Refused, deposit.UTRTaken)
			h.MustActivate(Claim("b", UTR(1), 500_00), deposit.Refused, deposit.UTRTaken)
		}},
		{"expiry", Setup{}, func(h *House) {
			c := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
			h.Clock.Advance(72*time.Hour - time.Microsecond)
			h.MustExpire(0)
			h.Clock.Advance(time.Microsecond)
			h.MustExpire(1)
			h.MustExpire(0)
			h.MustFind(c.ID, deposit.Expired)
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00)) // stays in suspense
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Expired)
			h.MustActivate(Claim("b", UTR(1), 500_00), deposit.Credited)
		}},
		{"many expire together", Setup{}, func(h *House) {
			for i := range 30 {
				h.MustActivate(Claim(string(UTR(i)), UTR(i), 500_00), deposit.Waiting)
			}
			h.Clock.Advance(100 * time.Hour)
			h.MustExpire(30)
		}},
		{"another merchant's wallet", Setup{}, func(h *House) {
			h.MustReport("bar", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
			theirs := Claim("a", UTR(1), 500_00)
			theirs.Merchant = Cafe
			h.MustActivate(theirs, deposit.Credited)
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting) // none the wiser
		}},
		{"a wallet that serves the merchant only later", Setup{}, func(h *House) {
			asks := h.MustActivate(Claim("asks", UTR(1), 500_00), deposit.Waiting)
			ends := h.MustActivate(Claim("ends", UTR(2), 500_00), deposit.Waiting)
			held := h.MustActivate(Claim("held", UTR(3), 500_01), deposit.Waiting)
			h.MustReport("bar", 3, 0, 0, h.Entry(UTR(1), 500_00), h.Entry(UTR(2), 500_00), h.Entry(UTR(3), 500_00))
			bar := *h.Directory.Current().Wallet("bar")
			bar.Merchants = []string{Shop, Cafe}
			h.MustChange(directory.Change{Wallets: []*directory.Wallet{&bar}})
			h.MustActivate(Claim("asks", UTR(1), 500_00), deposit.Credited)
			h.MustFind(asks.ID, deposit.Credited)
			h.Clock.Advance(100 * time.Hour)
			h.MustExpire(2)
			h.MustFind(ends.ID, deposit.Credited)
			h.MustFind(held.ID, deposit.Pending, deposit.AmountDiffers)
		}},
		{"another method's wallet", Setup{}, func(h *House) {
			h.MustReport("window", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
			w := Claim("b", UTR(1), 500_00)
			w.Method = "upi_w"
			h.MustActivate(w, deposit.Credited)
		}},
		{"one UTR on two wallets", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustReport("spare", 1, 0, 0, h.Entry(UTR(1), 700_00))
			a := h.MustActivate(Claim("a", UTR(1), 700_00), deposit.Credited)
			if a.Deposited != 700_00 {
				h.Errorf("deposited %s", a.Deposited)
			}
			h.MustActivate(Claim("b", UTR(1), 500_00), deposit.Credited)
			h.MustActivate(Claim("c", UTR(1), 500_00), deposit.Refused, deposit.UTRTaken)
		}},
		{"one UTR and amount on two wallets", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustReport("spare", 1, 0, 0, h.Entry(UTR(1), 500_00))
			c := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Pending, deposit.CreditAmbiguous)
			_, err := h.Desk.Approve(h.Context(), c.ID, 0, "operator:asha", "")
			h.mustRefuse(err, deposit.CreditNotFree)
			credit := h.MustCreditOn("spare", c.ID)
			if _, err := h.Desk.Approve(h.Context(), c.ID, credit.ID, "operator:asha", "it was spare"); err != nil {
				h.Fatal(err)
			}
			if got := h.MustFind(c.ID, deposit.Credited); got.CreditID != credit.ID {
				h.Errorf("bound to %d, not %d", got.CreditID, credit.ID)
			}
		}},
		{"two merchants share a wallet", Setup{}, func(h *House) {
			theirs := Claim("b", UTR(1), 500_00)
			theirs.Merchant = Cafe
			a := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
			b := h.MustActivate(theirs, deposit.Waiting)
			h.MustReport("common", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustFind(a.ID, deposit.Pending, deposit.RivalClaims)
			h.MustFind(b.ID, deposit.Pending, deposit.RivalClaims)
			h.MustApprove(b.ID)
			h.MustFind(a.ID, deposit.Refused, deposit.UTRTaken)
			h.MustFind(b.ID, deposit.Credited)
		}},
		{"two wallets of one bank account", Setup{Change: func(c *directory.Change) {
			for _, w := range c.Wallets {
				if w.ID == "window" || w.ID == "bar" {
					w.VPA = "Till@UPI"
				}
			}
		}}, func(h *House) {
			h.MustReport("till", 3, 0, 0, h.Entry(UTR(1), 500_00), h.Entry(UTR(2), 500_00), h.Entry(UTR(3), 500_00))
			h.MustReport("window", 0, 1, 0, h.Entry(UTR(1), 500_00))
			h.MustReport("bar", 0, 0, 0, h.Entry(UTR(3), 600_00))
			w := Claim("a", UTR(1), 500_00)
			w.Method = "upi_w"
			h.MustActivate(w, deposit.Credited)
			h.MustActivate(Claim("b", UTR(1), 500_00), deposit.Refused, deposit.UTRTaken)
			h.MustAssign(Cafe, "55")
			theirs := Claim("c", UTR(2), 500_00)
			theirs.Merchant = Cafe
			h.MustActivate(theirs, deposit.Credited)
			h.MustActivate(Claim("d", UTR(3), 500_00), deposit.Pending, deposit.CreditContested)
		}},
		{"fees", Setup{}, func(h *House) {
			h.MustReport("bar", 1, 0, 0, h.Entry(UTR(1), 333_33))
			h.MustReport("bar", 1, 0, 0, h.Entry(UTR(2), 1_50))
			for i, amount := range []money.Paise{333_33, 1_50} {
				a := Claim(string(UTR(i)), UTR(i+1), amount)
				a.Merchant = Cafe
				h.MustActivate(a, deposit.Credited)
			}
			// 1.5 % of 333.33 is 5.00 rounded half up, and 2 rupees; the second fee is all there is.
			if r := h.MustVerify(); r.Fees != 7_00+1_50 || r.Owed != 326_33 {
				h.Errorf("fees %s, owed %s", r.Fees, r.Owed)
			}
		}},
		{"a report with repeats", Setup{}, func(h *House) {
			a := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
			e := h.Entry(UTR(1), 500_00)
			other := h.Entry(UTR(2), 500_00)
			other.Currency = "USD"
			s := h.MustReport("till", 1, 2, 1, e, e, other, e)
			if len(s.Refused) != 1 || s.Refused[0].Index != 2 {
				h.Errorf("refused %+v", s.Refused)
			}
			h.MustFind(a.ID, deposit.Credited)
		}},
		{"a report longer than a batch", Setup{}, func(h *House) {
			var entries []feed.Entry
			for i := range 600 {
				entries = append(entries, h.Entry(UTR(i+1), 500_00))
			}
			entries[599].Currency = "USD"
			if s := h.MustReport("till", 599, 0, 0, entries...); s.Refused[0].Index != 599 {
				h.Errorf("refused %+v", s.Refused)
			}
			h.MustReport("till", 0, 599, 0, entries...)
		}},
		{"an unknown claim", Setup{}, func(h *House) {
			if _, err := h.Desk.Approve(h.Context(), 999, 0, "operator:asha", ""); !errors.Is(err, deposit.ErrNoClaim) {
				h.Errorf("approving an unknown claim: %v", err)
			}
			if _, err := h.Store.FindClaimByKey(h.Context(), deposit.CustomKey{Merchant: Shop, CustomID: "x"}); !errors.Is(err, deposit.ErrNoClaim) {
				h.Errorf("finding an unknown claim: %v", err)
			}
		}},
	})
}

// testReview plays every rule that holds a claim, and what ends a review.
func testReview(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{
		{"amount differs, policy exact", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			c := h.MustActivate(Claim("a", UTR(1), 500_01), deposit.Pending, deposit.AmountDiffers)
			h.MustApprove(c.ID)
			if c := h.MustFind(c.ID, deposit.Credited); c.Deposited != 500_00 {
				h.Errorf("deposited %s", c.Deposited)
			}
		}},
		{"amount differs, policy actual", Setup{}, func(h *House) {
			h.MustReport("bar", 1, 0, 0, h.Entry(UTR(1), 450_00))
			a := Claim("a", UTR(1), 500_00)
			a.Merchant = Cafe
			if c := h.MustActivate(a, deposit.Credited); c.Deposited != 450_00 || c.Amount != 500_00 {
				h.Errorf("credited %+v", c)
			}
		}},
		{"rivals before the credit", Setup{}, func(h *House) {
			a := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
			b := h.MustActivate(Claim("b", UTR(1), 500_00), deposit.Waiting)
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustFind(a.ID, deposit.Pending, deposit.RivalClaims)
			h.MustFind(b.ID, deposit.Pending, deposit.RivalClaims)
			h.MustActivate(Claim("c", UTR(1), 500_00), deposit.Pending, deposit.RivalClaims)
			h.MustReject(a.ID)
			h.MustFind(b.ID, deposit.Pending, deposit.RivalClaims)
			h.MustApprove(b.ID)
			h.MustFind(b.ID, deposit.Credited)
			c, err := h.Store.FindClaimByKey(h.Context(), deposit.CustomKey{Merchant: Shop, CustomID: "c"})
			if err != nil || c.State != deposit.Refused {
				h.Errorf("the last rival is %+v, %v", c, err)
			}
		}},
		{"rival of a claim in review", Setup{}, func(h *House) {
			big := h.Entry(UTR(1), 20_000_00)
			big.Trust = feed.Provisional
			h.MustReport("till", 1, 0, 0, big)
			a := h.MustActivate(Claim("a", UTR(1), 20_000_00), deposit.Pending, deposit.CreditUnverified)
			h.MustActivate(Claim("b", UTR(1), 20_000_00), deposit.Pending, deposit.RivalClaims, deposit.CreditUnverified)
			big.Trust = feed.Confirmed
			h.MustReport("till", 0, 1, 0, big) // clears one doubt, not the other
			h.MustFind(a.ID, deposit.Pending, deposit.RivalClaims)
		}},
		{"wallet not shown, policy other", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustReport("spare", 1, 0, 0, h.Entry(UTR(2), 500_00))
			h.MustReport("common", 1, 0, 0, h.Entry(UTR(3), 500_00))
			shown := h.MustAssign(Shop, "55")
			for i, wallet := range []string{"till", "spare", "common"} {
				if wallet == shown.Wallet {
					h.MustActivate(Claim(wallet, UTR(i+1), 500_00), deposit.Credited)
				} else {
					h.MustActivate(Claim(wallet, UTR(i+1), 500_00), deposit.Pending, deposit.WalletNotShown)
				}
			}
		}},
		{"wallet shown too long ago", Setup{}, func(h *House) {
			h.MustAssign(Shop, "55")
			h.Clock.Advance(73 * time.Hour)
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustReport("spare", 1, 0, 0, h.Entry(UTR(2), 500_00))
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
			h.MustActivate(Claim("b", UTR(2), 500_00), deposit.Credited)
		}},
		{"wallet not shown, policy strict", policy(func(p *deposit.Policy) { p.Shown = deposit.ShownStrict }), func(h *House) {
			c := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
			h.MustAssign(Shop, "55") // after the claim: the payer could not have paid to it
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustFind(c.ID, deposit.Pending, deposit.WalletNotShown)
		}},
		{"wallet not shown, policy off", policy(func(p *deposit.Policy) { p.Shown = deposit.ShownOff }), func(h *House) {
			h.MustAssign(Shop, "55")
			for i, wallet := range []string{"till", "spare", "common"} {
				h.MustReport(wallet, 1, 0, 0, h.Entry(UTR(i), 500_00))
				h.MustActivate(Claim(wallet, UTR(i), 500_00), deposit.Credited)
			}
		}},
		{"a label that failed too often", policy(func(p *deposit.Policy) { p.LabelFailures = 3 }), func(h *House) {
			for i := range 3 {
				h.MustReport("till", 1, 0, 0, h.Entry(UTR(100+i), 500_00))
			}
			h.MustActivate(Claim("x", UTR(1), 500_00), deposit.Waiting)
			h.MustActivate(Claim("y", UTR(1), 500_00), deposit.Waiting) // the same UTR in vain counts once
			h.MustActivate(Claim("z", UTR(2), 500_00), deposit.Waiting)
			h.MustActivate(Claim("a", UTR(100), 500_00), deposit.Credited)
			h.MustActivate(Claim("v", UTR(3), 500_00), deposit.Waiting)
			h.MustActivate(Claim("b", UTR(101), 500_00), deposit.Pending, deposit.TooManyFailures)
			honest := Claim("c", UTR(102), 500_00)
			honest.Label = "56"
			h.MustActivate(honest, deposit.Credited)
			h.Clock.Advance(time.Hour)
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(200), 500_00))
			h.MustActivate(Claim("d", UTR(200), 500_00), deposit.Credited)
		}},
		{"one UTR in vain over and over hides no others", policy(func(p *deposit.Policy) {
			p.LabelFailures, p.AddressFailures, p.MerchantFailures = 3, 3, 3
		}), func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(100), 500_00))
			address := netip.MustParseAddr("203.0.113.7")
			for i := range 12 {
				a := Claim("same"+string(UTR(i)), UTR(1), 500_00)
				a.Addr = address
				h.MustActivate(a, deposit.Waiting)
			}
			for i := range 3 {
				a := Claim("other"+string(UTR(i)), UTR(2+i), 500_00)
				a.Addr = address
				h.MustActivate(a, deposit.Waiting)
			}
			h.MustActivate(Claim("label", UTR(100), 500_00), deposit.Pending, deposit.TooManyFailures)
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(101), 500_00))
			a := Claim("address", UTR(101), 500_00)
			a.Addr, a.Label = address, "another label"
			h.MustActivate(a, deposit.Pending, deposit.TooManyFailures)
		}},
		{"an address that failed too often", policy(func(p *deposit.Policy) { p.AddressFailures = 2 }), func(h *House) {
			from := func(id, label string, utr int, addr string) deposit.Activation {
				a := Claim(id, UTR(utr), 500_00)
				a.Label, a.Addr = label, netip.MustParseAddr(addr)
				return a
			}
			h.MustReport("till", 2, 0, 0, h.Entry(UTR(100), 500_00), h.Entry(UTR(101), 500_00))
			h.MustActivate(from("x", "1", 1, "2001:db8::1"), deposit.Waiting)
			h.MustActivate(from("y", "2", 2, "2001:db8::1"), deposit.Waiting)
			h.MustActivate(from("a", "3", 100, "2001:db8::1"), deposit.Pending, deposit.TooManyFailures)
			h.MustActivate(from("b", "3", 101, "2001:db8::2"), deposit.Credited)
		}},
		{"a merchant that failed too often", policy(func(p *deposit.Policy) { p.MerchantFailures = 2 }), func(h *House) {
			h.MustReport("till", 2, 0, 0, h.Entry(UTR(1), 500_00), h.Entry(UTR(2), 500_00))
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
			for _, id := range []string{"x", "y"} {
				a := Claim(id, UTR(1), 500_00)
				a.Label = id
				h.MustActivate(a, deposit.Refused, deposit.UTRTaken)
			}
			b := Claim("b", UTR(2), 500_00)
			b.Label = "z"
			h.MustActivate(b, deposit.Pending, deposit.TooManyFailures)
		}},
		{"the credit is too old", Setup{}, func(h *House) {
			e := h.Entry(UTR(1), 500_00)
			e.At = Start.Add(-72*time.Hour - time.Microsecond)
			edge := h.Entry(UTR(2), 500_00)
			edge.At = Start.Add(-72 * time.Hour)
			h.MustReport("till", 2, 0, 0, e, edge)
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Pending, deposit.CreditTooOld)
			h.MustActivate(Claim("b", UTR(2), 500_00), deposit.Credited)
		}},
		{"unverified above the threshold, then confirmed", Setup{}, func(h *House) {
			e := h.Entry(UTR(1), 10_000_01)
			e.Trust, e.PayerName, e.Reference = feed.Provisional, "", ""
			small := h.Entry(UTR(2), 10_000_00)
			small.Trust = feed.Provisional
			h.MustReport("till", 2, 0, 0, e, small)
			h.MustActivate(Claim("b", UTR(2), 10_000_00), deposit.Credited)
			c := h.MustActivate(Claim("a", UTR(1), 10_000_01), deposit.Pending, deposit.CreditUnverified)
			h.MustReport("till", 0, 1, 0, e) // a second SMS confirms nothing
			h.MustFind(c.ID, deposit.Pending, deposit.CreditUnverified)
			e.Trust, e.PayerName, e.Reference = feed.Confirmed, "Asha", "ref 1"
			h.MustReport("till", 0, 1, 1, e)
			c = h.MustFind(c.ID, deposit.Credited)
			if credit := h.MustCredit("till", UTR(1)); credit.PayerName != "Asha" || credit.Reference != "ref 1" ||
				credit.Trust != feed.Confirmed || credit.ClaimID != c.ID || credit.State != deposit.Bound {
				h.Errorf("the credit is %+v", credit)
			}
		}},
		{"unverified and more, then confirmed", Setup{}, func(h *House) {
			e := h.Entry(UTR(1), 20_000_00)
			e.Trust = feed.Provisional
			h.MustReport("till", 1, 0, 0, e)
			c := h.MustActivate(Claim("a", UTR(1), 20_000_01), deposit.Pending, deposit.AmountDiffers, deposit.CreditUnverified)
			e.Trust = feed.Confirmed
			h.MustReport("till", 0, 1, 0, e)
			h.MustFind(c.ID, deposit.Pending, deposit.AmountDiffers)
		}},
		{"contested before the claim", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustReport("till", 0, 0, 0, h.Entry(UTR(1), 600_00))
			h.MustReport("till", 0, 1, 0, h.Entry(UTR(1), 500_00))
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Pending, deposit.CreditContested)
		}},
		{"contested in one report", Setup{}, func(h *House) {
			c := h.MustActivate(Claim("a", UTR(1), 700_00), deposit.Waiting)
			s := h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00), h.Entry(UTR(1), 600_00))
			if len(s.Refused) != 1 || s.Refused[0].Index != 1 {
				h.Errorf("refused %+v", s.Refused)
			}
			h.MustFind(c.ID, deposit.Pending, deposit.AmountDiffers, deposit.CreditContested)
		}},
		{"contested after the deposit", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			c := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
			h.MustReport("till", 0, 0, 0, h.Entry(UTR(1), 600_00))
			h.MustFind(c.ID, deposit.Credited)
			if credit := h.MustCredit("till", UTR(1)); !credit.Contested || credit.Amount != 500_00 {
				h.Errorf("the credit is %+v", credit)
			}
		}},
		{"contested while in review, then confirmed", Setup{}, func(h *House) {
			e := h.Entry(UTR(1), 20_000_00)
			e.Trust = feed.Provisional
			h.MustReport("till", 1, 0, 0, e)
			c := h.MustActivate(Claim("a", UTR(1), 20_000_00), deposit.Pending, deposit.CreditUnverified)
			h.MustReport("till", 0, 0, 0, provisional(h.Entry(UTR(1), 10_00)))
			e.Trust = feed.Confirmed
			h.MustReport("till", 0, 1, 0, e)
			h.MustFind(c.ID, deposit.Pending, deposit.CreditContested)
		}},
		{"the operator's rules", Setup{Change: func(c *directory.Change) {
			c.Rules = []*directory.Rule{
				{Name: "big and new", When: `amount >= 1000 and not history.shown`, Then: directory.ThenReview, Order: 2},
				{Name: "casino", When: `credit.note contains "casino"`, Then: directory.ThenReview, Order: 1},
				{Name: "gone", When: `true`, Then: directory.ThenReview, Retired: true},
			}
		}}, func(h *House) {
			note := h.Entry(UTR(3), 1000_00)
			note.Note = "for the casino"
			h.MustReport("till", 3, 0, 0, h.Entry(UTR(1), 999_99), h.Entry(UTR(2), 1000_00), note)
			h.MustActivate(Claim("a", UTR(1), 999_99), deposit.Credited)
			h.MustActivate(Claim("b", UTR(2), 1000_00), deposit.Pending, "rule:big and new")
			c := h.MustActivate(Claim("c", UTR(3), 1000_00), deposit.Pending, "rule:casino", "rule:big and new")
			h.MustFind(c.ID, deposit.Pending, "rule:casino", "rule:big and new")
		}},
		{"a reversed credit", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustReverse("till", UTR(1))
			c := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Pending, deposit.CreditReversal)
			_, err := h.Desk.Approve(h.Context(), c.ID, 0, "operator:asha", "")
			h.mustRefuse(err, deposit.CreditNotFree)
			h.MustReject(c.ID)
		}},
		{"rejected", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			c := h.MustActivate(Claim("a", UTR(1), 600_00), deposit.Pending, deposit.AmountDiffers)
			h.MustReject(c.ID)
			c = h.MustFind(c.ID, deposit.Rejected, deposit.AmountDiffers)
			if c.CreditID != 0 || c.SettledAt.IsZero() {
				h.Errorf("rejected as %+v", c)
			}
			h.MustActivate(Claim("a", UTR(1), 600_00), deposit.Rejected, deposit.AmountDiffers)
			for _, again := range []func() (deposit.Claim, error){
				func() (deposit.Claim, error) { return h.Desk.Approve(h.Context(), c.ID, 0, "operator:asha", "") },
				func() (deposit.Claim, error) { return h.Desk.Reject(h.Context(), c.ID, "operator:asha", "") },
			} {
				_, err := again()
				h.mustRefuse(err, deposit.NotPending)
			}
			// Whoever asks for it under another id is looked at, too.
			c = h.MustActivate(Claim("b", UTR(1), 500_00), deposit.Pending, deposit.ClaimRejected)
			h.MustApprove(c.ID)
		}},
		{"approving what is not pending", Setup{}, func(h *House) {
			c := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
			_, err := h.Desk.Approve(h.Context(), c.ID, 0, "operator:asha", "")
			h.mustRefuse(err, deposit.NotPending)
		}},
		{"approving with a credit of another wallet", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustReport("bar", 1, 0, 0, h.Entry(UTR(1), 600_00))
			c := h.MustActivate(Claim("a", UTR(1), 600_00), deposit.Pending, deposit.AmountDiffers)
			_, err := h.Desk.Approve(h.Context(), c.ID, h.MustCredit("bar", UTR(1)).ID, "operator:asha", "")
			h.mustRefuse(err, deposit.CreditNotFree)
			h.MustFind(c.ID, deposit.Pending, deposit.AmountDiffers)
		}},
	})
}

// testAssign plays which wallet a payer is shown.
func testAssign(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{
		{"the same label again", Setup{}, func(h *House) {
			seen := make(map[string]int)
			for i := range 40 {
				label := string(UTR(i))
				first := h.MustAssign(Shop, label)
				seen[first.Wallet]++
				h.Clock.Advance(time.Minute)
				again := h.MustAssign(Shop, label)
				if first.Wallet != again.Wallet || !again.ExpiresAt.Equal(h.Clock.Now().Add(30*time.Minute)) {
					h.Errorf("label %s was shown %+v, then %+v", label, first, again)
				}
			}
			if len(seen) != 3 {
				h.Errorf("40 labels were shown only %v", seen)
			}
		}},
		{"a live assignment outlives a better wallet", Setup{Change: func(c *directory.Change) {
			for _, w := range c.Wallets {
				w.Enabled = w.ID == "till"
			}
		}}, func(h *House) {
			var labels []string
			for i := range 10 {
				labels = append(labels, string(UTR(i)))
				h.MustAssign(Shop, labels[i])
			}
			spare := *h.Directory.Current().Wallet("spare")
			spare.Enabled = true
			h.MustChange(directory.Change{Wallets: []*directory.Wallet{&spare}})
			for _, label := range labels {
				if a := h.MustAssign(Shop, label); a.Wallet != "till" {
					h.Errorf("label %s moved to %s", label, a.Wallet)
				}
			}
			h.Clock.Advance(31 * time.Minute)
			moved := 0
			for _, label := range labels {
				if a := h.MustAssign(Shop, label); a.Wallet == "spare" {
					moved++
				}
			}
			if moved == 0 || moved == len(labels) {
				h.Errorf("%d of %d labels moved once their assignment ended", moved, len(labels))
			}
		}},
		{"a wallet that closes", Setup{}, func(h *House) {
			first := h.MustAssign(Shop, "55")
			closed := *h.Directory.Current().Wallet(first.Wallet)
			closed.Enabled = false
			h.MustChange(directory.Change{Wallets: []*directory.Wallet{&closed}})
			if again := h.MustAssign(Shop, "55"); again.Wallet == first.Wallet {
				h.Errorf("a closed wallet was shown")
			}
			// Its payer paid to it already: that was shown, too.
			h.MustReport(first.Wallet, 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
		}},
		{"limits", Setup{Change: func(c *directory.Change) {
			for _, w := range c.Wallets {
				w.Enabled = w.ID == "till"
				w.DailyLimit, w.PerPaymentMax = Rupees(1000), Rupees(600)
			}
		}}, func(h *House) {
			ask := func(amount money.Paise) error {
				_, err := h.Desk.Assign(h.Context(), deposit.AssignmentRequest{
					Merchant: Shop, Method: "upi_l", Label: "55", Currency: money.INR, Amount: amount})
				return err
			}
			h.mustRefuse(ask(99_99), deposit.AmountTooSmall)
			h.mustRefuse(ask(100_000_01), deposit.AmountTooLarge)
			h.mustRefuse(ask(600_01), deposit.NoHeadroom)
			for _, amount := range []money.Paise{0, 100_00, 600_00} {
				if err := ask(amount); err != nil {
					h.Errorf("%s: %v", amount, err)
				}
			}
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.mustRefuse(ask(500_01), deposit.NoHeadroom)
			if err := ask(500_00); err != nil {
				h.Error(err)
			}
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(2), 500_00))
			h.mustRefuse(ask(0), deposit.NoHeadroom)
			use, err := h.Store.WalletUse(h.Context(), deposit.DayOf(h.Clock.Now()))
			if err != nil || len(use) != 1 || use["till"] != Rupees(1000) {
				h.Errorf("the wallets received %v, %v", use, err)
			}
			h.Clock.Advance(24 * time.Hour)
			if err := ask(600_00); err != nil {
				h.Errorf("the next day: %v", err)
			}
		}},
		{"method and merchant", Setup{}, func(h *House) {
			for _, c := range []struct {
				request deposit.AssignmentRequest
				want    deposit.RefusalCode
			}{
				{deposit.AssignmentRequest{Merchant: Shop, Method: "x", Label: "1", Currency: money.INR}, deposit.MethodUnknown},
				{deposit.AssignmentRequest{Merchant: Shop, Method: "upi_m", Label: "1", Currency: money.INR}, deposit.MethodOff},
				{deposit.AssignmentRequest{Merchant: Cafe, Method: "upi_w", Label: "1", Currency: money.INR}, deposit.MethodOff},
				{deposit.AssignmentRequest{Merchant: Shop, Method: "upi_l", Label: "1", Currency: "EUR"}, deposit.CurrencyUnknown},
				{deposit.AssignmentRequest{Merchant: "x", Method: "upi_l", Label: "1", Currency: money.INR}, deposit.MerchantGone},
			} {
				_, err := h.Desk.Assign(h.Context(), c.request)
				h.mustRefuse(err, c.want)
			}
		}},
	})
}
