package console

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store/storetest"
)

// reviewers opens a house with two reviewers, each in a browser.
func reviewers(t *testing.T) (h *house, asha, ravi *browser) {
	t.Helper()
	h = open(t)
	for _, name := range []string{"asha", "ravi"} {
		h.user(name+"@example.com", staff.Grant{Role: staff.Reviewer})
	}
	return h, h.browser().signIn("asha@example.com"), h.browser().signIn("ravi@example.com")
}

// hostileScript is what somebody writes who would like it to run.
const hostileScript = `<script>alert(1)</script>`

// suspect makes a claim that waits for a person, of a payer who means harm.
func (h *house) suspect(n int, amount int64) deposit.Claim {
	h.Helper()
	e := h.Entry(storetest.UTR(n), storetest.Rupees(amount))
	e.PayerVPA, e.PayerName, e.Note = "", hostileScript, hostileScript+"note"
	h.MustReport("till", 1, 0, 0, e)
	a := storetest.Claim(fmt.Sprint("suspect", n), storetest.UTR(n), storetest.Rupees(amount)+1)
	a.Label = hostileScript
	return h.MustActivate(a, deposit.Pending, deposit.AmountDiffers)
}

func TestReviewQueue(t *testing.T) {
	t.Parallel()
	h, asha, _ := reviewers(t)
	asha.get("/console/review").must(t, http.StatusOK, "Nothing waits for you here.")
	first, second := h.suspect(1, 500), h.suspect(2, 600)
	got := asha.get("/console/review").must(t, http.StatusOK, "Another amount")
	for _, c := range []deposit.Claim{first, second} {
		if !strings.Contains(got.body, claimPath(c.ID)) {
			t.Errorf("claim %d is not in the queue", c.ID)
		}
	}
	for _, page := range []string{"/console/review", claimPath(first.ID), creditPath(first.CreditID)} {
		if got := asha.get(page); strings.Contains(got.body, "<script>alert") {
			t.Errorf("%s runs what a payer wrote", page)
		}
	}
	asha.get(claimPath(first.ID)).must(t, http.StatusOK, "The payer claimed another amount than came.").must(t, http.StatusOK, "₹500.00 differs")

	// A reason is needed; then it goes on to the next.
	asha.post(claimPath(first.ID)+"/approve", "why", " ").must(t, http.StatusConflict, "Say why")
	asha.post(claimPath(first.ID)+"/approve", "why", strings.Repeat("x", mostWhy+1)).must(t, http.StatusConflict, "Say why")
	h.MustFind(first.ID, deposit.Pending, deposit.AmountDiffers)
	asha.post(claimPath(first.ID)+"/approve", "why", "seen on the statement", "credit", fmt.Sprint(first.CreditID)).leads(t, claimPath(second.ID))
	h.MustFind(first.ID, deposit.Credited)
	asha.get(claimPath(second.ID)).must(t, http.StatusOK, "The deposit is credited.")
	asha.post(claimPath(second.ID)+"/reject", "why", "not theirs").leads(t, "/console/review")
	h.MustFind(second.ID, deposit.Rejected, deposit.AmountDiffers)
	h.MustVerify()

	for _, missing := range []string{"/claims/999999", "/claims/x", "/credits/999999", "/credits/x"} {
		asha.get("/console/review"+missing).must(t, http.StatusNotFound, "No such page")
	}
}

// Two reviewers have the same claim open: the second is told what became of it.
func TestReviewConflict(t *testing.T) {
	t.Parallel()
	h, asha, ravi := reviewers(t)
	c := h.suspect(1, 500)
	asha.post(claimPath(c.ID)+"/reject", "why", "not theirs").leads(t, "/console/review")
	ravi.post(claimPath(c.ID)+"/approve", "why", "theirs").must(t, http.StatusConflict, "it was decided in the meantime").must(t, http.StatusConflict, "rejected")
	h.MustFind(c.ID, deposit.Rejected, deposit.AmountDiffers)
}

