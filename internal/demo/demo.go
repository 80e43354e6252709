// Package demo is milaan to look at: a sample shop and a sandbox bank with a
// make-believe UPI app, which speak to a real gateway only by its public
// doors, as a merchant and a bank do; and behind them a month of other
// merchants' payments, for the console to show, see package month.
package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Gateway is the gateway of the demo, open and not yet running.
type Gateway interface {
	// Addr is where its doors listen.
	Addr() net.Addr
	// AdminAddr is where its metrics are.
	AdminAddr() net.Addr
	// Run serves until ctx ends.
	Run(ctx context.Context) error
	// Close is for a gateway that never ran.
	Close() error
	// Verify does what milaan verify does.
	Verify(ctx context.Context) (Books, error)
}

// Books are what milaan verify finds: how many records there are, the balances
// in paise, and the invariants that do not hold.
type Books struct {
	Credits, Claims, Deposits, Postings, Postbacks, AuditEntries int64
	Held, Unclaimed, Owed, OnHold, Fees                          money.Paise
	Problems                                                     []string
}

// Installation is what a gateway is to be opened with.
type Installation struct {
	DatabaseURL string
	Listen      string
	// Prepare brings the database to what the demo shows; to be called before the
	// gateway opens.
	Prepare func(context.Context, store.Store) error
}

// Options say how the demo is run.
type Options struct {
	// Dir keeps its data; empty for a temporary folder, removed at the end.
	Dir string
	// Listen is the gateway's address; the shop and the bank get the next two
	// ports. Empty tries 8080 to 8082 and takes free ports instead of those in
	// use.
	Listen string
	// Auto plays payments and a refund through and ends; it has no month behind it.
	Auto bool
	// Empty leaves the month out: nobody has paid yet.
	Empty bool
	// Open opens the gateway. An error of listening is a *net.OpError.
	Open func(context.Context, Installation) (Gateway, error)
	Out  io.Writer
	Now  func() time.Time
	Log  *slog.Logger
}

// ErrListen is an address that the demo does not listen on.
var ErrListen = errors.New("--listen must be an address of this computer itself, such as 127.0.0.1:8080: anybody who reaches the demo can use it")

// The first choice of addresses.
const (
	defaultHost = "127.0.0.1"
	defaultPort = 8080
)

const (
	soon     = 5 * time.Second // how long the bank takes where a payer asks it to
	stopTime = 2 * time.Second // for pages still being sent at the end
)

// Run runs the demo until ctx ends, or until the play is over. With Auto, the
// error says what was not as expected.
func Run(ctx context.Context, o Options) (err error) {
	dir, remove, err := o.folder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	addrs, err := o.addresses()
	if err != nil {
		return err
	}
	stage, err := o.assemble(ctx, dir, addrs)
	if err != nil {
		return err
	}
	return stage.play(ctx)
}

