// Command milaan is a self-hosted payment gateway for UPI.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"strings"
	"syscall"
	_ "time/tzdata" // merchants' zones, on machines without a zone database

	"github.com/alecthomas/kong"
	"github.com/mattn/go-isatty"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/feed/statement"
	"github.com/milaan/milaan/internal/server"
)

// commandLine is the grammar; a command's Run method does its work.
type commandLine struct {
	Demo      demoCommand      `cmd:"" help:"Everything in one process, to look at: gateway, sample shop, sandbox bank."`
	Serve     serveCommand     `cmd:"" help:"Run the gateway."`
	Apply     applyCommand     `cmd:"" help:"Make the installation match a file: merchants, methods, wallets, feeds, rules."`
	Import    importCommand    `cmd:"" help:"Read a bank statement into the books."`
	Parse     parseCommand     `cmd:"" help:"Print what milaan understands of messages or a statement, and change nothing."`
	Review    reviewCommand    `cmd:"" help:"List, approve or reject claims that wait for a person."`
	Feeds     feedsCommand     `cmd:"" help:"How the bank feeds are, and what of theirs waits for a person."`
	Keys      keysCommand      `cmd:"" help:"Keys of the management API: make, list, revoke."`
	Postbacks postbacksCommand `cmd:"" help:"List, inspect, resend and test postbacks; pause and enable endpoints."`
	Reconcile reconcileCommand `cmd:"" help:"Compare a wallet's statements with the books and list every difference."`
	Payout    payoutCommand    `cmd:"" help:"List, approve, reject and settle withdrawals."`
	User      userCommand      `cmd:"" help:"Add, list and remove the people who sign in to the console, and make links to set a password."`
	Settle    settleCommand    `cmd:"" help:"Pay merchants their balances, and report on them."`
	Verify    verifyCommand    `cmd:"" help:"Recompute the ledger and check every invariant."`
	Migrate   migrateCommand   `cmd:"" help:"Bring the database's schema up to date."`
	Backup    backupCommand    `cmd:"" help:"Copy the whole database to a file, while the gateway runs."`
	Restore   restoreCommand   `cmd:"" help:"Make a new database from a backup, of either engine."`
	Listen    listenCommand    `cmd:"" help:"Receive postbacks on this computer, check and print them: for developers."`
	Load      loadCommand      `cmd:"" help:"Measure a running gateway: activations a second and their latency."`
	Doctor    doctorCommand    `cmd:"" help:"Look at settings, database, DNS, TLS, clock, feeds and postbacks, and say what is wrong."`
	Health    healthCommand    `cmd:"" help:"Ask the gateway of this machine whether it is ready: for health checks."`
	Version   versionCommand   `cmd:"" help:"Print the version."`
	Help      helpCommand      `cmd:"" help:"Print this help."`

	Completion completionCommand `cmd:"" help:"Print a script that completes milaan's words in a shell."`
	Man        manCommand        `cmd:"" help:"Print the manual page."`

	Config string `name:"config" type:"existingfile" placeholder:"FILE" help:"Settings file (TOML). Every setting is a flag, too, and MILAAN_… in the environment."`
	kong.Plugins
}

// Exit codes (contract, Commands).
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// terminal is where a command writes.
type terminal struct {
	out, err io.Writer
	// interactive says that a person sees what is written to err.
	interactive bool
}

// run carries out a command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		args = []string{"help"}
	}
	flags := newSettingFlags()
	line := commandLine{Plugins: kong.Plugins{flags.target()}}
	exited := false
	parser, err := kong.New(&line,
		kong.Name("milaan"),
		kong.Description("A self-hosted payment gateway for UPI."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { exited = true }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(terminal{stdout, stderr, isTerminal(stderr)}),
		kong.Vars{"statement_formats": statementFormats()},
	)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "milaan: %v\n", err)
		return exitFailed
	}
	if completed(parser) {
		return exitDone
	}
	parsed, err := parser.Parse(args)
	if exited {
		return exitDone // --help was asked for and given
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "milaan: %v: see milaan help\n", err)
		return exitUsage
	}
	parsed.Bind(parser)
	err = parsed.Run(&settings{path: line.Config, flags: flags})
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(stderr, "milaan: %v\n", oneLine(err))
		return exitUsage
	case errors.Is(err, errReported):
		return exitFailed
	default:
		_, _ = fmt.Fprintf(stderr, "milaan: %v\n", oneLine(err))
		return exitFailed
	}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// statementFormats names the formats of statements, for the help.
func statementFormats() string {
	var names []string
	for _, f := range statement.Formats() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// oneLine is an error as one line; what is wrong with a file stays a line each.
func oneLine(err error) string {
	if problems, ok := errors.AsType[apply.Errors](err); ok {
		return problems.Error()
	}
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\t' }), "; ")
}

// usageError is a wrong use that the grammar could not find.
type usageError struct{ error }

// errReported ends a command that has printed what is wrong.
var errReported = errors.New("reported")

// settings are what flags, environment and file say, read when a command needs
// them.
type settings struct {
	path  string
	flags settingFlags
}

func (s *settings) load() (server.Config, error) {
	c, err := server.LoadConfig(s.path, s.flags.given())
	if err != nil {
		return c, usageError{err}
	}
	return c, nil
}

// settingFlags are the flags of all settings, made from their one list.
type settingFlags struct {
	names  []string
	values reflect.Value
}

func newSettingFlags() settingFlags {
	var f settingFlags
	var fields []reflect.StructField
	for _, s := range server.Settings() {
		f.names = append(f.names, s.Name)
		// Colons and quotes would end a tag's value.
		tag := fmt.Sprintf(`name:%q help:%q placeholder:%q hidden:""`, strings.ReplaceAll(s.Name, "_", "-"), s.Help, s.Default)
		fields = append(fields, reflect.StructField{
			Name: "Setting_" + s.Name, Type: reflect.TypeFor[*string](), Tag: reflect.StructTag(tag),
		})
	}
	f.values = reflect.New(reflect.StructOf(fields))
	return f
}

func (f settingFlags) target() any { return f.values.Interface() }

func (f settingFlags) given() map[string]string {
	given := make(map[string]string)
	for i, name := range f.names {
		if value, ok := reflect.TypeAssert[*string](f.values.Elem().Field(i)); ok && value != nil {
			given[name] = *value
		}
	}
	return given
}

type versionCommand struct{}

// Run prints the version that the binary was built from.
func (versionCommand) Run(term terminal) error {
	version := "(unknown)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	_, err := fmt.Fprintln(term.out, "milaan", version)
	return err
}

type helpCommand struct{}

// Run prints the help of the whole program.
func (helpCommand) Run(parser *kong.Kong) error {
	trace, err := kong.Trace(parser, nil)
	if err != nil {
		return err
	}
	return trace.PrintUsage(false)
}