func TestReviewFourEyes(t *testing.T) {
	t.Parallel()
	h, asha, ravi := reviewers(t)
	c := h.suspect(1, 60_000)
	asha.get(claimPath(c.ID)).must(t, http.StatusOK, "Above ₹50,000.00, a second person has to approve.")
	asha.post(claimPath(c.ID)+"/approve", "why", "seen on the statement").leads(t, "/console/review")
	asha.get("/console/review").must(t, http.StatusOK, "Your word is kept.").must(t, http.StatusOK, "Needs a second person")
	asha.get(claimPath(c.ID)).must(t, http.StatusOK, "That was you")
	asha.post(claimPath(c.ID)+"/approve", "why", "once more").must(t, http.StatusConflict, "You have said so already.")
	h.MustFind(c.ID, deposit.Pending, deposit.AmountDiffers)
	ravi.get(claimPath(c.ID)).must(t, http.StatusOK, "user:asha@example.com approved ₹60,000.00").must(t, http.StatusOK, "Look for yourself.")
	ravi.post(claimPath(c.ID)+"/approve", "why", "so it is").leads(t, "/console/review")
	h.MustFind(c.ID, deposit.Credited)

	// To take it back takes two as well.
	undo := claimPath(c.ID) + "/undo"
	ravi.get(undo).must(t, http.StatusOK, "a second person has to take it back, too")
	ravi.post(undo, "why", "the bank called").leads(t, undo)
	ravi.get(undo).must(t, http.StatusOK, "Your word is kept.").must(t, http.StatusOK, "That was you")
	ravi.get(claimPath(c.ID)).must(t, http.StatusOK, "user:ravi@example.com asked to take ₹60,000.00 back.")
	ravi.post(undo, "why", "once more").must(t, http.StatusConflict, "You have said so already.")
	h.MustFind(c.ID, deposit.Credited)
	asha.get(undo).must(t, http.StatusOK, "Look for yourself.").must(t, http.StatusOK, "the bank called")
	asha.post(undo, "why", "so it did").leads(t, claimPath(c.ID))
	h.MustFind(c.ID, deposit.Rejected)
	h.MustVerify()
}

func TestReviewBind(t *testing.T) {
	t.Parallel()
	h, asha, _ := reviewers(t)
	c := h.MustActivate(storetest.Claim("typo", storetest.UTR(21), 500_00), deposit.Waiting)
	h.MustReport("till", 2, 0, 0, h.Entry(storetest.UTR(12), 500_00), h.Entry(storetest.UTR(13), 700_00))
	h.MustReport("bar", 1, 0, 0, h.Entry(storetest.UTR(14), 500_00)) // the café's alone
	credit, foreign := h.MustCredit("till", storetest.UTR(12)), h.MustCredit("bar", storetest.UTR(14))

	asha.get(creditPath(credit.ID)).must(t, http.StatusOK, "Claims that may be it")
	page := asha.get(claimPath(c.ID)).must(t, http.StatusOK, "Unclaimed credits that may be it")
	if !strings.Contains(page.body, fmt.Sprintf(`value="%d"`, credit.ID)) || strings.Contains(page.body, fmt.Sprintf(`value="%d"`, foreign.ID)) {
		t.Error("other credits are offered than may be the claim's")
	}
	for _, wrong := range []string{"999999", "no number", "-1", string(foreign.UTR)} {
		asha.post(claimPath(c.ID)+"/approve", "why", "x", "other", wrong).must(t, http.StatusConflict, "")
	}
	asha.post(claimPath(c.ID)+"/approve", "why", "x", "credit", fmt.Sprint(foreign.ID)).must(t, http.StatusConflict, "that credit is not free for this")
	h.MustFind(c.ID, deposit.Waiting)
	asha.post(claimPath(c.ID)+"/approve", "why", "two digits were swapped", "other", string(storetest.UTR(12))).leads(t, "/console/review")
	h.MustFind(c.ID, deposit.Credited)
	asha.get(claimPath(c.ID)).must(t, http.StatusOK, "first named")
	h.MustVerify()
}

