package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/feed/health"
	"github.com/milaan/milaan/internal/store/records"
)

// configuration judges settings that are valid and may still be a mistake.
func (s *Surroundings) configuration() (found []Finding) {
	const check = "configuration"
	c := s.Config
	warn := func(says, fix string) { found = append(found, Finding{check, "", Warn, says, fix}) }
	if c.AllowPrivateTargets {
		warn("postbacks may go to private addresses: a merchant could reach into your network",
			"Leave allow_private_targets out, and name the networks that are meant in postback_allow.")
	}
	if public(c.AdminListen) {
		warn("metrics and profiles listen on "+c.AdminListen+", which other machines may reach",
			"Set admin_listen to an address of your own network alone, such as 127.0.0.1:9090.")
	}
	if c.TLS == "off" && public(c.Listen) && c.TrustedProxies == "" {
		warn("it listens on "+c.Listen+" without TLS and knows of no proxy: payers' addresses and secrets may travel in the clear",
			"Name the proxy that ends TLS in trusted_proxies, or set tls = acme (docs/tls.md).")
	}
	if c.NoticeWebhookURL == "" && c.NoticeSMTPURL == "" {
		warn("nobody is told of trouble", "Set notice_webhook_url or notice_smtp_url (docs/feeds-health.md).")
	}
	if len(found) == 0 {
		found = append(found, Finding{Check: check, Level: OK, Says: "the settings are sound"})
	}
	return found
}

// files judges who may read the secrets on this machine.
func (s *Surroundings) files() (found []Finding) {
	const check = "key"
	judge := func(subject, path string, missing *Finding) {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && missing != nil:
			found = append(found, *missing)
		case err != nil:
			found = append(found, Finding{check, subject, Warn, oneLine(err), "Run this as the gateway's user, or give it the gateway's settings."})
		case info.Mode().Perm()&0o007 != 0:
			found = append(found, Finding{check, subject, Fail, fmt.Sprintf("everybody on this machine may use %s (mode %o)", path, info.Mode().Perm()),
				"Run chmod o= " + path + ", and think about who may have read it."})
		case info.Mode().Perm()&0o020 != 0:
			found = append(found, Finding{check, subject, Warn, fmt.Sprintf("a group may write to %s (mode %o)", path, info.Mode().Perm()), "Run chmod g-w " + path + "."})
		default:
			found = append(found, Finding{Check: check, Subject: subject, Level: OK, Says: path + " is read by those who should"})
		}
	}
	for _, setting := range []string{"secret_key", "database_url", "notice_webhook_url", "notice_webhook_secret", "notice_smtp_url", "oidc_client_secret"} {
		if path := s.Files[setting]; path != "" {
			judge(setting, path, nil)
		}
	}
	switch {
	case s.Files["secret_key"] != "":
	case s.Config.SecretKey != "":
		found = append(found, Finding{Check: check, Subject: "secret_key", Level: OK, Says: "it comes with the settings"})
	default:
		missing := Finding{check, "secret_key", Warn, "there is none yet at " + s.KeyFile, "Start the gateway once, which makes one, or set secret_key."}
		if s.DatabaseFile == "" {
			missing.Level, missing.Fix = Fail, "Set secret_key, the same for every gateway (openssl rand -base64 32)."
		}
		judge("secret_key", s.KeyFile, &missing)
	}
	if s.DatabaseFile != "" {
		if _, err := os.Stat(s.DatabaseFile); err == nil {
			judge("database", s.DatabaseFile, nil)
		}
	}
	return found
}

const (
	gibibyte   = 1 << 30
	scarce     = 5 * gibibyte
	veryLittle = gibibyte / 2
)

