package demo

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
)

// terminal writes for people: with colours where a terminal shows them and
// NO_COLOR (no-color.org) is not set.
type terminal struct {
	w      io.Writer
	colour bool
	steps  int
	err    error // the first of writing
}

func newTerminal(w io.Writer) *terminal {
	file, ok := w.(*os.File)
	return &terminal{w: w, colour: ok && isatty.IsTerminal(file.Fd()) && os.Getenv("NO_COLOR") == ""}
}

// The few styles of the terminal, as SGR parameters.
const (
	bold  = "1"
	faint = "2"
	green = "32"
	cyan  = "1;36"
)

func (t *terminal) style(sgr, text string) string {
	if !t.colour {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

func (t *terminal) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(t.w, format, args...); t.err == nil {
		t.err = err
	}
}

// step begins the next numbered step.
func (t *terminal) step(title string) {
	t.steps++
	t.printf("\n%s %s\n", t.style(cyan, fmt.Sprintf("%2d.", t.steps)), t.style(bold, title))
}

// right says what went as expected.
func (t *terminal) right(format string, args ...any) {
	t.printf("    %s %s\n", t.style(green, "✓"), fmt.Sprintf(format, args...))
}

// exchange prints a call with its JSON.
func (t *terminal) exchange(x Exchange) {
	t.printf("    %s\n", t.style(faint, "→ "+x.Call))
	if x.Request != "" {
		t.json(x.Request)
	}
	t.printf("    %s\n", t.style(faint, fmt.Sprintf("← HTTP %d", x.Status)))
	t.json(x.Answer)
}

func (t *terminal) json(text string) {
	t.printf("      %s\n", strings.ReplaceAll(Pretty(text), "\n", "\n      "))
}
