package console

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/milaan/milaan/money"
)

// chart is a picture of amounts over time that the template "chart" draws: bars, and
// before them the outline of what is compared. Everybody who does not see it reads
// its description, and the same figures in a table.
type chart struct {
	ID, Title, Desc string
	Bars            []bar
	Line            string // points of the outline; empty where nothing is compared
	Ticks           []tick // of the amounts
	Marks           []tick // of the time
	Rows            []chartRow
	Compared        string // what the outline is called
	Now             string // what the bars are called
}

type bar struct {
	X, Y, W, H int
	Label      string
}

type tick struct {
	At    int
	Label string
	Last  bool // ends at the right edge, beyond which it would be cut off
}

type chartRow struct{ When, Amount, Compared string }

// The picture is drawn in units of its own, and as wide as there is room.
const (
	chartWide = 420
	chartHigh = 170
	chartLeft = 56 // room for the amounts
	chartFoot = 24 // and for the time
	chartTop  = 10
)

// point is a stretch of time in a chart.
type point struct {
	When     string // in full
	Mark     string // below the bar; empty for none
	Amount   money.Paise
	Compared money.Paise
}

func (v *visit) chart(id, now, compared string, points []point) *chart {
	c := &chart{ID: id, Title: v.T("overview.chart." + id), Now: now, Compared: compared}
	var most, sum, comparedSum money.Paise
	for _, p := range points {
		most = max(most, p.Amount, p.Compared)
		sum += p.Amount
		comparedSum += p.Compared
	}
	top := roundUp(most)
	foot := chartHigh - chartFoot
	y := func(p money.Paise) int { return foot - int(int64(max(p, 0))*int64(foot-chartTop)/int64(top)) }
	step := (chartWide - chartLeft) / len(points)
	var line strings.Builder
	for i, p := range points {
		x := chartLeft + i*step
		c.Bars = append(c.Bars, bar{X: x + step/8, Y: y(p.Amount), W: step - step/4, H: foot - y(p.Amount), Label: p.When + ": " + v.Money(p.Amount)})
		fmt.Fprintf(&line, "%d,%d %d,%d ", x, y(p.Compared), x+step, y(p.Compared))
		if p.Mark != "" {
			mark := tick{At: x + step/2, Label: p.Mark}
			if i == len(points)-1 {
				mark.At, mark.Last = chartWide, true
			}
			c.Marks = append(c.Marks, mark)
		}
		row := chartRow{When: p.When, Amount: v.Money(p.Amount)}
		if compared != "" {
			row.Compared = v.Money(p.Compared)
		}
		c.Rows = append(c.Rows, row)
	}
	for _, part := range []money.Paise{0, top / 2, top} {
		c.Ticks = append(c.Ticks, tick{At: y(part), Label: v.short(part)})
	}
	c.Desc = now + ": " + v.Money(sum)
	if compared != "" {
		c.Line = strings.TrimSpace(line.String())
		c.Desc += "; " + compared + ": " + v.Money(comparedSum)
	}
	return c
}

// roundUp is the next amount that reads well at the top of an axis: 1, 2 or 5 and
// zeros, in rupees.
func roundUp(p money.Paise) money.Paise {
	for at := money.Rupee; ; at *= 10 {
		for _, n := range []money.Paise{1, 2, 5} {
			if n*at >= p {
				return n * at
			}
		}
	}
}

// short writes whole rupees in few characters, as Indians count: thousands, lakhs
// and crores.
func (v *visit) short(p money.Paise) string {
	rupees := int64(p / money.Rupee)
	for _, unit := range []struct {
		of  int64
		key string
	}{{1_00_00_000, "short.crore"}, {1_00_000, "short.lakh"}, {1_000, "short.thousand"}} {
		if rupees >= unit.of {
			n := strconv.FormatInt(rupees/unit.of, 10)
			if tenth := rupees % unit.of * 10 / unit.of; tenth > 0 {
				n += "." + strconv.FormatInt(tenth, 10)
			}
			return v.T(unit.key, "n", n)
		}
	}
	return "₹" + strconv.FormatInt(rupees, 10)
}

// drawn is a chart as the template "chart" takes it.
type drawn struct {
	*chart
	V *visit
}

// Drawn is a chart for the template "chart".
func (v *visit) Drawn(c *chart) drawn { return drawn{c, v} }
