package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/server"
)

// The environment is the process's own, so these tests run one after another.

func writeSettings(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "milaan.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSettingsPrecedence(t *testing.T) {
	file := writeSettings(t, "listen = \"127.0.0.1:1\"\nadmin_listen = \"127.0.0.1:1\"\nclaim_ttl = \"1h\"\nunverified_max = \"1,00,000.50\"\n")
	t.Setenv("MILAAN_LISTEN", "127.0.0.1:2")
	t.Setenv("MILAAN_ADMIN_LISTEN", "127.0.0.1:2")
	t.Setenv("MILAAN_TEST_POSTGRES_IS_NO_SETTING", "x")
	c, err := server.LoadConfig(file, map[string]string{"listen": "127.0.0.1:3"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:3" || c.AdminListen != "127.0.0.1:2" || c.ClaimTTL != time.Hour {
		t.Errorf("a flag wins over the environment wins over the file; got %s, %s, %s", c.Listen, c.AdminListen, c.ClaimTTL)
	}
	if c.UnverifiedMax != 100_000_50 {
		t.Errorf("unverified_max is %d paise", c.UnverifiedMax)
	}
	if c.PostbackFirstRetry != server.DefaultConfig().PostbackFirstRetry {
		t.Errorf("what nothing sets has its default; postback_first_retry is %s", c.PostbackFirstRetry)
	}
}

func TestSettingsRefused(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"listne = \"x\"", "listne"},
		{"claim_ttl = \"soon\"", "claim_ttl"},
		{"claim_ttl = \"0s\"", "time to live"},
		{"wallet_not_shown = \"sometimes\"", "wallet_not_shown"},
		{"database_url = \"mysql://x\"", "MILAAN_DATABASE_URL"},
		{"log_format = \"xml\"", "log_format"},
		{"unverified_max = \"1.001\"", "unverified_max"},
		{"postback_first_retry = \"-1s\"", "postback_first_retry"},
		{"otlp_endpoint = \"127.0.0.1:4318\"", "otlp_endpoint"},
		{"otlp_headers = \"Authorization\"", "otlp_headers"},
		{"otlp_ratio = 5", "otlp_ratio"},
		{"not toml", "milaan.toml"},
	} {
		if _, err := server.LoadConfig(writeSettings(t, tt.text), nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v does not name %s", tt.text, err, tt.want)
		}
	}
}

func TestSettingsFromFiles(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("a passphrase of more than thirty-two bytes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, load := range map[string]func(t *testing.T) (server.Config, error){
		"file": func(*testing.T) (server.Config, error) {
			return server.LoadConfig(writeSettings(t, "secret_key_file = \""+key+"\""), nil)
		},
		"environment wins over the file's value": func(t *testing.T) (server.Config, error) {
			t.Helper()
			t.Setenv("MILAAN_SECRET_KEY_FILE", key)
			return server.LoadConfig(writeSettings(t, "secret_key = \"another passphrase of more than thirty-two bytes\""), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := load(t)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.SecretKey.Reveal(); got != "a passphrase of more than thirty-two bytes" {
				t.Errorf("the key is not the file's: %d bytes", len(got))
			}
		})
	}
	t.Setenv("MILAAN_SECRET_KEY_FILE", key)
	t.Setenv("MILAAN_SECRET_KEY", "x")
	if _, err := server.LoadConfig("", nil); err == nil || !strings.Contains(err.Error(), "leave one out") {
		t.Errorf("both a value and its file: %v", err)
	}
	t.Setenv("MILAAN_SECRET_KEY_FILE", key+".gone")
	t.Setenv("MILAAN_SECRET_KEY", "")
	if err := os.Unsetenv("MILAAN_SECRET_KEY"); err != nil {
		t.Fatal(err)
	}
	if _, err := server.LoadConfig("", nil); err == nil || !strings.Contains(err.Error(), "secret_key_file") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestSettingsSecretStaysHidden(t *testing.T) {
	t.Setenv("MILAAN_SECRET_KEY", "do not print this, whatever happens")
	c, err := server.LoadConfig("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if printed := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(printed, "do not print this, whatever happens") {
		t.Error("printing the settings shows the secret key")
	}
}

// TestSettingsDocumented keeps docs/settings.md what the program says; run it
// with MILAAN_TEST_UPDATE=1 to write the table anew.
func TestSettingsDocumented(t *testing.T) {
	const path = "../../docs/settings.md"
	const begin, end = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| setting | default | effect |\n| --- | --- | --- |\n")
	for _, s := range server.Settings() {
		value := s.Default
		if value != "" {
			value = "`" + value + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", s.Name, value, s.Help)
	}
	head, rest, found := strings.Cut(string(data), begin)
	_, tail, foundEnd := strings.Cut(rest, end)
	if !found || !foundEnd {
		t.Fatal("the marks of the table are missing")
	}
	want := head + begin + table.String() + end + tail
	if want == string(data) {
		return
	}
	if os.Getenv("MILAAN_TEST_UPDATE") == "" {
		t.Fatal("docs/settings.md is not what the program says: run this test with MILAAN_TEST_UPDATE=1")
	}
	if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}
