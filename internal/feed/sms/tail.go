package sms

import "strings"

const minTail = 2 // digits; one is no proof of anything

// TailFits tells whether the account a message prints, such as "XX1234", can be
// the wallet's, of which the number or its last digits are configured. Both are
// ends of a number: they are compared as far as both reach.
//
// A wallet without an account takes any message of its bank, and a message that
// prints no account is taken: then the bank's header alone vouches for it. A
// printed account whose end is masked, or that has less than two digits, fits no
// configured one.
func TailFits(printed, account string) bool {
	if strings.TrimSpace(account) == "" || strings.TrimSpace(printed) == "" {
		return true
	}
	a, b := lastDigits(printed), lastDigits(account)
	n := min(len(a), len(b))
	return n >= minTail && a[len(a)-n:] == b[len(b)-n:]
}

// lastDigits are the digits a number ends in, without the spaces and dashes
// among them.
func lastDigits(text string) string {
	text = strings.NewReplacer(" ", "", "-", "").Replace(text)
	return text[len(strings.TrimRight(text, "0123456789")):]
}