// database judges the database; its condition is nil where it can't be reached.
func (s *Surroundings) database(ctx context.Context) (*records.Condition, []Finding) {
	const check = "database"
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := s.Condition(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, []Finding{{check, "", Fail, "there is none at " + s.DatabaseFile, "Run milaan migrate, which makes it, or correct database_url."}}
	}
	if err != nil {
		return nil, []Finding{{check, "", Fail, oneLine(err), "Look whether the server runs and database_url is right."}}
	}
	var found []Finding
	add := func(level Level, says, fix string) { found = append(found, Finding{check, "", level, says, fix}) }
	add(OK, fmt.Sprintf("%s answers; %s; %s", c.Engine, c.Journal, size(c.Size)), "")
	switch {
	case c.Schema < c.Wanted:
		add(Fail, fmt.Sprintf("its schema is version %d, and this program needs %d", c.Schema, c.Wanted), "Make a backup, then run milaan migrate.")
	case c.Schema > c.Wanted:
		add(Fail, fmt.Sprintf("its schema is version %d, and this program knows %d", c.Schema, c.Wanted), "Install the version of milaan that migrated it, or a newer one.")
	default:
		add(OK, fmt.Sprintf("its schema is up to date (%d)", c.Schema), "")
	}
	for _, setting := range c.Unsafe {
		add(Fail, setting+": a power failure would lose payments that were acknowledged", "Set it back to its default in the database's configuration.")
	}
	if c.ReadOnly {
		add(Fail, "it can't be written to: it is a standby, or its file is another user's", "Point database_url at the primary (target_session_attrs=read-write), or run as the gateway's user.")
	}
	switch {
	case c.Free < 0:
	case c.Free < veryLittle:
		add(Fail, "its disk has only "+size(c.Free)+" left", "Make room at once: without any, no payment is taken.")
	case c.Free < scarce:
		add(Warn, "its disk has "+size(c.Free)+" left", "Make room, or move the database to a larger disk.")
	default:
		add(OK, "its disk has "+size(c.Free)+" left", "")
	}
	return &c, found
}

func size(bytes int64) string {
	const mebibyte = 1 << 20
	if bytes < gibibyte {
		return fmt.Sprintf("%d MiB", (bytes+mebibyte-1)/mebibyte)
	}
	return fmt.Sprintf("%d GiB", bytes/gibibyte)
}

// Clocks may differ by this much. Signatures of feeds and webhooks are refused
// after five minutes; a second more or less is a Date header's precision.
const (
	clockWarn = 3 * time.Second
	clockFail = time.Minute
)

// clock compares this machine's clock with the database's and a web server's.
func (s *Surroundings) clock(ctx context.Context, condition *records.Condition) (found []Finding) {
	const check = "clock"
	judge := func(subject string, ahead time.Duration) {
		f := Finding{Check: check, Subject: subject, Level: OK, Says: "the clocks agree"}
		off := ahead.Abs().Round(time.Second)
		if off >= clockWarn {
			f.Level, f.Fix = Warn, "Keep both clocks by NTP (timedatectl set-ntp true)."
			f.Says = fmt.Sprintf("this machine's clock is %s behind", off)
			if ahead > 0 {
				f.Says = fmt.Sprintf("this machine's clock is %s ahead", off)
			}
		}
		if off >= clockFail {
			f.Level = Fail
		}
		found = append(found, f)
	}
	if condition != nil && !condition.Clock.IsZero() {
		judge("the database", s.Now().Sub(condition.Clock))
	}
	if s.TimeServer != "" {
		told, err := s.timeOf(ctx)
		if err != nil {
			found = append(found, Finding{check, s.TimeServer, Warn, oneLine(err), "Name a web server that this machine reaches with --clock."})
		} else {
			judge(s.TimeServer, s.Now().Sub(told))
		}
	}
	if len(found) == 0 && condition != nil {
		found = append(found, Finding{check, "", Warn, "there was nothing to compare this machine's clock with", "Name a web server to compare it with: --clock https://www.example.com."})
	}
	return found
}

// timeOf asks a web server for the time; its Date header is rounded down.
func (s *Surroundings) timeOf(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, s.TimeServer, http.NoBody)
	if err != nil {
		return time.Time{}, err
	}
	response, err := s.Client.Do(request)
	if err != nil {
		return time.Time{}, err
	}
	if err := response.Body.Close(); err != nil {
		return time.Time{}, err
	}
	told, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return time.Time{}, fmt.Errorf("it does not tell the time: %w", err)
	}
	return told.Add(time.Second / 2), nil
}

// Certificates are renewed a month before they run out; one with less left than
// this was not.
const (
	certificateWarn = 21 * 24 * time.Hour
	certificateFail = 3 * 24 * time.Hour
)

