package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/money"
)

type postbacksCommand struct {
	List      postbacksList      `cmd:"" help:"Postbacks, the newest first."`
	Inspect   postbacksInspect   `cmd:"" help:"One postback: its attempts and its body."`
	Resend    postbacksResend    `cmd:"" help:"Send a postback again, or all of a merchant's within some time."`
	Test      postbacksTest      `cmd:"" help:"Send a merchant a postback that is marked as a test, and print the answer."`
	Endpoints postbacksEndpoints `cmd:"" help:"Endpoints that fail, are paused or are disabled."`
	Pause     postbacksPause     `cmd:"" help:"Hold a merchant's postbacks."`
	Resume    postbacksResume    `cmd:"" help:"Send a paused merchant's postbacks again."`
	Enable    postbacksEnable    `cmd:"" help:"Send to a disabled or refused endpoint again."`
	Key       postbacksKey       `cmd:"" help:"Print the public key of a merchant's ed25519 signatures."`
}

// control does something with what controls postbacks.
func (s *settings) control(ctx context.Context, do func(*postback.Control) error) (err error) {
	config, err := s.load()
	if err != nil {
		return err
	}
	control, db, err := server.OpenControl(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return do(control)
}

type actorFlag struct {
	Actor string `help:"Who decides: kept in the audit log." env:"USER" default:"operator"`
}

func (a actorFlag) name() string { return "operator:" + a.Actor }

type postbacksList struct {
	State    string    `enum:",due,held,delivered,dead" default:"" help:"Only those: due, held, delivered or dead."`
	Merchant string    `help:"Only this merchant's, or this webhook's (shop/hook1)."`
	From     time.Time `help:"Only from this time on (RFC 3339)." placeholder:"TIME"`
	To       time.Time `help:"Only before this time." placeholder:"TIME"`
	Before   int64     `help:"Only with a smaller number: the next page."`
	Limit    int       `default:"50" help:"Most postbacks to list."`
}

// Run lists postbacks.
func (l postbacksList) Run(ctx context.Context, s *settings, term terminal) error {
	return s.control(ctx, func(c *postback.Control) error {
		list, err := c.List(ctx, postback.Filter{
			State: postback.State(l.State), Merchant: l.Merchant, From: l.From, To: l.To, Before: l.Before, Limit: l.Limit,
		})
		if err != nil {
			return err
		}
		if len(list) == 0 {
			_, err := fmt.Fprintln(term.out, "no postbacks")
			return err
		}
		w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, "POSTBACK\tTO\tTELLS\tORDER\tAMOUNT\tSTATE\tATTEMPTS\tWRITTEN\tNEXT OR DELIVERED\tLAST ANSWER")
		for i := range list {
			p := &list[i]
			_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", p.ID, p.Merchant, kindOf(p), cmp.Or(p.CustomID, "-"), amountOf(p),
				p.State, p.Attempts, moment(p.CreatedAt), moment(later(p.NextAt, p.DeliveredAt)), lastAnswer(p))
		}
		return w.Flush()
	})
}

// kindOf says what is told: a webhook's event, or by the protocol's postback
// deposit, or what a withdrawal came to.
func kindOf(p *postback.Summary) string {
	if p.Webhook != "" {
		return string(p.Webhook)
	}
	return strings.TrimSpace(string(p.Kind()) + " " + p.Told)
}

func amountOf(p *postback.Summary) string {
	if p.Amount == 0 {
		return "-"
	}
	return money.Format(p.Amount, money.English)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// moment shows a time in UTC.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateTime)
}

func lastAnswer(p *postback.Summary) string {
	switch {
	case p.LastError != "":
		return p.LastError
	case p.LastStatus != 0:
		return fmt.Sprint(p.LastStatus)
	default:
		return "-"
	}
}

type postbacksInspect struct {
	Postback int64 `arg:"" help:"The postback's number, from milaan postbacks list."`
}

// Run shows a postback's attempts and body.
func (i postbacksInspect) Run(ctx context.Context, s *settings, term terminal) error {
	return s.control(ctx, func(c *postback.Control) error {
		d, err := c.Inspect(ctx, i.Postback)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(term.out, "postback %d (%s) to %s, order %s, %s: %s\n", d.ID, kindOf(&d.Summary), d.Merchant, cmp.Or(d.CustomID, "-"), amountOf(&d.Summary), d.State)
		_, _ = fmt.Fprintf(term.out, "written %s", moment(d.CreatedAt))
		if !d.DeliveredAt.IsZero() {
			_, _ = fmt.Fprintf(term.out, ", delivered %s", moment(d.DeliveredAt))
		}
		if !d.NextAt.IsZero() {
			_, _ = fmt.Fprintf(term.out, ", next attempt %s", moment(d.NextAt))
		}
		_, _ = fmt.Fprintln(term.out, " (UTC)")
		for j := range d.Tries {
			_, _ = fmt.Fprint(term.out, tryText(&d.Tries[j]))
		}
		if !d.BodyKept {
			_, _ = fmt.Fprintln(term.out, "body, made anew:")
		} else {
			_, _ = fmt.Fprintln(term.out, "body, as every attempt carries it:")
		}
		_, err = fmt.Fprintf(term.out, "%s\n", d.Body)
		return err
	})
}

