package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
)

// The people of the tests.
const (
	asha = "user:asha@example.com"
	ravi = "user:ravi@example.com"
)

// testPeople plays what people decide beside a claim's own credit: another credit,
// money nobody claimed, a deposit that was wrong, and what needs two of them.
func testPeople(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{
		{"bind a waiting claim whose UTR was mistyped", Setup{}, testBindAnother},
		{"bind what is not the claim's to have", Setup{}, testBindForeign},
		{"give an unclaimed credit", Setup{}, testGive},
		{"give what is not free", Setup{}, testGiveTaken},
		{"four eyes", Setup{}, testFourEyes},
		{"four eyes on a gift", Setup{}, testFourEyesGift},
		{"four eyes, and the amount changes", policy(func(p *deposit.Policy) { p.UnverifiedMax = 0 }), testFourEyesChanged},
		{"undo", Setup{}, testUndo},
		{"undo, above the limit", Setup{}, testUndoFourEyes},
		{"undo, and the merchant was told", Setup{}, testUndoTold},
		{"undo what was paid out", desks, testUndoSpent},
		{"undo what the bank took back", Setup{}, testUndoReversed},
	})
	t.Run("damaged", func(t *testing.T) {
		t.Parallel()
		testUndoneDamaged(t, fresh)
	})
	for _, gateways := range []int{1, 2} {
		t.Run(fmt.Sprintf("two people at once, %d gateways", gateways), func(t *testing.T) {
			t.Parallel()
			testPeopleRace(t, fresh, gateways)
		})
	}
}

// undoneDamages are what somebody could do to a deposit that was undone.
var undoneDamages = []struct{ name, do, want string }{
	{"gone", `DELETE FROM undone`, "deposit that is not kept"},
	{"another amount", `UPDATE undone SET amount = amount + 1`, "its postings do not come to nothing"},
	{"another merchant", `UPDATE undone SET merchant = 'cafe'`, "its postings do not come to nothing"},
	{"told of", `UPDATE postbacks SET state = 'due', next_at = 1`, "its postback will tell of it"},
	{"a claim that ended otherwise", `UPDATE claims SET state = 'expired'`, "its claim is not rejected"},
}

func testUndoneDamaged(t *testing.T, fresh Fresh) {
	t.Helper()
	for _, damage := range undoneDamages {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			h := MustOpenHouse(t, fresh(t), Setup{})
			if _, err := h.Desk.Undo(t.Context(), h.mustDeposit(Shop, 1), asha, ""); err != nil {
				t.Fatal(err)
			}
			h.mustExec(damage.do)
			r, err := h.Store.Verify(t.Context())
			if err != nil || !strings.Contains(strings.Join(r.Problems, "\n"), damage.want) {
				t.Errorf("found %q, %v", r.Problems, err)
			}
		})
	}
}

func testBindAnother(h *House) {
	typo := Claim("a", UTR(1), 500_00)
	c := h.MustActivate(typo, deposit.Waiting)
	h.MustReport("till", 1, 0, 0, h.Entry(UTR(2), 500_00))
	credit := h.MustCredit("till", UTR(2))
	_, err := h.Desk.Approve(h.Context(), c.ID, 0, asha, "")
	h.mustRefuse(err, deposit.NotPending)
	if _, err := h.Desk.Approve(h.Context(), c.ID, credit.ID, asha, "two digits were swapped"); err != nil {
		h.Fatal(err)
	}
	got := h.MustFind(c.ID, deposit.Credited)
	if got.UTR != UTR(2) || got.CreditID != credit.ID {
		h.Errorf("bound as %+v", got)
	}
	// The merchant asks as before, and means the same.
	if again := h.MustActivate(typo, deposit.Credited); again.ID != c.ID {
		h.Errorf("the same request made claim %d", again.ID)
	}
	typo.Amount++
	h.MustRefuse(typo, deposit.CustomIDUsed)
	h.MustActivate(Claim("b", UTR(2), 500_00), deposit.Refused, deposit.UTRTaken)
	if _, err := h.Desk.Undo(h.Context(), c.ID, asha, "it was not swapped"); err != nil {
		h.Fatal(err)
	}
	h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Rejected)
}

