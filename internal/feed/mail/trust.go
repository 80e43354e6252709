package mail

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-msgauth/authres"
	"github.com/emersion/go-msgauth/dkim"
	"golang.org/x/net/publicsuffix"
)

// Errors of [Verifier.Verify].
var (
	// ErrTemporary says that nothing is known of the message yet, because the
	// sender's key could not be looked up: try again later.
	ErrTemporary = errors.New("the key of the bank's signature can't be looked up now: the message is to be tried again")
	// ErrUntrusted is of a message that is not proven to be the bank's to this
	// merchant. It is for good; [UntrustedError] says why.
	ErrUntrusted = errors.New("the message is not proven to be the bank's")
)

// Reason is why a message is not trusted.
type Reason string

// Reasons of an [UntrustedError].
const (
	// ReasonSender: the From address is not of the bank's domains, whatever name
	// is shown with it.
	ReasonSender Reason = "sender"
	// ReasonRecipient: it was not written to this merchant. Whoever banks there
	// gets genuine alerts of their own, and can send them on unchanged.
	ReasonRecipient Reason = "recipient"
	// ReasonReply: it answers or forwards other mail, or tells that it could not be
	// delivered. Such mail of a bank repeats what somebody wrote to it in the
	// merchant's name.
	ReasonReply Reason = "reply"
	// ReasonUnsigned: no signature is of the bank's domains.
	ReasonUnsigned Reason = "unsigned"
	// ReasonSignature: the bank's signature does not hold: the message was
	// changed, the key is gone or too weak, or only a part is signed (l=).
	ReasonSignature Reason = "signature"
	// ReasonExpired: the bank's signature was valid until a time that is over.
	ReasonExpired Reason = "expired"
	// ReasonUnaligned: the signature is of another domain of the bank than the
	// From address.
	ReasonUnaligned Reason = "unaligned"
	// ReasonUncovered: the signature leaves a field out that has to be signed.
	ReasonUncovered Reason = "uncovered"
)

// UntrustedError is an [ErrUntrusted] and why.
type UntrustedError struct {
	Reason Reason
	Detail string // for a person
}

func (e *UntrustedError) Error() string { return ErrUntrusted.Error() + ": " + e.Detail }

// Unwrap is [ErrUntrusted].
func (e *UntrustedError) Unwrap() error { return ErrUntrusted }

