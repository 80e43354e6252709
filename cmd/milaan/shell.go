package main

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/alecthomas/kong"
	mangokong "github.com/alecthomas/mango-kong"
	"github.com/muesli/roff"
	"github.com/willabides/kongplete"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// The scripts ask the program itself: it answers with what could come next
// where the shell gives it the line so far in COMP_LINE.
var completionScripts = map[string]string{
	"bash": "complete -o default -C milaan milaan\n",
	// The first line lets zsh load the file when a word of milaan's is first
	// completed; sourcing the file works, too.
	"zsh": `#compdef milaan
autoload -U +X bashcompinit && bashcompinit
complete -o default -C milaan milaan
`,
	"fish": `function __milaan_complete
    set -lx COMP_LINE (commandline -cp)
    milaan
end
complete -c milaan -a '(__milaan_complete)'
`,
}

// Run prints the script for a shell.
func (c completionCommand) Run(term terminal) error {
	_, err := fmt.Fprint(term.out, completionScripts[c.Shell])
	return err
}

// completed answers a shell that asks what could come next, and reports whether
// one did.
func completed(parser *kong.Kong) (asked bool) {
	kongplete.Complete(parser, kongplete.WithExitFunc(func(int) { asked = true }))
	return asked
}

type manCommand struct{}

// Run prints the manual page (man 7 man), made from the same grammar as the
// help.
func (manCommand) Run(term terminal, parser *kong.Kong) error {
	page := mangokong.NewManPage(1, parser.Model).
		WithSection("Settings", "Every setting is a flag, an entry of the file that --config names, and an environment variable: "+
			"MILAAN_ and its name in capitals, such as MILAAN_DATABASE_URL. A flag wins over the environment, which wins over the file.").
		WithSection("Exit status", "0: done. 1: failed; what to do is said on standard error. 2: wrong usage.").
		WithSection("Files", "/etc/milaan/milaan.toml: settings of the packaged service.")
	_, err := fmt.Fprint(term.out, page.Build(datedPage{roff.NewDocument(), sourceTime()}))
	return err
}

// datedPage is a manual page of the sources' date, so that a program prints the
// same page every day.
type datedPage struct {
	*roff.Document
	date time.Time
}

// Heading writes the page's first line.
func (p datedPage) Heading(section uint, title, description string, _ time.Time) {
	p.Document.Heading(section, title, description, p.date)
}

// sourceTime is when the sources were committed; the zero time where the build
// did not note it.
func sourceTime() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			at, err := time.Parse(time.RFC3339, s.Value)
			if err == nil {
				return at
			}
		}
	}
	return time.Time{}
}