func testBindForeign(h *House) {
	c := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
	h.MustReport("bar", 1, 0, 0, h.Entry(UTR(2), 500_00)) // the café's alone
	_, err := h.Desk.Approve(h.Context(), c.ID, h.MustCredit("bar", UTR(2)).ID, asha, "")
	h.mustRefuse(err, deposit.CreditNotFree)
	_, err = h.Desk.Approve(h.Context(), c.ID, 999999, asha, "")
	h.mustRefuse(err, deposit.CreditNotFree)
	h.MustReport("till", 1, 0, 0, h.Entry(UTR(3), 500_00))
	h.MustActivate(Claim("b", UTR(3), 500_00), deposit.Credited)
	_, err = h.Desk.Approve(h.Context(), c.ID, h.MustCredit("till", UTR(3)).ID, asha, "")
	h.mustRefuse(err, deposit.CreditNotFree)
	h.MustFind(c.ID, deposit.Waiting)
	h.Clock.Advance(100 * time.Hour)
	h.MustReport("till", 1, 0, 0, h.Entry(UTR(4), 500_00))
	_, err = h.Desk.Approve(h.Context(), c.ID, h.MustCredit("till", UTR(4)).ID, asha, "")
	h.mustRefuse(err, deposit.NotPending)
}

// gift is an unclaimed credit for shop's payer "77".
func gift(credit int64) deposit.Gift {
	return deposit.Gift{Credit: credit, Merchant: Shop, Label: "77"}
}

func testGive(h *House) {
	h.MustReport("common", 1, 0, 0, h.Entry(UTR(1), 500_00))
	credit := h.MustCredit("common", UTR(1))
	for _, bad := range []deposit.Gift{
		{Credit: credit.ID, Merchant: Shop}, {Credit: credit.ID, Merchant: Shop, Label: " 77"}, {Credit: credit.ID, Merchant: Shop, Label: "7\n7"},
		{Credit: credit.ID, Merchant: Shop, Label: "77", CustomID: strings.Repeat("x", 37)},
	} {
		_, err := h.Desk.Give(h.Context(), bad, asha, "")
		h.mustRefuse(err, deposit.LabelInvalid)
	}
	c, err := h.Desk.Give(h.Context(), gift(credit.ID), asha, "the payer sent a screenshot")
	if err != nil || c.State != deposit.Credited || c.Deposited != 500_00 || c.Label != "77" || c.CustomID != fmt.Sprintf("credit-%d", credit.ID) {
		h.Fatalf("%+v, %v", c, err)
	}
	h.MustFind(c.ID, deposit.Credited)
	h.mustRow(c.ID, postback.StateDue, 0, Start, "")
	_, err = h.Desk.Give(h.Context(), gift(credit.ID), asha, "")
	h.mustRefuse(err, deposit.CreditNotFree)
	// Given to the wrong one: taken back, and given again.
	if _, err := h.Desk.Undo(h.Context(), c.ID, asha, "it was 78's"); err != nil {
		h.Fatal(err)
	}
	right := gift(credit.ID)
	right.Label = "78"
	d, err := h.Desk.Give(h.Context(), right, asha, "")
	if err != nil || d.State != deposit.Credited || d.CustomID == c.CustomID {
		h.Errorf("%+v, %v", d, err)
	}
	if r := h.MustVerify(); r.Deposits != 1 || r.Owed != 500_00 {
		h.Errorf("%+v", r)
	}
}

func testGiveTaken(h *House) {
	if _, err := h.Desk.Give(h.Context(), gift(999999), asha, ""); !errors.Is(err, deposit.ErrNoCredit) {
		h.Errorf("a credit that is not there: %v", err)
	}
	h.MustReport("bar", 1, 0, 0, h.Entry(UTR(1), 500_00))
	_, err := h.Desk.Give(h.Context(), gift(h.MustCredit("bar", UTR(1)).ID), asha, "")
	h.mustRefuse(err, deposit.CreditNotFree)
	stranger := gift(h.MustCredit("bar", UTR(1)).ID)
	stranger.Merchant = "nobody"
	_, err = h.Desk.Give(h.Context(), stranger, asha, "")
	h.mustRefuse(err, deposit.MerchantGone)
	h.MustReport("till", 2, 0, 0, h.Entry(UTR(2), 500_00), h.Entry(UTR(3), 500_00))
	c := h.MustActivate(Claim("a", UTR(2), 500_01), deposit.Pending, deposit.AmountDiffers)
	_, err = h.Desk.Give(h.Context(), gift(h.MustCredit("till", UTR(2)).ID), asha, "")
	h.mustRefuse(err, deposit.ClaimOpen)
	h.MustReject(c.ID)
	if _, err = h.Desk.Give(h.Context(), gift(h.MustCredit("till", UTR(2)).ID), asha, ""); err != nil {
		h.Error(err)
	}
	used := gift(h.MustCredit("till", UTR(3)).ID)
	used.CustomID = "a"
	_, err = h.Desk.Give(h.Context(), used, asha, "")
	h.mustRefuse(err, deposit.CustomIDUsed)
	h.MustReverse("till", UTR(3))
	_, err = h.Desk.Give(h.Context(), gift(used.Credit), asha, "")
	h.mustRefuse(err, deposit.CreditNotFree)
}

