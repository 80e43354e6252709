package staff

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/milaan/milaan/internal/audit"
)

// Config is what a desk works with; all but Cost and OIDC is needed.
type Config struct {
	Store Store
	Now   func() time.Time
	Cost  Cost              // of new passwords; the default where zero
	OIDC  *IdentityProvider // nil where there is none
	Log   *slog.Logger
}

// Desk lets people in.
type Desk struct {
	Config
	hashing hashing
	// nobody is a hash that no password has: strangers cost what users cost.
	nobody func() string
	begins *rate.Limiter // ceremonies that anybody may begin
}

const (
	beginsPerSecond = 20
	beginsAtOnce    = 60
)

// NewDesk makes a desk.
func NewDesk(c Config) *Desk {
	if c.Cost == (Cost{}) {
		c.Cost = DefaultCost()
	}
	d := &Desk{Config: c, hashing: newHashing(), begins: rate.NewLimiter(beginsPerSecond, beginsAtOnce)}
	d.nobody = sync.OnceValue(func() string {
		token, _ := newToken()
		return c.Cost.hash(token)
	})
	return d
}

// ErrDenied refuses a way in, and tells nobody why: the account that is not
// there, the wrong password and the wrong code look alike.
var ErrDenied = errors.New("that did not match")

// note is an entry of the audit log about a user, by whom it concerns.
func (d *Desk) note(by, action string, u *User, from Visitor, why ...string) audit.Entry {
	if network := from.Network(); network != "" {
		why = append(why, "from "+network)
	}
	return audit.Entry{At: d.Now(), Actor: by, Action: action, Subject: u.ID, Why: strings.Join(why, " ")}
}

// actor is how the audit log names a user.
func actor(u *User) string { return "user:" + u.Email }

// count counts attempts, or refuses with a *[WaitError].
func (d *Desk) count(ctx context.Context, attempts []Attempt) error {
	wait, err := d.Store.CountAttempts(ctx, attempts, d.Now())
	if err != nil {
		return err
	}
	if wait > 0 {
		return &WaitError{wait}
	}
	return nil
}

// forgive takes the attempt that was right back: the account starts anew, the
// place is one attempt better off.
func (d *Desk) forgive(ctx context.Context, attempts []Attempt) error {
	if err := d.Store.ForgiveAttempts(ctx, attempts[:1], true); err != nil {
		return err
	}
	return d.Store.ForgiveAttempts(ctx, attempts[1:], false)
}

// SignIn lets a user in by password. Where a second factor is outstanding the
// session is [Session.Waiting]. It fails with [ErrDenied] or a *[WaitError].
func (d *Desk) SignIn(ctx context.Context, email, password string, from Visitor) (token string, s *Session, err error) {
	name, err := ParseEmail(email)
	if err != nil {
		name = email // nobody's; it is counted and worked on all the same
	}
	attempts := attemptsOf(name, from)
	if err := d.count(ctx, attempts); err != nil {
		return "", nil, err
	}
	u, err := d.Store.FindUserByEmail(ctx, name)
	if err != nil && !errors.Is(err, ErrNoUser) {
		return "", nil, err
	}
	hash := d.nobody()
	if u != nil && u.Secrets.Password != "" {
		hash = u.Secrets.Password
	}
	made, ok, err := d.matches(ctx, hash, password)
	if err != nil {
		return "", nil, err
	}
	if !ok || u == nil {
		return "", nil, d.refuse(ctx, u, "password", from)
	}
	if made != d.Cost {
		if err := d.rehash(ctx, u, password); err != nil {
			return "", nil, err
		}
	}
	if err := d.forgive(ctx, attempts); err != nil {
		return "", nil, err
	}
	return d.open(ctx, u, "password", u.HasSecond(), nil, from)
}

func (d *Desk) matches(ctx context.Context, hash, password string) (made Cost, ok bool, err error) {
	err = d.hashing.do(ctx, func() { made, ok = matches(hash, password) })
	return made, ok, err
}

