package intake_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/store/storetest"
	"github.com/milaan/milaan/upi"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// authority is the certificate of every mail server here. The system's list of
// authorities, by which the postman knows servers, is read once: TestMain names
// this one in it.
var authority tls.Certificate

func TestMain(m *testing.M) { os.Exit(withAuthority(m)) }

func withAuthority(m *testing.M) int {
	dir, err := os.MkdirTemp("", "milaan-intake-*")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.AddDate(-10, 0, 0), NotAfter: now.AddDate(100, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	authority = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	file := filepath.Join(dir, "authority.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		panic(err)
	}
	if err := os.Setenv("SSL_CERT_FILE", file); err != nil {
		panic(err)
	}
	return m.Run()
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

// mailServer is an IMAP server on loopback.
type mailServer struct {
	*testing.T
	addr   string
	user   *imapmemserver.User
	mu     sync.Mutex
	logins int
}

func newMailServer(t *testing.T) *mailServer {
	t.Helper()
	s := &mailServer{T: t, user: imapmemserver.NewUser("shop", "secret")}
	for _, name := range []string{"INBOX", "Bank"} {
		if err := s.user.Create(name, nil); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	memory := imapmemserver.New()
	memory.AddUser(s.user)
	config := &tls.Config{Certificates: []tls.Certificate{authority}, MinVersion: tls.VersionTLS12}
	running := imapserver.New(&imapserver.Options{
		TLSConfig: config, Logger: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.logins++
			session, ok := memory.NewSession().(imapserver.SessionIMAP4rev2)
			if !ok {
				return nil, nil, errors.New("the server's sessions are of another kind")
			}
			return promptSession{session}, nil, nil
		},
	})
	go func() { _ = running.Serve(tls.NewListener(listener, config)) }()
	t.Cleanup(func() { _ = running.Close() })
	return s
}

func (s *mailServer) deliver(box, raw string) {
	s.Helper()
	if _, err := s.user.Append(box, bytes.NewReader([]byte(raw)), &imap.AppendOptions{Time: now}); err != nil {
		s.Fatal(err)
	}
}

func (s *mailServer) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// sorting is a postman of a house whose till has a mailbox.
type sorting struct {
	*storetest.House
	server  *mailServer
	postman *intake.Postman
	feed    directory.Feed
	mu      sync.Mutex
	held    bool
	holdErr error
}

func openSorting(t *testing.T) *sorting {
	t.Helper()
	s := &sorting{server: newMailServer(t), held: true}
	s.House = storetest.MustOpenHouse(t, storetest.SQLite(t), storetest.Setup{Change: func(c *directory.Change) {
		for _, w := range c.Wallets {
			if w.ID == "till" {
				w.Bank = "hdfc"
			}
		}
	}})
	s.feed = *s.Directory.Current().Feed("till")
	s.feed.ID, s.feed.Kind, s.feed.Recipients, s.feed.Token = "letters", directory.FeedEmail, []string{"accounts@shop.example"}, "token-of-letters"
	s.feed.Mailbox = &directory.Mailbox{Address: s.server.addr, Username: "shop"}
	s.feed.Secrets.Password = "secret"
	reader, err := intake.New(names{"hdfcbank.net"}.lookup, s.Clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	s.postman = &intake.Postman{
		Reader: reader, Desk: s.Desk, Directory: s.Directory, Positions: s.Store, Log: slog.New(slog.DiscardHandler),
		Hold: func(_ context.Context, duty string) (bool, error) {
			if duty != "mailbox letters" {
				t.Errorf("the duty is %q", duty)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.held, s.holdErr
		},
	}
	return s
}

// apply changes the feed.
func (s *sorting) apply() {
	s.Helper()
	f := s.feed
	s.MustChange(directory.Change{Feeds: []*directory.Feed{&f}})
	if err := s.Directory.Refresh(s.Context()); err != nil {
		s.Fatal(err)
	}
}

func (s *sorting) hold(held bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.holdErr = held, err
}

// comes waits until a credit is booked.
func (s *sorting) comes(utr upi.UTR) {
	s.Helper()
	for end := time.Now().Add(patience); ; {
		found := false
		keys := &deposit.Keys{UTRs: map[upi.UTR]struct{}{utr: {}}}
		err := s.Store.Settle(s.Context(), keys, func(f *deposit.Facts) (*deposit.Changes, error) {
			found = len(f.Credits[utr]) == 1
			return &deposit.Changes{}, nil
		})
		switch {
		case err != nil:
			s.Fatal(err)
		case found:
			return
		case time.Now().After(end):
			s.Fatalf("the letter of %s does not come", utr)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestPostman: letters of the bank are credits, and what is in the mailbox
// beside them holds nothing up.
func TestPostman(t *testing.T) {
	t.Parallel()
	s := openSorting(t)
	s.apply()
	c := s.MustActivate(storetest.Claim("a", "607312345041", 75_00), deposit.Waiting)
	s.server.deliver("INBOX", "no letter at all")
	s.server.deliver("INBOX", "From: a@b.example\r\nTo: x@y.example\r\nSubject: hello\r\nDate: "+now.Format(time.RFC1123Z)+"\r\n\r\nSee you at eight.\r\n")
	s.server.deliver("INBOX", letter("607312345049", "900.00", business)) // unsigned
	s.server.deliver("INBOX", sign(t, "hdfcbank.net", "slow", letter("607312345048", "900.00", business)))
	s.server.deliver("INBOX", sign(t, "hdfcbank.net", "s1", letter("607312345041", "75.00", business)))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.postman.Run(ctx) }()
	s.comes("607312345041")
	s.MustFind(c.ID, deposit.Credited)
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the postman ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the postman does not stop")
	}
	// Up to the letter that can't be checked yet, nothing comes again.
	if validity, uid, err := s.Store.MailboxPosition(t.Context(), "letters"); err != nil || validity == 0 || uid != 3 {
		t.Errorf("the mailbox stands at %d, %d, %v", validity, uid, err)
	}
	inbox, err := s.Store.Inbox(t.Context(), "letters", 0, 10)
	if err != nil || len(inbox) != 1 || inbox[0].Outcome.Result != feed.Refused || inbox[0].UTR != "607312345049" {
		t.Errorf("the inbox has %+v, %v", inbox, err)
	}
	if r := s.MustVerify(); r.Credits != 1 || r.Deposits != 1 {
		t.Errorf("the books say %+v", r)
	}
}

// TestPostmanLooks: which mailboxes are read follows the directory and the duty.
func TestPostmanLooks(t *testing.T) {
	t.Parallel()
	s := openSorting(t)
	ctx, stop := context.WithCancel(t.Context())
	tour := intake.NewTour(s.postman)
	defer func() {
		stop()
		tour.Wait()
	}()
	n := 0
	post := func(box string) upi.UTR {
		n++
		utr := fmt.Sprintf("6073123451%02d", n)
		s.server.deliver(box, sign(t, "hdfcbank.net", "s1", letter(utr, "75.00", business)))
		return upi.UTR(utr)
	}
	look := func(want ...string) {
		t.Helper()
		if got := tour.Look(ctx); !slices.Equal(got, want) {
			t.Fatalf("the mailboxes of %v are read, not of %v", got, want)
		}
	}
	look() // none has a mailbox
	s.apply()
	look("letters")
	s.comes(post("INBOX"))
	look("letters") // goes on
	s.comes(post("INBOX"))
	if got := s.server.connections(); got != 1 {
		t.Errorf("%d connections were made for one mailbox", got)
	}
	// What has nothing to do with the mailbox leaves it be; another folder is
	// another mailbox.
	s.feed.Domains = []string{"alerts.example"}
	s.apply()
	look("letters")
	s.feed.Mailbox = &directory.Mailbox{Address: s.server.addr, Username: "shop", Name: "Bank"}
	s.apply()
	moved := post("Bank")
	look("letters")
	s.comes(moved)
	if got := s.server.connections(); got != 2 {
		t.Errorf("after the mailbox was changed there were %d connections", got)
	}
	// Another gateway's duty, or one of which nothing is known.
	s.hold(false, nil)
	look()
	tour.Wait()
	s.hold(false, errors.New("the database is down"))
	look()
	s.hold(true, nil)
	late := post("Bank")
	look("letters")
	s.comes(late)
	// A mailbox that can't be one.
	s.feed.Secrets.Password = ""
	s.apply()
	look()
	tour.Wait()
	s.feed.Secrets.Password = "secret"
	s.apply()
	look("letters")
	s.feed.Retired = true
	s.apply()
	look()
	tour.Wait()
	if r := s.MustVerify(); r.Credits != int64(n) {
		t.Errorf("of %d letters came %d credits", n, r.Credits)
	}
}