func testFourEyes(h *House) {
	h.MustReport("till", 2, 0, 0, h.Entry(UTR(1), 50_000_00), h.Entry(UTR(2), 50_000_01))
	h.MustApprove(h.MustActivate(Claim("at the limit", UTR(1), 1_00), deposit.Pending, deposit.AmountDiffers).ID)
	c := h.MustActivate(Claim("above", UTR(2), 1_00), deposit.Pending, deposit.AmountDiffers)
	balances := h.MustBalances()
	for _, person := range []string{asha, "operator: Asha@example.com"} {
		_, err := h.Desk.Approve(h.Context(), c.ID, 0, person, "seen on the statement")
		if person != asha {
			h.mustRefuse(err, deposit.SamePerson)
		} else if err != nil {
			h.Fatal(err)
		}
		if got := h.MustFind(c.ID, deposit.Pending, deposit.AmountDiffers); got.History.Approval == nil || got.History.Approval.By != asha ||
			got.History.Approval.Why != "seen on the statement" {
			h.Fatalf("the first word is %+v", got.History.Approval)
		}
	}
	if !maps.Equal(balances, h.MustBalances()) {
		h.Error("one person moved money")
	}
	if got, err := h.Desk.Approve(h.Context(), c.ID, 0, ravi, "so it is"); err != nil || got.State != deposit.Credited {
		h.Errorf("%+v, %v", got, err)
	}
	// Rejecting takes one.
	h.MustReport("till", 1, 0, 0, h.Entry(UTR(3), 50_000_01))
	r := h.MustActivate(Claim("rejected", UTR(3), 1_00), deposit.Pending, deposit.AmountDiffers)
	if _, err := h.Desk.Approve(h.Context(), r.ID, 0, asha, ""); err != nil {
		h.Fatal(err)
	}
	h.MustReject(r.ID)
	if got := h.MustFind(r.ID, deposit.Rejected, deposit.AmountDiffers); got.History.Approval != nil {
		h.Errorf("a rejected claim is approved: %+v", got.History.Approval)
	}
}

func testFourEyesGift(h *House) {
	h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 60_000_00))
	credit := h.MustCredit("till", UTR(1))
	c, err := h.Desk.Give(h.Context(), gift(credit.ID), asha, "")
	if err != nil {
		h.Fatal(err)
	}
	h.MustFind(c.ID, deposit.Pending, deposit.ByHand)
	_, err = h.Desk.Give(h.Context(), gift(credit.ID), asha, "")
	h.mustRefuse(err, deposit.SamePerson)
	other := gift(credit.ID)
	other.Label = "78"
	_, err = h.Desk.Give(h.Context(), other, ravi, "")
	h.mustRefuse(err, deposit.ClaimOpen)
	if d, err := h.Desk.Give(h.Context(), gift(credit.ID), ravi, ""); err != nil || d.ID != c.ID || d.State != deposit.Credited {
		h.Errorf("%+v, %v", d, err)
	}
	// A mistyped UTR above the limit: the first word holds the waiting claim, the second binds it.
	w := h.MustActivate(Claim("typo", UTR(2), 70_000_00), deposit.Waiting)
	h.MustReport("till", 1, 0, 0, h.Entry(UTR(3), 70_000_00))
	if _, err := h.Desk.Approve(h.Context(), w.ID, h.MustCredit("till", UTR(3)).ID, asha, ""); err != nil {
		h.Fatal(err)
	}
	h.MustFind(w.ID, deposit.Pending, deposit.ByHand)
	if d, err := h.Desk.Approve(h.Context(), w.ID, 0, ravi, ""); err != nil || d.State != deposit.Credited || d.UTR != UTR(3) {
		h.Errorf("%+v, %v", d, err)
	}
}

