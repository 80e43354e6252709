package store_test

import (
	"errors"
	"io/fs"
	"os"
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

func TestInspect(t *testing.T) {
	t.Parallel()
	for _, engine := range []func(testing.TB) *storetest.Database{storetest.SQLite, storetest.Postgres} {
		db := engine(t)
		l, err := store.ParseLocation(db.URL)
		if err != nil {
			t.Fatal(err)
		}
		db.Open(t) // which migrates it
		c, err := store.Inspect(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		if c.Schema == 0 || c.Schema != c.Wanted || c.ReadOnly || c.Size == 0 || l.Embedded() != c.Clock.IsZero() || l.Embedded() != (c.Free > 0) {
			t.Errorf("the condition is %+v", c)
		}
	}
	none := filepath.Join(t.TempDir(), "none.db")
	l, err := store.ParseLocation("sqlite://" + none)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Inspect(t.Context(), l); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no database it is said: %v", err)
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("looking made a database")
	}
}
