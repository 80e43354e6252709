package apply

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/money"
)

// class is what all objects of a kind have in common.
type class[T any] struct {
	kind       string
	id         func(*T) string
	retired    func(*T) *bool
	attributes func(*T) []attribute
}

// attribute is a field as the file names it, in a text that is the same only
// where the field is.
type attribute struct {
	name, text string
	shown      string // in place of the text, where not all may see it
	secret     bool
}

// differences compares the attributes of an object with those it had. Both
// lists come from one function, so they name the same fields in one order.
func differences(before, now []attribute) []Field {
	var out []Field
	for i, a := range now {
		switch was := before[i]; {
		case was.text == a.text:
		case a.secret:
			out = append(out, Field{Name: a.name, Secret: true})
		default:
			out = append(out, Field{Name: a.name, From: cmp.Or(was.shown, was.text), To: cmp.Or(a.shown, a.text)})
		}
	}
	return out
}

var merchantClass = class[directory.Merchant]{
	kind:    "merchant",
	id:      func(m *directory.Merchant) string { return m.ID },
	retired: func(m *directory.Merchant) *bool { return &m.Retired },
	attributes: func(m *directory.Merchant) []attribute {
		return append([]attribute{
			{name: "name", text: m.Name},
			{name: "domain", text: m.Domain},
			{name: "timezone", text: m.Timezone},
			hidden("plugin_api_secret", m.Secrets.PluginAPI...),
			hidden("withdrawal_private_key", m.Secrets.WithdrawalKey),
			{name: "postback.url", text: m.PostbackURL},
			{name: "postback.schedule", text: joined(m.PostbackWaits, time.Duration.String)},
			hidden("postback.access_key", m.Secrets.AccessKey),
			hidden("postback.private_key", m.Secrets.PrivateKey),
			hidden("postback.private_key_previous", m.Secrets.PrivateKeyPrevious),
			hidden("postback.webhook_secret", m.Secrets.Webhook),
			hidden("postback.webhook_secret_previous", m.Secrets.WebhookPrevious),
			{name: "postback.ed25519", text: onOff(m.PostbackEd25519)},
			hidden("postback.client_cert", m.Secrets.ClientCert, m.Secrets.ClientKey),
			{name: "redirect_urls", text: pairsText(m.RedirectURLs, strconv.Quote)},
			{name: "frame_ancestors", text: strings.Join(m.FrameAncestors, " ")},
			{name: "look.colour", text: string(m.Look.Colour)},
			{name: "look.logo", text: logoText(m.Look.Logo)},
			{name: "methods", text: pairsText(m.Methods, onOff)},
			{name: "fee.deposit_percent", text: m.Fee.DepositPercent.String() + " %"},
			rupees("fee.deposit_fixed", m.Fee.DepositFixed),
			{name: "fee.withdrawal_percent", text: m.Fee.WithdrawalPercent.String() + " %"},
			rupees("fee.withdrawal_fixed", m.Fee.WithdrawalFixed),
			{name: "amount_policy", text: string(m.AmountPolicy)},
			{name: "allowed_ips", text: joined(m.AllowedIPs, netip.Prefix.String)},
			{name: "reports.daily", text: strings.Join(m.Reports.Daily, " ")},
			{name: "reports.monthly", text: strings.Join(m.Reports.Monthly, " ")},
		}, settlementAttributes(m.Settlement)...)
	},
}

var methodClass = class[directory.Method]{
	kind:    "method",
	id:      func(m *directory.Method) string { return m.Type },
	retired: func(m *directory.Method) *bool { return &m.Retired },
	attributes: func(m *directory.Method) []attribute {
		return []attribute{
			{name: "name", text: pairsText(m.Name, strconv.Quote)},
			{name: "enabled", text: onOff(m.Enabled)},
			rupees("min", m.Min),
			rupees("max", m.Max),
			{name: "reference", text: onOff(!m.IgnoreReference)},
			{name: "order", text: strconv.Itoa(m.Order)},
		}
	},
}

var walletClass = class[directory.Wallet]{
	kind:    "wallet",
	id:      func(w *directory.Wallet) string { return w.ID },
	retired: func(w *directory.Wallet) *bool { return &w.Retired },
	attributes: func(w *directory.Wallet) []attribute {
		return []attribute{
			{name: "method", text: w.Method},
			{name: "vpa", text: string(w.VPA)},
			{name: "merchant_vpa", text: onOff(w.MerchantVPA)},
			{name: "name", text: w.Name},
			{name: "currency", text: string(w.Currency)},
			{name: "merchants", text: strings.Join(w.Merchants, " ")},
			rupees("daily_limit", w.DailyLimit),
			rupees("per_payment_max", w.PerPaymentMax),
			{name: "bank", text: w.Bank},
			{name: "account", text: w.Account},
			{name: "enabled", text: onOff(w.Enabled)},
		}
	},
}