// refuse notes a failed attempt on an account. What strangers try on accounts
// that are not there is only logged: the audit log must not grow at their will.
func (d *Desk) refuse(ctx context.Context, u *User, way string, from Visitor) error {
	if u == nil {
		d.Log.WarnContext(ctx, "a stranger tried to sign in", "way", way, "network", from.Network())
		return ErrDenied
	}
	if err := d.Store.Note(ctx, d.note("stranger", "user.refused", u, from, "by "+way)); err != nil {
		return err
	}
	return ErrDenied
}

// rehash keeps a password at today's cost.
func (d *Desk) rehash(ctx context.Context, u *User, password string) error {
	hash, err := d.hash(ctx, password)
	if err != nil {
		return err
	}
	old := u.Secrets.Password
	_, err = d.Store.ChangeUser(ctx, u.ID, func(u *User) ([]audit.Entry, error) {
		if u.Secrets.Password == old { // else it was changed this very moment
			u.Secrets.Password = hash
		}
		return nil, nil
	})
	return err
}

func (d *Desk) hash(ctx context.Context, password string) (hash string, err error) {
	err = d.hashing.do(ctx, func() { hash = d.Cost.hash(password) })
	return hash, err
}

// open opens a session in place of another, or of none. A token is good for one
// degree of trust alone: whoever planted or overheard an earlier one has nothing.
func (d *Desk) open(ctx context.Context, u *User, way string, waiting bool, instead *Session, from Visitor) (string, *Session, error) {
	now := d.Now()
	token, digest := newToken()
	s := &Session{
		Digest: digest, User: u.ID, Epoch: u.Epoch, Waiting: waiting, Way: way,
		OpenedAt: now, SeenAt: now, SureAt: now, Network: from.Network(), Agent: from.agent(),
	}
	action := "user.signed-in"
	if waiting {
		action = "user.half-way"
	}
	var old Digest
	if instead != nil {
		old = instead.Digest
		if !instead.Waiting { // the same stay, proved anew
			s.OpenedAt, action = instead.OpenedAt, "user.proved"
		}
	}
	if err := d.Store.OpenSession(ctx, s, old, d.note(actor(u), action, u, from, "by "+way)); err != nil {
		return "", nil, err
	}
	return token, s, nil
}

// Find gives the user whose token that is, and the session. [ErrNoSession] where
// it is nobody's, or not any more.
func (d *Desk) Find(ctx context.Context, token string) (*User, *Session, error) {
	if token == "" {
		return nil, nil, ErrNoSession
	}
	s, err := d.Store.FindSession(ctx, digestOf(token))
	if err != nil {
		return nil, nil, err
	}
	u, err := d.Store.FindUser(ctx, s.User)
	if errors.Is(err, ErrNoUser) {
		return nil, nil, ErrNoSession
	}
	if err != nil {
		return nil, nil, err
	}
	now := d.Now()
	if !s.alive(u, now) {
		return nil, nil, ErrNoSession
	}
	if !s.Waiting && now.Sub(s.SeenAt) >= touchEvery {
		if err := d.Store.TouchSession(ctx, s.Digest, now); err != nil {
			return nil, nil, err
		}
	}
	return u, s, nil
}

// SecondByCode finishes a sign-in by a code of the user's app, or by a recovery
// code. It fails with [ErrDenied] or a *[WaitError].
func (d *Desk) SecondByCode(ctx context.Context, u *User, s *Session, code string, from Visitor) (string, *Session, error) {
	attempts := append([]Attempt{attemptOn("second", u.Email, freeOfAccount)}, attemptsOf(u.Email, from)[1:]...)
	if err := d.count(ctx, attempts); err != nil {
		return "", nil, err
	}
	var way string
	u, err := d.Store.ChangeUser(ctx, u.ID, func(u *User) (notes []audit.Entry, err error) {
		if way = u.second(code, d.Now()); way == "" {
			return nil, ErrDenied
		}
		if way == "recovery code" {
			notes = append(notes, d.note(actor(u), "user.spent-recovery-code", u, from, fmt.Sprintf("%d left", len(u.Secrets.Recovery))))
		}
		return notes, nil
	})
	if errors.Is(err, ErrDenied) {
		return "", nil, d.refuse(ctx, mustUser(ctx, d, s.User), "code", from)
	}
	if err != nil {
		return "", nil, err
	}
	if err := d.forgive(ctx, attempts); err != nil {
		return "", nil, err
	}
	return d.open(ctx, u, s.Way+" and "+way, false, s, from)
}

