package apply

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

var (
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	typePattern   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	labelPattern  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	numberPattern = regexp.MustCompile(`^[0-9]+$`)
	langPattern   = regexp.MustCompile(`^[a-z]{2,3}$`)
	// A comma would split the list of reasons that a rule's name stands in.
	rulePattern = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{M}\p{N} ._-]{0,63}$`)
)

func readMerchant(v value, _ int) merchant {
	o := v.object("id", "name", "domain", "timezone", "plugin_api_secret", "plugin_api_secret_previous",
		"withdrawal_private_key", "postback", "redirect_urls", "frame_ancestors", "look", "methods", "fee",
		"amount_policy", "settlement", "reports", "allowed_ips", "webhooks")
	o.need("id")
	m := merchant{object: o}
	w := &m.want
	w.ID = o.matching("id", checkID)
	w.Name = o.text("name", w.ID)
	w.Domain = o.matching("domain", checkDomain)
	w.Timezone = "Asia/Kolkata"
	if o.has("timezone") {
		w.Timezone = o.matching("timezone", checkTimezone)
	}
	w.AmountPolicy = directory.PolicyExact
	if o.has("amount_policy") {
		w.AmountPolicy = directory.AmountPolicy(o.matching("amount_policy",
			oneOf(string(directory.PolicyExact), string(directory.PolicyActual))))
	}
	m.readSecrets()
	m.readPostback()
	if v, ok := o.fields["redirect_urls"]; ok {
		w.RedirectURLs = make(map[string]string)
		v.pairs(func(key string, at value) {
			if !idPattern.MatchString(key) {
				at.wrong("%s is no id of a URL: use a number, or letters, digits, - and _", quote(key))
				return
			}
			w.RedirectURLs[key] = at.matching(checkRedirect)
		})
	}
	if v, ok := o.fields["frame_ancestors"]; ok {
		for _, item := range v.elements() {
			w.FrameAncestors = append(w.FrameAncestors, item.matching(checkOrigin))
		}
	}
	if v, ok := o.fields["look"]; ok {
		w.Look = readLook(v)
	}
	if v, ok := o.fields["methods"]; ok {
		w.Methods = make(map[string]bool)
		v.pairs(func(key string, at value) {
			if _, err := checkType(key); err != nil {
				at.wrong("%s %v", quote(key), err)
				return
			}
			w.Methods[key] = at.toggle()
		})
	}
	if v, ok := o.fields["fee"]; ok {
		fee := v.object("deposit_percent", "deposit_fixed", "withdrawal_percent", "withdrawal_fixed")
		w.Fee = directory.Fee{
			DepositPercent:    fee.percent("deposit_percent"),
			DepositFixed:      fee.rupees("deposit_fixed"),
			WithdrawalPercent: fee.percent("withdrawal_percent"),
			WithdrawalFixed:   fee.rupees("withdrawal_fixed"),
		}
	}
	if v, ok := o.fields["settlement"]; ok {
		w.Settlement = readSettlement(v)
	}
	if v, ok := o.fields["reports"]; ok {
		w.Reports = readReports(v)
	}
	if v, ok := o.fields["allowed_ips"]; ok {
		for _, item := range v.elements() {
			if prefix, ok := item.prefix(); ok {
				w.AllowedIPs = append(w.AllowedIPs, prefix)
			}
		}
	}
	if v, ok := o.fields["webhooks"]; ok {
		for _, item := range v.elements() {
			m.webhooks = append(m.webhooks, readWebhook(item, w.ID))
		}
	}
	return m
}

// readLook reads how the window shows the merchant.
func readLook(v value) directory.Look {
	o := v.object("colour", "color", "logo")
	key := "colour"
	if o.has("color") {
		key = "color"
		if o.has("colour") {
			o.field("color").wrong("is another spelling of colour: keep one of them")
		}
	}
	var look directory.Look
	switch at := o.field(key); {
	case !o.has(key):
	case at.kind == null: // what an unquoted # makes of it
		at.wrong("is empty: write the colour in quotes, such as '#0a6b4d', as # begins a comment")
	default:
		look.Colour = directory.Colour(at.matching(func(s string) (string, error) {
			c, err := directory.ParseColour(s)
			return string(c), err
		}))
	}
	if at, ok := o.fields["logo"]; ok {
		if s, ok := at.scalar(); ok {
			// Base64 is mostly written in many lines.
			logo, err := directory.ParseLogo(strings.Join(strings.Fields(s), ""))
			if err != nil {
				at.wrong("%s %v", quote(s), err)
			}
			look.Logo = logo
		}
	}
	return look
}

func (m *merchant) readSecrets() {
	s := &m.want.Secrets
	s.WithdrawalKey = m.secret("withdrawal_private_key")
	if m.has("plugin_api_secret") {
		s.PluginAPI = []directory.Secret{m.secret("plugin_api_secret")}
	}
	if !m.has("plugin_api_secret_previous") {
		return
	}
	previous := m.secret("plugin_api_secret_previous")
	if s.PluginAPI == nil {
		m.field("plugin_api_secret_previous").wrong("needs plugin_api_secret beside it: add the new secret, or remove this line")
		return
	}
	s.PluginAPI = append(s.PluginAPI, previous)
}

func (m *merchant) readPostback() {
	v, ok := m.fields["postback"]
	if !ok {
		return
	}
	m.postback = true
	p := v.object("url", "schedule", "access_key", "private_key", "private_key_previous", "webhook_secret", "webhook_secret_previous",
		"ed25519", "client_cert", "client_key")
	p.need("url")
	m.want.PostbackURL = p.matching("url", checkPostback)
	m.want.PostbackEd25519 = p.toggle("ed25519", false)
	if v, ok := p.fields["schedule"]; ok {
		m.want.PostbackWaits = readWaits(v)
	}
	s := &m.want.Secrets
	s.AccessKey = p.secret("access_key")
	s.PrivateKey = p.secret("private_key")
	s.PrivateKeyPrevious = p.previous("private_key")
	s.WebhookPrevious = p.previous("webhook_secret")
	at, ok := p.fields["webhook_secret"]
	switch {
	case !ok:
	case at.kind == scalar && at.text == "":
		m.noWebhook = true
	default:
		s.Webhook = p.secret("webhook_secret")
		at.checkWebhookSecret(s.Webhook)
	}
	if at, ok := p.fields["webhook_secret_previous"]; ok {
		at.checkWebhookSecret(s.WebhookPrevious)
	}
	m.readClientCert(p)
}

// mostWaits bounds a schedule; what comes after a year nobody waits for.
const (
	mostWaits = 30
	mostWait  = 30 * 24 * time.Hour
)

// readWaits reads a schedule: the waits between attempts.
func readWaits(v value) []time.Duration {
	items := v.elements()
	if v.kind == sequence && (len(items) == 0 || len(items) > mostWaits) {
		v.wrong("must have 1 to %d waits, such as [5s, 5m, 1h], or be left out for the usual schedule", mostWaits)
	}
	var waits []time.Duration
	for _, item := range items {
		text, ok := item.oneLine()
		if !ok {
			continue
		}
		wait, err := time.ParseDuration(text)
		if err != nil || wait < time.Second || wait > mostWait {
			item.wrong("%s is no wait: write 1s to 720h, such as 5s, 5m or 2h30m", quote(text))
			continue
		}
		waits = append(waits, wait)
	}
	return waits
}

// previous reads the secret that another one replaces.
func (o object) previous(key string) directory.Secret {
	at, ok := o.fields[key+"_previous"]
	if !ok {
		return ""
	}
	if v, given := o.fields[key]; !given || v.kind == scalar && v.text == "" {
		at.wrong("needs %s beside it: add the new one, or remove this line", key)
	}
	return o.secret(key + "_previous")
}

func (v value) checkWebhookSecret(secret directory.Secret) {
	if _, err := directory.ParseWebhookSecret(secret); err != nil {
		v.wrong("%v: write whsec_ and the key in base64, or the key itself without whsec_", err)
	}
}

// readClientCert reads the certificate that the merchant's server asks for. Both
// halves as "" take a stored one back.
func (m *merchant) readClientCert(p object) {
	if !p.has("client_cert") && !p.has("client_key") {
		return
	}
	p.need("client_cert", "client_key")
	cert, _ := p.field("client_cert").scalar()
	key, _ := p.field("client_key").scalar()
	if cert == "" && key == "" {
		m.noClientCert = true
		return
	}
	// The error would quote what it found.
	if _, err := tls.X509KeyPair([]byte(cert), []byte(key)); err != nil {
		p.field("client_cert").wrong("client_cert and client_key are no pair: write both in PEM after a |, the certificate with those it is issued by")
		return
	}
	m.want.Secrets.ClientCert, m.want.Secrets.ClientKey = directory.Secret(cert), directory.Secret(key)
}

func readMethod(v value, i int) method {
	o := v.object("type", "name", "enabled", "min", "max", "reference")
	o.need("type")
	m := method{object: o}
	w := &m.want
	w.Type = o.matching("type", checkType)
	*w = newMethod(w.Type)
	w.Order = i + 1
	w.Enabled = o.toggle("enabled", true)
	w.IgnoreReference = !o.toggle("reference", true)
	w.Min, w.Max = o.rupees("min"), o.rupees("max")
	if w.Max > 0 && w.Max < w.Min {
		o.field("max").wrong("%s is below min %s: raise it, or write 0 for no bound", w.Max, w.Min)
	}
	v, ok := o.fields["name"]
	switch {
	case !ok:
	case v.kind == mapping:
		w.Name = make(map[string]string)
		v.pairs(func(lang string, at value) {
			if !langPattern.MatchString(lang) {
				at.wrong("%s is no language: use its code, such as en or hi", quote(lang))
				return
			}
			w.Name[lang], _ = at.oneLine()
		})
	default:
		name, _ := v.oneLine()
		w.Name = map[string]string{"en": name}
	}
	return m
}

func readWallet(v value, _ int) wallet {
	o := v.object("id", "method", "vpa", "merchant_vpa", "name", "currency", "merchants", "daily_limit", "per_payment_max", "enabled",
		"bank", "account")
	o.need("id", "method", "vpa", "merchants")
	w := wallet{object: o}
	w.want = directory.Wallet{
		ID:            o.matching("id", checkID),
		Method:        o.matching("method", checkType),
		VPA:           upi.VPA(o.matching("vpa", checkVPA)),
		MerchantVPA:   o.toggle("merchant_vpa", false),
		Currency:      money.INR,
		DailyLimit:    o.rupees("daily_limit"),
		PerPaymentMax: o.rupees("per_payment_max"),
		Enabled:       o.toggle("enabled", true),
		Bank:          o.matching("bank", checkBank),
		Account:       o.matching("account", checkAccount),
	}
	w.want.Name = o.text("name", string(w.want.VPA))
	o.matching("currency", checkCurrency)
	if w.want.Method == payoutMethod {
		o.field("method").wrong("%s is for payouts: use the method that payers pay by, such as upi_l", payoutMethod)
	}
	if v, ok := o.fields["merchants"]; ok {
		seen := make(names)
		for _, item := range v.elements() {
			id := item.matching(checkID)
			if seen.claim(item, id, quote(id)) && id != "" {
				w.want.Merchants = append(w.want.Merchants, id)
			}
		}
	}
	return w
}

func readRule(v value, i int) rule {
	o := v.object("name", "when", "then")
	o.need("name", "when")
	r := rule{object: o, want: directory.Rule{
		Name:  o.matching("name", checkRuleName),
		Then:  directory.ThenReview,
		Order: i + 1,
	}}
	if o.has("then") {
		r.want.Then = o.matching("then", oneOf(directory.ThenReview))
	}
	v, ok := o.fields["when"]
	if !ok {
		return r
	}
	r.want.When, ok = v.scalar()
	if !ok {
		return r
	}
	r.want.When = strings.TrimSpace(r.want.When)
	// The name is a stand-in: the error's place says which rule it is.
	_, err := deposit.CompileRules([]*directory.Rule{{Name: "r", When: r.want.When}})
	if err != nil {
		first, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "rule r: "), "\n")
		v.wrong("not a rule, %s: write a condition such as amount > 100000", first)
	}
	return r
}

func readPayout(v value, _ int) payout {
	o := v.object("id", "kind", "method", "wallets", "min", "max", "merchant_per_day", "label_per_day", "wallet_per_day", "approve_above",
		"layout", "codes", "account", "key_id", "key", "webhook_secret", "address")
	o.need("id", "kind", "method")
	d := payout{object: o, want: directory.PayoutDesk{
		ID:           o.matching("id", checkID),
		Kind:         o.matching("kind", oneOf(directory.PayoutManual, directory.PayoutFiles, directory.PayoutRazorpayX, directory.PayoutSandbox)),
		Method:       o.matching("method", checkType),
		Wallets:      o.list("wallets", checkID),
		Min:          o.rupees("min"),
		Max:          o.rupees("max"),
		MerchantDay:  o.rupees("merchant_per_day"),
		LabelDay:     o.rupees("label_per_day"),
		WalletDay:    o.rupees("wallet_per_day"),
		ApproveAbove: o.rupees("approve_above"),
		Layout:       o.text("layout", ""),
		Account:      o.matching("account", checkAccount),
		KeyID:        o.text("key_id", ""),
		Address:      o.text("address", ""),
		Secrets:      directory.PayoutSecrets{Key: o.secret("key"), Webhook: o.secret("webhook_secret")},
	}}
	if v, ok := o.fields["codes"]; ok {
		d.want.Codes = make(map[string]string)
		v.pairs(func(name string, at value) { d.want.Codes[name], _ = at.oneLine() })
	}
	if w := &d.want; w.Max > 0 && w.Max < w.Min {
		o.field("max").wrong("%s is below min %s: raise it, or write 0 for no bound", w.Max, w.Min)
	}
	return d
}

func checkID(s string) (string, error) {
	if !idPattern.MatchString(s) {
		return "", errors.New("is no id: use up to 64 letters, digits, - and _, beginning with a letter or digit")
	}
	return s, nil
}

func checkType(s string) (string, error) {
	if !typePattern.MatchString(s) {
		return "", errors.New("is no method type: use up to 32 small letters, digits and _, beginning with a letter, such as upi_l")
	}
	return s, nil
}

func checkRuleName(s string) (string, error) {
	if !rulePattern.MatchString(s) {
		return "", errors.New("is no rule name: use up to 64 letters, digits, spaces and . _ -, beginning with a letter or digit")
	}
	return s, nil
}

func checkVPA(s string) (string, error) {
	vpa, err := upi.ParseVPA(s)
	if err != nil {
		return "", errors.New("is no VPA: use name@handle")
	}
	return string(vpa), nil
}

func checkTimezone(s string) (string, error) {
	if _, err := time.LoadLocation(s); err != nil || s == "Local" {
		return "", errors.New("is no time zone: use an IANA name such as Asia/Kolkata")
	}
	return s, nil
}

func checkCurrency(s string) (string, error) {
	if c, err := money.ParseCurrency(s); err != nil || c != money.INR {
		return "", errors.New("is no currency of UPI: write INR, or remove the line")
	}
	return string(money.INR), nil
}

func oneOf(known ...string) func(string) (string, error) {
	return func(s string) (string, error) {
		if !slices.Contains(known, s) {
			return "", fmt.Errorf("is not known here: use %s", strings.Join(known, ", "))
		}
		return s, nil
	}
}

func checkDomain(s string) (string, error) {
	domain := strings.ToLower(s)
	// "plugin." goes in front of it, and 253 is the most that DNS carries.
	if !hostname(domain) || len("plugin.")+len(domain) > 253 {
		return "", errors.New("is no host name: write it without scheme, port and path, such as shop.example")
	}
	return domain, nil
}

// hostname reports whether s is a lower-case name that DNS could carry and that
// is no address.
func hostname(s string) bool {
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if !labelPattern.MatchString(label) {
			return false
		}
	}
	return !numberPattern.MatchString(labels[len(labels)-1])
}

// checkURL reads an absolute http or https URL.
func checkURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.Contains(s, " "):
		return nil, errors.New("is no web address: write it whole, such as https://shop.example/path")
	case u.User != nil:
		return nil, errors.New("has a user name in it: remove what stands before the @")
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil && !hostname(strings.ToLower(u.Hostname())) {
		return nil, errors.New("has a host that is no host name: spell it in ASCII letters, such as https://shop.example/path")
	}
	return u, nil
}

func checkPostback(s string) (string, error) {
	if _, err := checkURL(s); err != nil {
		return "", err
	}
	return s, nil
}

// checkRedirect holds to the protocol, section 4: https, or http on loopback.
func checkRedirect(s string) (string, error) {
	u, err := checkURL(s)
	if err != nil {
		return "", err
	}
	if u.Scheme != "https" && !loopback(u.Hostname()) {
		return "", errors.New("is not https: use https, plain http only for localhost")
	}
	return s, nil
}

// checkOrigin reads what goes into a Content-Security-Policy header.
func checkOrigin(s string) (string, error) {
	if _, err := checkRedirect(s); err != nil {
		return "", err
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", err
	}
	origin := u.Scheme + "://" + strings.ToLower(u.Host)
	if strings.ToLower(s) != origin {
		return "", fmt.Errorf("is more than an origin: write %s", origin)
	}
	return origin, nil
}

func loopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// prefix reads an address or a network.
func (v value) prefix() (netip.Prefix, bool) {
	s, ok := v.oneLine()
	if !ok {
		return netip.Prefix{}, false
	}
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(s)
	switch {
	case err != nil || prefix.Addr().Is4In6():
		v.wrong("%s is no address or network: write 203.0.113.7 or 203.0.113.0/24", quote(s))
	case prefix != prefix.Masked():
		v.wrong("%s has bits beyond its network: write %s", quote(s), prefix.Masked())
	default:
		return prefix, true
	}
	return netip.Prefix{}, false
}
