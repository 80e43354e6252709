package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/milaan/milaan/internal/console"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store"
)

// OpenStaff makes the desk at which people sign in.
func OpenStaff(c Config, db store.Store, log *slog.Logger) *staff.Desk {
	config := staff.Config{Store: db.Staff(), Now: time.Now, Log: log}
	if c.OIDCIssuer != "" {
		config.OIDC = &staff.IdentityProvider{
			Issuer: c.OIDCIssuer, ClientID: c.OIDCClientID, ClientSecret: c.OIDCClientSecret.Reveal(),
			Client: &http.Client{Timeout: 10 * time.Second},
		}
	}
	return staff.NewDesk(config)
}

// openConsole puts the console before the other doors, where it is on.
func (g *Gateway) openConsole() error {
	g.staff = OpenStaff(g.config, g.store, g.log)
	if g.config.Console != consoleOn {
		return nil
	}
	door, err := console.New(console.Config{
		Staff: g.staff, People: g.store.Staff(), Store: g.store, Directory: g.directory, Postbacks: g.control,
		Now: time.Now, Host: g.config.ConsoleHost, Log: g.log,
	})
	if err != nil {
		return err
	}
	g.door = door.Before(g.door)
	return nil
}

// OwnerLink makes the one-time link by which the first owner is made; empty
// where there is a user, or no console.
func (g *Gateway) OwnerLink(ctx context.Context) (string, error) {
	if g.config.Console != consoleOn {
		return "", nil
	}
	token, err := g.staff.OfferOwner(ctx)
	if err != nil || token == "" {
		return "", err
	}
	return console.LinkAddress(g.config.ConsoleOrigin(g.Addr().String()), token), nil
}

// ConsoleOrigin is where the console is, as far as the settings tell: the host
// of its own over HTTPS, or the address that the gateway listens on.
func (c Config) ConsoleOrigin(listen string) string {
	if c.ConsoleHost != "" {
		return "https://" + c.ConsoleHost
	}
	// Passkeys need a name, and this machine has one.
	host, port, err := net.SplitHostPort(listen)
	if addr := net.ParseIP(host); err == nil && (host == "" || addr != nil && (addr.IsLoopback() || addr.IsUnspecified())) {
		listen = net.JoinHostPort("localhost", port)
	}
	return "http://" + listen
}