func testFourEyesChanged(h *House) {
	e := h.Entry(UTR(1), 60_000_00)
	e.Trust = feed.Provisional
	h.MustReport("till", 1, 0, 0, e)
	c := h.MustActivate(Claim("a", UTR(1), 1_00), deposit.Pending, deposit.AmountDiffers)
	if _, err := h.Desk.Approve(h.Context(), c.ID, 0, asha, ""); err != nil {
		h.Fatal(err)
	}
	h.MustReport("till", 0, 0, 0, h.Entry(UTR(1), 90_000_00)) // the bank knows better
	if got, err := h.Desk.Approve(h.Context(), c.ID, 0, ravi, ""); err != nil || got.State != deposit.Pending || got.History.Approval.By != ravi {
		h.Fatalf("the second person agreed to what the first never saw: %+v, %v", got, err)
	}
	if got, err := h.Desk.Approve(h.Context(), c.ID, 0, asha, ""); err != nil || got.Deposited != 90_000_00 {
		h.Errorf("%+v, %v", got, err)
	}
}

func testUndo(h *House) {
	a := Claim("a", UTR(1), 500_00)
	a.Merchant = Cafe
	h.MustReport("bar", 1, 0, 0, h.Entry(UTR(1), 500_00))
	before := h.MustBalances()
	_, err := h.Desk.Undo(h.Context(), 999999, asha, "")
	if !errors.Is(err, deposit.ErrNoClaim) {
		h.Errorf("a claim that is not there: %v", err)
	}
	c := h.MustActivate(a, deposit.Credited)
	h.Clock.Advance(time.Hour)
	got, err := h.Desk.Undo(h.Context(), c.ID, asha, "the wrong payer")
	if err != nil || got.State != deposit.Rejected || got.Deposited != 0 {
		h.Fatalf("%+v, %v", got, err)
	}
	if after := h.MustBalances(); !maps.Equal(before, after) {
		h.Errorf("the balances were %v and are %v", before, after)
	}
	h.mustRow(c.ID, postback.StateDead, 0, time.Time{}, "")
	if sent, err := h.Store.Resend(h.Context(), []int64{c.ID}, h.Clock.Now(), h.Clock.Now()); err != nil || sent != 0 {
		h.Errorf("what was undone is told: %d, %v", sent, err)
	}
	if d, err := h.Store.Postback(h.Context(), c.ID); err != nil || d.Amount != 500_00 {
		h.Errorf("its postback is %+v, %v", d, err)
	}
	list, err := h.Store.ListPostbacks(h.Context(), lookup.Postbacks{Merchant: Cafe, Limit: 9})
	if err != nil || len(list.Items) != 1 || list.Items[0].ID != c.ID {
		h.Errorf("its merchant's postbacks are %+v, %v", list, err)
	}
	_, err = h.Desk.Undo(h.Context(), c.ID, asha, "")
	h.mustRefuse(err, deposit.NotCredited)
	if credit := h.MustCredit("bar", UTR(1)); credit.State != deposit.Unclaimed {
		h.Errorf("the credit is %s", credit.State)
	}
	// Nobody has it by asking: a person turned a claim on it down.
	b := Claim("b", UTR(1), 500_00)
	b.Merchant = Cafe
	h.Clock.Advance(time.Second)
	h.MustApprove(h.MustActivate(b, deposit.Pending, deposit.ClaimRejected).ID)
	if r := h.MustVerify(); r.Deposits != 1 || r.Postbacks != 2 {
		h.Errorf("%+v", r)
	}
	// The account tells all of it.
	s, err := h.Store.ListAccount(h.Context(), lookup.Account{Merchant: Cafe, Range: lookup.Range{From: Start}, Limit: 9})
	var lines []string
	for _, e := range s.Items {
		lines = append(lines, fmt.Sprint(e.Kind, " ", e.CustomID, " ", e.Net().Fixed(), " ", e.Balance.Fixed()))
	}
	if err != nil || !slices.Equal(lines, []string{"deposit a 490.50 490.50", "deposit_undone a -490.50 0.00", "deposit b 490.50 490.50"}) {
		h.Errorf("the account is %q, %v", lines, err)
	}
}