// mustUser finds a user to note something of; nil where there is none any more.
func mustUser(ctx context.Context, d *Desk, id int64) *User {
	u, err := d.Store.FindUser(ctx, id)
	if err != nil {
		return nil
	}
	return u
}

// Prove lets a signed-in user prove once more who they are, by the password
// and, where the user has an app, its code. It fails as SignIn does.
func (d *Desk) Prove(ctx context.Context, u *User, s *Session, password, code string, from Visitor) (string, *Session, error) {
	attempts := attemptsOf(u.Email, from)
	if err := d.count(ctx, attempts); err != nil {
		return "", nil, err
	}
	hash := d.nobody()
	if u.Secrets.Password != "" {
		hash = u.Secrets.Password
	}
	_, ok, err := d.matches(ctx, hash, password)
	if err != nil {
		return "", nil, err
	}
	if !ok {
		return "", nil, d.refuse(ctx, u, "password", from)
	}
	way := "password"
	if u.Secrets.TOTP.Seed != "" {
		changed, err := d.Store.ChangeUser(ctx, u.ID, func(u *User) ([]audit.Entry, error) {
			second := u.second(code, d.Now())
			if second == "" {
				return nil, ErrDenied
			}
			way += " and " + second
			return nil, nil
		})
		if errors.Is(err, ErrDenied) {
			return "", nil, d.refuse(ctx, u, "code", from)
		}
		if err != nil {
			return "", nil, err
		}
		u = changed
	}
	if err := d.forgive(ctx, attempts); err != nil {
		return "", nil, err
	}
	return d.open(ctx, u, way, false, s, from)
}

// SignOut ends a session.
func (d *Desk) SignOut(ctx context.Context, u *User, s *Session, from Visitor) error {
	return d.Store.EndSession(ctx, u.ID, s.Digest, d.note(actor(u), "user.signed-out", u, from))
}

// Sessions lists the sessions in which a user is signed in now.
func (d *Desk) Sessions(ctx context.Context, u *User) ([]*Session, error) {
	all, err := d.Store.Sessions(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	now := d.Now()
	return slices.DeleteFunc(all, func(s *Session) bool { return s.Waiting || !s.alive(u, now) }), nil
}

// EndSession ends one of a user's sessions by its id, see [Session.ID].
func (d *Desk) EndSession(ctx context.Context, u *User, id string, from Visitor) error {
	all, err := d.Store.Sessions(ctx, u.ID)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.ID() == id {
			return d.Store.EndSession(ctx, u.ID, s.Digest, d.note(actor(u), "user.ended-session", u, from))
		}
	}
	return ErrNoSession
}

// EndOtherSessions ends all sessions of a user but the one in hand, which goes
// on under a new token.
func (d *Desk) EndOtherSessions(ctx context.Context, u *User, s *Session, from Visitor) (string, *Session, error) {
	return d.change(ctx, u, s, "user.ended-sessions", from, func(u *User) error {
		u.endSessions()
		return nil
	})
}

