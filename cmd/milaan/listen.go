package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/money"
)

type listenCommand struct {
	Addr          string        `default:"127.0.0.1:9000" placeholder:"ADDRESS" help:"Where to listen, on every path."`
	AccessKey     string        `env:"POSTBACK_ACCESS_KEY" placeholder:"KEY" help:"access_key of the merchant's postback."`
	PrivateKey    string        `env:"POSTBACK_PRIVATE_KEY" placeholder:"KEY" help:"Its private_key."`
	WebhookSecret string        `env:"POSTBACK_WEBHOOK_SECRET" placeholder:"SECRET" help:"Its webhook_secret, where it has one."`
	Answer        string        `enum:"ok,fail,hang,slow" default:"ok" help:"How to answer: ok (to what is genuine), fail, hang (never), slow (ok, after --delay)."`
	Delay         time.Duration `default:"10s" placeholder:"DURATION" help:"How long --answer=slow takes; the gateway waits 15s."`
	Forward       string        `placeholder:"URL" help:"Pass deliveries on to your application, unchanged, and its answer back."`
	JSON          bool          `name:"json" help:"Print one JSON object for each delivery."`
	Body          bool          `help:"Print the bodies, too."`
}

// Help stands under the one line of the command.
func (listenCommand) Help() string {
	return "Give keys in the environment rather than as flags, which other users of the computer can see: " +
		"POSTBACK_ACCESS_KEY, POSTBACK_PRIVATE_KEY, POSTBACK_WEBHOOK_SECRET. " +
		"The gateway reaches loopback addresses only with MILAAN_ALLOW_PRIVATE_TARGETS=true."
}

const (
	maxDelivery  = 1 << 20          // bytes that are read of a request, or of an application's answer
	forwardLimit = 15 * time.Second // what the gateway waits
	listenStop   = time.Second      // for answers under way at the end
)

// Run prints and checks postbacks until it is interrupted.
func (l listenCommand) Run(ctx context.Context, term terminal) error {
	if l.AccessKey == "" || l.PrivateKey == "" {
		return usageError{errors.New("the merchant's postback keys are needed: set POSTBACK_ACCESS_KEY and POSTBACK_PRIVATE_KEY, or give --access-key and --private-key")}
	}
	verifier, err := client.NewVerifier(client.Keys{AccessKey: l.AccessKey, PrivateKey: l.PrivateKey, WebhookSecret: l.WebhookSecret})
	if err != nil {
		return usageError{err}
	}
	if l.Forward != "" && l.Answer != "ok" {
		return usageError{errors.New("with --forward your application answers: leave --answer away")}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.Addr)
	if err != nil {
		return fmt.Errorf("%w: choose another --addr", err)
	}
	e := &ear{
		listenCommand: l, verifier: verifier, out: term.out, now: time.Now, times: make(map[string]int),
		app: &http.Client{
			Transport:     &http.Transport{Proxy: nil, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       forwardLimit,
		},
	}
	server := &http.Server{
		Handler: e, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }, // an interrupt ends what hangs
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	e.greet(listener.Addr().String())
	stopped := make(chan error, 1)
	forget := context.AfterFunc(ctx, func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), listenStop)
		defer cancel()
		err := server.Shutdown(stopping)
		if err != nil {
			err = server.Close()
		}
		stopped <- err
	})
	defer forget()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return errors.Join(<-stopped, e.failed())
}

// ear hears deliveries.
type ear struct {
	listenCommand
	verifier *client.Verifier
	app      *http.Client // what --forward is reached by
	now      func() time.Time

	mu    sync.Mutex // of what follows: deliveries are printed whole
	out   io.Writer
	times map[string]int // genuine deliveries by webhook-id
	err   error          // the first of printing
}

func (e *ear) failed() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

func (e *ear) print(format string, args ...any) {
	if _, err := fmt.Fprintf(e.out, format, args...); e.err == nil {
		e.err = err
	}
}

