package settlement

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/money"
)

func mustPercent(t interface{ Fatal(...any) }, text string) money.Percent {
	p, err := money.ParsePercent(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSplit(t *testing.T) {
	t.Parallel()
	fixed := directory.Fee{WithdrawalFixed: 5_00}
	percent := directory.Fee{WithdrawalPercent: mustPercent(t, "1")}
	for _, tt := range []struct {
		name           string
		limits         limits
		budget, wanted money.Paise
		want           []money.Paise
	}{
		{"all", limits{day: -1}, 100_00, 0, []money.Paise{100_00}},
		{"nothing", limits{day: -1}, 0, 0, nil},
		{"less than nothing", limits{day: -1}, -5, 0, nil},
		{"the fee comes out of it", limits{fee: fixed, day: -1}, 100_00, 0, []money.Paise{95_00}},
		{"only the fee", limits{fee: fixed, day: -1}, 5_00, 0, nil},
		{"a paisa and the fee", limits{fee: fixed, day: -1}, 5_01, 0, []money.Paise{1}},
		{"in parts, each with its fee", limits{fee: fixed, most: 50_00, day: -1}, 120_00, 0, []money.Paise{50_00, 50_00, 5_00}},
		{"a rest below the least stays", limits{fee: fixed, least: 10_00, most: 50_00, day: -1}, 120_00, 0, []money.Paise{50_00, 50_00}},
		{"as much as was asked for", limits{fee: fixed, most: 50_00, day: -1}, 200_00, 70_00, []money.Paise{50_00, 20_00}},
		{"what the day allows", limits{most: 50_00, day: 70_00}, 200_00, 0, []money.Paise{50_00, 20_00}},
		{"a day that is over", limits{day: 0}, 200_00, 0, nil},
		{"a share, rounded", limits{fee: percent, day: -1}, 100_00, 0, []money.Paise{99_01}}, // 0.9901 is 0.99
	} {
		if got := tt.limits.split(tt.budget, tt.wanted); fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// No split spends more than its budget or breaks a limit, and what a split of
// everything leaves would pay no more.
func TestSplitHolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := limits{
			fee: directory.Fee{
				WithdrawalPercent: mustPercent(t, fmt.Sprintf("%d.%02d", rapid.IntRange(0, 99).Draw(t, "percent"), rapid.IntRange(0, 99).Draw(t, "hundredths"))),
				WithdrawalFixed:   money.Paise(rapid.Int64Range(0, 10_00).Draw(t, "fixed")),
			},
			least: money.Paise(rapid.Int64Range(0, 50_00).Draw(t, "least")),
			most:  money.Paise(rapid.SampledFrom([]int64{0, 50_00, 77_77, 1e6}).Draw(t, "most")),
			day:   money.Paise(rapid.SampledFrom([]int64{-1, 0, 60_00, 1e7}).Draw(t, "day")),
		}
		budget := money.Paise(rapid.Int64Range(-100, 1<<rapid.IntRange(0, 40).Draw(t, "size")).Draw(t, "budget"))
		wanted := money.Paise(rapid.SampledFrom([]int64{0, 1, 123_45}).Draw(t, "wanted"))
		var spent, paid money.Paise
		amounts := l.split(budget, wanted)
		for _, a := range amounts {
			if a < max(l.least, 1) || l.most > 0 && a > l.most {
				t.Fatalf("%s is beyond %+v", a, l)
			}
			paid += a
			spent += a + l.fee.OfWithdrawal(a)
		}
		if spent > max(budget, 0) || l.day >= 0 && paid > l.day || wanted > 0 && paid > wanted {
			t.Fatalf("%v of %s, wanted %s, within %+v", amounts, budget, wanted, l)
		}
		next := max(l.least, 1)
		if wanted == 0 && len(amounts) < mostPayouts && next+l.fee.OfWithdrawal(next) <= budget-spent && (l.day < 0 || paid+next <= l.day) && (l.most == 0 || next <= l.most) {
			t.Fatalf("%v of %s leaves %s, and the least is %s", amounts, budget, budget-spent, next)
		}
	})
}
