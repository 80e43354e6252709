package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/access"
)

// TestManagementHosts: the API answers everywhere but where payers are.
func TestManagementHosts(t *testing.T) {
	t.Parallel()
	g := start(t)
	key, token, err := access.New("test", "shop", []string{"balance:read"}, time.Now(), time.Hour)
	if err == nil {
		_, err = g.Store().AddKey(t.Context(), key, access.HashOf(token), "test")
	}
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + g.Addr().String()
	for _, tt := range []struct {
		host, path, bearer string
		want               int
		says               string
	}{
		{"", "/v3/balance", token.Reveal(), http.StatusOK, `"available":{"amount":"0.00","currency":"INR"}`},
		{"api.shop.localhost", "/v3/balance", token.Reveal(), http.StatusOK, `"merchant":"shop"`},
		{"", "/v3/balance", "s3cret", http.StatusUnauthorized, "problem-unauthorized"}, // the legacy protocol's
		{"", "/v3/docs", "", http.StatusOK, "<h1>milaan API</h1>"},
		{"", "/v3/openapi.json", "", http.StatusOK, `"openapi": "3.1.0"`},
		{"", "/v3/", "", http.StatusUnauthorized, "problem-unauthorized"},
		{"plugin.shop.localhost", "/v3/balance", token.Reveal(), http.StatusNotFound, ""},
		{"plugin.shop.localhost", "/v3/docs", "", http.StatusNotFound, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.host != "" {
			req.Host = tt.host
		}
		req.Header.Set("Authorization", "Bearer "+tt.bearer)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		status, body := res.StatusCode, string(data)
		if status != tt.want || !strings.Contains(body, tt.says) {
			t.Errorf("%s%s answered %d %s", tt.host, tt.path, status, body)
		}
	}
}
