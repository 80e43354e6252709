package mail_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-sasl"

	"github.com/milaan/milaan/internal/feed/mail"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// server is an IMAP server on loopback, whose mail outlives it.
type server struct {
	t     *testing.T
	addr  string
	idles bool // offers IDLE
	// startTLS is whether connections begin in plain text.
	startTLS bool
	session  func(imapserver.SessionIMAP4rev2) imapserver.Session
	cert     tls.Certificate
	roots    *x509.CertPool
	user     *imapmemserver.User
	running  *imapserver.Server
}

func newServer(t *testing.T, idles bool, changes ...func(*server)) *server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: now.AddDate(-10, 0, 0), NotAfter: now.AddDate(100, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{
		t: t, addr: "127.0.0.1:0", idles: idles, roots: x509.NewCertPool(),
		cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
	}
	s.roots.AddCert(leaf)
	s.session = func(inner imapserver.SessionIMAP4rev2) imapserver.Session { return promptSession{inner} }
	for _, change := range changes {
		change(s)
	}
	s.renumber()
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

// renumber is a new mailbox of the same name, with a UIDVALIDITY of its own.
func (s *server) renumber() {
	s.t.Helper()
	validity := s.user != nil
	s.user = imapmemserver.NewUser("shop", "secret")
	if validity {
		// The server numbers mailboxes as they are created.
		if err := s.user.Create("Other", nil); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.user.Create("INBOX", nil); err != nil {
		s.t.Fatal(err)
	}
}

// promptSession tells an idling client of what came before it began to, as
// RFC 2177 wants; the library's own keeps that for the next command.
type promptSession struct{ imapserver.SessionIMAP4rev2 }

func (p promptSession) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	for {
		if err := p.Poll(w, true); err != nil {
			return err
		}
		select {
		case <-stop:
			return nil
		case <-time.After(time.Millisecond):
		}
	}
}

// silent drops the server's log.
type silent struct{}

func (silent) Printf(string, ...any) {}

// withoutIdle is a connection to a server that does not offer IDLE.
type withoutIdle struct{ net.Listener }

func (w withoutIdle) Accept() (net.Conn, error) {
	conn, err := w.Listener.Accept()
	return connWithoutIdle{conn}, err
}

type connWithoutIdle struct{ net.Conn }

func (c connWithoutIdle) Write(b []byte) (int, error) {
	return c.Conn.Write(bytes.ReplaceAll(b, []byte(" IDLE"), []byte(" NONE")))
}

func (s *server) start() {
	s.t.Helper()
	listener, err := new(net.ListenConfig).Listen(s.t.Context(), "tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	memory := imapmemserver.New()
	memory.AddUser(s.user)
	config := &tls.Config{Certificates: []tls.Certificate{s.cert}, MinVersion: tls.VersionTLS12}
	s.running = imapserver.New(&imapserver.Options{
		InsecureAuth: !s.startTLS && !s.idles, TLSConfig: config, Logger: silent{},
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			session, ok := memory.NewSession().(imapserver.SessionIMAP4rev2)
			if !ok {
				return nil, nil, errors.New("the server's sessions are of another kind")
			}
			return s.session(session), nil, nil
		},
	})
	if !s.startTLS {
		listener = tls.NewListener(listener, config)
	}
	if !s.idles {
		listener = withoutIdle{listener}
	}
	running := s.running
	go func() { _ = running.Serve(listener) }()
}

func (s *server) stop() { _ = s.running.Close() }

func (s *server) deliver(bodies ...string) {
	s.t.Helper()
	for _, text := range bodies {
		raw := "From: a@b.example\r\nSubject: " + text + "\r\n\r\n" + text + "\r\n"
		if _, err := s.user.Append("INBOX", bytes.NewReader([]byte(raw)), &imap.AppendOptions{Time: now}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// memory is a cursor that keeps positions across pollers.
type memory struct {
	mu       sync.Mutex
	position mail.Position
	fails    error
}

func (m *memory) Load(context.Context) (mail.Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.position, nil
}

func (m *memory) Save(_ context.Context, position mail.Position) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails != nil {
		return m.fails
	}
	m.position = position
	return nil
}

func (m *memory) uid() uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.position.UID
}

// reading is a poller at work.
type reading struct {
	t       *testing.T
	subject chan string // of what was handed on
	cursor  *memory
	stop    func()
}

// read runs a poller of the server until the test ends or stops it. Answer says
// what becomes of a message.
func read(t *testing.T, s *server, cursor *memory, change func(*mail.Mailbox), answer func(subject string) error) *reading {
	t.Helper()
	box := mail.Mailbox{Addr: s.addr, Roots: s.roots, Username: "shop", Password: "secret"}
	if change != nil {
		change(&box)
	}
	r := &reading{t: t, subject: make(chan string, 1000), cursor: cursor}
	poller, err := mail.NewPoller(box, cursor, func(_ context.Context, raw []byte) error {
		_, after, _ := strings.Cut(string(raw), "Subject: ")
		subject, _, _ := strings.Cut(after, "\r\n")
		var err error
		if answer != nil {
			err = answer(subject)
		}
		r.subject <- subject
		return err
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- poller.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("stopped with %v", err)
			}
		case <-time.After(patience):
			t.Error("does not stop")
		}
	})
	t.Cleanup(r.stop)
	return r
}

