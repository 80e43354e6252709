package report

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/notice"
	"github.com/milaan/milaan/internal/settlement"
	"github.com/milaan/milaan/internal/webhook"
)

// Ways by which reports are sent.
const (
	byMail     = "mail"
	byWebhooks = "webhooks"
)

// Limits of what is made up for after a time without a gateway, in periods.
const (
	mostDays   = 31
	mostMonths = 12
)

// retryAfter is the wait after a mail could not be handed in.
const retryAfter = 10 * time.Minute

// Postman hands mail in.
type Postman interface {
	// Post sends a letter; one sent again has the same Message-ID.
	Post(ctx context.Context, letter notice.Letter) error
}

// CourierStore is what a courier keeps and writes.
type CourierStore interface {
	Cursor
	// TellOnce writes events of webhooks that these were not told before.
	TellOnce(ctx context.Context, events []webhook.Event) error
}

// Courier sends merchants their reports when a day or a month of theirs is over: by
// mail to whom the apply file names, and as events to webhooks that asked for them.
// It is used by one goroutine.
type Courier struct {
	Store     CourierStore
	Settler   *settlement.Settler
	Directory *directory.Cache
	Mail      Postman // nil where there is no mail server
	Now       func() time.Time
	Log       *slog.Logger

	waits map[string]time.Time // until when a way of a merchant's rests, after a mail in vain
}

// Round sends what is due. What is sent is noted, and not sent again; what could not
// be is in the error, and tried again later.
func (c *Courier) Round(ctx context.Context) error {
	var errs []error
	for _, m := range c.Directory.Current().Merchants {
		if m.Retired {
			continue
		}
		for _, plan := range []struct {
			every     Every
			told      webhook.Type
			addresses []string
		}{{Daily, webhook.ReportDaily, m.Reports.Daily}, {Monthly, webhook.ReportMonthly, m.Reports.Monthly}} {
			mailed := func(ctx context.Context, p Period, r *settlement.Report) error {
				return c.mail(ctx, plan.addresses, p, r)
			}
			told := func(ctx context.Context, p Period, r *settlement.Report) error { return c.tell(ctx, plan.told, p, r) }
			if c.Mail != nil {
				errs = append(errs, c.deliver(ctx, m, plan.every, byMail, len(plan.addresses) > 0, mailed))
			}
			errs = append(errs, c.deliver(ctx, m, plan.every, byWebhooks, len(c.Directory.Current().Subscribers(m.ID, string(plan.told))) > 0, told))
		}
	}
	return errors.Join(errs...)
}

// deliver sends the reports that are due by one way. Who asks for them anew has
// missed nothing: the first is that of the period under way.
func (c *Courier) deliver(ctx context.Context, m *directory.Merchant, every Every, way string, wanted bool, send func(context.Context, Period, *settlement.Report) error) error {
	key := m.ID + " " + string(every) + " " + way
	if now := c.Now(); now.Before(c.waits[key]) {
		return nil
	}
	noted, err := c.Store.ReportedUpTo(ctx, m.ID, every, way)
	if err != nil {
		return fmt.Errorf("reports of %s: %w", m.ID, err)
	}
	last := LastOver(every, c.Now(), m.Location())
	switch {
	case !wanted && noted == "":
		return nil
	case !wanted:
		return c.Store.NoteReported(ctx, m.ID, every, way, "")
	case noted == "":
		return c.Store.NoteReported(ctx, m.ID, every, way, last.String())
	}
	done, err := Parse(noted)
	if err != nil {
		return fmt.Errorf("reports of %s: %w", m.ID, err)
	}
	most := mostDays
	if every == Monthly {
		most = mostMonths
	}
	if oldest := last.move(-most); done.Before(oldest) {
		done = oldest
	}
	for p := done.Next(); !last.Before(p); p = p.Next() {
		from, to := p.In(m.Location())
		r, err := c.Settler.Period(ctx, m.ID, from, to)
		if err == nil {
			err = send(ctx, p, r)
		}
		if err != nil {
			if c.waits == nil {
				c.waits = make(map[string]time.Time)
			}
			c.waits[key] = c.Now().Add(retryAfter)
			return fmt.Errorf("send the report of %s for %s by %s: %w", m.ID, p, way, err)
		}
		if err := c.Store.NoteReported(ctx, m.ID, every, way, p.String()); err != nil {
			return fmt.Errorf("note the report of %s for %s: %w", m.ID, p, err)
		}
		c.Log.InfoContext(ctx, "a report was sent", "merchant", m.ID, "period", p.String(), "way", way)
	}
	return nil
}

// number is a number that a period's report has for ever, for whom it is of.
func number(merchant string, p Period) (sum [sha256.Size]byte) {
	return sha256.Sum256([]byte("report\n" + merchant + "\n" + p.String()))
}

// mail hands the report in as text, with a table for a spreadsheet.
func (c *Courier) mail(ctx context.Context, to []string, p Period, r *settlement.Report) error {
	var text, table bytes.Buffer
	if err := errors.Join(r.Write(&text, settlement.Text), r.Write(&table, settlement.CSV)); err != nil {
		return err
	}
	sum := number(r.Merchant, p)
	return c.Mail.Post(ctx, notice.Letter{
		ID: fmt.Sprintf("report_%x", sum[:12]), To: to, At: c.Now(),
		Subject: "Report of " + r.Merchant + " for " + p.String(), Text: text.String(),
		Files: []notice.File{{Name: r.Merchant + "-" + p.String() + ".csv", Type: "text/csv", Data: table.Bytes()}},
	})
}

// tell writes the report as an event to each webhook that asked for it.
func (c *Courier) tell(ctx context.Context, told webhook.Type, p Period, r *settlement.Report) error {
	sum := number(r.Merchant, p)
	subject := int64(binary.BigEndian.Uint64(sum[:]) >> 1)
	return c.Store.TellOnce(ctx, webhook.For(c.Directory.Current(), r.Merchant, told, subject, c.Now().UTC().Truncate(time.Microsecond), func(bool) any {
		out := webhook.Report{
			Merchant: r.Merchant, Period: p.String(), From: webhook.Moment(r.From), To: webhook.Moment(r.To),
			Opening: webhook.Rupees(r.Opening), Closing: webhook.Rupees(r.Closing),
		}
		for _, l := range r.Lines {
			out.Lines = append(out.Lines, webhook.ReportLine{Line: string(l.Name), Count: l.Count, Amount: webhook.Rupees(l.Amount)})
		}
		return out
	}))
}
