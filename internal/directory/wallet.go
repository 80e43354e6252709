package directory

import (
	"slices"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Method is a way to pay: one wallet_type of the protocol.
type Method struct {
	Type    string            `json:"type"`
	Name    map[string]string `json:"name"` // by language
	Enabled bool              `json:"enabled"`
	// Min and Max bound what a payer may be asked for, in paise; 0 is no bound.
	// They do not bound what is credited: money that came, came.
	Min   money.Paise `json:"min"`
	Max   money.Paise `json:"max"`
	Order int         `json:"order"` // place in the list, from 1
	// IgnoreReference keeps the payment's reference out of its link, and credits
	// from finding their payment by it: for methods whose banks carry no notes.
	IgnoreReference bool `json:"ignore_reference,omitempty"`
	Retired         bool `json:"retired,omitempty"`
}

// Usable reports whether the method is on for the whole installation.
func (m *Method) Usable() bool { return m != nil && m.Enabled && !m.Retired }

// Label is the method's name in a language, English where that is missing.
func (m *Method) Label(lang string) string {
	for _, l := range []string{lang, "en"} {
		if name := m.Name[l]; name != "" {
			return name
		}
	}
	return m.Type
}

// Wallet is an account of the business that payers pay to.
type Wallet struct {
	ID     string  `json:"id"`
	Method string  `json:"method"`
	VPA    upi.VPA `json:"vpa"`
	// MerchantVPA says that the VPA is a merchant's at its bank, not a person's.
	MerchantVPA bool           `json:"merchant_vpa,omitempty"`
	Name        string         `json:"name"` // payee name shown to payers
	Currency    money.Currency `json:"currency"`
	Merchants   []string       `json:"merchants"` // ids of those it serves
	// DailyLimit bounds what the wallet is shown for in a day, PerPaymentMax
	// one payment; paise, 0 is no bound.
	DailyLimit    money.Paise `json:"daily_limit"`
	PerPaymentMax money.Paise `json:"per_payment_max"`
	Enabled       bool        `json:"enabled"`
	// Bank is the bank that keeps the account, such as "hdfc", and Account its
	// number or last digits: what feeds report is held to both. Empty where the
	// operator did not say.
	Bank    string `json:"bank,omitempty"`
	Account string `json:"account,omitempty"`
	Retired bool   `json:"retired,omitempty"`
}

// Open reports whether payers may be shown the wallet.
func (w *Wallet) Open() bool { return w.Enabled && !w.Retired }

// Serves reports whether money on the wallet may be the merchant's.
func (w *Wallet) Serves(merchant string) bool {
	return slices.Contains(w.Merchants, merchant)
}

// Rule is an operator's own review rule: an expr-lang expression over the
// claim, the credit and their history.
type Rule struct {
	Name    string `json:"name"`
	When    string `json:"when"`
	Then    string `json:"then"` // "review"
	Order   int    `json:"order"`
	Retired bool   `json:"retired,omitempty"`
}

// ThenReview is what a rule may do: hold the claim for a person.
const ThenReview = "review"

// PayoutDesk is a way money leaves by. Its limits are in paise; 0 is no bound.
type PayoutDesk struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"`
	Method string `json:"method"`
	// Wallets are those it pays from; none means any of the merchant's.
	Wallets []string `json:"wallets,omitempty"`
	// Min and Max bound one withdrawal, MerchantDay and LabelDay those of a day in
	// India.
	Min         money.Paise `json:"min,omitempty"`
	Max         money.Paise `json:"max,omitempty"`
	MerchantDay money.Paise `json:"merchant_day,omitempty"`
	LabelDay    money.Paise `json:"label_day,omitempty"`
	// WalletDay bounds what the desk pays from one wallet in a day in India.
	WalletDay money.Paise `json:"wallet_day,omitempty"`
	// ApproveAbove is what a person need not approve: withdrawals up to it are
	// sent by themselves. 0 has a person approve each.
	ApproveAbove money.Paise `json:"approve_above,omitempty"`
	// Layout names the file that a desk of files writes, and Codes are what the
	// bank calls the payer in it, see package bulkfile.
	Layout string            `json:"layout,omitempty"`
	Codes  map[string]string `json:"codes,omitempty"`
	// Account is the account that a provider pays from, KeyID who it knows us as.
	Account string `json:"account,omitempty"`
	KeyID   string `json:"key_id,omitempty"`
	// Address is the provider's, where it is not the usual one.
	Address string `json:"address,omitempty"`
	Retired bool   `json:"retired,omitempty"`

	Secrets PayoutSecrets `json:"-"` // stored sealed
}

// PayoutSecrets are what a desk shares with its provider.
type PayoutSecrets struct {
	Key     Secret // that calls are made with
	Webhook Secret // that webhooks are signed with
}

// Kinds of payout desk.
const (
	PayoutManual    = "manual"    // a person pays in the bank's portal
	PayoutFiles     = "bulkfile"  // a file is uploaded there
	PayoutRazorpayX = "razorpayx" // RazorpayX's Payouts API
	PayoutSandbox   = "sandbox"   // no money moves: the demo
)
