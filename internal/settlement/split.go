package settlement

import (
	"sort"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/money"
)

// mostPayouts bounds one settlement.
const mostPayouts = 99

// limits are what payouts are held to; paise.
type limits struct {
	fee directory.Fee
	// least and most bound one payout; no bound where most is 0.
	least, most money.Paise
	// day is what may still be paid today; negative for no bound.
	day money.Paise
}

// split cuts a settlement into payouts: of the wanted amount, or where that is 0
// of all that the budget pays for, fees included.
func (l limits) split(budget, wanted money.Paise) (amounts []money.Paise) {
	day, left := l.day, wanted
	for len(amounts) < mostPayouts {
		amount := l.afford(budget)
		for _, bound := range []struct {
			on bool
			at money.Paise
		}{{l.most > 0, l.most}, {day >= 0, day}, {wanted > 0, left}} {
			if bound.on {
				amount = min(amount, bound.at)
			}
		}
		if amount < max(l.least, 1) {
			break
		}
		amounts = append(amounts, amount)
		budget -= amount + l.fee.OfWithdrawal(amount)
		left -= amount
		if day >= 0 {
			day -= amount
		}
	}
	return amounts
}

// afford is the most that can be paid out of a budget with its fee.
func (l limits) afford(budget money.Paise) money.Paise {
	if budget <= 0 {
		return 0
	}
	// What an amount costs grows with it: the first that costs too much is one more.
	tooMuch := sort.Search(int(budget), func(n int) bool {
		amount := money.Paise(n) + 1
		return l.fee.OfWithdrawal(amount) > budget-amount
	})
	return money.Paise(tooMuch)
}

func total(amounts []money.Paise) (sum money.Paise) {
	for _, a := range amounts {
		sum += a
	}
	return sum
}