func (r *reading) expect(subjects ...string) {
	r.t.Helper()
	for _, want := range subjects {
		select {
		case got := <-r.subject:
			if got != want {
				r.t.Fatalf("handed on %q, want %q", got, want)
			}
		case <-time.After(patience):
			r.t.Fatalf("%q does not come", want)
		}
	}
}

// saved waits until the position is at the UID.
func (r *reading) saved(uid uint32) {
	r.t.Helper()
	for deadline := time.After(patience); r.cursor.uid() != uid; {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			r.t.Fatalf("position %d, want %d", r.cursor.uid(), uid)
		}
	}
}

func TestPollerReadsOldAndNew(t *testing.T) {
	t.Parallel()
	for name, idles := range map[string]bool{"idling": true, "looking": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, idles)
			s.deliver("one", "two")
			every := time.Hour // only the server's word is left
			if !idles {
				every = 10 * time.Millisecond
			}
			r := read(t, s, &memory{}, func(box *mail.Mailbox) { box.Every = every }, nil)
			r.expect("one", "two")
			for i := range 5 {
				subject := fmt.Sprint("new ", i)
				s.deliver(subject)
				r.expect(subject)
			}
			r.saved(7)
			r.stop()
			if len(r.subject) > 0 {
				t.Errorf("%d messages came twice", len(r.subject))
			}
			status, err := s.user.Status("INBOX", &imap.StatusOptions{NumMessages: true, NumUnseen: true})
			if err != nil || *status.NumMessages != 7 || *status.NumUnseen != 7 {
				t.Errorf("the mailbox was changed: %+v, %v", status, err)
			}
		})
	}
}

func TestPollerGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	s, cursor := newServer(t, true), &memory{}
	s.deliver("one", "two")
	r := read(t, s, cursor, nil, nil)
	r.expect("one", "two")
	r.saved(2)
	r.stop()
	s.deliver("three")
	read(t, s, cursor, nil, nil).expect("three")
}

func TestPollerOutlivesTheServer(t *testing.T) {
	t.Parallel()
	s := newServer(t, true)
	s.deliver("one")
	r := read(t, s, &memory{}, nil, nil)
	r.expect("one")
	r.saved(1)
	s.stop()
	s.deliver("two", "three")
	s.start()
	r.expect("two", "three")
	s.deliver("four")
	r.expect("four")
}

func TestPollerStartsAnewWithAnotherValidity(t *testing.T) {
	t.Parallel()
	s := newServer(t, true)
	s.deliver("one", "two", "three")
	r := read(t, s, &memory{}, nil, nil)
	r.expect("one", "two", "three")
	r.saved(3)
	s.stop()
	s.renumber()
	s.deliver("uno", "due")
	s.start()
	r.expect("uno", "due")
	r.saved(2)
}

func TestPollerKeepsWhatCouldNotBeHandled(t *testing.T) {
	t.Parallel()
	s, cursor := newServer(t, true), &memory{}
	s.deliver("one", "two", "three")
	var mu sync.Mutex
	failures := 2
	r := read(t, s, cursor, func(box *mail.Mailbox) { box.Every = 10 * time.Millisecond }, func(subject string) error {
		mu.Lock()
		defer mu.Unlock()
		if subject != "two" || failures == 0 {
			return nil
		}
		failures--
		if uid := cursor.uid(); uid > 1 {
			t.Errorf("position %d while 2 is not handled", uid)
		}
		return mail.ErrTemporary
	})
	// Those behind are handled meanwhile, and not again.
	r.expect("one", "two", "three", "two", "two")
	r.saved(3)
	s.deliver("four")
	r.expect("four")
}

func TestPollerReadsAgainWhatWasNotSaved(t *testing.T) {
	t.Parallel()
	s, cursor := newServer(t, true), &memory{fails: errors.New("disk is full")}
	s.deliver("one")
	r := read(t, s, cursor, nil, nil)
	r.expect("one")
	r.stop() // as in a crash
	cursor.fails = nil
	again := read(t, s, cursor, nil, nil)
	again.expect("one")
	again.saved(1)
}

func TestPollerCutsOffWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	s := newServer(t, true)
	s.deliver("large"+strings.Repeat("x", 2*mail.MaxSize), "small")
	box := mail.Mailbox{Addr: s.addr, Roots: s.roots, Username: "shop", Password: "secret"}
	sizes := make(chan int, 2)
	poller, err := mail.NewPoller(box, &memory{}, func(_ context.Context, raw []byte) error {
		_, err := mail.Open(bytes.NewReader(raw))
		if large := len(raw) > 1000; large != errors.Is(err, mail.ErrTooLarge) {
			t.Errorf("%d bytes open with %v", len(raw), err)
		}
		sizes <- len(raw)
		return nil
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- poller.Run(ctx) }()
	for range 2 {
		select {
		case <-sizes:
		case <-time.After(patience):
			t.Fatal("does not come")
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPollerReadsSince(t *testing.T) {
	t.Parallel()
	s := newServer(t, true)
	s.deliver("old")
	raw := []byte("From: a@b.example\r\nSubject: young\r\n\r\n")
	if _, err := s.user.Append("INBOX", bytes.NewReader(raw), &imap.AppendOptions{Time: now.AddDate(0, 0, 3)}); err != nil {
		t.Fatal(err)
	}
	read(t, s, &memory{}, func(box *mail.Mailbox) { box.Since = now.AddDate(0, 0, 2) }, nil).expect("young")
}

func TestPollerStartsTLS(t *testing.T) {
	t.Parallel()
	s := newServer(t, true, func(s *server) { s.startTLS = true })
	s.deliver("one")
	r := read(t, s, &memory{}, func(box *mail.Mailbox) { box.StartTLS = true }, nil)
	r.expect("one")
	s.deliver("two")
	r.expect("two")
}

// tokenSession lets in who shows the token.
type tokenSession struct {
	promptSession
	token string
	seen  chan<- string
}

func (s tokenSession) AuthenticateMechanisms() []string { return []string{"XOAUTH2"} }

func (s tokenSession) Authenticate(string) (sasl.Server, error) { return s, nil }

func (s tokenSession) Next(response []byte) (challenge []byte, done bool, err error) {
	s.seen <- string(response)
	if string(response) != "user=shop\x01auth=Bearer "+s.token+"\x01\x01" {
		if len(response) == 0 {
			return nil, true, imapserver.ErrAuthFailed
		}
		return []byte(`{"status":"400"}`), false, nil
	}
	return nil, true, s.Login("shop", "secret")
}

func TestPollerShowsTokens(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 100)
	s := newServer(t, true, func(s *server) {
		s.session = func(inner imapserver.SessionIMAP4rev2) imapserver.Session {
			return tokenSession{promptSession{inner}, "fresh", seen}
		}
	})
	s.deliver("one")
	tokens := make(chan string, 2)
	tokens <- "stale"
	tokens <- "fresh"
	read(t, s, &memory{}, func(box *mail.Mailbox) {
		box.Password = ""
		box.Token = func(context.Context) (string, error) { return <-tokens, nil }
	}, nil).expect("one")
	if first := <-seen; !strings.Contains(first, "stale") {
		t.Errorf("showed %q first", first)
	}
}

func TestPollerTrustsNoOtherServer(t *testing.T) {
	t.Parallel()
	s := newServer(t, true)
	s.deliver("one")
	var logged lockedBuffer
	poller, err := mail.NewPoller(mail.Mailbox{Addr: s.addr, Username: "shop", Password: "secret"}, &memory{},
		func(context.Context, []byte) error {
			t.Error("read from a server that nobody vouches for")
			return nil
		}, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- poller.Run(ctx) }()
	for deadline := time.After(patience); !strings.Contains(logged.String(), "certificate"); {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatalf("logged %q", logged.String())
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if strings.Contains(logged.String(), "secret") {
		t.Errorf("logged the password: %q", logged.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestNewPollerRefuses(t *testing.T) {
	t.Parallel()
	whole := mail.Mailbox{Addr: "imap.example.com:993", Username: "shop", Password: "secret"}
	for name, change := range map[string]func(*mail.Mailbox){
		"no port":     func(box *mail.Mailbox) { box.Addr = "imap.example.com" },
		"no host":     func(box *mail.Mailbox) { box.Addr = ":993" },
		"no user":     func(box *mail.Mailbox) { box.Username = "" },
		"no password": func(box *mail.Mailbox) { box.Password = "" },
	} {
		box := whole
		change(&box)
		if _, err := mail.NewPoller(box, &memory{}, nil, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := mail.NewPoller(whole, &memory{}, nil, nil); err != nil {
		t.Error(err)
	}
}
