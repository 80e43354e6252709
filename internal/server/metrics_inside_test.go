package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestMetricsDocumented: docs/metrics.md lists what a gateway registers, no more
// and no less; tools/manifests holds the dashboard and the alerts to that list.
func TestMetricsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `(milaan_[a-z_]+)` \\|").FindAllSubmatch(text, -1) {
		documented[string(row[1])] = true
	}
	c := DefaultConfig()
	c.DatabaseURL = "sqlite://" + filepath.Join(t.TempDir(), "milaan.db")
	c.RatesURL = filepath.Join(t.TempDir(), "rates.csv") // which there is not yet
	c.Listen, c.AdminListen, c.TLS, c.ACMEEmail = "127.0.0.1:0", "127.0.0.1:0", tlsACME, "ops@example.com"
	g, err := Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}()
	described := make(chan *prometheus.Desc, 1000)
	g.registry.Describe(described)
	close(described)
	name := regexp.MustCompile(`fqName: "([^"]+)"`)
	registered := make(map[string]bool)
	for d := range described {
		if n := name.FindStringSubmatch(d.String())[1]; strings.HasPrefix(n, "milaan_") {
			registered[n] = true
			if !documented[n] {
				t.Errorf("docs/metrics.md does not list %s", n)
			}
		}
	}
	for n := range documented {
		if !registered[n] {
			t.Errorf("docs/metrics.md lists %s, which no gateway has", n)
		}
	}
	if len(registered) < 20 {
		t.Errorf("only %d metrics were found", len(registered))
	}
}
