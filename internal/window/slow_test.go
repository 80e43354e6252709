package window_test

import (
	"net/http/httptest"
	"os"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/milaan/milaan/internal/browsertest"
)

// TestSlowPhone measures when the payment page can be used on a cheap phone on a
// slow 3G network: 400 ms of latency, 400 kbit/s, a processor six times slower.
// It runs only where MILAAN_TEST_SLOW is set, and says what it measured: times
// are not for tests to fail by.
func TestSlowPhone(t *testing.T) {
	if os.Getenv("MILAAN_TEST_SLOW") == "" {
		t.Skip("set MILAAN_TEST_SLOW=1 to measure")
	}
	p := open(t, nil)
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	t.Cleanup(p.door.Close)
	ctx := browsertest.Start(t)
	must(ctx, t, chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile))
	if _, err := chromedp.Call(ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{Latency: 400, DownloadThroughput: 400_000 / 8, UploadThroughput: 400_000 / 8}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, emulation.SetCPUThrottlingRate, emulation.SetCPUThrottlingRateParams{Rate: 6}); err != nil {
		t.Fatal(err)
	}
	for _, lang := range []string{"en", "hi"} {
		for range 3 {
			must(ctx, t, chromedp.Navigate(server.URL+"/pay?merchant=shop&lang="+lang+"&"+order))
			interactive := must(ctx, t, chromedp.Evaluate[int](`Math.round(performance.getEntriesByType("navigation")[0].domInteractive)`))
			complete := must(ctx, t, chromedp.Evaluate[int](`Math.round(performance.getEntriesByType("navigation")[0].domComplete)`))
			t.Logf("%s: interactive after %d ms, complete after %d ms", lang, interactive, complete)
		}
	}
}