func TestReviewGiveAndUndo(t *testing.T) {
	t.Parallel()
	h, asha, _ := reviewers(t)
	h.MustReport("common", 1, 0, 0, h.Entry(storetest.UTR(1), 500_00))
	credit := h.MustCredit("common", storetest.UTR(1))
	asha.get("/console/review/unclaimed").must(t, http.StatusOK, "₹500.00")
	asha.get(creditPath(credit.ID)).must(t, http.StatusOK, "Give it to a payer")
	asha.post(creditPath(credit.ID)+"/give", "why", "x", "merchant", "nobody", "label", "77").must(t, http.StatusConflict, "takes no payments")
	asha.post(creditPath(credit.ID)+"/give", "why", "x", "merchant", storetest.Shop, "label", "").must(t, http.StatusConflict, "1 to 36 characters")
	got := asha.post(creditPath(credit.ID)+"/give", "why", "their screenshot", "merchant", storetest.Shop, "label", "77")
	given := h.MustCredit("common", storetest.UTR(1)).ClaimID
	got.leads(t, claimPath(given))
	asha.post(creditPath(credit.ID)+"/give", "why", "x", "merchant", storetest.Shop, "label", "77").must(t, http.StatusConflict, "that credit is not free")

	asha.get(claimPath(given)+"/undo").must(t, http.StatusOK, "₹500.00 goes from Shop (77) back").must(t, http.StatusOK, "has not been told yet")
	asha.post(claimPath(given)+"/undo", "why", "").must(t, http.StatusConflict, "Say why")
	asha.post(claimPath(given)+"/undo", "why", "it was 78's").leads(t, claimPath(given))
	asha.get(claimPath(given)).must(t, http.StatusOK, "user:asha@example.com took ₹500.00 back.")
	asha.post(claimPath(given)+"/undo", "why", "again").must(t, http.StatusConflict, "this is no deposit")
	if r := h.MustVerify(); r.Deposits != 0 || r.Unclaimed != 500_00 {
		t.Errorf("%+v", r)
	}
	if entries := h.MustDump(); !strings.Contains(strings.Join(entries, "\n"), "user:asha@example.com | deposit.undone") {
		t.Error("the audit log does not say who took it back")
	}
}

func TestReviewContested(t *testing.T) {
	t.Parallel()
	h, asha, _ := reviewers(t)
	h.MustReport("till", 1, 0, 0, h.Entry(storetest.UTR(1), 500_00))
	c := h.MustActivate(storetest.Claim("a", storetest.UTR(1), 500_00), deposit.Credited)
	other := h.Entry(storetest.UTR(1), 900_00)
	other.Trust = feed.Provisional
	h.MustReport("till", 0, 0, 0, other)
	asha.get("/console/review/contested").must(t, http.StatusOK, "₹500.00")
	asha.get(creditPath(c.CreditID)).must(t, http.StatusOK, "Clear the mark")
	asha.post(creditPath(c.CreditID)+"/clear", "why", "the statement says 500").leads(t, creditPath(c.CreditID))
	asha.get("/console/review/contested").must(t, http.StatusOK, "Nothing waits for you here.")
	asha.post(creditPath(c.CreditID)+"/clear", "why", "again").must(t, http.StatusConflict, "not contested any more")
}

// What is dangerous asks who it is once more.
func TestReviewAsksAgain(t *testing.T) {
	t.Parallel()
	h, asha, _ := reviewers(t)
	h.MustReport("till", 1, 0, 0, h.Entry(storetest.UTR(1), 500_00))
	c := h.MustActivate(storetest.Claim("a", storetest.UTR(1), 500_00), deposit.Credited)
	h.Clock.Advance(20 * time.Minute)
	if got := asha.post(claimPath(c.ID)+"/undo", "why", "x"); got.status != http.StatusSeeOther || !strings.HasPrefix(got.to, "/console/sure") {
		t.Errorf("answered %d to %s", got.status, got.to)
	}
	h.MustFind(c.ID, deposit.Credited)
}
