package sms

import (
	_ "embed" // banks.yaml
	"fmt"
	"slices"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed banks.yaml
var banksYAML []byte

// banks maps each header to its bank. The file is part of the program, and a
// test reads it: it can't fail for a user.
var banks = sync.OnceValue(func() map[string]string {
	of, err := parseBanks(banksYAML)
	if err != nil {
		panic(err)
	}
	return of
})

func parseBanks(raw []byte) (map[string]string, error) {
	var lists map[string][]string
	if err := yaml.Unmarshal(raw, &lists); err != nil {
		return nil, fmt.Errorf("read the banks' headers: %w", err)
	}
	of := make(map[string]string)
	for bank, headers := range lists {
		for _, name := range headers {
			if h, err := ParseHeader("XX-" + name); err != nil || h.Name != name {
				return nil, fmt.Errorf("read the banks' headers: %s of %s is none", name, bank)
			}
			if other, ok := of[name]; ok {
				return nil, fmt.Errorf("read the banks' headers: %s is claimed by %s and %s", name, bank, other)
			}
			of[name] = bank
		}
	}
	return of, nil
}

// KnownBank tells whether a bank's short name, such as "hdfc", is one with
// headers here: what a wallet's bank may be set to.
func KnownBank(bank string) bool {
	for _, known := range banks() {
		if known == bank {
			return true
		}
	}
	return false
}

// BankNames are the short names of the banks with headers, sorted.
func BankNames() []string {
	var names []string
	for _, bank := range banks() {
		names = append(names, bank)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
