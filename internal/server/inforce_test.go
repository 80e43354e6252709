package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSettingsInForce: each setting says where it is from, and none shows a secret.
func TestSettingsInForce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "milaan.toml")
	text := "log_format = \"json\"\nrates_url = \"https://rates.example/latest?app_id=hush1\"\nnotice_webhook_secret = \"aHVzaDI=\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MILAAN_DATABASE_URL", "postgres://milaan:hush3@db.example/milaan?sslmode=require&password=hush4")
	t.Setenv("MILAAN_LOG_FORMAT", "text")
	c, err := LoadConfig(file, map[string]string{"listen": "127.0.0.1:7"})
	if err != nil {
		t.Fatal(err)
	}
	from := make(map[string]string)
	for _, s := range c.inForce() {
		from[s.Name] = s.Source
		if strings.Contains(fmt.Sprint(s), "hush") || strings.Contains(s.Value, "aHVz") {
			t.Errorf("%s shows a secret: %q", s.Name, s.Value)
		}
		if s.Secret != (s.Name == "secret_key" || s.Name == "notice_webhook_url" || s.Name == "notice_webhook_secret" || s.Name == "notice_smtp_url" || s.Name == "oidc_client_secret" || s.Name == "otlp_headers") {
			t.Errorf("%s is a secret: %v", s.Name, s.Secret)
		}
		if s.Name == "database_url" && !strings.HasPrefix(s.Value, "postgres://milaan:xxxxx@db.example/milaan") {
			t.Errorf("the database is shown as %q", s.Value)
		}
	}
	for name, want := range map[string]string{"listen": fromFlag, "database_url": fromEnvironment, "log_format": fromEnvironment, "rates_url": fromFile, "admin_listen": fromDefault} {
		if from[name] != want {
			t.Errorf("%s is from %q, want %q", name, from[name], want)
		}
	}
	if len(from) != len(Settings()) {
		t.Errorf("%d of %d settings", len(from), len(Settings()))
	}
}