func (e *ear) greet(addr string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.JSON {
		return
	}
	what := "answers " + e.Answer
	if e.Forward != "" {
		what = "forwards to " + e.Forward
	}
	e.print("Listening on http://%s (%s). Ctrl-C ends.\n", addr, what)
}

// delivery is what came, and how it was answered.
type delivery struct {
	At       time.Time  `json:"at"`
	Path     string     `json:"path"`
	ID       string     `json:"id"`
	Genuine  bool       `json:"genuine"`
	Times    int        `json:"times"` // that it was delivered, this one included; 0 where it is not genuine
	Checks   []verdict  `json:"checks"`
	Postback *told      `json:"postback,omitempty"` // as it says itself
	Answer   replyGiven `json:"answer"`
	Body     string     `json:"body,omitempty"`
}

type verdict struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Why  string `json:"why,omitempty"`
}

// told is what a postback says, in the protocol's names.
type told struct {
	Direction  client.Direction `json:"direction"`
	Method     string           `json:"wallet_type"`
	Amount     money.Paise      `json:"amount"`
	Currency   money.Currency   `json:"currency_code"`
	Label      string           `json:"label"`
	CustomID   string           `json:"custom_transaction_id"`
	UTR        string           `json:"transaction_id"`
	Payer      string           `json:"exchanger_identifier"`
	Withdrawal string           `json:"withdrawal_id,omitempty"`
	State      string           `json:"withdrawal_status,omitempty"`
}

type replyGiven struct {
	Status int    `json:"status"` // 0: no answer
	Body   string `json:"body"`
	Why    string `json:"why,omitempty"`

	contentType string
}

const jsonType = "application/json"

// ServeHTTP hears one delivery.
func (e *ear) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "postbacks are sent by POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDelivery))
	if err != nil {
		http.Error(w, "the body did not arrive whole, or is too long", http.StatusBadRequest)
		return
	}
	d := e.inspect(r, body)
	d.Answer = e.answer(r, body, d.Genuine)
	e.show(d)
	if d.Answer.Status == 0 {
		panic(http.ErrAbortHandler) // the gateway, or whoever interrupted, waits no longer
	}
	w.Header().Set("Content-Type", d.Answer.contentType)
	w.WriteHeader(d.Answer.Status)
	_, _ = io.WriteString(w, d.Answer.Body) //nolint:gosec // no page: the answer of the developer's own application, for the gateway
}

func (e *ear) inspect(r *http.Request, body []byte) delivery {
	d := delivery{At: e.now(), Path: r.URL.Path, ID: r.Header.Get("webhook-id"), Genuine: true}
	p, checks := e.verifier.Inspect(r.Header, body, d.At)
	for _, c := range checks {
		v := verdict{Name: c.Name, OK: c.Err == nil}
		if c.Err != nil {
			v.Why, d.Genuine = c.Err.Error(), false
		}
		d.Checks = append(d.Checks, v)
	}
	if p.Direction != "" {
		d.Postback = &told{
			Direction: p.Direction, Method: p.Method, Amount: p.Amount, Currency: p.Currency, Label: p.Label,
			CustomID: p.CustomID, UTR: string(p.UTR), Payer: p.Payer,
		}
		if p.Withdrawal != nil {
			d.Postback.Withdrawal, d.Postback.State = p.Withdrawal.ID, string(p.Withdrawal.State)
		}
	}
	if e.Body {
		d.Body = string(body)
	}
	if d.Genuine {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.times[d.ID]++
		d.Times = e.times[d.ID]
	}
	return d
}

