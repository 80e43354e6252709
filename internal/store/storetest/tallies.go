package storetest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/webhook"
	"github.com/milaan/milaan/money"
)

// testTallies plays all that moves a claim, and looks at what is counted.
func testTallies(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{
		{"what happened", Setup{}, func(h *House) {
			h.busyHours()
			sum := func(merchant string, from, to time.Time) (sum deposit.Tally) {
				h.Helper()
				tallies, err := h.Store.Tallies(h.Context(), merchant, from, to)
				if err != nil {
					h.Fatal(err)
				}
				for _, tally := range tallies {
					sum.Add(&tally)
				}
				return sum
			}
			late := Start.Add(1000 * time.Hour)
			of := func(made, won, lost, deposits int64, amount, fees money.Paise, waits ...int64) (t deposit.Tally) {
				t = deposit.Tally{Made: made, Won: won, Lost: lost, Deposits: deposits, Amount: amount, Fees: fees}
				copy(t.Waits[:], waits)
				return t
			}
			shop := of(7, 3, 2, 3, 1500_00, 0, 1, 0, 0, 1, 0, 1)
			cafe := of(2, 1, 1, 1, 500_00, 9_50, 1)
			all := shop
			all.Add(&cafe)
			for merchant, want := range map[string]deposit.Tally{Shop: shop, Cafe: cafe, "": all, "nobody": {}} {
				if got := sum(merchant, Start.Add(-time.Hour), late); got != want {
					h.Errorf("%q: %+v, want %+v", merchant, got, want)
				}
			}
			if got := sum("", late, late.Add(time.Hour)); got != (deposit.Tally{}) {
				h.Errorf("of hours to come: %+v", got)
			}
			// The bounds are whole quarters: 9:30 begins one, 9:45 the next.
			if got := sum(Shop, Start, Start.Add(deposit.TallyStep)); got.Made != 6 || got.Deposits != 1 {
				h.Errorf("in the first quarter: %+v", got)
			}
		}},
		{"what was there before it was tallied", Setup{}, func(h *House) {
			h.busyHours()
			kept := h.mustRead("tallies", "*")
			h.mustExec(`DELETE FROM tallies`)
			engine := "postgres"
			if h.Database.Embedded() {
				engine = "sqlite"
			}
			migration, err := os.ReadFile(filepath.Join(engine, "migrations", "00017_review.sql"))
			if err != nil {
				h.Fatal(err)
			}
			for _, statement := range regexp.MustCompile(`(?s)INSERT INTO tallies.*?;`).FindAllString(string(migration), -1) {
				h.mustExec(statement)
			}
			made := h.mustRead("tallies", "*")
			for _, rows := range [][][]string{kept, made} {
				slices.SortFunc(rows, slices.Compare)
			}
			// Quarters that came to nothing are kept, and not made anew.
			kept = slices.DeleteFunc(kept, func(row []string) bool { return strings.Trim(strings.Join(row[2:], ""), "0") == "" })
			if !slices.EqualFunc(kept, made, slices.Equal) {
				h.Errorf("kept\n%q\nmade anew\n%q", kept, made)
			}
		}},
		{"wallets and postbacks", Setup{}, func(h *House) {
			h.busyHours()
			balances, err := h.Store.WalletBalances(h.Context())
			if err != nil || balances["till"] != 2200_00 || balances["bar"] != 1000_00 || len(balances) != 6 {
				h.Errorf("%v, %v", balances, err)
			}
			for merchant, want := range map[string]lookup.Outbox{"": {Due: 4, Dead: 1}, Shop: {Due: 3}, Cafe: {Due: 1, Dead: 1}, "nobody": {}} {
				if got, err := h.Store.Outbox(h.Context(), merchant); err != nil || got != want {
					h.Errorf("%q is to be told %+v, %v; want %+v", merchant, got, err, want)
				}
			}
		}},
		{"webhooks are told of what is undone", hooked, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			c := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
			if _, err := h.Desk.Undo(h.Context(), c.ID, asha, ""); err != nil {
				h.Fatal(err)
			}
			if told := h.told("shop/all"); len(told) != 2 || !strings.HasPrefix(told[0], string(webhook.DepositCredited)) || !strings.HasPrefix(told[1], string(webhook.DepositRejected)) {
				h.Errorf("told %q", told)
			}
		}},
	})
}

// busyHours has every fate befall a claim.
func (h *House) busyHours() {
	h.Helper()
	h.MustReport("till", 2, 0, 0, h.Entry(UTR(1), 500_00), h.Entry(UTR(2), 700_00))
	h.MustActivate(Claim("at once", UTR(1), 500_00), deposit.Credited)
	h.MustActivate(Claim("refused", UTR(1), 500_00), deposit.Refused, deposit.UTRTaken)
	rejected := h.MustActivate(Claim("rejected", UTR(2), 701_00), deposit.Pending, deposit.AmountDiffers)
	h.MustReject(rejected.ID)
	h.MustActivate(Claim("later", UTR(3), 500_00), deposit.Waiting)
	h.MustActivate(Claim("much later", UTR(4), 700_00), deposit.Waiting)
	h.MustActivate(Claim("never", UTR(5), 700_00), deposit.Waiting)
	undone := Claim("undone", UTR(6), 500_00)
	undone.Merchant = Cafe
	h.MustReport("bar", 2, 0, 0, h.Entry(UTR(6), 500_00), h.Entry(UTR(7), 500_00))
	c := h.MustActivate(undone, deposit.Credited)
	h.Clock.Advance(20 * time.Minute)
	h.MustReport("till", 1, 0, 1, h.Entry(UTR(3), 500_00))
	if _, err := h.Desk.Undo(h.Context(), c.ID, asha, "not theirs"); err != nil {
		h.Fatal(err)
	}
	stays := Claim("stays", UTR(7), 500_00)
	stays.Merchant = Cafe
	h.MustActivate(stays, deposit.Credited)
	h.Clock.Advance(12 * time.Hour)
	h.MustActivate(Claim("open", UTR(8), 500_00), deposit.Waiting)
	// A refused one is corrected, and waits again.
	amended := Claim("refused", UTR(9), 500_00)
	if _, err := h.Desk.Amend(h.Context(), amended); err != nil {
		h.Fatal(err)
	}
	h.MustReport("till", 1, 0, 0, h.Entry(UTR(4), 500_00))
	differs, err := h.Store.FindClaimByKey(h.Context(), deposit.CustomKey{Merchant: Shop, CustomID: "much later"})
	if err != nil {
		h.Fatal(err)
	}
	h.MustApprove(differs.ID)
	h.Clock.Advance(62 * time.Hour)
	h.MustExpire(1) // the one that never came
}
