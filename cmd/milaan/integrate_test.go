package main

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/milaan/milaan/internal/porttest"
)

// block is a fenced block of a page.
type block struct {
	kind, text string
	stays      bool // it runs on, in a terminal of its own
}

func readBlocks(t *testing.T, page string) []block {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []block
	for _, m := range regexp.MustCompile("(?sm)^(<!-- stays -->\n)?```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, block{kind: m[2], text: m[3], stays: m[1] != ""})
	}
	return blocks
}

// screen is what a terminal shows.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until the screen shows something.
func (s *screen) await(t *testing.T, want string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(s.String(), want); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q is never shown:\n%s", want, s)
		}
	}
}

// dated are what differs from one run to the next.
var dated = []string{"expires_at", "created_datetime", "activated_datetime"}

// undated reads JSON without what differs from run to run.
func undated(t *testing.T, text string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for _, o := range []any{object, object["params"]} {
		if o, ok := o.(map[string]any); ok {
			maps.DeleteFunc(o, func(name string, _ any) bool { return slices.Contains(dated, name) })
		}
	}
	return object
}

// TestIntegrateInFiveMinutes types the page's commands, each as it stands but
// for its ports, and holds what is shown to what the page says.
func TestIntegrateInFiveMinutes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed here: docs/integrate.md was NOT CHECKED", name)
		}
	}
	gateway, shop := porttest.FreeAddr(t), porttest.FreeAddr(t)
	ports := strings.NewReplacer("127.0.0.1:8080", gateway, "127.0.0.1:9000", shop)
	folder := newFolder(t, ports)

	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var terminals sync.WaitGroup
	t.Cleanup(func() { stop(); terminals.Wait() })
	shell := func(ctx context.Context, text string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "bash", "-euc", ports.Replace(text))
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), asMilaan+"=1", "MILAAN_ADMIN_LISTEN=127.0.0.1:0")
		return cmd
	}

	var open []*screen
	var shown string // by the last command
	for _, b := range readBlocks(t, "../../docs/integrate.md") {
		switch {
		case b.kind == "sh" && b.stays:
			s := new(screen)
			lines := strings.Split(strings.TrimSpace(b.text), "\n")
			lines[len(lines)-1] = "exec " + lines[len(lines)-1] // so that it is this process that is stopped
			cmd := shell(ctx, strings.Join(lines, "\n"))
			cmd.Stdout, cmd.Stderr = s, s
			cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
			cmd.WaitDelay = 20 * time.Second
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			terminals.Go(func() { _ = cmd.Wait() }) // interrupted
			open = append(open, s)
			s.await(t, []string{"milaan is ready", "Listening on http://" + shop}[len(open)-1])
		case b.kind == "sh":
			out, err := shell(t.Context(), b.text).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", b.text, err, out)
			}
			shown = string(out)
		case b.kind == "json":
			if diff := cmp.Diff(undated(t, b.text), undated(t, shown)); diff != "" {
				t.Errorf("the page shows something else (-): %s", diff)
			}
		case b.kind == "text":
			lines := strings.Split(strings.TrimSpace(b.text), "\n")
			open[1].await(t, "  → ")
			for _, line := range lines[1:] { // after the one with the time
				if !strings.Contains(open[1].String(), line+"\n") {
					t.Errorf("milaan listen does not show %q:\n%s", line, open[1])
				}
			}
		}
	}
	if len(open) != 2 || shown == "" {
		t.Errorf("the page has %d terminals that stay", len(open))
	}
}

// newFolder is milaan's source folder as far as the page uses it.
func newFolder(t *testing.T, ports *strings.Replacer) string {
	t.Helper()
	folder := t.TempDir()
	milaan, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(milaan, filepath.Join(folder, "milaan")); err != nil {
		t.Fatal(err)
	}
	sample, err := os.ReadFile("../../examples/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "examples"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "examples", "shop.yaml"), []byte(ports.Replace(string(sample))), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestIntegrateShowsRealCode: what the page shows in Go stands in the example,
// which is built and tested.
func TestIntegrateShowsRealCode(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("../../examples/go/main.go")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, b := range readBlocks(t, "../../docs/integrate.md") {
		if b.kind == "go" {
			shown++
			if !strings.Contains(string(example), b.text) {
				t.Errorf("examples/go/main.go lacks\n%s", b.text)
			}
		}
	}
	if shown == 0 {
		t.Error("the page shows no Go")
	}
}