// answer decides how a delivery is answered.
func (e *ear) answer(r *http.Request, body []byte, genuine bool) replyGiven {
	ok := replyGiven{Status: http.StatusOK, Body: `{"status":"ok"}`, contentType: jsonType}
	fail := replyGiven{Status: http.StatusForbidden, Body: `{"status":"fail"}`, Why: "it is not genuine", contentType: jsonType}
	switch {
	case e.Forward != "":
		return e.forward(r, body)
	case e.Answer == "fail":
		fail.Status, fail.Why = http.StatusInternalServerError, "--answer=fail"
		return fail
	case e.Answer == "hang":
		<-r.Context().Done()
		return replyGiven{Why: "--answer=hang: the gateway gave up, or this command ended"}
	case e.Answer == "slow":
		select {
		case <-time.After(e.Delay):
		case <-r.Context().Done():
			return replyGiven{Why: "--answer=slow: the gateway gave up first, or this command ended"}
		}
	}
	if !genuine {
		return fail
	}
	return ok
}

// forward asks the developer's application. Its answer goes back as it is.
func (e *ear) forward(r *http.Request, body []byte) replyGiven {
	failed := func(err error) replyGiven {
		return replyGiven{Status: http.StatusBadGateway, Body: `{"status":"fail"}`, Why: "your application: " + err.Error(), contentType: jsonType}
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, e.Forward, bytes.NewReader(body))
	if err != nil {
		return failed(err)
	}
	req.Header = r.Header.Clone()
	req.Header.Del("Connection")
	res, err := e.app.Do(req)
	if err != nil {
		return failed(err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, maxDelivery))
	if err != nil {
		return failed(err)
	}
	given := replyGiven{Status: res.StatusCode, Body: string(said), contentType: res.Header.Get("Content-Type")}
	var status struct {
		Status string `json:"status"`
	}
	switch {
	case given.Status != http.StatusOK:
		given.Why = "the gateway will try again: it wants 200"
	case json.Unmarshal(bytes.TrimPrefix(said, []byte("\xef\xbb\xbf")), &status) != nil || status.Status != "ok":
		given.Why = `the gateway will try again: it wants {"status":"ok"}`
	}
	return given
}

// show prints a delivery.
func (e *ear) show(d delivery) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.JSON {
		text, err := json.Marshal(d)
		if err != nil && e.err == nil {
			e.err = err
		}
		e.print("%s\n", text)
		return
	}
	title := "NOT GENUINE"
	switch {
	case d.Times > 1:
		title = fmt.Sprintf("genuine, delivery %d of the same", d.Times)
	case d.Genuine:
		title = "genuine"
	}
	e.print("\n%s  %s  %s  %s\n", d.At.Format(time.TimeOnly), visible(d.Path), visible(d.ID), title)
	if p := d.Postback; p != nil {
		what := fmt.Sprintf("order %q, UTR %q, payer %q", p.CustomID, p.UTR, p.Payer)
		if p.Withdrawal != "" {
			what = fmt.Sprintf("withdrawal %q is %q, reference %q", p.Withdrawal, p.State, p.UTR)
		}
		e.print("  %s %s %s: label %q, %s\n", visible(string(p.Direction)), p.Amount.Fixed(), visible(string(p.Currency)), p.Label, what)
	}
	for _, v := range d.Checks {
		if v.OK {
			e.print("  ✓ %s\n", v.Name)
		} else {
			e.print("  ✗ %s: %s\n", v.Name, visible(v.Why))
		}
	}
	if d.Body != "" {
		e.print("  %s\n", indented(d.Body))
	}
	answered := "no answer"
	if d.Answer.Status != 0 {
		answered = fmt.Sprintf("answered %d %s", d.Answer.Status, visible(strings.TrimSpace(d.Answer.Body)))
	}
	if d.Answer.Why != "" {
		answered += " (" + visible(d.Answer.Why) + ")"
	}
	e.print("  → %s\n", answered)
}

// visible keeps what strangers send from steering the terminal.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return '·'
	}, text)
}

// indented is JSON over several lines; other text stays as it is.
func indented(body string) string {
	var out bytes.Buffer
	if json.Indent(&out, []byte(body), "", "  ") != nil {
		return visible(body)
	}
	lines := strings.Split(out.String(), "\n")
	for i := range lines {
		lines[i] = visible(lines[i])
	}
	return strings.Join(lines, "\n  ")
}
