package demo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/internal/demo"
)

// browse starts a real Chromium without scripts for the test. Where there is none,
// the test is skipped; in CI it fails, since nobody reads there what was skipped.
func browse(t *testing.T) context.Context {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if errors.Is(err, exec.ErrNotFound) {
		const hint = "chromium is not installed: ./test installs it, or apt-get install chromium"
		if os.Getenv("CI") != "" {
			t.Fatal(hint)
		}
		t.Skip(hint)
	}
	const hangs = 5 * time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	t.Cleanup(cancel)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.UserDataDir(t.TempDir()),
		// The tests may run as root, and nothing is to be looked up outside.
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true))
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the browser, whose folder goes away with the test
		cancel()
	})
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	return ctx
}

func must[T any](ctx context.Context, t *testing.T, action chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestRefundInBrowser: every page of a refund fits a phone and a desk, and its form
// works without scripts. go test -artifacts keeps what it looks like.
func TestRefundInBrowser(t *testing.T) {
	t.Parallel()
	s, g := newShop(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		made := httptest.NewRecorder()
		s.Handler().ServeHTTP(made, r)
		maps.Copy(w.Header(), made.Header())
		w.WriteHeader(made.Code)
		// No page gives way to the next one while it is looked at.
		_, _ = io.WriteString(w, strings.Replace(made.Body.String(), `http-equiv="refresh"`, "", 1))
	}))
	t.Cleanup(server.Close)
	ctx := browse(t)
	o := paid(t, s)
	look := func(name string) {
		t.Helper()
		for _, width := range []int64{360, 1280} {
			must(ctx, t, chromedp.EmulateViewport(width, 800, chromedp.EmulateMobile))
			must(ctx, t, chromedp.Navigate(server.URL+"/orders/"+o.ID))
			for _, open := range []string{"closed", "open"} {
				if open == "open" {
					must(ctx, t, chromedp.Evaluate[int](`document.querySelectorAll("details").forEach(d => d.open = true), 0`))
				}
				if wide := must(ctx, t, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`)); wide > width {
					t.Errorf("%s: at %d px the page is %d px wide", name, width, wide)
				}
				shot := must(ctx, t, chromedp.FullScreenshot(100))
				if err := os.WriteFile(filepath.Join(t.ArtifactDir(), fmt.Sprintf("%s-%d-%s.png", name, width, open)), shot, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	refund := func() {
		t.Helper()
		must(ctx, t, chromedp.Navigate(server.URL+"/orders/"+o.ID))
		must(ctx, t, chromedp.Evaluate[int](`document.querySelector(".refund").open = true, 0`))
		must(ctx, t, chromedp.Click(chromedp.CSS(".refund button")))
		for current(t, s, o.ID).State() != demo.Refunding {
			if ctx.Err() != nil {
				t.Fatal("the form leads nowhere")
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	look("paid")
	refund()
	look("on its way")
	tell(t, s, told(current(t, s, o.ID), client.WithdrawalFailed))
	look("failed")
	g.pays(`{"status":"ok"}`, "new")
	refund()
	look("approval")
	tell(t, s, told(current(t, s, o.ID), client.WithdrawalSucceeded))
	look("refunded")
}
