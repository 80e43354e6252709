package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// answered runs milaan as a process of its own and gives what it prints.
func answered(t *testing.T, line string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], args...)
	command.Env = append(os.Environ(), asMilaan+"=1", "COMP_LINE="+line)
	out, err := command.Output()
	if err != nil {
		t.Fatalf("milaan %v: %v", args, err)
	}
	return string(out)
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ line, want string }{
		{"milaan pay", "payout\n"},
		{"milaan postbacks res", "resend\nresume\n"},
		{"milaan completion b", "bash\n"},
		{"milaan --con", "--config\n"},
	} {
		got := strings.Fields(answered(t, tt.line))
		want := strings.Fields(tt.want)
		if len(got) != len(want) {
			t.Errorf("%s: got %q, want %q", tt.line, got, want)
			continue
		}
		for _, word := range want {
			if !strings.Contains(strings.Join(got, "\n"), word) {
				t.Errorf("%s: got %q, want %q", tt.line, got, want)
			}
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		shell  string
		syntax []string // checks it, where the shell is there
	}{
		{"bash", []string{"bash", "-n"}},
		{"zsh", []string{"zsh", "-n"}},
		{"fish", []string{"fish", "--no-execute"}},
	} {
		script := answered(t, "", "completion", tt.shell)
		if !strings.Contains(script, "milaan") {
			t.Errorf("%s: %q", tt.shell, script)
		}
		if _, err := exec.LookPath(tt.syntax[0]); err != nil {
			t.Logf("%s is not here: its script's syntax was not checked", tt.shell)
			continue
		}
		check := exec.CommandContext(t.Context(), tt.syntax[0], tt.syntax[1:]...)
		check.Stdin = strings.NewReader(script)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", tt.shell, err, out)
		}
	}
}

func TestManualPage(t *testing.T) {
	t.Parallel()
	page := answered(t, "", "man")
	for _, want := range []string{".TH MILAAN 1", "serve", "postbacks", "database", "MILAAN_"} {
		if !strings.Contains(page, want) {
			t.Errorf("the manual does not have %q", want)
		}
	}
	if page != answered(t, "", "man") {
		t.Error("the manual differs from print to print")
	}
}
