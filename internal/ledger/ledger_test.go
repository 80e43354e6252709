package ledger_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/money"
)

// Whatever is posted, all balances together stay at nothing, and each is what
// its own postings add up to.
func TestBalances(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		account := rapid.Int64Range(1, 4)
		postings := rapid.SliceOf(rapid.Custom(func(t *rapid.T) ledger.Posting {
			return ledger.Posting{Debit: account.Draw(t, "debit"), Credit: account.Draw(t, "credit"),
				Amount: money.Paise(rapid.Int64Range(1, 1e15).Draw(t, "amount"))}
		})).Draw(t, "postings")
		sums := ledger.Balances(postings)
		var all money.Paise
		for _, sum := range sums {
			all += sum
		}
		if all != 0 {
			t.Fatalf("balances add up to %s", all)
		}
		for id := int64(1); id <= 4; id++ {
			var want money.Paise
			for _, p := range postings {
				if p.Debit == id {
					want += p.Amount
				}
				if p.Credit == id {
					want -= p.Amount
				}
			}
			if sums[id] != want {
				t.Fatalf("account %d has %s, want %s", id, sums[id], want)
			}
		}
	})
}

func TestCodesDiffer(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, code := range []string{ledger.WalletCode("fees"), ledger.SuspenseCode("fees"), ledger.MerchantCode("fees"), ledger.FeesCode} {
		if seen[code] {
			t.Errorf("%s names two accounts", code)
		}
		seen[code] = true
	}
}
