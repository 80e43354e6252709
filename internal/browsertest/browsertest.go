// Package browsertest drives a real Chromium for the tests of the doors that
// have pages.
package browsertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// timeout is far beyond what any step takes: it ends a test that hangs.
const timeout = 8 * time.Minute

// Start starts a browser for the test. Without Chromium the test is skipped; in
// CI it fails, since nobody reads there what was skipped.
func Start(t *testing.T) context.Context {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if errors.Is(err, exec.ErrNotFound) {
		const hint = "chromium is not installed: ./test installs it, or apt-get install chromium"
		if os.Getenv("CI") != "" {
			t.Fatal(hint)
		}
		t.Skip(hint)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.UserDataDir(t.TempDir()),
		// The tests may run as root, and nothing is to be looked up outside.
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true))
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the browser, whose folder goes away with the test
		cancel()
	})
	return ctx
}

// Must does something in the browser, or ends the test.
func Must[T any](ctx context.Context, t *testing.T, action chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		keepScreenshot(ctx, t)
		t.Fatal(err)
	}
	return v
}

// keepScreenshot leaves what was seen when a test failed.
func keepScreenshot(ctx context.Context, t *testing.T) {
	t.Helper()
	shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return
	}
	path := filepath.Join(os.TempDir(), "milaan-"+strings.ReplaceAll(t.Name(), "/", "-")+".png")
	if os.WriteFile(path, shot, 0o600) == nil {
		t.Logf("the page is kept in %s", path)
	}
}

// MustSee waits until the page shows a text. While a page gives way to the next
// one there is nothing to look at, which is no fault.
func MustSee(ctx context.Context, t *testing.T, text string) {
	t.Helper()
	for {
		seen, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf("document.body !== null && document.body.innerText.includes(%q)", text)))
		if seen {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the page never showed %q: %v", text, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Prefer makes the browser prefer a colour scheme, light or dark.
func Prefer(ctx context.Context, t *testing.T, scheme string) {
	t.Helper()
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}); err != nil {
		t.Fatal(err)
	}
}

// Print makes the browser show pages as they are printed.
func Print(ctx context.Context, t *testing.T) {
	t.Helper()
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}); err != nil {
		t.Fatal(err)
	}
}

// AxeVariable names the environment variable with the path of axe-core's script;
// ./test fetches axe-core and sets it.
const AxeVariable = "MILAAN_TEST_AXE"

// Axe looks for barriers by axe-core.
type Axe struct{ script string }

// NewAxe reads axe-core, or skips the test where it is not there.
func NewAxe(t *testing.T) *Axe {
	t.Helper()
	path := os.Getenv(AxeVariable)
	if path == "" {
		t.Skip(AxeVariable + " is not set: ./test fetches axe-core and sets it")
	}
	script, err := os.ReadFile(filepath.Clean(path)) //nolint:gosec // the path is whoever runs the test's
	if err != nil {
		t.Fatal(err)
	}
	return &Axe{string(script)}
}

// rules are those of WCAG 2.2 AA, and good practice besides.
const rules = `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(
	found => found.violations.map(v => v.id + ": " + v.nodes.map(n => n.target).join(" ")).join("; "))`

// Check fails the test on what a page keeps people out by.
func (a *Axe) Check(ctx context.Context, t *testing.T, page string) {
	t.Helper()
	Must(ctx, t, chromedp.Evaluate[bool](a.script+";true"))
	if found := Must(ctx, t, chromedp.Evaluate[string](rules, chromedp.EvalAwaitPromise)); found != "" {
		t.Errorf("%s: %s", page, found)
	}
}
