package postback

import (
	"context"
	"time"
)

// State is where an event stands in the outbox.
type State string

// The states of an event. Delivered is final; dead is left only by an operator
// who has the event sent again.
const (
	// StateDue: to be sent once its time has come.
	StateDue State = "due"
	// StateHeld: the merchant has nothing to send to at present (no URL, no
	// keys, or it is retired). It is taken up like a due one as soon as there is.
	StateHeld State = "held"
	// StateDelivered: the merchant confirmed it.
	StateDelivered State = "delivered"
	// StateDead: the last attempt of the schedule failed.
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
	// Lease takes up to limit of a merchant's events in StateDue or StateHeld
	// with next_at <= now, the longest due first, and sets their next_at to
	// until. Rows that another gateway is leasing are skipped, not waited for.
	Lease(ctx context.Context, merchant string, now, until time.Time, limit int) ([]Job, error)
	// Record writes what became of leased events, all in one commit.
	//
	// A result in StateDelivered holds whoever has the lease: the merchant did
	// confirm. Any other applies only while the row's next_at still is the
	// result's LeasedUntil and its state is due or held: since then somebody
	// else leased, delivered or replayed it, and knows better. What does not
	// apply is passed over without an error.
	Record(ctx context.Context, results []Result) error
}

// Job is an event that this gateway leased.
type Job struct {
	Event
	// Attempts is how many were made before.
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
}

// Attempt is one try to deliver an event.
type Attempt struct {
	Number  int           // from 1
	At      time.Time     // when it began, UTC
	Latency time.Duration // until the answer was read or the attempt given up
	Status  int           // HTTP status, 0 where no answer came
	Error   string        // why it failed: short, valid UTF-8, no secrets; "" when delivered
}
