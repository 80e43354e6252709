package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/porttest"
	"github.com/milaan/milaan/internal/server"
)

// authority is Pebble, the small ACME server that Let's Encrypt tests clients
// with, and a name server to which every name is this machine.
type authority struct {
	directory, ca string
	roots         *x509.CertPool // of the certificates it gives
	stop          func()
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = "../.."
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return strings.TrimSpace(string(out))
}

// newAuthority starts Pebble, which asks the gateway's names on the given ports.
func newAuthority(t *testing.T, httpPort, tlsPort int) *authority {
	t.Helper()
	const module = "github.com/letsencrypt/pebble/v2"
	dir := t.TempDir()
	run(t, "go", "build", "-modfile=tools/release.mod", "-o", dir, module+"/cmd/pebble", module+"/cmd/pebble-challtestsrv")
	certs := filepath.Join(run(t, "go", "list", "-modfile=tools/release.mod", "-m", "-f", "{{.Dir}}", module), "test", "certs")
	names, api, manage := porttest.Free(t), porttest.Free(t), porttest.Free(t)
	a := &authority{directory: fmt.Sprintf("https://localhost:%d/dir", api), ca: filepath.Join(certs, "pebble.minica.pem")}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", api), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", manage),
		"certificate": filepath.Join(certs, "localhost", "cert.pem"), "privateKey": filepath.Join(certs, "localhost", "key.pem"),
		"httpPort": httpPort, "tlsPort": tlsPort, "ocspResponderURL": "",
		"profiles": map[string]any{"default": map[string]any{"description": "90 days", "validityPeriod": 7776000}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.json")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	a.stop = stop
	t.Cleanup(stop)
	for _, args := range [][]string{
		{"pebble-challtestsrv", "-dnsserver", fmt.Sprintf("127.0.0.1:%d", names), "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-management", fmt.Sprintf("127.0.0.1:%d", porttest.Free(t))},
		{"pebble", "-config", path, "-dnsserver", fmt.Sprintf("127.0.0.1:%d", names), "-strict"},
	} {
		command := exec.CommandContext(ctx, filepath.Join(dir, args[0]), args[1:]...)
		command.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=10")
		log, err := os.Create(filepath.Join(dir, args[0]+".log"))
		if err != nil {
			t.Fatal(err)
		}
		command.Stdout, command.Stderr = log, log
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			stop()
			_ = command.Wait() // it was killed
			_ = log.Close()
			if said, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
				t.Logf("%s:\n%s", args[0], said)
			}
		})
	}
	trust := x509.NewCertPool()
	pem, err := os.ReadFile(a.ca)
	if err != nil || !trust.AppendCertsFromPEM(pem) {
		t.Fatal("Pebble's own root is missing", err)
	}
	own := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}}
	eventually(t, "the authority answers", func() bool {
		res, err := own.Get(fmt.Sprintf("https://localhost:%d/roots/0", manage)) //nolint:noctx // loopback, and tried again
		if err != nil {
			return false
		}
		defer func() { _ = res.Body.Close() }()
		root, err := io.ReadAll(res.Body)
		a.roots = x509.NewCertPool()
		return err == nil && a.roots.AppendCertsFromPEM(root)
	})
	return a
}

// eventually waits for longer than the minute in which a certificate that was not got
// is not asked for again.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 1800 {
		if is() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("not within three minutes: %s", what)
}

// browser reaches one address by every name.
func (a *authority) browser(address string) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: a.roots},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, address)
			},
		},
	}
}

// seen is an answer without its body.
type seen struct {
	status int
	proto  string
	header http.Header
	tls    *tls.ConnectionState
}

func look(t *testing.T, c *http.Client, method, address string) (seen, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		return seen{}, err
	}
	return seen{res.StatusCode, res.Proto, res.Header, res.TLS}, res.Body.Close()
}

