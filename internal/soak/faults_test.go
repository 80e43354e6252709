//go:build unix

package soak_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"
)

// fault is something that breaks at a time of the load, and lasts.
type fault struct {
	at, lasts time.Duration
	what      string
	// Strike breaks something and mend puts it right again, both on the same soak.
	strike func(*soak, context.Context) error
	mend   func(*soak, context.Context) error
	back   time.Duration // that mending took: a start, recovery included
	well   time.Duration // until everything could serve again, from when it began
}

// A gateway that is hurt is the last of them: where there are two, the first is
// left alone for the whole time.
func (s *soak) victim() *gateway { return s.gateways[len(s.gateways)-1] }

// faults are what can break here, one of each kind.
func (s *soak) faults() []fault {
	restart := func(s *soak, ctx context.Context) error { return s.victim().start(ctx) }
	all := []fault{
		{what: "gateway %s killed (SIGKILL)", strike: func(s *soak, _ context.Context) error { return s.victim().kill() }, mend: restart},
		{what: "gateway %s told to stop (SIGTERM)", strike: func(s *soak, _ context.Context) error { return s.victim().end(syscall.SIGTERM) }, mend: restart},
		{what: "gateway %s frozen (SIGSTOP)", strike: func(s *soak, _ context.Context) error { return s.victim().signal(syscall.SIGSTOP) },
			mend: func(s *soak, _ context.Context) error { return s.victim().signal(syscall.SIGCONT) }},
		{what: "the server of merchant alpha is down", strike: func(s *soak, _ context.Context) error { s.shops[0].down(); return nil },
			mend: func(s *soak, ctx context.Context) error { return s.shops[0].up(ctx) }},
		{what: "merchant beta hangs", strike: func(s *soak, _ context.Context) error { s.shops[1].become(hanging); return nil },
			mend: func(s *soak, _ context.Context) error { s.shops[1].become(well); return nil }},
	}
	for i := range all[:3] {
		all[i].what = fmt.Sprintf(all[i].what, s.victim().name)
	}
	if s.database != nil {
		all = append(all, fault{what: "PostgreSQL killed (SIGKILL)", strike: func(s *soak, _ context.Context) error { return s.database.kill() },
			mend: func(s *soak, ctx context.Context) error { return s.database.start(ctx) }})
	}
	return all
}

// schedule spreads faults over the load: one of each kind in the short form, and
// kinds by chance in the long one, 30 to 70 s apart.
func (s *soak) schedule() (all []fault) {
	r := rand.New(rand.NewPCG(s.seed, 0xfa))
	kinds := s.faults()
	r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	if !s.long {
		step := (s.load - s.warm - s.calm) / time.Duration(len(kinds))
		for i, f := range kinds {
			f.at, f.lasts = s.warm+time.Duration(i)*step, step/4
			all = append(all, f)
		}
		return all
	}
	for at, i := s.warm, 0; at < s.load-s.calm; i++ {
		if i == len(kinds) {
			i = 0
			r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
		}
		f := kinds[i]
		f.at, f.lasts = at, time.Second+time.Duration(r.Int64N(int64(14*time.Second)))
		all = append(all, f)
		at += 30*time.Second + time.Duration(r.Int64N(int64(40*time.Second)))
	}
	return all
}

// breakThings lets every fault of a plan happen in its time.
func (s *soak) breakThings(ctx context.Context, plan []fault) {
	for i := range plan {
		f := &plan[i]
		if !s.sleep(ctx, f.at-s.books.since()) {
			return
		}
		f.at = s.books.since()
		s.watch.trouble(true)
		if err := f.strike(s, ctx); err != nil {
			s.wrong("%s: %v", f.what, err)
			return
		}
		s.sleep(ctx, f.lasts)
		// What is broken is mended, however the soak goes on.
		mending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
		mended := s.books.since()
		err := f.mend(s, mending)
		f.back = s.books.since() - mended
		for err == nil && !s.serves(mending) && mending.Err() == nil {
			time.Sleep(20 * time.Millisecond)
		}
		if err == nil {
			err = mending.Err()
		}
		cancel()
		if err != nil {
			s.wrong("%s, and is not well again: %v", f.what, err)
			return
		}
		f.lasts, f.well = mended-f.at, s.books.since()-mended
		if s.long {
			s.Logf("%s: %s for %s, well again after %s", f.at.Round(time.Second), f.what, f.lasts.Round(time.Millisecond), f.well.Round(time.Millisecond))
			s.sleep(ctx, 10*time.Second) // what waited is worked off
		}
		s.watch.trouble(false)
	}
}

// serves says whether every gateway can.
func (s *soak) serves(ctx context.Context) bool {
	for _, g := range s.gateways {
		if !g.ready(ctx) {
			return false
		}
	}
	return true
}

// stop ends all gateways in order, as an upgrade does.
func (s *soak) stop() {
	for _, g := range s.gateways {
		if err := g.end(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			s.wrong("stop: %v", err)
		}
	}
}
