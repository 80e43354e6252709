package deposit

import "github.com/milaan/milaan/money"

// Backlog is what is not settled yet.
type Backlog struct {
	Waiting     int64 // claims without their credit
	Review      int64 // claims that wait for a person
	Withdrawals int64 // neither sent nor refused
	// Unclaimed is money that nobody has claimed, in paise; of the whole
	// installation alone, since merchants share wallets.
	Unclaimed money.Paise
}