// TestCertificates: a gateway that fetches certificates itself, against an
// authority that really asks the gateway's names.
func TestCertificates(t *testing.T) { //nolint:tparallel // the second gateway needs what the first one left
	t.Parallel()
	config := server.DefaultConfig()
	config.DatabaseURL = "sqlite://" + filepath.Join(t.TempDir(), "milaan.db")
	secure, plain := porttest.Free(t), porttest.Free(t)
	config.Listen, config.RedirectListen = fmt.Sprintf("127.0.0.1:%d", secure), fmt.Sprintf("127.0.0.1:%d", plain)
	config.AdminListen = "127.0.0.1:0"
	config.ConsoleHost = "console.test"
	a := newAuthority(t, plain, secure)
	config.TLS, config.ACMEEmail, config.ACMEDirectory, config.ACMECA = "acme", "ops@example.com", a.directory, a.ca
	file, err := apply.Parse("shop.yaml", []byte(strings.Replace(installation, "shop.localhost", "shop.test", 1)))
	if err != nil {
		t.Fatal(err)
	}

	t.Run("first", func(t *testing.T) {
		serve(t, config, file)
		browser := a.browser(config.Listen)
		var res seen
		// A handshake is cut off after 5 seconds, and a certificate may take longer.
		for _, address := range []string{"https://plugin.shop.test/", "https://console.test/console/sign-in", "https://api.shop.test/api/v2/"} {
			eventually(t, "a certificate for "+address, func() bool {
				var err error
				res, err = look(t, browser, http.MethodGet, address)
				return err == nil
			})
		}
		if res.proto != "HTTP/2.0" {
			t.Errorf("it speaks %s", res.proto)
		}
		if res.tls.Version != tls.VersionTLS13 || res.tls.PeerCertificates[0].DNSNames[0] != "api.shop.test" {
			t.Errorf("TLS %x, a certificate for %v", res.tls.Version, res.tls.PeerCertificates[0].DNSNames)
		}
		for door, address := range map[string]string{
			"merchants": "https://api.shop.test/nowhere", "management": "https://api.shop.test/v3/", "its documentation": "https://api.shop.test/v3/docs",
			"feeds": "https://api.shop.test/feeds/bank1", "payouts": "https://api.shop.test/payouts/desk",
			"window": "https://plugin.shop.test/", "console": "https://console.test/console/sign-in", "nothing there": "https://console.test/nowhere",
		} {
			res, err := look(t, browser, http.MethodGet, address)
			if err != nil {
				t.Errorf("%s: %v", door, err)
				continue
			}
			for _, name := range []string{"X-Content-Type-Options", "Referrer-Policy", "Content-Security-Policy", "Strict-Transport-Security"} {
				if res.header.Get(name) == "" {
					t.Errorf("%s: there is no %s", door, name)
				}
			}
			if !strings.Contains(res.header.Get("Content-Security-Policy"), "default-src 'none'") || !strings.Contains(res.header.Get("Content-Security-Policy"), "frame-ancestors") {
				t.Errorf("%s: the policy is %s", door, res.header.Get("Content-Security-Policy"))
			}
		}
		if _, err := look(t, browser, http.MethodGet, "https://api.stranger.test/"); err == nil {
			t.Error("there is a certificate for a name that is not the gateway's")
		}
		old := &tls.Dialer{Config: &tls.Config{RootCAs: a.roots, ServerName: "api.shop.test", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}}
		if _, err := old.DialContext(t.Context(), "tcp", config.Listen); err == nil {
			t.Error("it speaks TLS 1.1")
		}
		insecure := a.browser(config.RedirectListen)
		for _, tt := range []struct {
			method, address string
			status          int
			to              string
		}{
			{http.MethodGet, "http://api.shop.test/x?y=1", http.StatusPermanentRedirect, "https://api.shop.test/x?y=1"},
			{http.MethodGet, "http://stranger.test/x", http.StatusMisdirectedRequest, ""},
			{http.MethodPost, "http://api.shop.test/x", http.StatusForbidden, ""},
		} {
			res, err := look(t, insecure, tt.method, tt.address)
			if err != nil {
				t.Fatal(err)
			}
			if res.status != tt.status || res.header.Get("Location") != tt.to {
				t.Errorf("%s %s is answered %d, %q", tt.method, tt.address, res.status, res.header.Get("Location"))
			}
		}
	})
	a.stop()
	t.Run("started again without the authority", func(t *testing.T) {
		serve(t, config, file)
		res, err := look(t, a.browser(config.Listen), http.MethodGet, "https://plugin.shop.test/")
		if err != nil {
			t.Fatal(err)
		}
		if name := res.tls.PeerCertificates[0].DNSNames[0]; name != "plugin.shop.test" {
			t.Errorf("the certificate is for %s", name)
		}
	})
}

func TestCertificateSettingsRefused(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"tls = \"on\"", "tls must be off or acme"},
		{"tls = \"acme\"", "acme_email"},
		{"tls = \"acme\"\nacme_email = \"a@example.com\"\nacme_directory = \"http://example.com\"", "acme_directory"},
		{"tls = \"acme\"\nacme_email = \"a@example.com\"\ndatabase_url = \"postgres://db/milaan\"", "acme_cache"},
		{"tls = \"acme\"\nacme_email = \"a@example.com\"\ntls_hosts = \"*.example.com\"", "tls_hosts"},
		{"trusted_proxies = \"10.0.0.1\"", "trusted_proxies"},
	} {
		if _, err := server.LoadConfig(writeSettings(t, tt.text), nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v does not name %s", tt.text, err, tt.want)
		}
	}
}
