package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/sethvargo/go-retry"
)

// Mailbox is where an operator's mail is, and how to get at it over IMAP
// (RFC 9051, RFC 3501).
type Mailbox struct {
	// Addr is the server's host and port, such as imap.example.com:993.
	Addr string
	// StartTLS begins in plain text, as port 143 does, and goes on only once the
	// connection is encrypted. Otherwise it is from the start, as on port 993.
	StartTLS bool
	// Roots are the certificate authorities to trust; nil for the system's.
	Roots *x509.CertPool

	Username string
	// Password is used unless there is a Token.
	Password string
	// Token returns an access token for each login by OAuth 2.0 (XOAUTH2, as
	// Google and Microsoft want it).
	Token func(ctx context.Context) (string, error)

	// Name is the mailbox; "" for INBOX.
	Name string
	// Since leaves mail out that came before that day when a mailbox is read from
	// its beginning; zero leaves none out.
	Since time.Time
	// Every is how often to look where the server can't tell of new mail, and when
	// to try again what could not be handled; 0 for a minute.
	Every time.Duration
}

// Position is how far a mailbox was read.
type Position struct {
	// Validity is the mailbox's UIDVALIDITY: with another one, UIDs start anew.
	Validity uint32
	// UID is the last message of those that were all handled.
	UID uint32
}

// Cursor keeps the position across restarts.
type Cursor interface {
	// Load returns the zero Position for a mailbox that was never read.
	Load(ctx context.Context) (Position, error)
	// Save keeps the position for the next Load, for good.
	Save(ctx context.Context, position Position) error
}

// Poller hands on each message of a mailbox, old ones first, and then those
// that come. It changes nothing in the mailbox: it opens it for reading only
// (EXAMINE), and leaves messages unread.
type Poller struct {
	box    Mailbox
	cursor Cursor
	handle func(ctx context.Context, raw []byte) error
	log    *slog.Logger

	position Position
	// done are the UIDs beyond the position that were handled: one message that
	// can't be yet does not hold up those behind it.
	done map[imap.UID]struct{}
}

// Time-outs of what the server has to answer. It may say nothing while idling,
// which is begun anew long before the 29 minutes that RFC 2177 allows: some
// servers keep to themselves what came just before, and some firewalls forget.
const (
	answerTimeout = time.Minute
	idleFor       = 5 * time.Minute
	everyDefault  = time.Minute
	retryFirst    = time.Second
	retryMost     = 5 * time.Minute
	retryJitter   = 50 // percent
)

// NewPoller returns a poller of a mailbox. Handle gets each message whole, cut
// off only beyond [MaxSize], which [Open] refuses. Once it returns nil, the
// message is not fetched again, but for a crash before the position was saved;
// after an error it is, and meanwhile the messages behind it are handled. So
// handle must bear to see a message twice, and return nil for one that it has
// refused for good.
//
// The error is for the operator: what of the mailbox is wrong.
func NewPoller(box Mailbox, cursor Cursor, handle func(ctx context.Context, raw []byte) error, log *slog.Logger) (*Poller, error) {
	host, port, err := net.SplitHostPort(box.Addr)
	switch {
	case err != nil || host == "" || port == "":
		return nil, fmt.Errorf("IMAP server %q must be a host and a port, such as imap.example.com:993", box.Addr)
	case box.Username == "":
		return nil, errors.New("the mailbox needs a user name")
	case box.Password == "" && box.Token == nil:
		return nil, errors.New("the mailbox needs a password, or a token of OAuth 2.0")
	}
	if box.Name == "" {
		box.Name = "INBOX"
	}
	if box.Every <= 0 {
		box.Every = everyDefault
	}
	return &Poller{box: box, cursor: cursor, handle: handle, log: log, done: make(map[imap.UID]struct{})}, nil
}

