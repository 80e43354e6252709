package deploy_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/server"
)

// promtool is Prometheus' own program that checks what it is given. It takes two
// minutes to build, so it is used where there is one already.
func promtool(t *testing.T) string {
	t.Helper()
	name := os.Getenv("MILAAN_TEST_PROMTOOL")
	if name == "" {
		name = "promtool"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip("SKIPPED: promtool is neither on PATH nor named by MILAAN_TEST_PROMTOOL: it comes with Prometheus")
	}
	return path
}

// TestAlerts: Prometheus' own program takes the alerts, the configuration that
// docs/metrics.md shows and the metrics of a gateway, and each alert fires when it
// should, and only then (observability/alerts_test.yaml).
func TestAlerts(t *testing.T) {
	t.Parallel()
	tool := promtool(t)
	check := func(stdin io.Reader, args ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), tool, args...)
		command.Stdin = stdin
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	const alerts = "observability/alerts.yaml"
	check(nil, "check", "rules", "--lint=all", "--lint-fatal", alerts)
	check(nil, "test", "rules", "observability/alerts_test.yaml")

	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```yaml prometheus\n(.*?)```").FindSubmatch(page)
	rules, err := os.ReadFile(alerts)
	if err != nil || shown == nil {
		t.Fatal("docs/metrics.md shows no configuration, or there are no alerts", err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yaml")
	for path, text := range map[string][]byte{config: shown[1], filepath.Join(dir, "alerts.yaml"): rules} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check(nil, "check", "config", "--lint=all", "--lint-fatal", config)
	check(strings.NewReader(metrics(t)), "check", "metrics")
}

// metrics is what a gateway shows of itself.
func metrics(t *testing.T) string {
	t.Helper()
	c := server.DefaultConfig()
	c.DatabaseURL = "sqlite://" + filepath.Join(t.TempDir(), "milaan.db")
	c.Listen, c.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	ctx, stop := context.WithCancel(t.Context())
	g, err := server.Open(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- g.Run(ctx) }()
	defer func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.AdminAddr().String()+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(text), "milaan_activations_total") {
		t.Fatalf("its metrics are %.200s, error %v", text, err)
	}
	return string(text)
}
