package webhook

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Type is what kind of event it is: its group, a dot, and what happened.
type Type string

// The types of events.
const (
	DepositCredited Type = "deposit.credited"
	DepositPending  Type = "deposit.pending"
	DepositExpired  Type = "deposit.expired"
	DepositRejected Type = "deposit.rejected"
	DepositRefused  Type = "deposit.refused"

	WithdrawalCreated    Type = "withdrawal.created"
	WithdrawalApproved   Type = "withdrawal.approved"
	WithdrawalProcessing Type = "withdrawal.processing"
	WithdrawalSuccess    Type = "withdrawal.success"
	WithdrawalFailed     Type = "withdrawal.failed"
	WithdrawalCanceled   Type = "withdrawal.canceled"

	CreditUnclaimed Type = "credit.unclaimed"
	CreditContested Type = "credit.contested"

	FeedSilent    Type = "feed.silent"
	FeedFailing   Type = "feed.failing"
	FeedRecovered Type = "feed.recovered"

	EndpointDisabled Type = "endpoint.disabled"
	EndpointEnabled  Type = "endpoint.enabled"

	ReportDaily   Type = "report.daily"
	ReportMonthly Type = "report.monthly"

	// Test is what an operator sends by hand; nobody asks for it.
	Test Type = "webhook.test"
)

// Kind is what there is to know of a type; docs/events.md shows it.
type Kind struct {
	Type  Type
	When  string // it is sent, for people
	Owner bool   // only the installation's owner is told
	// Example is the data of one.
	Example any
}

// Catalogue lists every type that can be asked for.
func Catalogue() []Kind {
	created, settled := Text("2026-03-14T09:30:00.000000Z"), Text("2026-03-14T09:30:05.000000Z")
	deposit := func(status string, end *string) Deposit {
		return Deposit{
			DepositID: "17", Merchant: "shop", CustomID: "order-1001", Label: "55", Method: "upi_l", Status: status,
			Amount: "500.00", Currency: "INR", UTR: "321323438267", CreatedAt: created, SettledAt: end,
		}
	}
	credited := deposit("credited", settled)
	credited.Deposited, credited.CreditID, credited.Payer = Text("500.00"), Text("12"), Text("raxxx@okaxis")
	withdrawal := func(status string, reference, end *string) Withdrawal {
		return Withdrawal{
			WithdrawalID: "w-7", Merchant: "shop", Label: "55", PaymentSystem: "imps_ib", Status: status, Amount: "300.00", Fee: "5.00",
			Currency: "INR", TransactionID: reference, CreatedAt: created, SettledAt: end,
		}
	}
	credit := Credit{
		CreditID: "12", Wallet: "till", Feed: "bank1", Status: "unclaimed", Amount: "500.00", Currency: "INR", UTR: "321323438267",
		Payer: Text("raxxx@okaxis"), BookedAt: Text("2026-03-14T09:29:58.000000Z"), ReceivedAt: created,
	}
	contested := credit
	contested.Status, contested.Why = "bound", Text("reported again as 50.00 instead of 500.00")
	finding := func(code, text string) Feed {
		return Feed{Feed: "phone1", Finding: code, Severity: "critical", Since: created, Text: text}
	}
	endpoint := func(state, why string) Endpoint {
		return Endpoint{Endpoint: "shop", Merchant: Text("shop"), State: state, Why: why}
	}
	report := func(period, end string) Report {
		return Report{
			Merchant: "shop", Period: period, From: Text("2026-02-28T18:30:00.000000Z"), To: Text(end), Opening: "1200.00", Closing: "1694.00",
			Lines: []ReportLine{{"deposits", 1, "500.00"}, {"deposit_fees", 1, "-6.00"}},
		}
	}
	return []Kind{
		{DepositCredited, "A claim has its credit, and the merchant the money. The protocol's postback tells it, too.", false, credited},
		{DepositPending, "A claim went into review: a person, or a later fact, settles it.", false, deposit("pending", nil)},
		{DepositExpired, "No credit came for a claim in time.", false, deposit("expired", settled)},
		{DepositRejected, "A person rejected a claim in review.", false, deposit("rejected", settled)},
		{DepositRefused, "The credit that a claim names is another claim's. The payer may correct the UTR: then further events follow.", false, deposit("refused", settled)},
		{WithdrawalCreated, "A withdrawal was taken, and its money is held.", false, withdrawal("new", nil, nil)},
		{WithdrawalApproved, "It may be sent: a person, or the desk's limit, approved it.", false, withdrawal("approved", nil, nil)},
		{WithdrawalProcessing, "It was handed over to be paid.", false, withdrawal("processing", nil, nil)},
		{WithdrawalSuccess, "It was paid.", false, withdrawal("success", Text("607312345678"), settled)},
		{WithdrawalFailed, "It was definitely not paid, or came back after it was: the money is the merchant's again.", false, withdrawal("failed", nil, settled)},
		{WithdrawalCanceled, "It was taken back before it was sent.", false, withdrawal("canceled", nil, settled)},
		{CreditUnclaimed, "Nobody claimed a credit for `unclaimed_after`.", true, credit},
		{CreditContested, "A bank reported a credit with another amount, or took it back after it was credited: a person compares.", true, contested},
		{FeedSilent, "A feed that usually brings something by now is silent, or never brought anything.", true, finding("silent", "Nothing came for 3 h; usually something does within 20 min.")},
		{FeedFailing, "Something else is wrong with a feed: `finding` names it.", true, finding("unreadable", "12 of its last 20 messages were not understood.")},
		{FeedRecovered, "What was found wrong with a feed has been over for a while.", true, finding("silent", "This is over.")},
		{EndpointDisabled, "An endpoint failed for five days or answered 410: what is for it is held. Not told to itself.", false, endpoint("disabled", "it answered 410 Gone")},
		{EndpointEnabled, "An operator enabled it again.", false, endpoint("open", "by operator:asha")},
		{ReportDaily, "A day of the merchant's zone is over: what it came to ([reports.md](reports.md)).", false, report("2026-03-01", "2026-03-01T18:30:00.000000Z")},
		{ReportMonthly, "A month is over: the same of a month.", false, report("2026-03", "2026-03-31T18:30:00.000000Z")},
	}
}

// Check reports what is wrong with a pattern: a type, a group as "deposit.*", or
// "*" for all. Owner says whether the installation's owner asks.
func Check(pattern string, owner bool) error {
	var known, all []string
	for _, k := range Catalogue() {
		all = append(all, string(k.Type))
		if owner || !k.Owner {
			known = append(known, string(k.Type))
		}
	}
	group, wild := strings.CutSuffix(pattern, "*")
	match := func(t string) bool {
		return t == pattern || wild && (group == "" || strings.HasSuffix(group, ".") && strings.HasPrefix(t, group))
	}
	switch {
	case slices.ContainsFunc(known, match):
		return nil
	case slices.ContainsFunc(all, match):
		return errors.New("is told to the owner alone: declare it under webhooks at the top of the file")
	default:
		return fmt.Errorf("is no event: use %s, a group such as deposit.*, or *", strings.Join(known, ", "))
	}
}
