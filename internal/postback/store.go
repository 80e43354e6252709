package postback

import (
	"context"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/webhook"
)

// State is where an event stands in the outbox.
type State string

// The states of an event. Delivered and dead are left only by an operator who
// has the event sent again, dead also by a new URL where the old one was
// refused for safety.
const (
	// StateDue: to be sent once its time has come.
	StateDue State = "due"
	// StateHeld: the merchant has nothing to send to at present (no URL, no
	// keys, it is retired, its endpoint is paused or disabled). It is taken up
	// like a due one as soon as there is.
	StateHeld State = "held"
	// StateDelivered: the merchant confirmed it.
	StateDelivered State = "delivered"
	// StateDead: the last attempt of the schedule failed, or the merchant's
	// URL leads where postbacks must not go.
	StateDead State = "dead"
)

// Store is the outbox as the worker needs it: one row an event, written with
// the deposit it tells of (invariant 5: never forgotten).
//
// A row's next_at is both the time it is due and its lease: leasing moves it
// ahead, so nobody else takes the row up, and a gateway that dies needs no
// cleaning up after. Times are UTC with microseconds.
type Store interface {
	// DueMerchants lists, in order of their ids, up to limit merchants with an
	// id greater than after ("" for the first) that have an event in
	// StateDue or StateHeld with next_at <= now.
	DueMerchants(ctx context.Context, now time.Time, after string, limit int) ([]string, error)
	// Lease takes, for each want, up to its limit of a merchant's events in
	// StateDue or StateHeld with next_at <= now, the longest due first, and sets
	// their next_at to until, all in one commit. Rows that another gateway is
	// leasing are skipped, not waited for.
	Lease(ctx context.Context, wants []Want, now, until time.Time) ([]Job, error)
	// Record writes what became of leased events, and the attempts that were
	// made, all in one commit.
	//
	// A result in StateDelivered holds whoever has the lease: the merchant did
	// confirm. Any other applies only while the row's next_at still is the
	// result's LeasedUntil and its state is due or held: since then somebody
	// else leased, delivered or replayed it, and knows better. What does not
	// apply is passed over without an error; its attempt is recorded all the
	// same.
	Record(ctx context.Context, results []Result) error
	// Endpoints lists the endpoints that are not open.
	Endpoints(ctx context.Context) ([]Endpoint, error)
	// SetEndpoint stores where an endpoint stands, EndpointOpen included, and
	// writes the audit entries and what webhooks are told, if where it stood is one of over. What is stored
	// of another target counts as open, unless it is a pause. It reports whether
	// it did.
	SetEndpoint(ctx context.Context, e Endpoint, over []EndpointState, told []webhook.Event, entries ...audit.Entry) (bool, error)
	// Refused lists the targets that were refused for safety and have dead
	// events for it.
	Refused(ctx context.Context) ([]Refusal, error)
	// Revive makes a merchant's events that died of a refused target due at now,
	// as if never sent.
	Revive(ctx context.Context, r Refusal, now time.Time) error
}

// Want asks for a merchant's due events.
type Want struct {
	Merchant string
	Limit    int
}

// Refusal is a target of a merchant that was refused for safety.
type Refusal struct{ Merchant, Target string }

// Job is an event that this gateway leased.
type Job struct {
	Event
	// Attempts is how many were made before, since it was first or last sent
	// afresh.
	Attempts int
	// Body is what the earlier attempts carried, nil where none is kept.
	Body []byte
	// LeasedUntil is the row's next_at while it is leased; it tells one lease
	// of a row from the next.
	LeasedUntil time.Time
}

// Result is what became of a job.
type Result struct {
	EventID     int64
	Merchant    string
	LeasedUntil time.Time // as in the job
	State       State     // from now on
	// NextAt is the row's new next_at; zero in StateDelivered and StateDead.
	NextAt time.Time
	// Attempt is the attempt that was made. Number is 0 where none was: then
	// attempts, last_status and last_error stay as they are.
	Attempt Attempt
	// Body, where it is not nil, is kept with the event: the bytes of its
	// first attempt, which every repeat carries again.
	Body []byte
	// Refused is the target that was refused for safety, of which the event is
	// dead; else empty.
	Refused string
}

// Attempt is one try to deliver an event.
type Attempt struct {
	Number  int           // from 1
	At      time.Time     // when it began, UTC
	Latency time.Duration // until the answer was read or the attempt given up
	Status  int           // HTTP status, 0 where no answer came
	Error   string        // why it failed: short, valid UTF-8, no secrets; "" when delivered
	Answer  []byte        // the first 2 kB of the answer's body
}
