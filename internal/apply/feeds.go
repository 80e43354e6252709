package apply

import (
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strings"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed/bankhook"
	"github.com/milaan/milaan/internal/feed/sms"
)

// keysOfKind are the keys that a feed of each kind has beside id, kind, wallet
// and token. Providers' kinds have providerKeys.
var keysOfKind = map[string][]string{
	directory.FeedJSON:      nil,
	directory.FeedSMS:       {"senders", "scheme", "secret"},
	directory.FeedStatement: nil,
	directory.FeedEmail:     {"domains", "recipients", "relay", "mailbox"},
}

var providerKeys = []string{"secret", "header", "user", "password", "private_key", "bank_key"}

func feedKinds() []string {
	return append([]string{directory.FeedJSON, directory.FeedSMS, directory.FeedStatement, directory.FeedEmail}, bankhook.Kinds()...)
}

func readFeed(v value, _ int) feed {
	all := append([]string{"id", "kind", "wallet", "token", "senders", "scheme", "domains", "recipients", "relay", "mailbox"}, providerKeys...)
	o := v.object(all...)
	o.need("id", "kind", "wallet")
	f := feed{object: o, want: directory.Feed{
		ID:         o.matching("id", checkID),
		Kind:       o.matching("kind", oneOf(feedKinds()...)),
		Wallet:     o.matching("wallet", checkID),
		Token:      o.secret("token"),
		Senders:    o.list("senders", checkSender),
		Scheme:     o.matching("scheme", checkScheme),
		Domains:    o.list("domains", checkDomain),
		Recipients: o.list("recipients", checkEmail),
		Relay:      o.matching("relay", checkDomain),
		Header:     o.matching("header", checkHeader),
		User:       o.text("user", ""),
		Secrets: directory.FeedSecrets{
			Signing: o.secret("secret"), Password: o.secret("password"),
			PrivateKey: o.key("private_key", func(s directory.Secret) error { _, err := directory.ParsePrivateKey(s); return err }),
			BankKey:    o.key("bank_key", func(s directory.Secret) error { _, err := directory.ParseBankKey(s); return err }),
		},
	}}
	w := &f.want
	if v, ok := o.fields["mailbox"]; ok {
		w.Mailbox, w.Secrets.Password = readMailbox(v)
	}
	if w.Kind == "" {
		return f
	}
	fits := append([]string{"id", "kind", "wallet", "token"}, providerKeys...)
	if keys, ok := keysOfKind[w.Kind]; ok {
		fits = append([]string{"id", "kind", "wallet", "token"}, keys...)
	}
	for _, key := range all {
		if v, ok := o.fields[key]; ok && !slices.Contains(fits, key) {
			v.wrong("is nothing that a feed of kind %s has: its keys are %s", w.Kind, strings.Join(fits, ", "))
		}
	}
	return f
}

// readMailbox reads where mail is fetched, and its password.
func readMailbox(v value) (*directory.Mailbox, directory.Secret) {
	o := v.object("address", "starttls", "username", "password", "name")
	o.need("address", "username")
	return &directory.Mailbox{
		Address: o.matching("address", checkAddress), StartTLS: o.toggle("starttls", false),
		Username: o.text("username", ""), Name: o.text("name", ""),
	}, o.secret("password")
}

// list reads a list of texts that check accepts.
func (o object) list(key string, check func(string) (string, error)) (texts []string) {
	v, ok := o.fields[key]
	if !ok {
		return nil
	}
	for _, item := range v.elements() {
		if text := item.matching(check); text != "" && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}

// key reads a key in PEM, of several lines. Nothing that is said of it shows it.
func (o object) key(name string, check func(directory.Secret) error) directory.Secret {
	v, ok := o.fields[name]
	if !ok {
		return ""
	}
	text, ok := v.scalar()
	if !ok {
		return ""
	}
	if err := check(directory.Secret(text)); err != nil {
		v.wrong("%v", err)
		return ""
	}
	return directory.Secret(text)
}

var (
	digitsPattern = regexp.MustCompile(`^[0-9]{3,18}$`)
	headerPattern = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
)

func checkBank(s string) (string, error) {
	if !sms.KnownBank(s) {
		return "", fmt.Errorf("is no bank that is known: use one of %s, or leave it out", strings.Join(sms.BankNames(), ", "))
	}
	return s, nil
}

func checkAccount(s string) (string, error) {
	if !digitsPattern.MatchString(s) {
		return "", errors.New("is no account number: give its digits, or the last 3 to 6 of them, in quotes")
	}
	return s, nil
}

func checkSender(s string) (string, error) {
	h, err := sms.ParseHeader(s)
	if err != nil {
		return "", errors.New("is no SMS header of a bank: it is the six letters after the prefix, such as HDFCBK of VM-HDFCBK-S")
	}
	return h.Name, nil
}

func checkScheme(s string) (string, error) {
	scheme, err := sms.ParseScheme(s)
	return string(scheme), err
}

func checkEmail(s string) (string, error) {
	local, domain, ok := strings.Cut(strings.ToLower(s), "@")
	if !ok || local == "" || strings.ContainsAny(local, " <>,\"") || !hostname(domain) {
		return "", errors.New("is no e-mail address: write it as accounts@shop.example")
	}
	return local + "@" + domain, nil
}

func checkAddress(s string) (string, error) {
	if host, port, err := net.SplitHostPort(s); err != nil || host == "" || port == "" {
		return "", errors.New("is no address: write host and port, such as imap.example.com:993")
	}
	return s, nil
}

func checkHeader(s string) (string, error) {
	if !headerPattern.MatchString(s) {
		return "", errors.New("is no name of an HTTP header: use letters, digits and -")
	}
	return textproto.CanonicalMIMEHeaderKey(s), nil
}
