package payout

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"strings"
	"sync"

	"github.com/milaan/milaan/upi"
)

// bankList names the banks of India by the first four letters of their IFSC and
// says which of them are on UPI, and with it on IMPS' switch. It was made from
// NPCI's and RBI's lists as the npm package ifsc 2.0.50 (MIT) has them.
//
//go:embed banks.csv
var bankList string

// bankStanding is what the list says of a bank.
type bankStanding struct {
	Name    string
	Instant bool // on UPI, and so able to take IMPS
}

var banks = sync.OnceValues(func() (map[string]bankStanding, error) {
	rows, err := csv.NewReader(strings.NewReader(bankList)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read the list of banks: %w", err)
	}
	list := make(map[string]bankStanding, len(rows))
	for _, row := range rows[1:] {
		list[row[0]] = bankStanding{Name: row[2], Instant: row[1] == "yes"}
	}
	return list, nil
})

// bankOf finds the bank of a branch; ok is false for a bank that is not known.
func bankOf(branch upi.IFSC) (bank bankStanding, ok bool, err error) {
	list, err := banks()
	if err != nil {
		return bankStanding{}, false, err
	}
	bank, ok = list[branch.Bank()]
	return bank, ok, nil
}
