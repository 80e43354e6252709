// Package server wires the rooms to a running gateway: settings, start and
// stop in order, listeners, logs and metrics.
package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"golang.org/x/crypto/acme"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/money"
)

// Config are the settings of a gateway. Each is MILAAN_ and its name in upper
// case in the environment, its name in the file, its name with dashes as a
// flag; docs/settings.md explains them.
type Config struct {
	DatabaseURL string           `koanf:"database_url" help:"Database: sqlite://FILE or postgres://USER@HOST/DATABASE."`
	SecretKey   directory.Secret `koanf:"secret_key" help:"Key that secrets are sealed with: 32 bytes in base64. Made on first start and kept beside the database where absent."`

	Listen         string `koanf:"listen" help:"Address of the API, the feeds and the payment window."`
	AdminListen    string `koanf:"admin_listen" help:"Address of metrics, health and profiling: keep it private."`
	TrustedProxies string `koanf:"trusted_proxies" help:"Networks of your own proxies, separated by commas: 10.1.2.0/24. Their X-Forwarded-For tells who a request is from."`
	TLS            string `koanf:"tls" help:"off: a proxy ends TLS, or nobody does. acme: listen takes HTTPS alone, with certificates fetched and renewed by themselves."`
	TLSHosts       string `koanf:"tls_hosts" help:"Names to have certificates for beside those of merchants' domains and the console's, separated by commas."`
	RedirectListen string `koanf:"redirect_listen" help:"Address that sends http:// to https:// and answers the authority's questions, such as :80; none where empty."`
	ACMEEmail      string `koanf:"acme_email" help:"Where the authority writes about certificates: needed for tls = acme."`
	ACMEDirectory  string `koanf:"acme_directory" help:"Address of the authority's ACME directory."`
	ACMECache      string `koanf:"acme_cache" help:"Folder that certificates and their keys are kept in; certificates beside an embedded database where empty."`
	ACMECA         string `koanf:"acme_ca" help:"File with the root certificate (PEM) of a private authority's own address."`
	// MaxConnections keeps strangers from using up the process's file
	// descriptors, which postbacks and the database need as well.
	MaxConnections int `koanf:"max_connections" help:"Connections that are served at once; more wait."`

	AllowPrivateTargets bool          `koanf:"allow_private_targets" help:"Let postbacks go to loopback and private addresses: tests and local use."`
	PostbackAllow       string        `koanf:"postback_allow" help:"Networks that postbacks may go to although they are not public, separated by commas: 10.1.2.0/24."`
	PostbackFirstRetry  time.Duration `koanf:"postback_first_retry" help:"Wait before a postback's second attempt; the rest of the schedule scales with it."`
	AttemptsKeep        time.Duration `koanf:"attempts_keep" help:"How long attempts to deliver postbacks are kept; 0 for ever."`

	UnclaimedAfter time.Duration `koanf:"unclaimed_after" help:"After what time webhooks are told of a credit that nobody claimed (credit.unclaimed); 0 for never."`

	ClaimTTL         time.Duration       `koanf:"claim_ttl" help:"How long a claim waits for its credit."`
	AssignmentTTL    time.Duration       `koanf:"assignment_ttl" help:"How long a payer keeps the wallet that was shown."`
	CreditMaxAge     time.Duration       `koanf:"credit_max_age" help:"Review claims on credits booked longer than this before the claim; 0 for never."`
	FailureWindow    time.Duration       `koanf:"failure_window" help:"How far back the limits on UTRs named in vain look."`
	LabelFailures    int                 `koanf:"label_failures" help:"Review claims of a label that named so many other UTRs in vain; 0 for never."`
	AddressFailures  int                 `koanf:"address_failures" help:"The same for the payer's address, where a door knows it."`
	MerchantFailures int                 `koanf:"merchant_failures" help:"The same for all refused claims of a merchant."`
	SharedFailures   int                 `koanf:"shared_failures" help:"The same for all claims of a merchant on an account that it shares with other merchants."`
	UnverifiedMax    money.Paise         `koanf:"unverified_max" help:"Review claims on credits above this many rupees that only an SMS reported; 0 for never."`
	FourEyes         money.Paise         `koanf:"four_eyes" help:"Above this many rupees a claim that a person approves, a credit that one gives away, or a deposit that one undoes, needs a second person; 0 for never."`
	WalletNotShown   deposit.ShownPolicy `koanf:"wallet_not_shown" help:"Review credits on wallets the label was not shown: other (only if it was shown another), strict or off."`

	MessagesKeep time.Duration `koanf:"messages_keep" help:"How long the texts of bank messages are kept, sealed; 0 for ever."`

	NoticeWebhookURL    directory.Secret `koanf:"notice_webhook_url" help:"Where notices of trouble are posted; nowhere where empty."`
	NoticeWebhookSecret directory.Secret `koanf:"notice_webhook_secret" help:"Secret that signs them (Standard Webhooks)."`
	NoticeTelegramChat  string           `koanf:"notice_telegram_chat" help:"Chat id: notices are then posted in the form of a Telegram bot's sendMessage."`
	NoticeSMTPURL       directory.Secret `koanf:"notice_smtp_url" help:"Mail server for notices: smtps://USER:PASSWORD@HOST, smtp+starttls://…, or smtp://localhost; no mail where empty."`
	NoticeMailFrom      string           `koanf:"notice_mail_from" help:"Sender of those mails."`
	NoticeMailTo        string           `koanf:"notice_mail_to" help:"Their recipients, separated by commas."`

	Console          string           `koanf:"console" help:"on or off: the pages of operators and merchants, at /console."`
	ConsoleHost      string           `koanf:"console_host" help:"The one host that has the console, without port, such as console.example.com; every host that is no merchant's where empty."`
	OIDCIssuer       string           `koanf:"oidc_issuer" help:"OpenID Connect provider whose verified e-mail addresses sign existing users in: https://accounts.example.com; none where empty."`
	OIDCClientID     string           `koanf:"oidc_client_id" help:"What that provider knows this installation by; it answers at /console/sign-in/provider/answer."`
	OIDCClientSecret directory.Secret `koanf:"oidc_client_secret" help:"The secret that goes with it."`

	RatesURL   string        `koanf:"rates_url" help:"Exchange rates: URL or file in the ECB's or open exchange rates' form; the bundled ones where empty."`
	RatesEvery time.Duration `koanf:"rates_every" help:"How often exchange rates are read."`

	OTLPEndpoint string           `koanf:"otlp_endpoint" help:"OTLP/HTTP collector that traces go to, such as http://127.0.0.1:4318; nothing is traced where empty."`
	OTLPHeaders  directory.Secret `koanf:"otlp_headers" help:"Headers for the collector: NAME=VALUE, separated by commas."`
	OTLPRatio    float64          `koanf:"otlp_ratio" help:"Share of requests that are traced, from 0 to 1."`

	LogLevel  slog.Level `koanf:"log_level" help:"Least level that is logged: debug, info, warn or error."`
	LogFormat string     `koanf:"log_format" help:"text or json."`
	// DrainDelay is for several gateways behind a balancer. One alone would only stop
	// later.
	DrainDelay time.Duration `koanf:"drain_delay" help:"How long a stop serves on after /readyz said no, so that a load balancer notices; 0 where there is none."`
	StopAfter  time.Duration `koanf:"stop_after" help:"How long a stop waits for requests in flight."`

	sources map[string]string // of settings that are not at their defaults, by name
}

