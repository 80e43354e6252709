package money_test

import (
	"errors"
	"fmt"

	"github.com/milaan/milaan/money"
)

func ExampleParse() {
	p, _ := money.Parse("1,00,000.50")
	fmt.Println(int64(p), p, p.Fixed())

	_, err := money.Parse("5.001")
	fmt.Println(err, errors.Is(err, money.ErrPrecision))
	// Output:
	// 10000050 100000.5 100000.50
	// money: "5.001": too many decimals: use at most two for rupees, four for a percentage true
}

func ExampleFormat() {
	fmt.Println(money.Format(100000*money.Rupee, money.English))
	fmt.Println(money.Format(100000*money.Rupee, money.Hindi))
	// Output:
	// ₹1,00,000.00
	// ₹1,00,000.00
}

func ExamplePercent_Of() {
	fee, _ := money.ParsePercent("2.25")
	fmt.Println(fee.Of(999 * money.Rupee)) // ₹22.4775
	// Output: 22.48
}
