package month

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/milaan/milaan/money"
)

// india is the zone in which shops open and payers pay (IST, no daylight saving
// since 1945).
var india = time.FixedZone("IST", 5*3600+1800)

// trade is how a merchant's customers pay.
type trade struct {
	merchant string
	label    string // what labels begin with
	order    string // what custom ids begin with
	daily    int    // payments of a weekday
	weekend  int    // those of a Saturday or Sunday in percent
	hours    [24]int
	// wallets are where payers pay to, by weight.
	wallets []place
	price   func(*rand.Rand) money.Paise
	people  []payer
}

// place is a wallet and the method by which it is shown.
type place struct {
	wallet, method string
	weight         int
}

// payer is somebody who pays: nobody real.
type payer struct{ name, vpa, label string }

// trades are the merchants of the month, which month.yaml in the demo's
// installation declares.
func trades(dice *rand.Rand) []*trade {
	list := []*trade{
		{
			merchant: "mela", label: "cust-", order: "MM-", daily: 22, weekend: 135,
			hours:   [24]int{1, 0, 0, 0, 0, 0, 1, 2, 4, 6, 8, 9, 9, 8, 7, 7, 8, 10, 12, 15, 16, 14, 9, 4},
			wallets: []place{{hdfc, "upi_l", 60}, {icici, "upi_l", 40}},
			price:   basket,
		},
		{
			merchant: "khel", label: "player-", order: "KA", daily: 24, weekend: 165,
			hours:   [24]int{6, 2, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 6, 6, 7, 8, 9, 10, 13, 17, 20, 20, 13},
			wallets: []place{{sbi, "upi_l", 50}, {axis, "upi_ib", 50}},
			price: func(dice *rand.Rand) money.Paise {
				return pick(dice, []money.Paise{50, 100, 100, 100, 200, 200, 250, 500, 500, 500, 1000, 1000, 2000, 5000}) * money.Rupee
			},
		},
		{
			merchant: "pathshala", label: "student-", order: "PO/", daily: 7, weekend: 80,
			hours:   [24]int{0, 0, 0, 0, 0, 0, 1, 3, 5, 8, 9, 8, 6, 5, 5, 6, 7, 9, 10, 11, 12, 8, 3, 1},
			wallets: []place{{sbi, "upi_l", 30}, {axis, "upi_ib", 70}},
			price: func(dice *rand.Rand) money.Paise {
				return pick(dice, []money.Paise{299, 499, 499, 999, 999, 1499, 2499, 4999, 8999}) * money.Rupee
			},
		},
		{
			merchant: "tiffin", label: "flat-", order: "TB", daily: 9, weekend: 60,
			hours:   [24]int{0, 0, 0, 0, 0, 0, 1, 4, 12, 9, 4, 8, 16, 12, 4, 1, 2, 4, 8, 14, 10, 4, 1, 0},
			wallets: []place{{icici, "upi_l", 100}},
			price: func(dice *rand.Rand) money.Paise {
				if dice.IntN(8) == 0 {
					return pick(dice, []money.Paise{2400, 3600}) * money.Rupee // a month of meals
				}
				return money.Paise(90+30*dice.IntN(9)) * money.Rupee
			},
		},
	}
	for _, t := range list {
		t.people = crowd(dice, t)
	}
	return list
}

// basket is what groceries come to, or now and then something for the house.
func basket(dice *rand.Rand) money.Paise {
	switch n := dice.IntN(200); {
	case n == 0:
		return money.Paise(51_000+500*dice.IntN(40)) * money.Rupee
	case n < 5:
		return money.Paise(10_490+1000*dice.IntN(24)) * money.Rupee
	case n < 80:
		return money.Paise(149+50*dice.IntN(40)) * money.Rupee
	default:
		// Most are small: the lesser of two throws.
		return min(money.Paise(9_900+50*dice.IntN(7000)), money.Paise(9_900+50*dice.IntN(7000)))
	}
}

var (
	given = strings.Fields("Aarav Aditi Akash Ananya Anil Anjali Arjun Asha Bhavna Chetan Deepa Dev Divya Farhan Gauri Gopal " +
		"Harpreet Imran Isha Jaya Karan Kavita Kiran Lakshmi Manoj Meera Mohan Nandini Naveen Neha Nikhil Padma Pooja Prakash " +
		"Priya Rahul Rajesh Rekha Ritu Rohan Sameer Sandeep Sanjay Shalini Shreya Simran Sunil Sunita Tanvi Uma Varun Vijay Vikram Yash Zoya")
	family = strings.Fields("Agarwal Bansal Bhatt Chauhan Das Deshmukh Dubey Gill Gupta Iyer Jain Joshi Kapoor Khan Kulkarni " +
		"Kumar Menon Mishra Mukherjee Naidu Nair Pandey Patel Patil Pillai Rao Reddy Saxena Shah Sharma Shetty Singh Sinha Thakur Verma Yadav")
	// No payment app has these handles.
	handles = []string{"okdemo", "demobank", "paydemo", "sampleupi"}
)

// crowd makes up a merchant's customers.
func crowd(dice *rand.Rand, t *trade) []payer {
	people := make([]payer, t.daily*12)
	for i := range people {
		first, last := pick(dice, given), pick(dice, family)
		vpa := strings.ToLower(first+"."+last) + fmt.Sprint(10+dice.IntN(90)) + "@" + pick(dice, handles)
		people[i] = payer{name: first + " " + last, vpa: vpa, label: t.label + fmt.Sprint(10_000+7*i+dice.IntN(7))}
	}
	return people
}

// customer picks one: some come often.
func (t *trade) customer(dice *rand.Rand) payer {
	return t.people[min(dice.IntN(len(t.people)), dice.IntN(len(t.people)))]
}

func (t *trade) place(dice *rand.Rand) place {
	n := dice.IntN(100)
	for _, p := range t.wallets {
		if n -= p.weight; n < 0 {
			return p
		}
	}
	return t.wallets[0]
}

// day throws the times of a day's payments; midnight is India's.
func (t *trade) day(dice *rand.Rand, midnight time.Time, growth int) (times []time.Time) {
	n := t.daily * growth / 100
	if d := midnight.In(india).Weekday(); d == time.Saturday || d == time.Sunday {
		n = n * t.weekend / 100
	}
	n += dice.IntN(n/3+2) - n/6
	total := 0
	for _, weight := range t.hours {
		total += weight
	}
	for range n {
		at, hour := dice.IntN(total), 0
		for at -= t.hours[0]; at >= 0; at -= t.hours[hour] {
			hour++
		}
		within := time.Duration(dice.Int64N(int64(time.Hour))).Truncate(time.Millisecond)
		times = append(times, midnight.Add(time.Duration(hour)*time.Hour+within))
	}
	return times
}

func pick[T any](dice *rand.Rand, list []T) T { return list[dice.IntN(len(list))] }