// What two persons had to give takes two to take back.
func testUndoFourEyes(h *House) {
	h.MustReport("till", 2, 0, 0, h.Entry(UTR(1), 50_000_00), h.Entry(UTR(2), 50_000_01))
	small := h.MustActivate(Claim("at the limit", UTR(1), 50_000_00), deposit.Credited)
	if got, err := h.Desk.Undo(h.Context(), small.ID, asha, ""); err != nil || got.State != deposit.Rejected {
		h.Errorf("at the limit: %+v, %v", got, err)
	}
	c := h.MustActivate(Claim("above", UTR(2), 50_000_01), deposit.Credited)
	balances := h.MustBalances()
	for _, person := range []string{asha, "operator: Asha@example.com"} {
		_, err := h.Desk.Undo(h.Context(), c.ID, person, "the wrong payer")
		if person != asha {
			h.mustRefuse(err, deposit.SamePerson)
		} else if err != nil {
			h.Fatal(err)
		}
		if got := h.MustFind(c.ID, deposit.Credited); got.History.Undoing == nil || got.History.Undoing.By != asha || got.History.Undoing.Why != "the wrong payer" {
			h.Fatalf("the first word is %+v", got.History.Undoing)
		}
	}
	if !maps.Equal(balances, h.MustBalances()) {
		h.Error("one person moved money")
	}
	if got, err := h.Desk.Undo(h.Context(), c.ID, ravi, "so it is"); err != nil || got.State != deposit.Rejected || got.History.Undoing != nil {
		h.Errorf("%+v, %v", got, err)
	}
	h.MustVerify()
}

func testUndoTold(h *House) {
	id := h.mustDeposit(Shop, 1)
	job := h.mustLease(Shop, Start, 10, id)[0]
	if _, err := h.Desk.Undo(h.Context(), id, asha, "while it is on its way"); err != nil {
		h.Fatal(err)
	}
	// It did not arrive: it is not tried again.
	h.mustRecord(postback.Result{EventID: id, LeasedUntil: job.LeasedUntil, State: postback.StateDue, NextAt: Start.Add(time.Hour),
		Attempt: postback.Attempt{Number: 1, At: Start, Latency: time.Second, Status: 500}})
	h.mustRow(id, postback.StateDead, 0, time.Time{}, "")
	h.mustLease(Shop, Start.Add(2*time.Hour), 10)

	told := h.mustDeposit(Shop, 2)
	job = h.mustLease(Shop, Start, 10, told)[0]
	if _, err := h.Desk.Undo(h.Context(), told, asha, ""); err != nil {
		h.Fatal(err)
	}
	// It did: that is what the record says.
	h.mustRecord(postback.Result{EventID: told, LeasedUntil: job.LeasedUntil, State: postback.StateDelivered,
		Attempt: postback.Attempt{Number: 1, At: Start, Latency: time.Millisecond, Status: 200, Answer: []byte(`{"status":"ok"}`)}})
	h.mustRow(told, postback.StateDelivered, 1, time.Time{}, "")
	if sent, err := h.Store.Resend(h.Context(), []int64{told}, h.Clock.Now(), h.Clock.Now()); err != nil || sent != 0 {
		h.Errorf("what was undone is told again: %d, %v", sent, err)
	}
}

func testUndoSpent(h *House) {
	o := mustOpenOffice(h, 2000_00)
	c, err := h.Store.FindClaimByKey(h.Context(), deposit.CustomKey{Merchant: Shop, CustomID: "funds"})
	if err != nil {
		h.Fatal(err)
	}
	w := o.mustCreate(withdrawal("held", 500_00), payout.Approved)
	_, err = h.Desk.Undo(h.Context(), c.ID, asha, "")
	h.mustRefuse(err, deposit.InsufficientBalance)
	// What came meanwhile may pay for it.
	h.MustReport("till", 1, 0, 0, h.Entry(UTR(5), 505_00))
	h.MustActivate(Claim("more", UTR(5), 505_00), deposit.Credited)
	if _, err := h.Desk.Undo(h.Context(), c.ID, asha, ""); err != nil {
		h.Fatal(err)
	}
	o.mustHave(0, w.Amount+w.Fee)
}