// Setting describes one setting, for the command line and the documentation.
type Setting struct {
	Name    string // as in the settings file
	Help    string
	Default string

	field string // of Config
}

// Settings lists all settings in the order of Config.
func Settings() []Setting {
	defaults := reflect.ValueOf(DefaultConfig())
	settings := make([]Setting, 0, defaults.NumField())
	for i := range defaults.NumField() {
		field := defaults.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		settings = append(settings, Setting{
			Name:    field.Tag.Get("koanf"),
			Help:    field.Tag.Get("help"),
			Default: fmt.Sprint(defaults.Field(i).Interface()),
			field:   field.Name,
		})
	}
	return settings
}

// DefaultConfig are the settings of a gateway that is told nothing.
func DefaultConfig() Config {
	p := deposit.DefaultPolicy()
	return Config{
		DatabaseURL:        "sqlite://milaan.db",
		Listen:             "127.0.0.1:8080",
		AdminListen:        "127.0.0.1:9090",
		TLS:                tlsOff,
		ACMEDirectory:      acme.LetsEncryptURL,
		MaxConnections:     4096,
		PostbackFirstRetry: 5 * time.Second,
		AttemptsKeep:       30 * 24 * time.Hour,
		UnclaimedAfter:     30 * time.Minute,
		ClaimTTL:           p.ClaimTTL,
		AssignmentTTL:      p.AssignmentTTL,
		CreditMaxAge:       p.CreditMaxAge,
		FailureWindow:      p.FailureWindow,
		LabelFailures:      p.LabelFailures,
		AddressFailures:    p.AddressFailures,
		MerchantFailures:   p.MerchantFailures,
		SharedFailures:     p.SharedFailures,
		UnverifiedMax:      p.UnverifiedMax,
		FourEyes:           p.FourEyes,
		WalletNotShown:     p.Shown,
		MessagesKeep:       180 * 24 * time.Hour,
		Console:            consoleOn,
		RatesEvery:         6 * time.Hour,
		OTLPRatio:          1,
		LogLevel:           slog.LevelInfo,
		LogFormat:          "text",
		StopAfter:          20 * time.Second,
	}
}

