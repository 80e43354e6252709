// Package doctor looks at an installation from outside and says what is wrong
// with it, each with what to do about it. It changes nothing.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/milaan/milaan/internal/feed/health"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/internal/store/records"
)

// Level is how bad a finding is.
type Level string

// Levels, from good to bad.
const (
	OK   Level = "ok"
	Warn Level = "warn" // it works, and may not for long or not as you think
	Fail Level = "fail" // payments or secrets are in danger, or nothing works
)

// Finding is what a check found out.
type Finding struct {
	Check   string `json:"check"`             // configuration, key, database, clock, dns, tls, feeds, postbacks
	Subject string `json:"subject,omitempty"` // which host, feed or merchant
	Level   Level  `json:"level"`
	Says    string `json:"says"`
	Fix     string `json:"fix,omitempty"` // one sentence; empty where all is well
}

// Report is everything that was found, in the order of the checks.
type Report struct {
	Worst    Level     `json:"worst"`
	Findings []Finding `json:"findings"`
}

// Endpoint is where postbacks or webhooks of a merchant go.
type Endpoint struct {
	Name string // for people: "merchant shop"
	URL  string
	// Disabled is why nothing is sent there at the moment; empty where it is.
	Disabled string
}

// Books is what a database that is up to date tells.
type Books struct {
	Hosts     []string // the names that the gateway is reached by
	Feeds     []health.Health
	Endpoints []Endpoint
}

// Surroundings are what is looked at. Every function must return soon after its
// context ends.
type Surroundings struct {
	Config server.Config
	// Files that settings come from, by setting.
	Files map[string]string
	// KeyFile is where the secret key is kept where no setting gives it.
	KeyFile string
	// DatabaseFile is an embedded database's; empty for PostgreSQL.
	DatabaseFile string
	Now          func() time.Time
	// Condition is the database's, looked at without migrating it.
	Condition func(context.Context) (records.Condition, error)
	// Books are read only where the schema is up to date.
	Books func(context.Context) (*Books, error)
	// Resolve finds a host's addresses.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Handshake reaches a host's port 443 by TLS and verifies its certificate.
	Handshake func(ctx context.Context, host string) (notAfter time.Time, err error)
	// Reach connects to where postbacks go, by the same rules as they, and says
	// nothing there.
	Reach func(ctx context.Context, address string) error
	// TimeServer is a web server whose Date header is taken for the time; none
	// where empty.
	TimeServer string
	Client     *http.Client
}

// Examine makes all checks, those of the network beside each other.
func Examine(ctx context.Context, s *Surroundings) Report {
	var findings []Finding
	findings = append(findings, s.configuration()...)
	findings = append(findings, s.files()...)
	condition, database := s.database(ctx)
	findings = append(findings, database...)
	findings = append(findings, s.clock(ctx, condition)...)
	if condition != nil && condition.Schema == condition.Wanted {
		books, err := s.Books(ctx)
		if err != nil {
			findings = append(findings, Finding{"database", "", Fail, "the books can't be read: " + oneLine(err),
				"Give this command the settings of the gateway, its secret key above all."})
		} else {
			findings = append(findings, s.hosts(ctx, books.Hosts)...)
			findings = append(findings, judgeFeeds(books.Feeds)...)
			findings = append(findings, s.endpoints(ctx, books.Endpoints)...)
		}
	}
	report := Report{Worst: OK, Findings: findings}
	for _, f := range findings {
		if f.Level == Fail || f.Level == Warn && report.Worst == OK {
			report.Worst = f.Level
		}
	}
	return report
}

// Write prints the report for a person.
func (r Report) Write(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Findings {
		says := f.Says
		if f.Subject != "" {
			says = f.Subject + ": " + says
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", f.Level, f.Check, says)
		if f.Fix != "" {
			_, _ = fmt.Fprintf(table, "\t\t→ %s\n", f.Fix)
		}
	}
	return table.Flush()
}

// WriteJSON prints the report for a program.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

// atOnce is how many checks of the network run beside each other, and patience
// how long each may take.
const (
	atOnce   = 16
	patience = 10 * time.Second
)

// each makes a check of the network for every subject, in the subjects' order.
func each[T any](ctx context.Context, subjects []T, check func(context.Context, T) []Finding) []Finding {
	found := make([][]Finding, len(subjects))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, subject := range subjects {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			found[i] = check(ctx, subject)
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	return slices.Concat(found...)
}

// local reports whether a name is for this machine alone.
func local(host string) bool {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// public reports whether a listener's address can be reached by others.
func public(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err == nil && !local(host)
}

func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\t' }), "; ")
}
