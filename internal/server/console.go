package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/milaan/milaan/internal/console"
	"github.com/milaan/milaan/internal/notice"
	"github.com/milaan/milaan/internal/payout/batch"
	"github.com/milaan/milaan/internal/settlement"
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
		Staff: g.staff, People: g.store.Staff(), Store: g.store, Directory: g.directory, Deposits: g.desk, Postbacks: g.control,
		Now: time.Now, Host: g.config.ConsoleHost, Outage: store.Outage, Log: g.log, Admin: g.consoleAdmin(),
		Works: console.Works{
			Store: g.store, Importer: g.importer, Clerk: &batch.Clerk{Office: g.office, Store: g.store},
		},
	})
	if err != nil {
		return err
	}
	g.console = door
	g.door = door.Before(g.door)
	return nil
}

// consoleAdmin is what the console's pages of reports and of the installation work
// with.
func (g *Gateway) consoleAdmin() console.Admin {
	return console.Admin{
		Store: g.store, Settler: &settlement.Settler{Store: g.store, Office: g.office, Log: g.log}, Settings: g.config.inForce(),
		Backup: func(ctx context.Context, to io.Writer) error { _, err := Backup(ctx, g.config, to); return err },
		Alerts: console.Alerts{Ways: g.config.noticeWays(), Try: func(ctx context.Context, by string) ([]notice.Tried, error) {
			senders, err := g.config.noticeSenders(g.outside)
			if err != nil {
				return nil, err
			}
			tried := notice.Try(ctx, senders, time.Now(), by)
			for i := range tried {
				tried[i].Way = g.config.wayName(tried[i].Way)
			}
			return tried, nil
		}},
	}
}

// noticeWays names the ways by which the operator is told of trouble.
func (c Config) noticeWays() (ways []string) {
	if c.NoticeSMTPURL != "" {
		ways = append(ways, "mail")
	}
	if c.NoticeWebhookURL != "" {
		ways = append(ways, c.wayName("webhook"))
	}
	return ways
}

// wayName is how people call a sender: the webhook may be a Telegram bot's.
func (c Config) wayName(sender string) string {
	if sender == "webhook" && c.NoticeTelegramChat != "" {
		return "telegram"
	}
	return sender
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
	scheme := "http://"
	if c.TLS != tlsOff {
		scheme = "https://"
	}
	// Passkeys need a name, and this machine has one.
	host, port, err := net.SplitHostPort(listen)
	if addr := net.ParseIP(host); err == nil && (host == "" || addr != nil && (addr.IsLoopback() || addr.IsUnspecified())) {
		listen = net.JoinHostPort("localhost", port)
	}
	return scheme + listen
}