// change alters a user who is signed in, and goes on under a new token: what a
// user is trusted with has changed.
func (d *Desk) change(ctx context.Context, u *User, s *Session, action string, from Visitor, alter func(*User) error) (string, *Session, error) {
	u, err := d.Store.ChangeUser(ctx, u.ID, func(u *User) ([]audit.Entry, error) {
		if err := alter(u); err != nil {
			return nil, err
		}
		return []audit.Entry{d.note(actor(u), action, u, from)}, nil
	})
	if err != nil {
		return "", nil, err
	}
	now := d.Now()
	token, digest := newToken()
	next := *s
	next.Digest, next.Epoch, next.SeenAt = digest, u.Epoch, now
	if err := d.Store.OpenSession(ctx, &next, s.Digest); err != nil {
		return "", nil, err
	}
	return token, &next, nil
}

// SaveProfile keeps what a user chose.
func (d *Desk) SaveProfile(ctx context.Context, u *User, p Profile, from Visitor) error {
	var err error
	if p.Name, err = ParseName(p.Name); err != nil {
		return err
	}
	if _, err := time.LoadLocation(p.Zone); err != nil || p.Zone == "Local" {
		return ErrNoZone
	}
	_, err = d.Store.ChangeUser(ctx, u.ID, func(u *User) ([]audit.Entry, error) {
		u.Profile = p
		return []audit.Entry{d.note(actor(u), "user.profile", u, from)}, nil
	})
	return err
}

// ErrNoZone means that a time zone is not known.
var ErrNoZone = errors.New("that time zone is unknown: use an IANA name such as Asia/Kolkata")

// SetPassword gives a signed-in user a new password; every other session ends.
// It fails as [CheckPassword] does.
func (d *Desk) SetPassword(ctx context.Context, u *User, s *Session, password string, from Visitor) (string, *Session, error) {
	if err := CheckPassword(password, u.Email); err != nil {
		return "", nil, err
	}
	hash, err := d.hash(ctx, password)
	if err != nil {
		return "", nil, err
	}
	return d.change(ctx, u, s, "user.password", from, func(u *User) error {
		u.Secrets.Password = hash
		u.endSessions()
		return nil
	})
}

// ProposeTOTP makes a seed for the user's app; see [User.ProposedURL].
func (d *Desk) ProposeTOTP(ctx context.Context, u *User) error {
	_, err := d.Store.ChangeUser(ctx, u.ID, func(u *User) ([]audit.Entry, error) { return nil, u.propose() })
	return err
}

// ConfirmTOTP takes the proposed seed into use once the user has a code of it,
// and gives recovery codes, which are shown once. [ErrDenied] on a wrong code.
func (d *Desk) ConfirmTOTP(ctx context.Context, u *User, s *Session, code string, from Visitor) (token string, next *Session, codes []string, err error) {
	token, next, err = d.change(ctx, u, s, "user.totp-on", from, func(u *User) error {
		t := &u.Secrets.TOTP
		at, ok := step(t.Proposed, code, 0, d.Now())
		if t.Proposed == "" || !ok {
			return ErrDenied
		}
		*t = TOTP{Seed: t.Proposed, Step: at}
		codes = u.renewRecovery()
		u.endSessions()
		return nil
	})
	return token, next, codes, err
}

// RemoveTOTP forgets the user's app; recovery codes go where no second factor
// is left.
func (d *Desk) RemoveTOTP(ctx context.Context, u *User, s *Session, from Visitor) (string, *Session, error) {
	return d.change(ctx, u, s, "user.totp-off", from, func(u *User) error {
		u.Secrets.TOTP = TOTP{}
		u.endSessions()
		u.dropRecovery()
		return nil
	})
}

func (u *User) dropRecovery() {
	if !u.HasSecond() {
		u.Secrets.Recovery = nil
	}
}

// RenewRecovery gives new recovery codes, which are shown once.
func (d *Desk) RenewRecovery(ctx context.Context, u *User, s *Session, from Visitor) (token string, next *Session, codes []string, err error) {
	token, next, err = d.change(ctx, u, s, "user.recovery-codes", from, func(u *User) error {
		if !u.HasSecond() {
			return ErrDenied
		}
		codes = u.renewRecovery()
		return nil
	})
	return token, next, codes, err
}
