package apply

import (
	"cmp"
	"slices"

	"github.com/milaan/milaan/internal/directory"
)

// Installation is the directory in the form of the apply file, without secrets
// and without what is retired. Applied as it is, it changes nothing.
type Installation struct {
	Merchants []Merchant `json:"merchants" nullable:"false"`
	Methods   []Method   `json:"methods" nullable:"false"`
	Wallets   []Wallet   `json:"wallets" nullable:"false"`
	Feeds     []Feed     `json:"feeds" nullable:"false"`
	Rules     []Rule     `json:"rules" nullable:"false"`
	Payouts   []Payout   `json:"payouts" nullable:"false"`
	Webhooks  []Webhook  `json:"webhooks" nullable:"false" doc:"The installation's own; merchants' are with them."`
}

// Merchant is a merchant of the apply file, see docs/apply.md for the fields.
type Merchant struct {
	ID             string            `json:"id"`
	Name           string            `json:"name"`
	Domain         string            `json:"domain,omitempty"`
	Timezone       string            `json:"timezone"`
	Postback       *PostbackTarget   `json:"postback,omitempty"`
	RedirectURLs   map[string]string `json:"redirect_urls,omitempty"`
	FrameAncestors []string          `json:"frame_ancestors,omitempty" nullable:"false"`
	Look           *Look             `json:"look,omitempty"`
	Methods        map[string]bool   `json:"methods,omitempty"`
	Fee            Fee               `json:"fee"`
	AmountPolicy   string            `json:"amount_policy" enum:"exact,actual"`
	Settlement     *Settlement       `json:"settlement,omitempty"`
	Reports        *Reports          `json:"reports,omitempty"`
	AllowedIPs     []string          `json:"allowed_ips,omitempty" nullable:"false"`
	Webhooks       []Webhook         `json:"webhooks,omitempty" nullable:"false"`
}

// PostbackTarget is where deposits are announced.
type PostbackTarget struct {
	URL      string   `json:"url"`
	Schedule []string `json:"schedule,omitempty" nullable:"false" doc:"Waits between attempts."`
	Ed25519  bool     `json:"ed25519,omitempty"`
}

// Look is how the payment window shows a merchant.
type Look struct {
	Colour string `json:"colour,omitempty" example:"#0a6b4d"`
	Logo   string `json:"logo,omitempty" doc:"A data URI."`
}

// Fee is what the operator keeps.
type Fee struct {
	DepositPercent    string `json:"deposit_percent" example:"1.5"`
	DepositFixed      string `json:"deposit_fixed" doc:"Rupees." example:"2.00"`
	WithdrawalPercent string `json:"withdrawal_percent" example:"0"`
	WithdrawalFixed   string `json:"withdrawal_fixed" doc:"Rupees." example:"0.00"`
}

// Webhook is an endpoint that is told of events, see docs/events.md.
type Webhook struct {
	ID       string   `json:"id"`
	URL      string   `json:"url"`
	Events   []string `json:"events" nullable:"false" doc:"Types, groups such as deposit.*, or *."`
	Schedule []string `json:"schedule,omitempty" nullable:"false" doc:"Waits between attempts."`
	Ed25519  bool     `json:"ed25519,omitempty"`
}

// Reports are the e-mail addresses that a merchant's reports go to.
type Reports struct {
	Daily   []string `json:"daily,omitempty" nullable:"false" example:"accounts@shop.example"`
	Monthly []string `json:"monthly,omitempty" nullable:"false" example:"accounts@shop.example"`
}

// Settlement is where a merchant's balance is paid out to, and when.
type Settlement struct {
	Account  string `json:"account_number" example:"998877665544"`
	Name     string `json:"account_name"`
	IFSC     string `json:"ifsc" example:"HDFC0000001"`
	Method   string `json:"method" example:"imps_ib"`
	Schedule string `json:"schedule,omitempty" enum:"daily,weekdays,weekly,monthly" doc:"Left out where settlement is on demand."`
	Day      string `json:"day,omitempty" doc:"Of a weekly or monthly one." example:"mon"`
	At       string `json:"at,omitempty" doc:"In the merchant's time zone." example:"18:00"`
	Least    string `json:"least" doc:"Rupees: below this nothing is settled." example:"0.00"`
	Keep     string `json:"keep" doc:"Rupees that stay in the balance." example:"0.00"`
}

// Method is a way to pay.
type Method struct {
	Type      string            `json:"type" example:"upi_l"`
	Name      map[string]string `json:"name"`
	Enabled   bool              `json:"enabled"`
	Min       string            `json:"min" doc:"Rupees; 0.00 for no bound." example:"0.00"`
	Max       string            `json:"max" doc:"Rupees; 0.00 for no bound." example:"100000.00"`
	Reference bool              `json:"reference"`
}