// tryText shows an attempt in a line, with its answer under it.
func tryText(a *postback.Attempt) string {
	status := "no answer"
	if a.Status != 0 {
		status = fmt.Sprint(a.Status)
	}
	text := fmt.Sprintf("attempt %d  %s  %s  %s", a.Number, moment(a.At), a.Latency.Round(time.Microsecond*100), status)
	if a.Error != "" {
		text += ": " + a.Error
	}
	if len(a.Answer) > 0 {
		text += "\n  " + printable(a.Answer)
	}
	return text + "\n"
}

// printable is what a merchant's server wrote, safe to show on a terminal.
func printable(answer []byte) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(answer), "?"))
}

type postbacksResend struct {
	Postback int64     `arg:"" optional:"" help:"The postback's number."`
	Merchant string    `help:"All postbacks of this merchant instead, from --from to --to."`
	From     time.Time `help:"The first that were written at this time (RFC 3339)." placeholder:"TIME"`
	To       time.Time `help:"Up to, not including, this time; now where absent." placeholder:"TIME"`
	State    string    `enum:",due,held,delivered,dead" default:"" help:"Only those in this state."`
	actorFlag
}

// Run makes postbacks due; the gateway sends them.
func (r postbacksResend) Run(ctx context.Context, s *settings, term terminal) error {
	if (r.Postback != 0) == (r.Merchant != "") {
		return usageError{errors.New("give a postback's number, or --merchant and --from")}
	}
	if r.Merchant != "" && r.From.IsZero() {
		return usageError{errors.New("give --from, such as --from 2026-03-14T00:00:00+05:30")}
	}
	return s.control(ctx, func(c *postback.Control) error {
		if r.Postback != 0 {
			sent, err := c.Resend(ctx, r.name(), r.Postback)
			switch {
			case err != nil:
				return err
			case sent:
				_, err = fmt.Fprintf(term.out, "postback %d is sent again\n", r.Postback)
			default:
				_, err = fmt.Fprintf(term.out, "postback %d is about to be sent anyway\n", r.Postback)
			}
			return err
		}
		sent, err := c.ResendRange(ctx, r.name(), postback.Filter{Merchant: r.Merchant, From: r.From, To: r.To, State: postback.State(r.State)})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(term.out, "%d postbacks are sent again\n", sent)
		return err
	})
}

type postbacksEndpoints struct{}

// Run lists endpoints that are not simply sent to.
func (postbacksEndpoints) Run(ctx context.Context, s *settings, term terminal) error {
	return s.control(ctx, func(c *postback.Control) error {
		list, err := c.Endpoints(ctx)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			_, err := fmt.Fprintln(term.out, "every endpoint is open")
			return err
		}
		w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, "ENDPOINT\tSTATE\tSINCE\tWHY")
		for _, e := range list {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.Merchant, e.State, moment(e.Since), e.Why)
		}
		return w.Flush()
	})
}

type merchantArg struct {
	Merchant string `arg:"" help:"The merchant's id, or a webhook: shop/hook1, or /ops for one of your own."`
}

type postbacksTest struct {
	merchantArg
	actorFlag
}

// Run sends a test and fails where the merchant does not confirm it.
func (t postbacksTest) Run(ctx context.Context, s *settings, term terminal) error {
	return s.control(ctx, func(c *postback.Control) error {
		a, err := c.Test(ctx, t.name(), t.Merchant)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprint(term.out, tryText(&a))
		if a.Error != "" {
			_, _ = fmt.Fprintf(term.err, "milaan: %s did not confirm the test\n", t.Merchant)
			return errReported
		}
		_, err = fmt.Fprintf(term.out, "%s confirmed the test\n", t.Merchant)
		return err
	})
}

type postbacksPause struct {
	merchantArg
	actorFlag
}

// Run pauses an endpoint.
func (p postbacksPause) Run(ctx context.Context, s *settings, term terminal) error {
	return endpoint(ctx, s, term, p.merchantArg, p.actorFlag, (*postback.Control).Pause, "postbacks of %s are held from now on\n")
}

type postbacksResume struct {
	merchantArg
	actorFlag
}

// Run ends a pause.
func (r postbacksResume) Run(ctx context.Context, s *settings, term terminal) error {
	return endpoint(ctx, s, term, r.merchantArg, r.actorFlag, (*postback.Control).Resume, "postbacks of %s are sent again\n")
}

type postbacksEnable struct {
	merchantArg
	actorFlag
}

// Run enables an endpoint.
func (e postbacksEnable) Run(ctx context.Context, s *settings, term terminal) error {
	return endpoint(ctx, s, term, e.merchantArg, e.actorFlag, (*postback.Control).Enable, "postbacks of %s are sent again\n")
}

func endpoint(ctx context.Context, s *settings, term terminal, m merchantArg, a actorFlag,
	do func(*postback.Control, context.Context, string, string) error, done string,
) error {
	return s.control(ctx, func(c *postback.Control) error {
		if err := do(c, ctx, a.name(), m.Merchant); err != nil {
			return err
		}
		_, err := fmt.Fprintf(term.out, done, m.Merchant)
		return err
	})
}

type postbacksKey struct{ merchantArg }

// Run prints a public key.
func (k postbacksKey) Run(ctx context.Context, s *settings, term terminal) error {
	return s.control(ctx, func(c *postback.Control) error {
		key, err := c.PublicKey(k.Merchant)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(term.out, key)
		return err
	})
}
