package staff

import (
	"context"
	"time"

	"github.com/milaan/milaan/internal/audit"
)

// Store keeps users, their sessions and their tickets.
type Store interface {
	// AddUser keeps a new user and gives it its id. It returns [ErrTaken] where
	// the address is another's.
	AddUser(ctx context.Context, u *User, notes ...audit.Entry) error
	// ChangeUser lets change alter a user, alone: nobody else changes that user
	// meanwhile. What change notes is written with it; its error undoes all and is
	// returned. [ErrNoUser] where there is none, [ErrLastOwner] where no owner
	// would be left.
	ChangeUser(ctx context.Context, id int64, change func(*User) ([]audit.Entry, error)) (*User, error)
	// RemoveUser removes a user, the user's sessions and tickets. [ErrNoUser] and
	// [ErrLastOwner] as above.
	RemoveUser(ctx context.Context, id int64, notes ...audit.Entry) error
	// FindUser returns a user, or [ErrNoUser]; the two below likewise.
	FindUser(ctx context.Context, id int64) (*User, error)
	// FindUserByEmail finds by the address as [ParseEmail] gives it.
	FindUserByEmail(ctx context.Context, email string) (*User, error)
	// FindUserByHandle finds by [User.Handle].
	FindUserByHandle(ctx context.Context, handle []byte) (*User, error)
	// Users lists users whose e-mail address has a text in it, by address, from
	// after the given one on.
	Users(ctx context.Context, search, after string, limit int) ([]*User, error)
	// AnyOwner reports whether there is an owner.
	AnyOwner(ctx context.Context) (bool, error)

	// OpenSession keeps a session in place of another, or of none where that is
	// the zero digest. [ErrNoSession] where the other is gone.
	OpenSession(ctx context.Context, s *Session, instead Digest, notes ...audit.Entry) error
	// FindSession returns the session with that digest, or [ErrNoSession].
	FindSession(ctx context.Context, d Digest) (*Session, error)
	// TouchSession writes when a session was used.
	TouchSession(ctx context.Context, d Digest, at time.Time) error
	// Sessions lists a user's sessions, the one used last first.
	Sessions(ctx context.Context, user int64) ([]*Session, error)
	// EndSession removes a user's session; [ErrNoSession] where the user has no
	// such session.
	EndSession(ctx context.Context, user int64, d Digest, notes ...audit.Entry) error

	// KeepTicket keeps a ticket. Where only is set it is the only one of its kind
	// and user from now on.
	KeepTicket(ctx context.Context, t *Ticket, only bool, notes ...audit.Entry) error
	// FindTicket looks at a ticket without spending it, or returns [ErrNoTicket].
	FindTicket(ctx context.Context, d Digest, kind string) (*Ticket, error)
	// TakeTicket spends a ticket, or returns [ErrNoTicket]. Of callers at the same
	// time one gets it.
	TakeTicket(ctx context.Context, d Digest, kind string) (*Ticket, error)

	// CountAttempts counts one attempt on each name, or on none: where a wait is
	// above zero, one of them comes too soon.
	CountAttempts(ctx context.Context, attempts []Attempt, now time.Time) (wait time.Duration, err error)
	// ForgiveAttempts takes one attempt back from each name; all where forget is
	// set.
	ForgiveAttempts(ctx context.Context, attempts []Attempt, forget bool) error

	// Views lists a user's views of a list, by name.
	Views(ctx context.Context, user int64, list string) ([]View, error)
	// KeepView keeps a view in place of the user's one of that name; [ErrManyViews]
	// where there are [MostViews] others.
	KeepView(ctx context.Context, user int64, v View) error
	// DropView forgets a view; one that is not there is no error.
	DropView(ctx context.Context, user int64, list, name string) error

	// Note writes to the audit log.
	Note(ctx context.Context, notes ...audit.Entry) error
}