// Wallet is an account that payers pay to.
type Wallet struct {
	ID            string   `json:"id"`
	Method        string   `json:"method"`
	VPA           string   `json:"vpa"`
	MerchantVPA   bool     `json:"merchant_vpa"`
	Name          string   `json:"name"`
	Currency      string   `json:"currency" example:"INR"`
	Merchants     []string `json:"merchants" nullable:"false"`
	DailyLimit    string   `json:"daily_limit" doc:"Rupees; 0.00 for no bound." example:"0.00"`
	PerPaymentMax string   `json:"per_payment_max" doc:"Rupees; 0.00 for no bound." example:"0.00"`
	Enabled       bool     `json:"enabled"`
	Bank          string   `json:"bank,omitempty"`
	Account       string   `json:"account,omitempty"`
}

// Feed is a source of bank entries.
type Feed struct {
	ID         string   `json:"id"`
	Kind       string   `json:"kind"`
	Wallet     string   `json:"wallet"`
	Senders    []string `json:"senders,omitempty" nullable:"false"`
	Scheme     string   `json:"scheme,omitempty"`
	Domains    []string `json:"domains,omitempty" nullable:"false"`
	Recipients []string `json:"recipients,omitempty" nullable:"false"`
	Relay      string   `json:"relay,omitempty"`
	Mailbox    *Mailbox `json:"mailbox,omitempty"`
	Header     string   `json:"header,omitempty"`
	User       string   `json:"user,omitempty"`
}

// Mailbox is a mailbox that a feed reads.
type Mailbox struct {
	Address  string `json:"address"`
	StartTLS bool   `json:"starttls"`
	Username string `json:"username"`
	Name     string `json:"name,omitempty"`
}

// Rule is an operator's own review rule.
type Rule struct {
	Name string `json:"name"`
	When string `json:"when"`
	Then string `json:"then"`
}

// Payout is a way that money leaves by.
type Payout struct {
	ID           string            `json:"id"`
	Kind         string            `json:"kind"`
	Method       string            `json:"method"`
	Wallets      []string          `json:"wallets,omitempty" nullable:"false"`
	Min          string            `json:"min" doc:"Rupees; 0.00 for no bound." example:"0.00"`
	Max          string            `json:"max" doc:"Rupees; 0.00 for no bound." example:"0.00"`
	MerchantDay  string            `json:"merchant_per_day" doc:"Rupees; 0.00 for no bound." example:"0.00"`
	LabelDay     string            `json:"label_per_day" doc:"Rupees; 0.00 for no bound." example:"0.00"`
	WalletDay    string            `json:"wallet_per_day" doc:"Rupees; 0.00 for no bound." example:"0.00"`
	ApproveAbove string            `json:"approve_above" doc:"Rupees; 0.00 has a person approve each." example:"0.00"`
	Layout       string            `json:"layout,omitempty"`
	Codes        map[string]string `json:"codes,omitempty"`
	Account      string            `json:"account,omitempty"`
	KeyID        string            `json:"key_id,omitempty"`
	Address      string            `json:"address,omitempty"`
}

// MerchantsWith gives merchants as the file has them, each with its webhooks.
func MerchantsWith(hooks []*directory.Webhook) func(*directory.Merchant) Merchant {
	return func(m *directory.Merchant) Merchant {
		v := MerchantOf(m)
		if own := webhooksOf(hooks, m.ID); len(own) > 0 {
			v.Webhooks = own
		}
		return v
	}
}

// webhooksOf views the webhooks of a merchant, or the installation's own where
// that is empty.
func webhooksOf(hooks []*directory.Webhook, merchant string) []Webhook {
	return viewed(hooks, func(w *directory.Webhook) bool { return w.Retired || w.Merchant != merchant }, WebhookOf)
}

// WebhookOf is a webhook as the file has it, without secrets.
func WebhookOf(w *directory.Webhook) Webhook {
	v := Webhook{ID: w.ID, URL: w.URL, Events: w.Events, Ed25519: w.Ed25519}
	for _, wait := range w.Waits {
		v.Schedule = append(v.Schedule, wait.String())
	}
	return v
}

func settlementOf(s *directory.Settlement) *Settlement {
	if s == nil {
		return nil
	}
	v := &Settlement{
		Account: string(s.Account), Name: s.Name, IFSC: string(s.IFSC), Method: s.Method,
		Schedule: string(s.Schedule.Every), Day: s.Schedule.DayName(), Least: s.Least.Fixed(), Keep: s.Keep.Fixed(),
	}
	if s.Schedule.On() {
		v.At = s.Schedule.Clock()
	}
	return v
}

