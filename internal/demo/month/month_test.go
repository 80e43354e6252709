package month_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/demo/month"
	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/internal/store"
)

// A Tuesday night, whose day before had its Monday's statement.
var until = time.Date(2026, 11, 24, 15, 30, 0, 0, time.UTC)

const seed, password = 7, "month of the demo"

// lived gives a database with the month in it.
func lived(tb testing.TB) store.Store {
	tb.Helper()
	text, err := os.ReadFile("../demo.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	page, err := template.New("").Funcs(template.FuncMap{"secret": rand.Text}).Parse(string(text))
	if err != nil {
		tb.Fatal(err)
	}
	var filled bytes.Buffer
	if err := page.Execute(&filled, map[string]any{
		"Month": true, "Merchant": "shop", "Secret": "shop-secret", "WithdrawalKey": "key", "Shop": "http://127.0.0.1:8081", "Accounts": nil,
		"Keys": map[string]string{"AccessKey": "access", "PrivateKey": "private", "WebhookSecret": "hook"},
	}); err != nil {
		tb.Fatal(err)
	}
	file, err := apply.Parse("demo.yaml", []byte(strings.ReplaceAll(filled.String(), "secret: hook", "secret: whsec_"+strings.Repeat("MfKQ", 8))))
	if err != nil {
		tb.Fatal(err)
	}
	location, err := store.ParseLocation("sqlite://" + filepath.Join(tb.TempDir(), "demo.db"))
	if err != nil {
		tb.Fatal(err)
	}
	key, err := seal.NewKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		tb.Fatal(err)
	}
	db, err := store.Open(tb.Context(), location, key)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	if _, err := apply.Run(tb.Context(), db, file, apply.Options{Now: func() time.Time { return month.Begin(until) }}); err != nil {
		tb.Fatal(err)
	}
	if err := month.Live(context.WithoutCancel(tb.Context()), month.Config{Store: db, Until: until, Seed: seed, Password: password}); err != nil {
		tb.Fatal(err)
	}
	return db
}

func BenchmarkLive(b *testing.B) {
	for b.Loop() {
		lived(b)
	}
}
