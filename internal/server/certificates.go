package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/store"
)

// TLS is ended by a proxy, or here with certificates by ACME (RFC 8555).
const (
	tlsOff  = "off"
	tlsACME = "acme"
)

// validateTLS checks the settings of certificates.
func (c Config) validateTLS() error {
	var errs []error
	if _, err := networks("trusted_proxies", c.TrustedProxies); err != nil {
		errs = append(errs, err)
	}
	if c.TLS != tlsOff && c.TLS != tlsACME {
		errs = append(errs, fmt.Errorf("tls must be off or acme, not %q", c.TLS))
	}
	if c.TLS != tlsACME {
		return errors.Join(errs...)
	}
	if _, err := mail.ParseAddress(c.ACMEEmail); err != nil {
		errs = append(errs, errors.New("tls = acme needs acme_email: the authority writes there when a certificate is about to run out"))
	}
	if u, err := url.Parse(c.ACMEDirectory); err != nil || u.Scheme != "https" || u.Host == "" {
		errs = append(errs, errors.New("acme_directory must be an https:// address"))
	}
	if location, err := store.ParseLocation(c.DatabaseURL); err == nil && c.ACMECache == "" && !location.Embedded() {
		errs = append(errs, errors.New("acme_cache must name a folder: with PostgreSQL there is none beside the database"))
	}
	for _, host := range c.tlsHosts() {
		if strings.ContainsAny(host, ":/* ") {
			errs = append(errs, fmt.Errorf("tls_hosts: %q is no host name: write names alone, separated by commas", host))
		}
	}
	return errors.Join(errs...)
}

func (c Config) tlsHosts() (hosts []string) {
	for host := range strings.SplitSeq(c.TLSHosts, ",") {
		if host = strings.TrimSpace(host); host != "" {
			hosts = append(hosts, strings.ToLower(host))
		}
	}
	return hosts
}

// PublicHosts are the names that the gateway is reached by: api. and plugin. of
// every merchant's domain (protocol, section 4), the console's own, and those of
// tls_hosts.
func (c Config) PublicHosts(dir *directory.Snapshot) []string {
	hosts := c.tlsHosts()
	if c.ConsoleHost != "" {
		hosts = append(hosts, strings.ToLower(c.ConsoleHost))
	}
	for _, m := range dir.Merchants {
		if !m.Retired && m.Domain != "" {
			hosts = append(hosts, "api."+m.Domain, "plugin."+m.Domain)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// certificates gets certificates for the gateway's names, and renews them.
type certificates struct {
	manager *autocert.Manager
	hosts   func() []string
	log     *slog.Logger
	ends    *prometheus.GaugeVec // by host
	again   map[string]time.Time // when a host that failed is tried again
}

// openCertificates makes what gets them; nil where a proxy ends TLS.
func (g *Gateway) openCertificates(location store.Location) error {
	if g.config.TLS != tlsACME {
		return nil
	}
	client := &acme.Client{DirectoryURL: g.config.ACMEDirectory, UserAgent: "milaan"}
	if g.config.ACMECA != "" {
		roots, err := rootsIn(g.config.ACMECA)
		if err != nil {
			return err
		}
		client.HTTPClient = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		}}
	}
	folder := g.config.ACMECache
	if folder == "" {
		folder = filepath.Join(filepath.Dir(location.Path), "certificates")
	}
	c := &certificates{
		hosts: func() []string { return g.config.PublicHosts(g.directory.Current()) }, log: g.log, again: make(map[string]time.Time),
		ends: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "milaan_certificate_expiry_timestamp_seconds", Help: "When the certificate of a host runs out.",
		}, []string{"host"}),
	}
	c.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(folder), Client: client, Email: g.config.ACMEEmail,
		// Strangers can't make the gateway ask for certificates of other names.
		HostPolicy: func(_ context.Context, host string) error {
			if !slices.Contains(c.hosts(), host) {
				return fmt.Errorf("%s is no name of this gateway", host)
			}
			return nil
		},
	}
	g.certificates = c
	return g.registry.Register(c.ends)
}

func rootsIn(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("acme_ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("acme_ca: %s holds no certificate in PEM", path)
	}
	return roots, nil
}

// config is what connections are held to: TLS 1.2 with forward secrecy and
// authenticated ciphers or newer, which are Go's own choice, and HTTP/2.
func (c *certificates) config() *tls.Config {
	config := c.manager.TLSConfig()
	config.MinVersion = tls.VersionTLS12
	return config
}

const (
	// certificatesEvery is how often it is looked for names that are new.
	certificatesEvery = 10 * time.Second
	// certificateRetry keeps failures below what authorities allow (Let's Encrypt:
	// five for a name within an hour).
	certificateRetry = 20 * time.Minute
)

// keep gets certificates before somebody asks for them, until ctx ends. Renewal
// is the manager's own.
func (c *certificates) keep(ctx context.Context) error {
	tick := time.NewTicker(certificatesEvery)
	defer tick.Stop()
	for {
		// An authority may take minutes, and the manager waits for it: a stop does not.
		done := make(chan struct{})
		go func() { defer close(done); c.round(time.Now()) }()
		select {
		case <-ctx.Done():
			return nil
		case <-done:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (c *certificates) round(now time.Time) {
	hosts := c.hosts()
	ends := make(map[string]float64, len(hosts)) // 0 where there is none: it is out
	for _, host := range hosts {
		ends[host] = 0
		if now.Before(c.again[host]) {
			continue
		}
		// Asked for as a modern client would: with ECDSA.
		certificate, err := c.manager.GetCertificate(&tls.ClientHelloInfo{
			ServerName: host, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
			SupportedCurves: []tls.CurveID{tls.CurveP256}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		})
		if err != nil {
			c.log.Warn("there is no certificate for a host; tried again in a while", "host", host, "error", err, "in", certificateRetry)
			c.again[host] = now.Add(certificateRetry)
			continue
		}
		ends[host] = float64(certificate.Leaf.NotAfter.Unix())
	}
	// All at once, for an authority may have taken minutes.
	c.ends.Reset()
	for host, end := range ends {
		c.ends.WithLabelValues(host).Set(end)
	}
}

// redirect sends what comes without TLS to where it belongs, and answers the
// authority's questions. Only to names of this gateway: it leads nobody
// elsewhere.
func (g *Gateway) redirect() http.Handler {
	elsewhere := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := strings.ToLower(r.Host)
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !slices.Contains(g.config.PublicHosts(g.directory.Current()), strings.TrimSuffix(host, ".")) {
			http.Error(w, "Nothing is here.", http.StatusMisdirectedRequest)
			return
		}
		// A form or a call that came in the clear has shown what it holds: its
		// sender should notice.
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "Call this address by https.", http.StatusForbidden)
			return
		}
		http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusPermanentRedirect) //nolint:gosec // the host is one of the gateway's own, see above
	})
	if g.certificates == nil {
		return elsewhere
	}
	return g.certificates.manager.HTTPHandler(elsewhere)
}
