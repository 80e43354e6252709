package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/feed/health"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/notice"
	"github.com/milaan/milaan/internal/postback"
)

// watchEvery is how often the gateway looks how it is.
const watchEvery = time.Minute

// noticeSenders are the ways to the operator that are set up.
func (c Config) noticeSenders(transport http.RoundTripper) (map[string]notice.Sender, error) {
	senders := make(map[string]notice.Sender)
	if address := c.NoticeWebhookURL.Reveal(); address != "" {
		settings := notice.WebhookSettings{URL: address, Secret: c.NoticeWebhookSecret.Reveal(), Transport: transport, Now: time.Now}
		if transport == nil { // the settings alone are checked
			settings.Transport = http.DefaultTransport
		}
		if c.NoticeTelegramChat != "" {
			settings.Template = notice.TelegramTemplate(c.NoticeTelegramChat)
		}
		webhook, err := notice.NewWebhook(settings)
		if err != nil {
			return nil, fmt.Errorf("notice_webhook_url: %w", err)
		}
		senders["webhook"] = webhook
	}
	if address := c.NoticeSMTPURL.Reveal(); address != "" {
		settings, err := mailSettings(address)
		if err != nil {
			return nil, err
		}
		settings.From = c.NoticeMailFrom
		for to := range strings.SplitSeq(c.NoticeMailTo, ",") {
			if to = strings.TrimSpace(to); to != "" {
				settings.To = append(settings.To, to)
			}
		}
		mail, err := notice.NewMail(settings)
		if err != nil {
			return nil, fmt.Errorf("notice_smtp_url: %w", err)
		}
		senders["mail"] = mail
	}
	return senders, nil
}

// mailSettings reads notice_smtp_url. Its error does not show the address, which
// holds a password.
func mailSettings(address string) (notice.MailSettings, error) {
	wrong := errors.New("notice_smtp_url must be smtps://USER:PASSWORD@HOST, smtp+starttls://USER:PASSWORD@HOST or smtp://localhost")
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return notice.MailSettings{}, wrong
	}
	s := notice.MailSettings{Host: u.Hostname(), User: u.User.Username()}
	s.Password, _ = u.User.Password()
	if port := u.Port(); port != "" {
		if s.Port, err = strconv.Atoi(port); err != nil {
			return notice.MailSettings{}, wrong
		}
	}
	switch u.Scheme {
	case "smtps":
		s.Security = notice.SMTPS
	case "smtp+starttls":
		s.Security = notice.STARTTLS
	case "smtp":
		s.Security = notice.Plain
	default:
		return notice.MailSettings{}, wrong
	}
	return s, nil
}

// feedGauges show how the feeds are.
type feedGauges struct {
	last    *prometheus.GaugeVec // by feed
	lag     *prometheus.GaugeVec // by feed
	unread  *prometheus.GaugeVec // by feed
	finding *prometheus.GaugeVec // by feed and code
}

func newFeedGauges(reg prometheus.Registerer) *feedGauges {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		reg.MustRegister(g)
		return g
	}
	return &feedGauges{
		last:    gauge("milaan_feed_last_item_timestamp_seconds", "When a feed brought something last.", "feed"),
		lag:     gauge("milaan_feed_lag_seconds", "Mean time from the bank to here, of the last 24 hours.", "feed"),
		unread:  gauge("milaan_feed_unread_ratio", "Share of a feed's items that were not understood, of the last 24 hours.", "feed"),
		finding: gauge("milaan_feed_finding", "1 for each thing that is wrong with a feed.", "feed", "code"),
	}
}

// show sets the gauges; feeds that are gone leave them.
func (g *feedGauges) show(judged []health.Health) {
	for _, gauge := range []*prometheus.GaugeVec{g.last, g.lag, g.unread, g.finding} {
		gauge.Reset()
	}
	for i := range judged {
		h := &judged[i]
		if !h.LastAt.IsZero() {
			g.last.WithLabelValues(h.Feed).Set(float64(h.LastAt.Unix()))
		}
		g.lag.WithLabelValues(h.Feed).Set(h.MeanLag.Seconds())
		g.unread.WithLabelValues(h.Feed).Set(float64(h.UnreadRate) / 1000)
		for _, f := range h.Findings {
			g.finding.WithLabelValues(h.Feed, string(f.Code)).Set(1)
		}
	}
}

// watch looks how the gateway is, shows it in the metrics, and tells the operator
// what is wrong.
type watch struct {
	*Gateway
	board *notice.Board // while this gateway tells
}

func (w *watch) round(ctx context.Context, held bool) error {
	troubles, err := w.troubles(ctx)
	if err != nil {
		return err
	}
	if !held {
		w.board = nil // what another told is in the store
		return nil
	}
	if w.board == nil {
		if w.board, err = w.newBoard(ctx); err != nil {
			return err
		}
	}
	return w.board.Tick(ctx, time.Now(), troubles)
}

func (g *Gateway) newBoard(ctx context.Context) (*notice.Board, error) {
	senders, err := g.config.noticeSenders(g.outside)
	if err != nil {
		return nil, err
	}
	senders["webhooks"] = feedEvents{g.store, g.directory}
	return notice.NewBoard(ctx, g.store.Notices(), senders, notice.Settings{})
}

