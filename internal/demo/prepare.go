package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"time"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/demo/month"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store"
)

// monthSeed chooses the month that the demo shows.
const monthSeed = 20_26

// busy reports whether there is a month behind the demo.
func (o Options) busy() bool { return !o.Auto && !o.Empty }

// prepare applies the demo's installation. In a new database it dates that a
// month back and lives through the month; one of an earlier demo goes on where
// it ended. Those who sign in to the console get the password of this start.
func (s *stage) prepare(ctx context.Context, db store.Store, file *apply.File) error {
	contents, err := db.LoadDirectory(ctx)
	if err != nil {
		return err
	}
	now := s.Now()
	fresh := s.busy() && len(contents.Merchants) == 0
	dated := s.Now
	if fresh {
		dated = func() time.Time { return month.Begin(now) }
	}
	if _, err := apply.Run(ctx, db, file, apply.Options{Now: dated}); err != nil {
		return err
	}
	if s.Auto {
		return nil
	}
	s.password = "milaan " + rand.Text()[:8]
	if fresh {
		if err := month.Live(ctx, month.Config{Store: db, Until: now, Seed: monthSeed, Password: s.password}); err != nil {
			return fmt.Errorf("live through the demo's month: %w", err)
		}
	} else {
		desk := staff.NewDesk(staff.Config{Store: db.Staff(), Now: s.Now, Cost: month.QuickCost(), Log: s.Log})
		if _, err := month.Staff(ctx, desk, s.people(), s.password); err != nil {
			return err
		}
	}
	return s.openOthers(ctx, db)
}

// people are those who can sign in to the console.
func (s *stage) people() []month.Person {
	if s.busy() {
		return month.People("mela")
	}
	return month.People("shop")
}

// openOthers makes the servers of the month's merchants. One of them fails, and
// goes on to.
func (s *stage) openOthers(ctx context.Context, db store.Store) error {
	if !s.busy() {
		return nil
	}
	dir, err := directory.OpenCache(ctx, db)
	if err != nil {
		return err
	}
	const longer = 365 * 24 * time.Hour // than anybody looks at a demo
	failing := map[string]month.Outage{"tiffin": {To: s.Now().Add(longer)}}
	s.others, err = month.NewReceiver(dir.Current(), failing, s.Now, s.Log)
	return err
}

// console is where people sign in: passkeys need a name, and this computer has
// one.
func (s *stage) console() string {
	_, port, err := net.SplitHostPort(s.gateway.Addr().String())
	if err != nil {
		return base(s.gateway.Addr()) + "/console"
	}
	return "http://" + net.JoinHostPort("localhost", port) + "/console"
}
