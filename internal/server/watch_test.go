package server

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/notice"
	"github.com/milaan/milaan/internal/postback"
)

// The operator is told of endpoints that are disabled, and of no others.
func TestDisabledEndpointsAreTold(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.DatabaseURL = "sqlite://" + filepath.Join(t.TempDir(), "milaan.db")
	c.Listen, c.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	g, err := Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}()
	file, err := apply.Parse("x", []byte("merchants:\n- {id: a, postback: {url: https://a.example/}}\n- {id: b, postback: {url: https://b.example/}}\n- {id: c, postback: {url: https://c.example/}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apply.Run(t.Context(), g.store, file, apply.Options{Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	if err := g.directory.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, e := range []postback.Endpoint{
		{Merchant: "a", Target: postback.Target("https://a.example/"), State: postback.EndpointDisabled, Since: time.Now(), Why: "it answered 410 Gone"},
		{Merchant: "b", Target: postback.Target("https://b.example/"), State: postback.EndpointFailing, Since: time.Now()},
		{Merchant: "c", Target: postback.Target("https://c.example/old"), State: postback.EndpointDisabled, Since: time.Now()},
	} {
		if _, err := g.store.SetEndpoint(t.Context(), e, []postback.EndpointState{postback.EndpointOpen}, nil); err != nil {
			t.Fatal(err)
		}
	}
	troubles, err := g.troubles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	troubles = slices.DeleteFunc(troubles, func(t notice.Trouble) bool { return t.Code != "endpoint_disabled" })
	if len(troubles) != 1 || troubles[0].Key != "postbacks/a/disabled" || !strings.Contains(troubles[0].Text, "410 Gone") {
		t.Errorf("told of %+v", troubles)
	}
	if err := g.keepHouse(t.Context(), true); err != nil {
		t.Error(err)
	}
	metrics := httptest.NewRecorder()
	g.adminHandler().ServeHTTP(metrics, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, text := range []string{"\nmilaan_database_bytes ", "\nmilaan_database_free_bytes ", "\nmilaan_database_log_bytes ", `milaan_dropped_total{what="feed_hours"} 0`} {
		if !strings.Contains(metrics.Body.String(), text) {
			t.Errorf("no %q in the metrics", text)
		}
	}
}

func TestPostbackAllow(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.PostbackAllow = " 10.1.2.3/24, fd00::/8 ,"
	networks, err := c.postbackAllow()
	if err != nil || len(networks) != 2 || networks[0].String() != "10.1.2.0/24" || networks[1].String() != "fd00::/8" {
		t.Errorf("read as %v, %v", networks, err)
	}
	c.PostbackAllow, c.AttemptsKeep = "10.1.2.3", -1
	if err := c.validate(); err == nil || !strings.Contains(err.Error(), "postback_allow") || !strings.Contains(err.Error(), "attempts_keep") {
		t.Errorf("wrong settings give %v", err)
	}
}
