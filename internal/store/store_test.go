package store_test

import (
	"path/filepath"
	"testing"

	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.SQLite)
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Postgres)
}

func TestBackup(t *testing.T) {
	t.Parallel()
	for name, engines := range map[string][2]storetest.Fresh{
		"SQLite to SQLite": {storetest.SQLite, storetest.SQLite}, "SQLite to Postgres": {storetest.SQLite, storetest.Postgres},
		"Postgres to SQLite": {storetest.Postgres, storetest.SQLite}, "Postgres to Postgres": {storetest.Postgres, storetest.Postgres},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.RunBackups(t, engines[0], engines[1])
		})
	}
}

func BenchmarkActivate(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { storetest.BenchmarkActivate(b, storetest.SQLite) })
	b.Run("Postgres", func(b *testing.B) { storetest.BenchmarkActivate(b, storetest.Postgres) })
}

func BenchmarkActivateTold(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { storetest.BenchmarkActivateTold(b, storetest.SQLite) })
	b.Run("Postgres", func(b *testing.B) { storetest.BenchmarkActivateTold(b, storetest.Postgres) })
}

func BenchmarkIngest(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { storetest.BenchmarkIngest(b, storetest.SQLite) })
	b.Run("Postgres", func(b *testing.B) { storetest.BenchmarkIngest(b, storetest.Postgres) })
}

func TestParseLocation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, path string }{
		{"sqlite://milaan.db", "milaan.db"},
		{"sqlite:///var/lib/milaan/milaan.db", "/var/lib/milaan/milaan.db"},
		{"sqlite://./a%20b/../m%3Fx.db", "m?x.db"},
		{"postgres://milaan@db/milaan", ""},
		{"postgresql://a,b/milaan?target_session_attrs=read-write", ""},
	} {
		l, err := store.ParseLocation(tt.text)
		if err != nil || l.Path != tt.path || l.Embedded() != (tt.path != "") {
			t.Errorf("%s: %q, %v", tt.text, l.Path, err)
		}
	}
	for _, text := range []string{"", "milaan.db", "sqlite:", "sqlite://", "postgres://", "mysql://x/y", "sqlite://%zz"} {
		if l, err := store.ParseLocation(text); err == nil {
			t.Errorf("%s was read as %q", text, l.Path)
		}
	}
	if l, _ := store.ParseLocation("sqlite:///var/lib/milaan/milaan.db"); l.KeyFile() != filepath.FromSlash("/var/lib/milaan/milaan.key") {
		t.Errorf("the key is kept in %s", l.KeyFile())
	}
}