// folder is where the data goes, and how it is removed.
func (o Options) folder() (dir string, remove func() error, err error) {
	if o.Dir == "" {
		dir, err = os.MkdirTemp("", "milaan-demo-")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	const private = 0o700 // the folder has keys in it
	dir, err = filepath.Abs(o.Dir)
	if err == nil {
		err = os.MkdirAll(dir, private)
	}
	return dir, func() error { return nil }, err
}

// address is where one of the three listens: as asked, or else on any port.
type address struct {
	host string
	port uint16
	firm bool // no other port will do
}

func (a address) String() string { return net.JoinHostPort(a.host, strconv.Itoa(int(a.port))) }

// addresses are those of the gateway, the shop and the bank.
func (o Options) addresses() (list [3]address, err error) {
	host, port, firm := defaultHost, uint16(defaultPort), false
	if o.Listen != "" {
		at, err := netip.ParseAddrPort(o.Listen)
		if err != nil || !at.Addr().IsLoopback() || at.Port() > 65_533 {
			return list, ErrListen
		}
		host, port, firm = at.Addr().String(), at.Port(), at.Port() != 0
	}
	for i := range list {
		list[i] = address{host: host, firm: firm}
		if port != 0 {
			list[i].port = port + uint16(i)
		}
	}
	return list, nil
}

// listen opens what it is given the address of, on another port where that one
// is taken.
func listen[T any](a address, open func(string) (T, error)) (T, error) {
	opened, err := open(a.String())
	var taken *net.OpError
	if errors.As(err, &taken) && !a.firm && a.port != 0 {
		a.port = 0
		return open(a.String())
	}
	return opened, err
}

// stage is the demo with everything open.
type stage struct {
	Options
	dir      string
	database string
	secret   string
	gateway  Gateway
	password string // of everybody in the console
	others   http.Handler
	shop     *Shop
	bank     *Bank
	shopAt   net.Listener
	bankAt   net.Listener
}

func (o Options) assemble(ctx context.Context, dir string, addrs [3]address) (_ *stage, err error) {
	s := &stage{Options: o, dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	var config net.ListenConfig
	tcp := func(addr string) (net.Listener, error) { return config.Listen(ctx, "tcp", addr) }
	if s.shopAt, err = listen(addrs[1], tcp); err != nil {
		return nil, fmt.Errorf("listen for the shop: %w: choose another --listen", err)
	}
	if s.bankAt, err = listen(addrs[2], tcp); err != nil {
		return nil, fmt.Errorf("listen for the bank: %w: choose another --listen", err)
	}
	settings := newSettings(base(s.shopAt.Addr()), s.busy())
	file, err := settings.file()
	if err != nil {
		return nil, err
	}
	// Not milaan.db: a demo must never be applied to a real installation.
	path := filepath.ToSlash(filepath.Join(dir, "demo.db"))
	s.database, s.secret = "sqlite://"+(&url.URL{Path: path}).EscapedPath(), settings.Secret
	s.gateway, err = listen(addrs[0], func(addr string) (Gateway, error) {
		return o.Open(ctx, Installation{
			DatabaseURL: s.database, Listen: addr,
			Prepare: func(ctx context.Context, db store.Store) error { return s.prepare(ctx, db, file) },
		})
	})
	if err != nil {
		return nil, err
	}
	if s.shop, err = NewShop(ShopConfig{
		Gateway: base(s.gateway.Addr()), Merchant: settings.Merchant, Secret: settings.Secret, WithdrawalKey: settings.WithdrawalKey,
		Keys: settings.Keys, URL: settings.Shop, Bank: base(s.bankAt.Addr()), Operator: s.operator(), Others: s.others,
		File: filepath.Join(dir, "shop.json"), Now: o.Now, Log: o.Log,
	}); err != nil {
		return nil, err
	}
	s.bank, err = NewBank(BankConfig{
		Gateway: base(s.gateway.Addr()), Accounts: settings.bankAccounts(), Soon: soon,
		File: filepath.Join(dir, "bank.json"), Now: o.Now, Log: o.Log,
	})
	return s, err
}

// operator begins a command of whoever runs the gateway: it works beside the demo.
func (s *stage) operator() string { return "MILAAN_DATABASE_URL=" + s.database + " milaan" }

// close releases what a stage that never played has open.
func (s *stage) close() error {
	var errs []error
	for _, l := range []net.Listener{s.shopAt, s.bankAt} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	if s.gateway != nil {
		errs = append(errs, s.gateway.Close())
	}
	return errors.Join(errs...)
}

// base is the URL of what listens there. As origins do, it leaves out the port
// that http has anyhow.
func base(a net.Addr) string { return strings.TrimSuffix("http://"+a.String(), ":80") }

// play runs everything. The shop and the bank outlive the gateway, which
// finishes its postbacks first.
func (s *stage) play(ctx context.Context) error {
	front, lower := context.WithCancel(ctx)
	defer lower()
	var servers errgroup.Group
	var open []*http.Server
	for _, at := range []struct {
		listener net.Listener
		handler  http.Handler
	}{{s.shopAt, s.shop.Handler()}, {s.bankAt, s.bank.Handler()}} {
		server := &http.Server{
			Handler: at.handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: 30 * time.Second,
			ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
		}
		open = append(open, server)
		servers.Go(func() error {
			defer lower()
			if err := server.Serve(at.listener); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}

	var house errgroup.Group
	house.Go(func() error { defer lower(); return s.gateway.Run(front) })
	house.Go(func() error {
		if !s.Auto {
			return s.welcome()
		}
		defer lower()
		return s.walk(front)
	})
	err := house.Wait()
	s.bank.Close()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	for _, server := range open {
		if server.Shutdown(stopping) != nil {
			err = errors.Join(err, server.Close())
		}
	}
	return errors.Join(err, servers.Wait())
}

//go:embed demo.yaml
var installation string

// settings are what the embedded apply file is filled in with.
type settings struct {
	Month                           bool // the other merchants are there
	Merchant, Secret, WithdrawalKey string
	Shop                            string // the origin of its pages
	Keys                            client.Keys
	Accounts                        []walletAccount
}

// walletAccount is one wallet, seen from the gateway and from the bank.
type walletAccount struct {
	Wallet, Method, Name, Feed, Token string
	VPA                               upi.VPA
}

func newSettings(shop string, month bool) settings {
	return settings{
		Month: month, Merchant: "shop", Secret: rand.Text(), WithdrawalKey: rand.Text(), Shop: shop,
		Keys: client.Keys{AccessKey: rand.Text(), PrivateKey: rand.Text(), WebhookSecret: rand.Text()},
		Accounts: []walletAccount{
			{Wallet: "main", Method: "upi_l", Name: "Sample Shop", VPA: "sample.shop@sandbox", Feed: "bank-main", Token: rand.Text()},
			{Wallet: "second", Method: "upi_ib", Name: "Sample Shop Two", VPA: "sample.shop2@sandbox", Feed: "bank-second", Token: rand.Text()},
		},
	}
}

// file is the installation as an apply file.
func (s settings) file() (*apply.File, error) {
	t, err := template.New("demo.yaml").Funcs(template.FuncMap{"secret": rand.Text}).Parse(installation)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, s); err != nil {
		return nil, err
	}
	return apply.Parse("demo.yaml", text.Bytes())
}

func (s settings) bankAccounts() []Account {
	accounts := make([]Account, len(s.Accounts))
	for i, a := range s.Accounts {
		accounts[i] = Account{VPA: a.VPA, Name: a.Name, Feed: a.Feed, Token: a.Token}
	}
	return accounts
}