// The console is on or off.
const (
	consoleOn  = "on"
	consoleOff = "off"
)

// envPrefix starts every setting's name in the environment.
const envPrefix = "MILAAN_"

// fileSuffix after a setting's name, in the file and the environment, names a
// file that holds the value: a secret that systemd, Docker or Kubernetes hands
// over.
const fileSuffix = "_file"

// readFiles puts what files hold in the place of their names. Its error never
// shows what one holds.
func readFiles(k *koanf.Koanf) error {
	for _, name := range k.Keys() {
		setting, named := strings.CutSuffix(name, fileSuffix)
		if !named {
			continue
		}
		if k.Exists(setting) {
			return fmt.Errorf("both %s and %s are set: leave one out", setting, name)
		}
		value, err := os.ReadFile(k.String(name))
		if err != nil {
			return fmt.Errorf("%s: %w: may this user read it?", name, err)
		}
		k.Delete(name)
		if err := k.Set(setting, strings.TrimRight(string(value), "\r\n")); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// SettingFiles are the files that settings come from, by setting, as the
// settings file and the environment name them (fileSuffix). What can't be read
// is left out: LoadConfig reports it.
func SettingFiles(path string) map[string]string {
	files := make(map[string]string)
	k := koanf.New(".")
	if path != "" && k.Load(file.Provider(path), toml.Parser()) == nil {
		for _, s := range Settings() {
			if named := k.String(s.Name + fileSuffix); named != "" {
				files[s.Name] = named
			}
		}
	}
	for _, s := range Settings() {
		if named := os.Getenv(envPrefix + strings.ToUpper(s.Name+fileSuffix)); named != "" {
			files[s.Name] = named
		}
	}
	return files
}

// LoadConfig reads the settings: a flag wins over the environment, which wins
// over the TOML file, which wins over the defaults. Path may be empty; flags
// are by setting name.
func LoadConfig(path string, flags map[string]string) (Config, error) {
	known := make(map[string]bool)
	for _, setting := range Settings() {
		known[setting.Name] = true
	}
	k := koanf.New(".")
	sources := make(map[string]string)
	if path != "" {
		if err := k.Load(file.Provider(path), toml.Parser()); err != nil {
			return Config{}, fmt.Errorf("settings file %s: %w", path, err)
		}
		for _, name := range k.Keys() {
			if !known[strings.TrimSuffix(name, fileSuffix)] {
				return Config{}, fmt.Errorf("settings file %s: there is no setting %q: see docs/settings.md", path, name)
			}
			sources[name] = fromFile
		}
		if err := readFiles(k); err != nil {
			return Config{}, fmt.Errorf("settings file %s: %w", path, err)
		}
	}
	environment := koanf.New(".")
	fromEnv := env.Provider(".", env.Opt{Prefix: envPrefix, TransformFunc: func(name, value string) (string, any) {
		name = strings.ToLower(strings.TrimPrefix(name, envPrefix))
		if !known[strings.TrimSuffix(name, fileSuffix)] {
			return "", nil // tools and tests have variables of their own
		}
		sources[name] = fromEnvironment
		return name, value
	}})
	if err := environment.Load(fromEnv, nil); err != nil {
		return Config{}, fmt.Errorf("read the environment: %w", err)
	}
	if err := readFiles(environment); err != nil {
		return Config{}, fmt.Errorf("environment: %w", err)
	}
	if err := k.Merge(environment); err != nil {
		return Config{}, fmt.Errorf("read the environment: %w", err)
	}
	given := make(map[string]any, len(flags))
	for name, value := range flags {
		given[name] = value
		sources[name] = fromFlag
	}
	if err := k.Load(confmap.Provider(given, "."), nil); err != nil {
		return Config{}, fmt.Errorf("read the flags: %w", err)
	}
	c := DefaultConfig()
	c.sources = sources
	if err := k.Unmarshal("", &c); err != nil {
		// The decoder lists what is wrong over several lines.
		return Config{}, fmt.Errorf("settings: %s: see docs/settings.md", strings.Join(strings.Fields(err.Error()), " "))
	}
	return c, c.validate()
}

func (c Config) validate() error {
	var errs []error
	if err := c.policy().Validate(); err != nil {
		errs = append(errs, err)
	}
	if c.MaxConnections < 1 {
		errs = append(errs, errors.New("max_connections must be above zero"))
	}
	if c.SecretKey != "" {
		if _, err := seal.ParseKey(c.SecretKey.Reveal()); err != nil {
			errs = append(errs, err)
		}
	}
	if c.PostbackFirstRetry <= 0 {
		errs = append(errs, errors.New("postback_first_retry must be above zero, such as 5s"))
	}
	if _, err := c.postbackAllow(); err != nil {
		errs = append(errs, err)
	}
	if c.AttemptsKeep < 0 {
		errs = append(errs, errors.New("attempts_keep can't be below zero: 0 keeps them for ever"))
	}
	if c.UnclaimedAfter < 0 || c.UnclaimedAfter > 0 && c.UnclaimedAfter < time.Second {
		errs = append(errs, errors.New("unclaimed_after must be a second or more, such as 30m, or 0 for never"))
	}
	if c.MessagesKeep < 0 {
		errs = append(errs, errors.New("messages_keep can't be below zero: 0 keeps them for ever"))
	}
	if _, err := c.noticeSenders(nil); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.traceSettings(); err != nil {
		errs = append(errs, err)
	}
	if err := c.validateTLS(); err != nil {
		errs = append(errs, err)
	}
	if err := c.validateConsole(); err != nil {
		errs = append(errs, err)
	}
	if c.DrainDelay < 0 || c.StopAfter < 0 {
		errs = append(errs, errors.New("drain_delay and stop_after can't be below zero"))
	}
	if c.RatesEvery < time.Minute {
		errs = append(errs, errors.New("rates_every must be a minute or more"))
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		errs = append(errs, fmt.Errorf("log_format must be text or json, not %q", c.LogFormat))
	}
	if _, err := store.ParseLocation(c.DatabaseURL); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c Config) validateConsole() error {
	var errs []error
	if c.Console != consoleOn && c.Console != consoleOff {
		errs = append(errs, fmt.Errorf("console must be on or off, not %q", c.Console))
	}
	if strings.ContainsAny(c.ConsoleHost, ":/ ") {
		errs = append(errs, errors.New("console_host is a host alone, without scheme and port: console.example.com"))
	}
	if c.OIDCIssuer != "" && (c.OIDCClientID == "" || c.OIDCClientSecret == "") {
		errs = append(errs, errors.New("oidc_issuer needs oidc_client_id and oidc_client_secret, which the provider gives"))
	}
	return errors.Join(errs...)
}

// postbackAllow are the networks of postback_allow.
func (c Config) postbackAllow() ([]netip.Prefix, error) {
	return networks("postback_allow", c.PostbackAllow)
}

// PostbackTransport is what postbacks go out by.
func (c Config) PostbackTransport() (*http.Transport, error) {
	allowed, err := c.postbackAllow()
	if err != nil {
		return nil, err
	}
	return postback.NewTransport(c.AllowPrivateTargets, allowed...), nil
}

func (c Config) policy() deposit.Policy {
	return deposit.Policy{
		ClaimTTL:         c.ClaimTTL,
		AssignmentTTL:    c.AssignmentTTL,
		CreditMaxAge:     c.CreditMaxAge,
		FailureWindow:    c.FailureWindow,
		LabelFailures:    c.LabelFailures,
		AddressFailures:  c.AddressFailures,
		MerchantFailures: c.MerchantFailures,
		SharedFailures:   c.SharedFailures,
		UnverifiedMax:    c.UnverifiedMax,
		FourEyes:         c.FourEyes,
		Shown:            c.WalletNotShown,
	}
}

// Logger makes the log the settings ask for, on standard error.
func (c Config) Logger() *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

// key is the secret key: as set, or kept in a file that the first start makes.
func (c Config) key(l store.Location) (key seal.Key, made bool, err error) {
	if c.SecretKey != "" {
		key, err = seal.ParseKey(c.SecretKey.Reveal())
		return key, false, err
	}
	return seal.LoadKey(l.KeyFile())
}
