package apply

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxShown is how much of a value a terminal line shows.
const maxShown = 80

// Write prints a plan as the terminal shows it: a line for each change, and the
// generated secrets at the end, once they are stored. It is the one place where
// a secret is shown.
func Write(w io.Writer, p *Plan) error {
	var b strings.Builder
	if p.Empty() {
		b.WriteString("no changes\n")
	}
	for _, l := range p.Lines {
		b.WriteString(l.String())
		b.WriteByte('\n')
	}
	switch {
	case len(p.Generated) == 0:
	case p.Saved:
		b.WriteString("\ngenerated, shown this once and never again; keep them safe:\n")
		for _, g := range p.Generated {
			fmt.Fprintf(&b, "  %s %s %s: %s\n", g.Kind, g.ID, g.Name, g.Value.Reveal())
		}
	default:
		// What was made for the plan is thrown away with it.
		b.WriteString("\nwould be generated and shown once:\n")
		for _, g := range p.Generated {
			fmt.Fprintf(&b, "  %s %s %s\n", g.Kind, g.ID, g.Name)
		}
	}
	if !p.Saved && !p.Empty() {
		b.WriteString("\ndry run: nothing was changed\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// String is the line on the terminal: "+ merchant shop" for what is new or back,
// "~ wallet w1: enabled on → off", "- feed old (retired: not in the file)".
func (l Line) String() string {
	name := l.Kind + " " + l.ID
	switch l.Action {
	case Create:
		return "+ " + name
	case Retire:
		return "- " + name + " (retired: not in the file)"
	case Restore:
		name += " (restored)"
		if len(l.Fields) == 0 {
			return "+ " + name
		}
		return "+ " + name + ": " + fieldsText(l.Fields)
	default:
		return "~ " + name + ": " + fieldsText(l.Fields)
	}
}

func fieldsText(fields []Field) string { return joined(fields, Field.String) }

// String is "daily_limit ₹5,00,000.00 → ₹6,00,000.00"; of a secret only that it
// changed.
func (f Field) String() string {
	if f.Secret {
		return f.Name + " (secret)"
	}
	return fmt.Sprintf("%s %s → %s", f.Name, shown(f.From), shown(f.To))
}

// shown is a value on one line, with nothing in it that a terminal would obey.
func shown(s string) string {
	if s == "" {
		return "none"
	}
	if strings.ContainsFunc(s, unprintable) {
		s = strconv.Quote(s)
	}
	if utf8.RuneCountInString(s) > maxShown {
		s = string([]rune(s)[:maxShown]) + "…"
	}
	return s
}
