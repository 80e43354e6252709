package fx_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/fx"
)

var loadedAt = time.Date(2025, 6, 10, 17, 0, 0, 0, time.UTC)

func TestLoadFiles(t *testing.T) {
	t.Parallel()
	ecbPath, err := filepath.Abs("testdata/eurofxref-daily.xml")
	if err != nil {
		t.Fatal(err)
	}
	for location, source := range map[string]string{
		"snapshot.json":                "snapshot.json",
		"testdata/eurofxref-daily.xml": "testdata/eurofxref-daily.xml",
		"file://" + ecbPath:            ecbPath,
		"file://localhost" + ecbPath:   ecbPath,
	} {
		rates, err := fx.Load(t.Context(), nil, location, loadedAt)
		if err != nil {
			t.Errorf("%s: %v", location, err)
			continue
		}
		quote, _ := rates.Quote("USD")
		if rates.Source != source || quote.Source != source || !rates.FetchedAt.Equal(loadedAt) || rates.AsOf.Day() != 10 {
			t.Errorf("%s: got %s (USD: %s) of %s, fetched %s", location, rates.Source, quote.Source, rates.AsOf, rates.FetchedAt)
		}
	}
}

func TestLoadHTTP(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/latest.json":
			http.ServeFile(w, r, "snapshot.json")
		case "/daily.xml":
			http.ServeFile(w, r, "testdata/eurofxref-daily.xml")
		case "/endless":
			for block := strings.Repeat(" ", 1<<16); ; {
				if _, err := w.Write([]byte(block)); err != nil {
					return
				}
			}
		case "/stuck":
			cancel() // the caller's time is up while the server thinks
			<-r.Context().Done()
		case "/page":
			_, _ = w.Write([]byte("Please log in"))
		case "/invalid":
			_, _ = w.Write([]byte(`{"timestamp":1749513600,"base":"USD","rates":{"INR":-1}}`))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)

	for _, path := range []string{"/latest.json", "/daily.xml"} {
		secret := strings.Replace(server.URL, "http://", "http://user:hunter2@", 1) + path + "?app_id=hunter2#hunter2"
		rates, err := fx.Load(t.Context(), server.Client(), secret, loadedAt)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		} else if rates.Source != server.URL+path {
			t.Errorf("%s: source %q", path, rates.Source)
		}
	}
	for path, want := range map[string]error{
		"/endless": fx.ErrFormat, "/page": fx.ErrFormat, "/invalid": fx.ErrFormat, "/missing": fx.ErrUnavailable,
	} {
		_, err := fx.Load(t.Context(), server.Client(), server.URL+path+"?app_id=hunter2", loadedAt)
		if !errors.Is(err, want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %v without the key", path, err, want)
		}
	}

	_, err := fx.Load(ctx, server.Client(), server.URL+"/stuck?app_id=hunter2", loadedAt)
	if !errors.Is(err, fx.ErrUnavailable) || !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("stuck: got %v, want ErrUnavailable for the context, without the key", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "rates.txt")
	if err := os.WriteFile(text, []byte("USD 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	for location, want := range map[string]error{
		filepath.Join(dir, "missing"): fs.ErrNotExist,
		dir:                           fx.ErrUnavailable, // not a regular file
		text:                          fx.ErrFormat,
		"":                            fx.ErrUnavailable,
		"ftp://example.com/rates":     fx.ErrUnavailable,
		"file://etc/rates":            fx.ErrUnavailable, // two slashes: etc is a host
		"http://%zz/?app_id=hunter2":  fx.ErrUnavailable,
		"http:///?app_id=hunter2":     fx.ErrUnavailable,
	} {
		_, err := fx.Load(t.Context(), nil, location, loadedAt)
		if !errors.Is(err, want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v, want %v without the key", location, err, want)
		}
	}
	if _, err := fx.Load(t.Context(), nil, "snapshot.json", loadedAt.AddDate(0, 0, -4)); !errors.Is(err, fx.ErrFormat) {
		t.Errorf("a feed of the future: got %v, want ErrFormat", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fx.Load(cancelled, nil, "snapshot.json", loadedAt); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}