var feedClass = class[directory.Feed]{
	kind:    "feed",
	id:      func(f *directory.Feed) string { return f.ID },
	retired: func(f *directory.Feed) *bool { return &f.Retired },
	attributes: func(f *directory.Feed) []attribute {
		return []attribute{
			{name: "kind", text: f.Kind},
			{name: "wallet", text: f.Wallet},
			{name: "senders", text: strings.Join(f.Senders, " ")},
			{name: "scheme", text: f.Scheme},
			{name: "domains", text: strings.Join(f.Domains, " ")},
			{name: "recipients", text: strings.Join(f.Recipients, " ")},
			{name: "relay", text: f.Relay},
			{name: "mailbox", text: mailboxText(f.Mailbox)},
			{name: "header", text: f.Header},
			{name: "user", text: f.User},
			hidden("token", f.Token),
			hidden("secret", f.Secrets.Signing),
			hidden("password", f.Secrets.Password),
			hidden("private_key", f.Secrets.PrivateKey),
			hidden("bank_key", f.Secrets.BankKey),
		}
	},
}

// mailboxText shows where mail is read.
func mailboxText(m *directory.Mailbox) string {
	if m == nil {
		return ""
	}
	text := m.Username + " at " + m.Address
	if m.StartTLS {
		text += " by STARTTLS"
	}
	if m.Name != "" {
		text += ", " + m.Name
	}
	return text
}

var ruleClass = class[directory.Rule]{
	kind:    "rule",
	id:      func(r *directory.Rule) string { return r.Name },
	retired: func(r *directory.Rule) *bool { return &r.Retired },
	attributes: func(r *directory.Rule) []attribute {
		return []attribute{
			{name: "when", text: r.When},
			{name: "then", text: r.Then},
			{name: "order", text: strconv.Itoa(r.Order)},
		}
	},
}

var payoutClass = class[directory.PayoutDesk]{
	kind:    "payout",
	id:      func(d *directory.PayoutDesk) string { return d.ID },
	retired: func(d *directory.PayoutDesk) *bool { return &d.Retired },
	attributes: func(d *directory.PayoutDesk) []attribute {
		return []attribute{
			{name: "kind", text: d.Kind},
			{name: "method", text: d.Method},
			{name: "wallets", text: strings.Join(d.Wallets, " ")},
			rupees("min", d.Min),
			rupees("max", d.Max),
			rupees("merchant_per_day", d.MerchantDay),
			rupees("label_per_day", d.LabelDay),
			rupees("wallet_per_day", d.WalletDay),
			rupees("approve_above", d.ApproveAbove),
			{name: "layout", text: d.Layout},
			{name: "codes", text: pairsText(d.Codes, strconv.Quote)},
			{name: "account", text: d.Account},
			{name: "key_id", text: d.KeyID},
			{name: "address", text: d.Address},
			hidden("key", d.Secrets.Key),
			hidden("webhook_secret", d.Secrets.Webhook),
		}
	},
}

// hidden is an attribute that is compared and never shown.
func hidden(name string, secrets ...directory.Secret) attribute {
	return attribute{name: name, text: joined(secrets, func(s directory.Secret) string { return strconv.Quote(s.Reveal()) }), secret: true}
}

// rupees shows an amount exactly: 0.1 is ₹0.10.
func rupees(name string, amount money.Paise) attribute {
	return attribute{name: name, text: money.Format(amount, money.English)}
}

// logoText names a logo by its type and hash: the image itself says nothing on
// a terminal.
func logoText(logo string) string {
	media, _, found := strings.Cut(strings.TrimPrefix(logo, "data:"), ";")
	if !found {
		return logo
	}
	sum := sha256.Sum256([]byte(logo))
	return media + " sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// pairsText shows a mapping in the order of its keys.
func pairsText[V any](m map[string]V, text func(V) string) string {
	return joined(slices.Sorted(maps.Keys(m)), func(key string) string {
		return fmt.Sprintf("%s: %s", key, text(m[key]))
	})
}

func joined[V any](list []V, text func(V) string) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = text(v)
	}
	return strings.Join(texts, ", ")
}
