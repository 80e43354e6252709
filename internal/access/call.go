package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// Call is an unsafe call that may be sent more than once.
type Call struct {
	Owner string // of the key it was made with, see [Key.Owner]
	Key   string // its idempotency key
	// Request is a hash of everything that was asked, and of the key's id: what one
	// key was answered is not for another.
	Request [sha256.Size]byte
}

// Answer is what a call was answered with.
type Answer struct {
	Status int                 `json:"status"`
	Header map[string][]string `json:"header"`
	Body   []byte              `json:"body"`
}

// Errors of calls.
var (
	// ErrOtherCall means that the idempotency key came with other content.
	ErrOtherCall = errors.New("the idempotency key was used for another call")
	// ErrCallRuns means that the same call is being carried out.
	ErrCallRuns = errors.New("the same call is under way")
)

const (
	// AnswersKept is how long a call's answer is given again.
	AnswersKept = 24 * time.Hour
	// CallTime is how long a call may take. One that is older was cut off: what it
	// did is found out by making it again.
	CallTime = 2 * time.Minute
)

// Calls remember calls and their answers.
type Calls interface {
	// BeginCall takes a call on, or returns the answer it was given before,
	// ErrOtherCall or ErrCallRuns.
	BeginCall(ctx context.Context, call Call, now time.Time) (*Answer, error)
	// EndCall keeps the answer of a call, or with nil forgets the call: it may be
	// made anew.
	EndCall(ctx context.Context, call Call, answer *Answer) error
	// DropAnswers forgets up to limit calls that began before a time, and says how
	// many.
	DropAnswers(ctx context.Context, before time.Time, limit int) (int64, error)
}

// Store is what the room needs of an engine.
type Store interface {
	Keys
	Calls
}
