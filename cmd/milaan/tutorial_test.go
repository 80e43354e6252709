package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/porttest"
)

// lesson is a block of commands or of what is shown, with the remark above it.
type lesson struct{ remark, kind, text string }

var lessonPattern = regexp.MustCompile("(?sm)^(?:<!-- ([^\n]*) -->\n)?```(\\w+)\n(.*?)^```$")

func lessonsOf(t *testing.T, page string) (list []lesson) {
	t.Helper()
	text, err := os.ReadFile(filepath.Clean(page))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range lessonPattern.FindAllStringSubmatch(string(text), -1) {
		list = append(list, lesson{m[1], m[2], m[3]})
	}
	return list
}

// pupil does what a page says, in a home folder of its own.
type pupil struct {
	*testing.T
	home, folder string // where the pupil is
	ports        *strings.Replacer
	env          []string
	stop         context.CancelFunc
	terminals    sync.WaitGroup
	open         []*screen
}

// TestTutorial does the tutorial: each command as it stands but for its ports,
// from the build to the end, and holds what is shown to what the page says.
func TestTutorial(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bash", "curl", "go"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed here: docs/tutorial.md was NOT CHECKED", name)
		}
	}
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	gateway, admin, shop := porttest.FreeAddr(t), porttest.FreeAddr(t), porttest.FreeAddr(t)
	p := &pupil{
		T: t, home: t.TempDir(), folder: source,
		ports: strings.NewReplacer("127.0.0.1:8080", gateway, "127.0.0.1:9090", admin, "127.0.0.1:9000", shop),
	}
	// Another home, but not another cache of what is built.
	goEnv, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE", "GOMODCACHE", "GOPATH", "GOENV", "GOFLAGS").Output()
	if err != nil {
		t.Fatal(err)
	}
	dirs := strings.Split(string(goEnv), "\n")
	p.env = append(os.Environ(), "GOCACHE="+dirs[0], "GOMODCACHE="+dirs[1], "GOPATH="+dirs[2], "GOENV="+dirs[3],
		// Nor with git, which may know this folder by the home's settings alone.
		"GOFLAGS="+strings.TrimSpace(dirs[4]+" -buildvcs=false"), "HOME="+p.home,
		"MILAAN_LISTEN="+gateway, "MILAAN_ADMIN_LISTEN="+admin)

	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	p.stop = stop
	t.Cleanup(p.leave)
	var shown string // by the last command
	for _, l := range lessonsOf(t, "../../docs/tutorial.md") {
		what, about, _ := strings.Cut(l.remark, ": ")
		switch {
		case l.kind == "sh" && what == "stays":
			p.leaveRunning(ctx, l.text, about)
		case l.kind == "sh":
			if what == "the others stop" {
				p.leave()
			}
			shown = p.do(l.text)
		case what == "shows":
			p.open[1].await(t, "  → ")
			if got := p.open[1].String(); !shownAs(l.text, got) {
				t.Errorf("the page shows\n%s\nand the terminal\n%s", l.text, got)
			}
		case l.kind == "json":
			// What is shown is what the last of several commands printed.
			lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(shown, "}{", "}\n{")), "\n")
			if !agrees(t, example{kind: l.kind, prints: l.text}, lines[len(lines)-1]) {
				t.Errorf("the page shows\n%s\nand the command\n%s", l.text, shown)
			}
		default:
			if !shownAs(l.text, shown) {
				t.Errorf("the page shows\n%s\nand the command\n%s", l.text, shown)
			}
		}
	}
	if len(p.open) != 2 || shown != "" {
		t.Errorf("the page has %d terminals that stay, and ends with %q", len(p.open), shown)
	}
	if _, err := os.Stat(filepath.Join(p.home, "milaan-try")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the page leaves its folder behind (%v)", err)
	}
}

// command is a block as a shell gets it.
func (p *pupil) command(ctx context.Context, text string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", p.ports.Replace(text))
	cmd.Dir, cmd.Env = p.folder, p.env
	return cmd
}

// do carries a block out, and goes where it went.
func (p *pupil) do(text string) string {
	p.Helper()
	const mark = "=== now in "
	cmd := p.command(context.WithoutCancel(p.Context()), text+"\necho; echo \""+mark+"$PWD\"")
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.Fatalf("%s: %v\n%s", text, err, out)
	}
	shown, folder, _ := strings.Cut(string(out), "\n"+mark)
	p.folder = strings.TrimSpace(folder)
	return shown
}

// leaveRunning starts a block in a terminal of its own, until it says that it is
// ready.
func (p *pupil) leaveRunning(ctx context.Context, text, ready string) {
	p.Helper()
	s := new(screen)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	lines[len(lines)-1] = "exec " + lines[len(lines)-1] // so that it is this process that is stopped
	cmd := p.command(ctx, strings.Join(lines, "\n"))
	cmd.Stdout, cmd.Stderr = s, s
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	p.terminals.Go(func() { _ = cmd.Wait() }) // interrupted
	p.open = append(p.open, s)
	s.await(p.T, ready)
}

// leave stops what runs in the other terminals.
func (p *pupil) leave() {
	p.stop()
	p.terminals.Wait()
}

// shownAs reports whether something is shown as a page has it: each line in its
// place among the others, with "…" for anything, and spaces of any width, as
// tables have them.
func shownAs(page, shown string) bool {
	var pattern strings.Builder
	for line := range strings.Lines(page) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		parts := strings.Split(line, "…")
		for i := range parts {
			words := strings.Fields(parts[i])
			for j := range words {
				words[j] = regexp.QuoteMeta(words[j])
			}
			parts[i] = strings.Join(words, `[ \t]+`)
		}
		fmt.Fprintf(&pattern, `[ \t]*%s[ \t]*\n+`, strings.Join(parts, `[^\n]*`))
	}
	return regexp.MustCompile(`(?m)^` + pattern.String()).MatchString(shown + "\n")
}

// TestShownAs: a page that shows something else is found.
func TestShownAs(t *testing.T) {
	t.Parallel()
	const shown = "Listening\n\n15:04:07  paid  deposit_8\n  ✓ body\n"
	for page, want := range map[string]bool{
		"… paid deposit_…\n  ✓ body\n": true,
		"15:04:07 paid deposit_8\n":    true,
		"✓ body\n":                     true,
		"… paid deposit_9\n":           false,
		"paid deposit_8\n":             false,
		"Listening\n✓ body\n":          false,
	} {
		if got := shownAs(page, shown); got != want {
			t.Errorf("%q is shown: %t", page, got)
		}
	}
}