// MerchantOf is a merchant as the file has it, without secrets and webhooks: where
// it is declared alone, those stay as they are.
func MerchantOf(m *directory.Merchant) Merchant {
	v := Merchant{
		ID: m.ID, Name: m.Name, Domain: m.Domain, Timezone: m.Timezone, RedirectURLs: m.RedirectURLs, FrameAncestors: m.FrameAncestors,
		Methods: m.Methods, AmountPolicy: string(m.AmountPolicy), Settlement: settlementOf(m.Settlement),
		Fee: Fee{m.Fee.DepositPercent.String(), m.Fee.DepositFixed.Fixed(), m.Fee.WithdrawalPercent.String(), m.Fee.WithdrawalFixed.Fixed()},
	}
	if m.PostbackURL != "" {
		v.Postback = &PostbackTarget{URL: m.PostbackURL, Ed25519: m.PostbackEd25519}
		for _, wait := range m.PostbackWaits {
			v.Postback.Schedule = append(v.Postback.Schedule, wait.String())
		}
	}
	if m.Look != (directory.Look{}) {
		v.Look = &Look{string(m.Look.Colour), m.Look.Logo}
	}
	if len(m.Reports.Daily)+len(m.Reports.Monthly) > 0 {
		v.Reports = &Reports{m.Reports.Daily, m.Reports.Monthly}
	}
	for _, prefix := range m.AllowedIPs {
		v.AllowedIPs = append(v.AllowedIPs, prefix.String())
	}
	return v
}

// MethodOf is a method as the file has it.
func MethodOf(m *directory.Method) Method {
	return Method{m.Type, m.Name, m.Enabled, m.Min.Fixed(), m.Max.Fixed(), !m.IgnoreReference}
}

// WalletOf is a wallet as the file has it.
func WalletOf(w *directory.Wallet) Wallet {
	merchants := w.Merchants
	if merchants == nil {
		merchants = []string{}
	}
	return Wallet{
		ID: w.ID, Method: w.Method, VPA: string(w.VPA), MerchantVPA: w.MerchantVPA, Name: w.Name, Currency: string(w.Currency), Merchants: merchants,
		DailyLimit: w.DailyLimit.Fixed(), PerPaymentMax: w.PerPaymentMax.Fixed(), Enabled: w.Enabled, Bank: w.Bank, Account: w.Account,
	}
}

// FeedOf is a feed as the file has it, without secrets.
func FeedOf(f *directory.Feed) Feed {
	v := Feed{f.ID, f.Kind, f.Wallet, f.Senders, f.Scheme, f.Domains, f.Recipients, f.Relay, nil, f.Header, f.User}
	if m := f.Mailbox; m != nil {
		v.Mailbox = &Mailbox{m.Address, m.StartTLS, m.Username, m.Name}
	}
	return v
}

// RuleOf is a rule as the file has it.
func RuleOf(r *directory.Rule) Rule { return Rule{r.Name, r.When, r.Then} }

// PayoutOf is a payout desk as the file has it, without secrets.
func PayoutOf(p *directory.PayoutDesk) Payout {
	return Payout{
		p.ID, p.Kind, p.Method, p.Wallets, p.Min.Fixed(), p.Max.Fixed(), p.MerchantDay.Fixed(), p.LabelDay.Fixed(), p.WalletDay.Fixed(), p.ApproveAbove.Fixed(),
		p.Layout, p.Codes, p.Account, p.KeyID, p.Address,
	}
}

// viewed views the objects of a kind that are not retired.
func viewed[S, T any](stored []*S, retired func(*S) bool, view func(*S) T) []T {
	out := make([]T, 0, len(stored))
	for _, o := range stored {
		if !retired(o) {
			out = append(out, view(o))
		}
	}
	return out
}

// InstallationOf is a directory in the form of the apply file.
func InstallationOf(c *directory.Contents) Installation {
	methods, rules := slices.Clone(c.Methods), slices.Clone(c.Rules)
	slices.SortStableFunc(methods, func(a, b *directory.Method) int { return cmp.Compare(a.Order, b.Order) })
	slices.SortStableFunc(rules, func(a, b *directory.Rule) int { return cmp.Compare(a.Order, b.Order) })
	return Installation{
		Merchants: viewed(c.Merchants, func(m *directory.Merchant) bool { return m.Retired }, MerchantsWith(c.Webhooks)),
		Methods:   viewed(methods, func(m *directory.Method) bool { return m.Retired }, MethodOf),
		Wallets:   viewed(c.Wallets, func(w *directory.Wallet) bool { return w.Retired }, WalletOf),
		Feeds:     viewed(c.Feeds, func(f *directory.Feed) bool { return f.Retired }, FeedOf),
		Rules:     viewed(rules, func(r *directory.Rule) bool { return r.Retired }, RuleOf),
		Payouts:   viewed(c.Payouts, func(p *directory.PayoutDesk) bool { return p.Retired }, PayoutOf),
		Webhooks:  webhooksOf(c.Webhooks, ""),
	}
}
