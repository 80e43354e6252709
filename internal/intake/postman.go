package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed/mail"
)

// Positions keep how far mailboxes were read.
type Positions interface {
	// MailboxPosition gives UIDVALIDITY and UID of the last message of a feed that
	// was handled; zeros for never.
	MailboxPosition(ctx context.Context, feed string) (validity, uid uint32, err error)
	// SaveMailboxPosition keeps them.
	SaveMailboxPosition(ctx context.Context, feed string, validity, uid uint32) error
}

// Postman reads the mailboxes of feeds of e-mail, as the directory has them.
type Postman struct {
	Reader    *Reader
	Desk      Desk
	Directory *directory.Cache
	Positions Positions
	// Hold takes the duty to read a mailbox, or keeps it: of several gateways one
	// reads each.
	Hold func(ctx context.Context, duty string) (bool, error)
	Log  *slog.Logger
}

// roundEvery is how often the postman looks at which mailboxes are his.
const roundEvery = 5 * time.Second

// round is one mailbox that is being read.
type round struct {
	feed *directory.Feed // as it was when it began
	stop context.CancelFunc
}

// Run reads mailboxes until ctx ends, and returns when none is being read.
func (p *Postman) Run(ctx context.Context) error {
	var rounds sync.WaitGroup
	defer rounds.Wait()
	reading := make(map[string]*round)
	tick := time.NewTicker(roundEvery)
	defer tick.Stop()
	for {
		p.look(ctx, reading, &rounds)
		select {
		case <-ctx.Done():
			for _, r := range reading {
				r.stop()
			}
			return nil
		case <-tick.C:
		}
	}
}

// look begins to read mailboxes that are new or were changed, and leaves those
// that are gone or another gateway's.
func (p *Postman) look(ctx context.Context, reading map[string]*round, rounds *sync.WaitGroup) {
	mine := make(map[string]bool)
	for _, f := range p.Directory.Current().Feeds {
		if f.Kind != directory.FeedEmail || f.Mailbox == nil || f.Retired {
			continue
		}
		held, err := p.Hold(ctx, "mailbox "+f.ID)
		if err != nil && ctx.Err() == nil {
			p.Log.ErrorContext(ctx, "a mailbox is not read; tried again shortly", "feed", f.ID, "error", err)
		}
		if !held {
			continue
		}
		mine[f.ID] = true
		r := reading[f.ID]
		if r != nil && sameMailbox(r.feed, f) {
			continue
		}
		if r != nil {
			r.stop()
			delete(reading, f.ID)
		}
		poller, err := p.poller(f)
		if err != nil {
			p.Log.ErrorContext(ctx, "a mailbox can't be read: correct its feed", "feed", f.ID, "error", err)
			continue
		}
		life, stop := context.WithCancel(ctx)
		reading[f.ID] = &round{f, stop}
		rounds.Go(func() {
			if err := poller.Run(life); err != nil {
				p.Log.ErrorContext(ctx, "a mailbox is not read any more", "feed", f.ID, "error", err)
			}
		})
	}
	for id, r := range reading {
		if !mine[id] {
			r.stop()
			delete(reading, id)
		}
	}
}

// sameMailbox reports whether nothing changed that a poller was begun with.
func sameMailbox(a, b *directory.Feed) bool {
	return a == b || reflect.DeepEqual(a.Mailbox, b.Mailbox) && a.Secrets.Password == b.Secrets.Password
}

func (p *Postman) poller(f *directory.Feed) (*mail.Poller, error) {
	box := mail.Mailbox{
		Addr: f.Mailbox.Address, StartTLS: f.Mailbox.StartTLS, Username: f.Mailbox.Username,
		Password: f.Secrets.Password.Reveal(), Name: f.Mailbox.Name,
	}
	return mail.NewPoller(box, cursor{p.Positions, f.ID}, func(ctx context.Context, raw []byte) error {
		return p.deliver(ctx, f.ID, raw)
	}, p.Log.With("feed", f.ID))
}

// deliver books a message. An error means that it is to come again.
func (p *Postman) deliver(ctx context.Context, id string, raw []byte) error {
	dir := p.Directory.Current()
	f := dir.Feed(id)
	if f == nil || f.Retired {
		return fmt.Errorf("feed %s is gone", id)
	}
	wallet := dir.Wallet(f.Wallet)
	if wallet == nil {
		return fmt.Errorf("feed %s: wallet %s is not in the directory", f.ID, f.Wallet)
	}
	report, err := p.Reader.readMail(ctx, f, wallet, raw)
	if _, unreadable := errors.AsType[*BodyError](err); unreadable {
		p.Log.WarnContext(ctx, "a message can't be read and is passed over", "feed", id, "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	_, err = p.Desk.Ingest(ctx, f, report.Items)
	return err
}

// cursor keeps the position of one mailbox.
type cursor struct {
	Positions
	feed string
}

// Load gives how far the mailbox was read.
func (c cursor) Load(ctx context.Context) (mail.Position, error) {
	validity, uid, err := c.MailboxPosition(ctx, c.feed)
	return mail.Position{Validity: validity, UID: uid}, err
}

// Save keeps how far the mailbox was read.
func (c cursor) Save(ctx context.Context, at mail.Position) error {
	return c.SaveMailboxPosition(ctx, c.feed, at.Validity, at.UID)
}