// Run reads the mailbox until the context ends, and then returns nil. Whatever
// fails meanwhile is logged and tried again, ever less often up to five minutes.
// It must not run twice at a time.
func (p *Poller) Run(ctx context.Context) error {
	pause := newPause()
	for ctx.Err() == nil {
		err := p.connected(ctx, func() { pause = newPause() })
		if ctx.Err() != nil {
			break
		}
		wait, _ := pause.Next()
		p.log.WarnContext(ctx, "mailbox can't be read: trying again",
			"server", p.box.Addr, "mailbox", p.box.Name, "wait", wait.Round(time.Second), "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil //nolint:nilerr // what failed as it was stopped is no failure
}

func newPause() retry.Backoff {
	return retry.WithJitterPercent(retryJitter, retry.WithCappedDuration(retryMost, retry.NewExponential(retryFirst)))
}

// connected reads the mailbox over one connection until that fails. Working is
// called after each round that went well.
func (p *Poller) connected(ctx context.Context, working func()) error {
	news := make(chan struct{}, 1)
	client, err := p.dial(ctx, news)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	// Nothing else ends a command whose answer does not come.
	release := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer func() {
		release()
		_ = client.Close()
	}()
	s := session{Client: client, news: news}
	if err := s.within(func() error { return p.login(ctx, client) }); err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	var selected *imap.SelectData
	err = s.within(func() (err error) {
		selected, err = client.Select(p.box.Name, &imap.SelectOptions{ReadOnly: true}).Wait()
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("open the mailbox: %w", err)
	case selected.UIDValidity == 0:
		return errors.New("open the mailbox: the server does not keep UIDs")
	}
	if err := p.resume(ctx, selected.UIDValidity); err != nil {
		return err
	}
	for {
		complete, err := p.round(ctx, s)
		if err != nil {
			return err
		}
		working()
		if err := p.wait(ctx, s, complete); err != nil {
			return err
		}
	}
}

// session is a connection whose commands end.
type session struct {
	*imapclient.Client

	news <-chan struct{} // the server told of mail
}

// within closes the connection, which ends the command with an error, if the
// server takes too long over it.
func (s session) within(command func() error) error {
	late := time.AfterFunc(answerTimeout, func() { _ = s.Close() })
	defer late.Stop()
	return command()
}

func (p *Poller) dial(ctx context.Context, news chan<- struct{}) (*imapclient.Client, error) {
	host, _, err := net.SplitHostPort(p.box.Addr)
	if err != nil {
		return nil, err
	}
	options := &imapclient.Options{
		TLSConfig: &tls.Config{ServerName: host, RootCAs: p.box.Roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"imap"}},
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{
			Mailbox: func(data *imapclient.UnilateralDataMailbox) {
				if data.NumMessages == nil {
					return
				}
				select {
				case news <- struct{}{}:
				default:
				}
			},
		},
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if !p.box.StartTLS {
		dialer := tls.Dialer{Config: options.TLSConfig}
		conn, err := dialer.DialContext(ctx, "tcp", p.box.Addr)
		if err != nil {
			return nil, err
		}
		return imapclient.New(conn, options), nil
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", p.box.Addr)
	if err != nil {
		return nil, err
	}
	release := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer release()
	return imapclient.NewStartTLS(conn, options)
}

func (p *Poller) login(ctx context.Context, client *imapclient.Client) error {
	if err := client.WaitGreeting(); err != nil {
		return err
	}
	if p.box.Token == nil {
		return client.Login(p.box.Username, p.box.Password).Wait()
	}
	token, err := p.box.Token(ctx)
	if err != nil {
		return fmt.Errorf("get a token: %w", err)
	}
	return client.Authenticate(&xoauth2{username: p.box.Username, token: token})
}

// resume goes on where the mailbox of that validity was left, or begins.
func (p *Poller) resume(ctx context.Context, validity uint32) error {
	position, err := p.cursor.Load(ctx)
	if err != nil {
		return fmt.Errorf("load the mailbox's position: %w", err)
	}
	if position.Validity != validity {
		if position.Validity != 0 {
			p.log.WarnContext(ctx, "mailbox was numbered anew by its server: reading it from the beginning",
				"server", p.box.Addr, "mailbox", p.box.Name)
		}
		position = Position{Validity: validity}
	}
	if position.Validity != p.position.Validity {
		clear(p.done)
	}
	p.position = position
	return nil
}

// round handles the messages that were not yet. It is complete if none was left
// over.
func (p *Poller) round(ctx context.Context, s session) (complete bool, err error) {
	uids, err := p.unhandled(s)
	if err != nil {
		return false, fmt.Errorf("look for mail: %w", err)
	}
	complete = true
	for _, uid := range uids {
		if _, done := p.done[uid]; !done {
			raw, err := fetch(s, uid)
			if err != nil {
				return false, fmt.Errorf("fetch mail: %w", err)
			}
			if raw != nil { // else it was deleted since
				if err := p.handle(ctx, raw); err != nil {
					if ctx.Err() != nil {
						return false, ctx.Err()
					}
					p.log.WarnContext(ctx, "mail can't be handled yet: trying again",
						"server", p.box.Addr, "mailbox", p.box.Name, "uid", uint32(uid), "wait", p.box.Every, "error", err)
					complete = false
					continue
				}
			}
			p.done[uid] = struct{}{}
		}
		if !complete {
			continue
		}
		position := Position{Validity: p.position.Validity, UID: uint32(uid)}
		if err := p.cursor.Save(ctx, position); err != nil {
			return false, fmt.Errorf("save the mailbox's position: %w", err)
		}
		p.position = position
		delete(p.done, uid)
	}
	return complete, nil
}

// unhandled are the UIDs beyond the position, in order.
func (p *Poller) unhandled(s session) ([]imap.UID, error) {
	first := imap.UID(p.position.UID) + 1
	var beyond imap.UIDSet
	beyond.AddRange(first, 0) // to the last
	var found *imap.SearchData
	err := s.within(func() (err error) {
		if err := s.Noop().Wait(); err != nil { // lets the server show what is new
			return err
		}
		found, err = s.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{beyond}, Since: p.box.Since}, nil).Wait()
		return err
	})
	if err != nil {
		return nil, err
	}
	set, _ := found.All.(imap.UIDSet) // nil if nothing was found
	uids, listed := set.Nums()
	if !listed {
		return nil, errors.New("the server's list of messages has no end")
	}
	// "n:*" is never empty: it holds the last message even if that is before n.
	uids = slices.DeleteFunc(uids, func(uid imap.UID) bool { return uid < first })
	slices.Sort(uids)
	return slices.Compact(uids), nil
}

// fetch returns a message, or nil if it is not there any more.
func fetch(s session, uid imap.UID) (raw []byte, err error) {
	err = s.within(func() error {
		command := s.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{
			UID: true,
			BodySection: []*imap.FetchItemBodySection{{
				Peek:    true, // leaves it unread
				Partial: &imap.SectionPartial{Size: MaxSize + 1},
			}},
		})
		for message := command.Next(); message != nil; message = command.Next() {
			var of imap.UID
			var body []byte
			for item := message.Next(); item != nil; item = message.Next() {
				switch item := item.(type) {
				case imapclient.FetchItemDataUID:
					of = item.UID
				case imapclient.FetchItemDataBodySection:
					if item.Literal == nil {
						continue
					}
					if body, err = io.ReadAll(io.LimitReader(item.Literal, MaxSize+1)); err != nil {
						return err
					}
				}
			}
			if of == uid && body != nil { // servers also tell of other messages' flags
				raw = body
			}
		}
		return command.Close()
	})
	return raw, err
}

// wait returns when it is time for another round: after mail came, or a while.
func (p *Poller) wait(ctx context.Context, s session, complete bool) error {
	pause := p.box.Every
	var idle *imapclient.IdleCommand
	err := s.within(func() (err error) {
		if s.Caps().Has(imap.CapIdle) {
			idle, err = s.Idle()
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("wait for mail: %w", err)
	}
	if idle != nil && complete {
		pause = idleFor
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.Closed():
		return errors.New("wait for mail: the server closed the connection")
	case <-s.news:
	case <-timer.C:
	}
	if idle == nil {
		return nil
	}
	err = s.within(func() error {
		if err := idle.Close(); err != nil {
			return err
		}
		return idle.Wait()
	})
	if err != nil {
		return fmt.Errorf("wait for mail: %w", err)
	}
	return nil
}

// xoauth2 is the login that Google and Microsoft have for OAuth 2.0 tokens
// (Google, "XOAUTH2 Mechanism").
type xoauth2 struct{ username, token string }

// Start says everything there is to say.
func (x *xoauth2) Start() (mechanism string, response []byte, err error) {
	return "XOAUTH2", []byte("user=" + x.username + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}

// Next answers the server's account of what is wrong, after which it refuses.
func (x *xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }
