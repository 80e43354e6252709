package trace

import "go.opentelemetry.io/otel/attribute"

// Attribute is something that a span tells. The functions below make all there
// are, so that what leaves the house can be read here: ids of this installation,
// numbers, states and codes. UTRs, amounts, labels, payers, addresses, URLs,
// secrets and texts of errors are not among them; the log has less than that, too.
type Attribute struct{ pair attribute.KeyValue }

// Keys that OpenTelemetry's semantic conventions name.
const (
	methodKey = attribute.Key("http.request.method")
	routeKey  = attribute.Key("http.route")
	statusKey = attribute.Key("http.response.status_code")
)

// Merchant is the id of the merchant whose the work is.
func Merchant(id string) Attribute { return text("milaan.merchant", id) }

// Feed is the id of the feed that reports.
func Feed(id string) Attribute { return text("milaan.feed", id) }

// Key is the number of the management API's key that asks.
func Key(id int64) Attribute { return number("milaan.key", id) }

// Command is the kind of request that the desk decides.
func Command(name string) Attribute { return text("milaan.command", name) }

// Claim is the id of a claim, which is its deposit's too.
func Claim(id int64) Attribute { return number("milaan.claim", id) }

// State is where a claim stands.
func State(state string) Attribute { return text("milaan.state", state) }

// Reasons are the codes of why it stands there, joined with commas.
func Reasons(codes string) Attribute { return text("milaan.reasons", codes) }

// Refusal is the code of why a request was refused without a claim.
func Refusal(code string) Attribute { return text("milaan.refusal", code) }

// Items are how many records a feed reported at once.
func Items(n int) Attribute { return number("milaan.items", int64(n)) }

// Requests are how many requests share a commit.
func Requests(n int) Attribute { return number("milaan.requests", int64(n)) }

// Event is the id of an event of the outbox.
func Event(id int64) Attribute { return number("milaan.event", id) }

// Attempt is the number of an attempt to deliver, from 1.
func Attempt(n int) Attribute { return number("milaan.attempt", int64(n)) }

// Result is what became of an attempt: the state of its event.
func Result(state string) Attribute { return text("milaan.result", state) }

// Status is the HTTP status of an answer, 0 where none came.
func Status(code int) Attribute { return Attribute{statusKey.Int(code)} }

func text(key, value string) Attribute { return Attribute{attribute.String(key, value)} }

func number(key string, value int64) Attribute { return Attribute{attribute.Int64(key, value)} }
