package server_test

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestGatewayShowsWindow: payers find the window on plugin.{server_URL} and on
// a single host, feeds and merchants their doors, and a page that waits for
// news does not hold a stop up.
func TestGatewayShowsWindow(t *testing.T) {
	t.Parallel()
	g := start(t)
	base := "http://" + g.Addr().String()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	begin := func(method, host, target, body string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, base+target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if r.Host = host; body != "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	send := func(method, host, target, body string) (status int, location string) {
		t.Helper()
		res := begin(method, host, target, body)
		defer func() { _ = res.Body.Close() }()
		return res.StatusCode, res.Header.Get("Location") + res.Header.Get("Content-Location")
	}
	const link = "label=55&currency_code=INR&wallet_type=upi_l&fixed_amount=500&custom_transaction_id=c1"
	_, here := send(http.MethodGet, "plugin.shop.localhost", "/?"+link, "")
	if _, again := send(http.MethodGet, "", "/pay?merchant=shop&"+link, ""); again != here || !strings.HasPrefix(here, "/pay/") {
		t.Fatalf("the link leads to %q on the plugin host, and to %q on a single one", here, again)
	}
	for _, tt := range []struct {
		host, target string
		want         int
	}{
		{"plugin.shop.localhost", here, http.StatusOK},
		{"", here, http.StatusOK},
		{"", "/?" + link, http.StatusNotFound},
		{"plugin.shop.localhost", "/api/v1/payment-systems/available?secret=s3cret", http.StatusNotFound},
		{"api.shop.localhost", "/api/v1/payment-systems/available?secret=s3cret", http.StatusOK},
	} {
		if got, _ := send(http.MethodGet, tt.host, tt.target, ""); got != tt.want {
			t.Errorf("%s%s answers %d, want %d", tt.host, tt.target, got, tt.want)
		}
	}
	if got, _ := send(http.MethodPost, "", here+"/utr", url.Values{"utr": {"321323438267"}}.Encode()); got != http.StatusSeeOther {
		t.Fatalf("the UTR is answered with %d", got)
	}
	res := begin(http.MethodGet, "", here+"/events", "")
	defer func() { _ = res.Body.Close() }()
	events := bufio.NewScanner(res.Body)
	for events.Scan() && !strings.Contains(events.Text(), `"state":"waiting"`) {
		continue
	}
	g.stop() // the end of the test checks that it stopped in order
	for events.Scan() {
		continue
	}
	if err := events.Err(); err != nil {
		t.Errorf("the news end with %v", err)
	}
}