func testUndoReversed(h *House) {
	h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
	c := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
	h.MustReverse("till", UTR(1))
	if _, err := h.Desk.Undo(h.Context(), c.ID, asha, "the bank took it back"); err != nil {
		h.Fatal(err)
	}
	if credit := h.MustCredit("till", UTR(1)); credit.State != deposit.Reversed {
		h.Errorf("the credit is %s", credit.State)
	}
	for code, balance := range h.MustBalances() {
		if balance != 0 {
			h.Errorf("%s still has %s", code, balance)
		}
	}
}

// testPeopleRace has people on several gateways decide the same thing at once:
// one of them does, the others are told.
func testPeopleRace(t *testing.T, fresh Fresh, gateways int) {
	t.Helper()
	houses := []*House{MustOpenHouse(t, fresh(t), desks)}
	for len(houses) < gateways {
		houses = append(houses, houses[0].MustOpenBranch())
	}
	h := houses[0]
	atOnce := func(n int, act func(i int, d *deposit.Desk) error) (won int) {
		t.Helper()
		var group sync.WaitGroup
		errs := make([]error, n)
		for i := range errs {
			group.Go(func() { errs[i] = act(i, houses[i%len(houses)].Desk) })
		}
		group.Wait()
		for _, err := range errs {
			if err == nil {
				won++
			} else if _, refused := errors.AsType[*deposit.Refusal](err); !refused {
				t.Errorf("no clear answer: %v", err)
			}
		}
		return won
	}
	h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
	credit := h.MustCredit("till", UTR(1)).ID
	live := func() (claim int64) { return h.MustCredit("till", UTR(1)).ClaimID }
	for round := range 3 {
		if won := atOnce(6, func(i int, d *deposit.Desk) error {
			g := gift(credit)
			g.Label = fmt.Sprint(i)
			_, err := d.Give(t.Context(), g, asha, "")
			return err
		}); won != 1 {
			t.Fatalf("round %d: %d people gave one credit away", round, won)
		}
		claim := live()
		if won := atOnce(6, func(_ int, d *deposit.Desk) error {
			_, err := d.Undo(t.Context(), claim, ravi, "")
			return err
		}); won != 1 {
			t.Fatalf("round %d: %d people undid one deposit", round, won)
		}
	}
	waiting := make([]int64, 6)
	for i := range waiting {
		waiting[i] = h.MustActivate(Claim(fmt.Sprint("typo", i), UTR(100+i), 500_00), deposit.Waiting).ID
	}
	if won := atOnce(6, func(i int, d *deposit.Desk) error {
		_, err := d.Approve(t.Context(), waiting[i], credit, asha, "")
		return err
	}); won != 1 {
		t.Fatalf("%d claims got one credit", won)
	}
	// One approves while the other rejects.
	h.MustReport("till", 1, 0, 0, h.Entry(UTR(2), 500_00))
	c := h.MustActivate(Claim("both", UTR(2), 500_01), deposit.Pending, deposit.AmountDiffers)
	if won := atOnce(2, func(i int, d *deposit.Desk) error {
		var err error
		if i == 0 {
			_, err = d.Approve(t.Context(), c.ID, 0, asha, "")
		} else {
			_, err = d.Reject(t.Context(), c.ID, ravi, "")
		}
		return err
	}); won != 1 {
		t.Fatalf("%d of approval and rejection were done", won)
	}
	// Undoing races with paying out: the merchant is never overdrawn.
	o := mustOpenOffice(h, 1000_00)
	funds, err := h.Store.FindClaimByKey(t.Context(), deposit.CustomKey{Merchant: Shop, CustomID: "funds"})
	if err != nil {
		t.Fatal(err)
	}
	_ = atOnce(2, func(i int, d *deposit.Desk) error {
		if i == 0 {
			_, err := d.Undo(t.Context(), funds.ID, asha, "")
			return err
		}
		_, err := o.Create(t.Context(), withdrawal("w", 900_00))
		if refusal, refused := errors.AsType[*payout.Refusal](err); refused && refusal.Code == payout.InsufficientBalance {
			return nil
		}
		return err
	})
	h.MustVerify()
}