func untrusted(reason Reason, format string, args ...any) *UntrustedError {
	return &UntrustedError{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// LookupTXT returns the TXT records of a name, one string each, as
// [net.Resolver.LookupTXT] does. A name that does not exist is a
// [net.DNSError] with IsNotFound; whatever else fails may pass.
type LookupTXT func(ctx context.Context, name string) ([]string, error)

// Policy is whose mail to a merchant counts.
type Policy struct {
	// Bank is the bank that writes, such as "hdfc". Its domains are known; "" is
	// for one that is not, whose Domains are given.
	Bank string
	// Domains are further domains of the bank, such as "example.bank.in"; with
	// each go those below it.
	Domains []string
	// Senders are the addresses that the bank's alerts come from, where more than
	// its domains is known: a bank's staff and its help desk write from those too.
	// With none, each address of the domains will do.
	Senders []string
	// Recipients are the addresses that the bank knows the merchant by. At least
	// one is needed: a genuine alert to somebody else is no payment to us.
	Recipients []string
	// Relay is the name (authserv-id, RFC 8601) of the operator's own receiving
	// server, when its word is to be taken that a signature was good before it
	// changed the message. It must drop Authentication-Results of its name that
	// come from outside. "" takes nobody's word, and is right almost always.
	Relay string
}

// Proof is what made a message trusted.
type Proof struct {
	Domain string // of the bank, that signed
	Relay  string // whose word it is that the signature was good; "" for a signature that was checked here
}

//go:embed banks.json
var bankDomains []byte

// knownBanks are the domains of each bank: those that their sites and alerts
// use, the ones below bank.in first (RBI circular of 22 April 2025).
var knownBanks = sync.OnceValue(func() map[string][]string {
	var known map[string][]string
	if err := json.Unmarshal(bankDomains, &known); err != nil {
		panic(fmt.Sprintf("mail: banks.json: %v", err)) // it is part of the program
	}
	return known
})

// BankOf is the bank, such as "hdfc", whose domains an address is of; "" if none
// is known. That an address is written there proves nothing.
func BankOf(address string) string {
	domain := domainOf(address)
	for bank, domains := range knownBanks() {
		if within(domain, domains) {
			return bank
		}
	}
	return ""
}

// Verifier proves that mail is a bank's, by the DKIM signature (RFC 6376, with
// the bounds of RFC 8301) of a domain that belongs to the bank and is aligned
// with the From address (RFC 7489, section 3.1.1, relaxed).
//
// The signature's age does not matter, as mailboxes are read late; a message
// that comes again is known by its UTR.
type Verifier struct {
	policy Policy
	lookup LookupTXT
	now    func() time.Time
}

// NewVerifier returns a verifier that looks up keys with lookup. The error is
// for the operator: what of the policy is wrong.
func NewVerifier(policy Policy, lookup LookupTXT, now func() time.Time) (*Verifier, error) {
	known := knownBanks()
	own, found := known[policy.Bank]
	switch {
	case !found && policy.Bank != "" && len(policy.Domains) == 0:
		return nil, fmt.Errorf("bank %q is not known: name its domains, or use one of %s",
			policy.Bank, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	case policy.Bank == "" && len(policy.Domains) == 0:
		return nil, errors.New("name the bank that writes, or its domains")
	case len(policy.Recipients) == 0:
		return nil, errors.New("name the e-mail address that the bank writes to: alerts to others must not count")
	}
	domains := slices.Clone(own)
	for _, domain := range policy.Domains {
		domain = strings.ToLower(strings.TrimSpace(domain))
		if organisation(domain) == "" {
			return nil, fmt.Errorf("%q is not a bank's own domain: write it as in the bank's e-mail addresses, such as hdfcbank.bank.in", domain)
		}
		domains = append(domains, domain)
	}
	policy.Domains = domains
	var err error
	if policy.Recipients, err = addresses(policy.Recipients); err != nil {
		return nil, err
	}
	if policy.Senders, err = addresses(policy.Senders); err != nil {
		return nil, err
	}
	v := &Verifier{policy: policy, lookup: lookup, now: now}
	for _, sender := range policy.Senders {
		if !v.ofBank(domainOf(sender)) {
			return nil, fmt.Errorf("sender %q is not of a domain of the bank: name its domain too, if it is the bank's", sender)
		}
	}
	return v, nil
}

// addresses are e-mail addresses as they are compared.
func addresses(written []string) ([]string, error) {
	compared := make([]string, 0, len(written))
	for _, address := range written {
		address = strings.ToLower(strings.TrimSpace(address))
		if at := strings.LastIndexByte(address, '@'); at < 1 || domainOf(address) == "" || strings.ContainsAny(address, " <>,;") {
			return nil, fmt.Errorf("%q is not an e-mail address: write it alone, such as alerts@example.com", address)
		}
		compared = append(compared, address)
	}
	return compared, nil
}

// Bounds of a verification.
const (
	maxSignatures = 10 // of the bank, its mailing service and relays
	lookupTimeout = 10 * time.Second
)

// covered are the fields that a signature must hold. Content-Type is not among
// them, though it should be signed: HDFC Bank leaves it out. What it could turn
// the signed body into is bounded where the body is read.
var covered = []string{"From", "To", "Subject", "Date"}

// Verify proves that the message is the bank's to this merchant. The error is
// [ErrTemporary], an [UntrustedError] for good, or the context's own.
func (v *Verifier) Verify(ctx context.Context, m *Message) (Proof, error) {
	sender := domainOf(m.From)
	switch {
	case !v.ofBank(sender):
		return Proof{}, untrusted(ReasonSender, "%q is not a domain of the bank", sender)
	case len(v.policy.Senders) > 0 && !slices.Contains(v.policy.Senders, m.From):
		return Proof{}, untrusted(ReasonSender, "it is from another address of the bank than its alerts are")
	case m.repeats():
		return Proof{}, untrusted(ReasonReply, "it answers or forwards other mail")
	}
	if !slices.ContainsFunc(m.To, func(to string) bool { return slices.Contains(v.policy.Recipients, to) }) {
		return Proof{}, untrusted(ReasonRecipient, "it is not written to an address that the bank knows the merchant by")
	}
	proof, err := v.verifySignatures(ctx, m, sender)
	if err == nil || v.policy.Relay == "" || ctx.Err() != nil {
		return proof, err
	}
	if domain := v.relayed(m, sender); domain != "" {
		return Proof{Domain: domain, Relay: v.policy.Relay}, nil
	}
	return Proof{}, err
}

func (v *Verifier) verifySignatures(ctx context.Context, m *Message, sender string) (Proof, error) {
	var unavailable error
	results, err := dkim.VerifyWithOptions(bytes.NewReader(m.raw), &dkim.VerifyOptions{
		MaxVerifications: maxSignatures,
		LookupTXT: func(name string) ([]string, error) {
			// Others' signatures prove nothing here, and their names are whatever
			// the sender wants to have looked up.
			if _, domain, _ := strings.Cut(name, "._domainkey."); !v.ofBank(strings.ToLower(domain)) {
				return nil, errNotOfBank
			}
			ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
			defer cancel()
			records, err := v.lookup(ctx, name)
			if err != nil && !notFound(err) {
				return nil, &unavailableError{err}
			}
			return records, err
		},
	})
	if ctx.Err() != nil {
		return Proof{}, ctx.Err()
	}
	if err != nil && !errors.Is(err, dkim.ErrTooManySignatures) {
		return Proof{}, untrusted(ReasonSignature, "its signatures can't be read: %v", err)
	}
	why := untrusted(ReasonUnsigned, "no signature is of the bank's domains")
	for _, result := range results {
		domain := strings.ToLower(result.Domain)
		if !v.ofBank(domain) {
			continue
		}
		if dkim.IsTempFail(result.Err) {
			unavailable = result.Err
			continue
		}
		fault := v.fault(result, domain, sender)
		if fault == nil {
			return Proof{Domain: domain}, nil
		}
		why = fault
	}
	if unavailable != nil {
		return Proof{}, fmt.Errorf("%w (%w)", ErrTemporary, unavailable)
	}
	return Proof{}, why
}

// fault is what keeps the signature of a domain of the bank from proving the
// message; nil if nothing does.
func (v *Verifier) fault(result *dkim.Verification, domain, sender string) *UntrustedError {
	switch {
	case !result.Expiration.IsZero() && v.now().After(result.Expiration):
		return untrusted(ReasonExpired, "the signature of %s was valid until %s", domain, result.Expiration.UTC().Format(time.RFC3339))
	case result.Err != nil:
		return untrusted(ReasonSignature, "the signature of %s does not hold: %v", domain, result.Err)
	case organisation(domain) != organisation(sender):
		return untrusted(ReasonUnaligned, "%s signed mail from %s", domain, sender)
	}
	for _, field := range covered {
		if !slices.ContainsFunc(result.HeaderKeys, func(key string) bool { return strings.EqualFold(key, field) }) {
			return untrusted(ReasonUncovered, "the signature of %s leaves %s out", domain, field)
		}
	}
	return nil
}

// relayed is the domain of the bank whose signature the operator's own server
// found to be good, aligned with the sender; "" if it says no such thing. Only
// the topmost word counts: those below came from outside (RFC 8601, section 5).
func (v *Verifier) relayed(m *Message, sender string) string {
	server, results := m.results()
	if server != v.policy.Relay {
		return ""
	}
	for _, result := range results {
		signature, ok := result.(*authres.DKIMResult)
		if !ok || signature.Value != authres.ResultPass {
			continue
		}
		domain := strings.ToLower(signature.Domain)
		if domain == "" {
			domain = domainOf(signature.Identifier)
		}
		if v.ofBank(domain) && organisation(domain) == organisation(sender) {
			return domain
		}
	}
	return ""
}

// Receiver is the server that says, in the topmost Authentication-Results, how
// it found the message; "" if none does. Anybody can write that: it is a
// [Policy.Relay] only where the message is known to come from that server.
func (m *Message) Receiver() string {
	server, _ := m.results()
	return server
}

// results are those of the topmost Authentication-Results; none if it can't be
// read for certain.
func (m *Message) results() (server string, results []authres.Result) {
	word, ok := withoutComments(m.header.Get("Authentication-Results"))
	if !ok {
		return "", nil
	}
	server, results, err := authres.Parse(nextMethod.ReplaceAllString(word, "; $1="))
	if err != nil {
		return "", nil
	}
	return server, results
}

// nextMethod is where a result begins, also after a space alone, as some servers
// part them (RFC 8601 wants a semicolon).
var nextMethod = regexp.MustCompile(`[\s;]+(arc|auth|bimi|compauth|dkim|dkim-adsp|dkim-atps|dmarc|iprev|sender-id|spf|x-[a-z-]+)=`)

// withoutComments drops the comments of a field. ok is false for one that holds
// something quoted, or results in comments: a server repeats there what the
// sender gave, which may be written so as to look like results.
func withoutComments(field string) (plain string, ok bool) {
	var b strings.Builder
	depth := 0
	for _, r := range field {
		switch {
		case r == '"', r == '\\', r == ';' && depth > 0, r == ')' && depth == 0:
			return "", false
		case r == '(':
			depth++
		case r == ')':
			depth--
			b.WriteByte(' ')
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String(), depth == 0
}

// ofBank says whether a domain is the bank's, or below one that is.
func (v *Verifier) ofBank(domain string) bool { return within(domain, v.policy.Domains) }

func within(domain string, domains []string) bool {
	return slices.ContainsFunc(domains, func(own string) bool {
		return domain == own || strings.HasSuffix(domain, "."+own)
	})
}

// organisation is the domain that somebody registered which a domain belongs
// to, by the Public Suffix List; "" for one that nobody did.
func organisation(domain string) string {
	// Banks register below bank.in (RBI circular of 22 April 2025), which not
	// every edition of the list knows.
	if above, found := strings.CutSuffix(domain, ".bank.in"); found {
		domain = above[strings.LastIndexByte(above, '.')+1:] + ".bank.in"
	}
	registered, err := publicsuffix.EffectiveTLDPlusOne(domain)
	switch {
	case strings.HasSuffix(domain, ".bank.in") && domain[0] != '.':
		return domain
	case err != nil, domain == "bank.in":
		return ""
	}
	return registered
}

// domainOf is the domain of an address, in lower case; "" if it has none.
func domainOf(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(address[at+1:]))
}
