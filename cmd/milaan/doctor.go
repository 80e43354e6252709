package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/doctor"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/internal/store/records"
)

type doctorCommand struct {
	JSON  bool   `name:"json" help:"Print the findings as JSON."`
	Clock string `placeholder:"URL" help:"A web server whose clock this machine's is compared with."`
}

// Run examines the installation. It fails where something is broken, not where
// something is only to be looked at.
func (d doctorCommand) Run(ctx context.Context, s *settings, term terminal) error {
	report, err := d.examine(ctx, s)
	if err != nil {
		return err
	}
	write := report.Write
	if d.JSON {
		write = report.WriteJSON
	}
	if err := write(term.out); err != nil {
		return err
	}
	if report.Worst == doctor.Fail {
		return errReported
	}
	return nil
}

func (d doctorCommand) examine(ctx context.Context, s *settings) (doctor.Report, error) {
	config, err := s.load()
	if err != nil {
		return doctor.Report{Worst: doctor.Fail, Findings: []doctor.Finding{{
			Check: "configuration", Level: doctor.Fail, Says: oneLine(err), Fix: "Correct the setting: docs/settings.md explains each.",
		}}}, nil
	}
	location, err := store.ParseLocation(config.DatabaseURL)
	if err != nil {
		return doctor.Report{}, err
	}
	outgoing, err := config.PostbackTransport()
	if err != nil {
		return doctor.Report{}, err
	}
	return doctor.Examine(ctx, &doctor.Surroundings{
		Config: config, Files: server.SettingFiles(s.path), KeyFile: location.KeyFile(), DatabaseFile: location.Path, Now: time.Now,
		Condition: func(ctx context.Context) (records.Condition, error) { return store.Inspect(ctx, location) },
		Books:     func(ctx context.Context) (*doctor.Books, error) { return readBooks(ctx, config) },
		Resolve: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
		Handshake: handshake, Reach: func(ctx context.Context, address string) error { return reach(ctx, outgoing, address) },
		TimeServer: d.Clock, Client: &http.Client{},
	}), nil
}

// readBooks reads what the doctor asks of a database that is up to date.
func readBooks(ctx context.Context, config server.Config) (books *doctor.Books, err error) {
	db, err := server.OpenStore(ctx, config)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	cache, err := directory.OpenCache(ctx, db)
	if err != nil {
		return nil, err
	}
	dir := cache.Current()
	books = &doctor.Books{Hosts: config.PublicHosts(dir)}
	if books.Feeds, err = intake.Health(ctx, db, dir, time.Now()); err != nil {
		return nil, err
	}
	held, err := postback.CurrentEndpoints(ctx, db, dir)
	if err != nil {
		return nil, err
	}
	disabled := make(map[string]string)
	for _, e := range held {
		if e.State == postback.EndpointDisabled {
			disabled[e.Name()] = cmp.Or(e.Why, "it is disabled")
		}
	}
	add := func(key, address string) {
		name := postback.Endpoint{Merchant: key}.Name()
		books.Endpoints = append(books.Endpoints, doctor.Endpoint{Name: name, URL: address, Disabled: disabled[name]})
	}
	for _, m := range dir.Merchants {
		if !m.Retired && m.PostbackURL != "" {
			add(m.ID, m.PostbackURL)
		}
	}
	for _, w := range dir.Webhooks {
		if !w.Retired {
			add(w.Key(), w.URL)
		}
	}
	return books, nil
}

// handshake reaches a host as its visitors do, and says nothing there.
func handshake(ctx context.Context, host string) (time.Time, error) {
	conn, err := (&tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", net.JoinHostPort(host, "443"))
	if err != nil {
		return time.Time{}, err
	}
	defer func() { _ = conn.Close() }()
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return time.Time{}, errors.New("the connection has no TLS")
	}
	return secure.ConnectionState().PeerCertificates[0].NotAfter, nil
}

// reach connects to where postbacks go, by their own way and rules. The
// address may hold a token: no error shows it.
func reach(ctx context.Context, outgoing *http.Transport, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return errors.New("the address can't be read")
	}
	port := "443"
	if u.Scheme == "http" {
		port = "80"
	}
	conn, err := outgoing.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if u.Scheme == "http" {
		return nil
	}
	config := outgoing.TLSClientConfig.Clone()
	config.ServerName = u.Hostname()
	return tls.Client(conn, config).HandshakeContext(ctx)
}