// mostDisputes is how many contested deposits are counted.
const mostDisputes = 100

// troubles are what is wrong at the moment.
func (g *Gateway) troubles(ctx context.Context) (list []notice.Trouble, err error) {
	judged, err := intake.Health(ctx, g.store, g.directory.Current(), time.Now())
	if err != nil {
		return nil, err
	}
	g.feeds.show(judged)
	for i := range judged {
		for _, f := range judged[i].Findings {
			list = append(list, notice.Trouble{
				Key: "feed/" + judged[i].Feed + "/" + string(f.Code), Code: string(f.Code), Severity: notice.Severity(f.Severity),
				Subject: fmt.Sprintf("Feed %s: %s", judged[i].Feed, f.Code), Text: f.Text,
			})
		}
	}
	endpoints, err := postback.CurrentEndpoints(ctx, g.store, g.directory.Current())
	if err != nil {
		return nil, err
	}
	for _, e := range endpoints {
		if e.State == postback.EndpointDisabled {
			list = append(list, notice.Trouble{
				Key: "postbacks/" + e.Merchant + "/disabled", Code: "endpoint_disabled", Severity: notice.Critical,
				Subject: "Postbacks of " + e.Name() + " are held: its endpoint is disabled",
				Text: "Since " + e.Since.Format(time.DateTime) + " UTC: " + e.Why + ". Nothing is lost. When it answers again: milaan postbacks test " + e.Merchant +
					", then milaan postbacks enable " + e.Merchant + "; or apply another URL.",
			})
		}
	}
	payouts, err := g.payoutTroubles(ctx)
	if err != nil {
		return nil, err
	}
	list = append(list, payouts...)
	disputes, err := g.store.Disputes(ctx, 0, mostDisputes)
	if err != nil {
		return nil, err
	}
	if n := len(disputes); n > 0 {
		list = append(list, notice.Trouble{
			Key: "deposits/contested", Code: "contested", Severity: notice.Critical,
			Subject: fmt.Sprintf("%d credited payments are contested by the bank", n),
			Text:    "A bank reported another amount for them, or took them back, after they were credited. milaan review list shows them; compare each with the bank, then milaan review clear CREDIT.",
		})
	}
	return list, nil
}

const (
	keepHouseEvery = 10 * time.Minute
	keepHouseBatch = 1000
	// feedHoursKept is more than feeds are judged by: a year can be compared with the
	// last.
	feedHoursKept = 400 * 24 * time.Hour
)

// growth shows what the database takes, and what was dropped of it.
type growth struct {
	bytes, free, log prometheus.Gauge
	dropped          *prometheus.CounterVec // by what
}

func newGrowth(reg prometheus.Registerer) *growth {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	g := &growth{
		bytes: gauge("milaan_database_bytes", "What the database takes of its disk."),
		free:  gauge("milaan_database_free_bytes", "Of that, what is given up and used again next (SQLite)."),
		log:   gauge("milaan_database_log_bytes", "Of that, what is not in its place yet (SQLite)."),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "milaan_dropped_total", Help: "Records that were kept long enough and dropped.",
		}, []string{"what"}),
	}
	reg.MustRegister(g.bytes, g.free, g.log, g.dropped)
	return g
}

// keepHouse looks how big the database is, and drops what has been kept long
// enough, in small commits, so that payments never wait for it. What money came
// from and went to is kept for ever.
func (g *Gateway) keepHouse(ctx context.Context, held bool) error {
	size, err := g.store.Size(ctx)
	if err != nil {
		return err
	}
	g.growth.bytes.Set(float64(size.Total))
	g.growth.free.Set(float64(size.Free))
	g.growth.log.Set(float64(size.Log))
	if !held {
		return nil
	}
	now := time.Now()
	for _, job := range []struct {
		what   string
		before time.Time // zero: everything is kept
		drop   func(ctx context.Context, before time.Time, limit int) (int64, error)
	}{
		// A claim is weighed on the wallets its label was shown since the claim window
		// began.
		{"assignments", now.Add(-2 * g.config.ClaimTTL), g.store.DropAssignments},
		{"answers", now.Add(-access.AnswersKept), g.store.DropAnswers},
		{"sessions", now, g.store.DropStale},
		{"feed_hours", now.Add(-feedHoursKept), g.store.DropFeedHours},
		{"messages", keptSince(now, g.config.MessagesKeep), g.store.DropMessages},
		{"attempts", keptSince(now, g.config.AttemptsKeep), g.store.DropAttempts},
	} {
		for dropped := int64(keepHouseBatch); dropped >= keepHouseBatch && !job.before.IsZero(); {
			if dropped, err = job.drop(ctx, job.before, keepHouseBatch); err != nil {
				return err
			}
			g.growth.dropped.WithLabelValues(job.what).Add(float64(dropped))
		}
	}
	return nil
}

// keptSince is when what is kept so long began; zero where it is kept for ever.
func keptSince(now time.Time, keep time.Duration) time.Time {
	if keep == 0 {
		return time.Time{}
	}
	return now.Add(-keep)
}