// hosts looks each public name up, and who answers there by TLS.
func (s *Surroundings) hosts(ctx context.Context, hosts []string) []Finding {
	if len(hosts) == 0 {
		return []Finding{{"dns", "", Warn, "no merchant has a domain, and the console none of its own: payers can't be sent anywhere",
			"Give merchants a domain in the apply file (docs/apply.md)."}}
	}
	return each(ctx, hosts, func(ctx context.Context, host string) []Finding {
		if local(host) {
			return []Finding{{Check: "dns", Subject: host, Level: OK, Says: "is this machine, for trying things out"}}
		}
		addrs, err := s.Resolve(ctx, host)
		if err != nil || len(addrs) == 0 {
			says := "has no address"
			if err != nil {
				says = oneLine(err)
			}
			return []Finding{{"dns", host, Fail, says, "Add an A or AAAA record for " + host + " that leads to this gateway or its proxy."}}
		}
		found := []Finding{{Check: "dns", Subject: host, Level: OK, Says: "leads to " + join(addrs)}}
		for _, addr := range addrs {
			if addr.IsLoopback() || addr.IsPrivate() || addr.IsUnspecified() || addr.IsLinkLocalUnicast() {
				found[0] = Finding{"dns", host, Warn, "leads to " + addr.String() + ", which payers can't reach", "Let its records lead to a public address, unless this is split-horizon DNS."}
				break
			}
		}
		return append(found, s.certificate(ctx, host))
	})
}

func join(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, addr := range addrs {
		texts[i] = addr.String()
	}
	return strings.Join(texts, ", ")
}

func (s *Surroundings) certificate(ctx context.Context, host string) Finding {
	const check = "tls"
	ends, err := s.Handshake(ctx, host)
	if err != nil {
		return Finding{check, host, Fail, oneLine(err), "Look whether the proxy, or tls = acme here, has a certificate for " + host + " and port 443 is open (docs/tls.md)."}
	}
	left := ends.Sub(s.Now())
	f := Finding{Check: check, Subject: host, Level: OK, Says: fmt.Sprintf("its certificate is good for %d days", left/(24*time.Hour))}
	if left < certificateWarn {
		f.Level, f.Fix = Warn, "Look why it was not renewed: the log of the gateway or the proxy says."
	}
	if left < certificateFail {
		f.Level = Fail
	}
	return f
}

// judgeFeeds tells what is wrong with feeds, as the console and notices do.
func judgeFeeds(feeds []health.Health) (found []Finding) {
	const check = "feeds"
	if len(feeds) == 0 {
		return []Finding{{check, "", Warn, "there is none: no payment will be seen but those of imported statements", "Connect a phone, a mailbox or a bank's webhook (docs/feeds.md)."}}
	}
	for i := range feeds {
		h := &feeds[i]
		if len(h.Findings) == 0 {
			found = append(found, Finding{Check: check, Subject: h.Feed, Level: OK, Says: fmt.Sprintf("%s; brought something last on %s UTC", h.State, h.LastAt.UTC().Format(time.DateTime))})
		}
		for _, f := range h.Findings {
			level := Warn
			if f.Severity == health.Critical {
				level = Fail
			}
			found = append(found, Finding{check, h.Feed, level, f.Text, "See docs/feeds-health.md under " + string(f.Code) + "."})
		}
	}
	return found
}

// endpoints reaches where postbacks go.
func (s *Surroundings) endpoints(ctx context.Context, endpoints []Endpoint) []Finding {
	const check = "postbacks"
	if len(endpoints) == 0 {
		return []Finding{{check, "", Warn, "no merchant has an address for postbacks: nobody is told of payments", "Set postback.url in the apply file (docs/postbacks.md)."}}
	}
	return each(ctx, endpoints, func(ctx context.Context, e Endpoint) []Finding {
		if err := s.Reach(ctx, e.URL); err != nil {
			return []Finding{{check, e.Name, Fail, oneLine(err), "Ask the merchant whether the server runs, and look whether a firewall is between; what waits is sent when it answers."}}
		}
		if e.Disabled != "" {
			return []Finding{{check, e.Name, Fail, "it can be reached, and nothing is sent there: " + e.Disabled, "Run milaan postbacks test, then milaan postbacks enable."}}
		}
		return []Finding{{Check: check, Subject: e.Name, Level: OK, Says: "can be reached"}}
	})
}
