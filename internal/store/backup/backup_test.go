package backup_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/store/backup"
)

var now = time.Date(2026, time.March, 14, 9, 30, 0, 123456000, time.UTC)

var wallets = backup.Table{Name: "wallets", Columns: []backup.Column{{Name: "id", Kind: backup.Int}, {Name: "name", Kind: backup.Text}, {Name: "sealed", Kind: backup.Bytes}}}

type bench interface {
	Helper()
	Fatal(args ...any)
}

// write makes a backup of some tables with the same columns.
func write(t bench, tables map[string][][]any, order ...string) ([]byte, backup.Summary) {
	t.Helper()
	var out bytes.Buffer
	w, err := backup.NewWriter(&out, 15, "sqlite", now)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range order {
		if err := w.Table(backup.Table{Name: name, Columns: wallets.Columns}); err != nil {
			t.Fatal(err)
		}
		for _, row := range tables[name] {
			if err := w.Row(row); err != nil {
				t.Fatal(err)
			}
		}
	}
	summary, err := w.Close(backup.Books{Postings: 7, Held: -3, AuditHash: []byte{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), summary
}

// read reads all of a backup.
func read(from io.Reader) (map[string][][]any, *backup.Trailer, error) {
	r, err := backup.NewReader(from)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	tables := make(map[string][][]any)
	for {
		table, err := r.Next()
		if errors.Is(err, io.EOF) {
			return tables, r.Trailer(), nil
		}
		if err != nil {
			return tables, r.Trailer(), err
		}
		tables[table.Name] = nil
		for {
			row, err := r.Row()
			if err != nil {
				return tables, r.Trailer(), err
			}
			if row == nil {
				break
			}
			tables[table.Name] = append(tables[table.Name], row)
		}
	}
}

// What is written is read back as it was, whatever it is.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	row := rapid.Custom(func(t *rapid.T) []any {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text")) // text that is none included
		return []any{rapid.Int64().Draw(t, "id"), text, append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")...)}
	})
	rapid.Check(t, func(t *rapid.T) {
		tables := map[string][][]any{
			"wallets": rapid.SliceOfN(row, 0, 1100).Draw(t, "wallets"), "nothing": nil, "more": rapid.SliceOfN(row, 1, 3).Draw(t, "more"),
		}
		data, summary := write(t, tables, "wallets", "nothing", "more")
		if summary.Total() != int64(len(tables["wallets"])+len(tables["more"])) || summary.Size != int64(len(data)) || !summary.MadeAt().Equal(now) {
			t.Fatalf("%+v of %d bytes", summary, len(data))
		}
		got, trailer, err := read(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 3 || !reflect.DeepEqual(got["more"], tables["more"]) || len(got["nothing"]) != 0 ||
			len(got["wallets"]) != len(tables["wallets"]) || len(got["wallets"]) > 0 && !reflect.DeepEqual(got["wallets"], tables["wallets"]) {
			t.Fatal("what is read is not what was written")
		}
		if !reflect.DeepEqual(*trailer, summary.Trailer) || !trailer.Books.Equal(&summary.Books) {
			t.Fatalf("ends with %+v, not with %+v", trailer, summary.Trailer)
		}
	})
}

func sample(t bench) []byte {
	t.Helper()
	data, _ := write(t, map[string][][]any{
		"wallets": {{int64(1), "till", []byte{1}}, {int64(2), "बिल", []byte(nil)}}, "more": {{int64(3), strings.Repeat("x", 99), []byte("y")}},
	}, "wallets", "more")
	return data
}

// A reader may pass rows over, and still finds out whether all is whole.
func TestPassOver(t *testing.T) {
	t.Parallel()
	r, err := backup.NewReader(bytes.NewReader(sample(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var names []string
	for {
		table, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, table.Name)
	}
	if fmt.Sprint(names) != "[wallets more]" || r.Trailer() == nil {
		t.Errorf("read %v, %v", names, r.Trailer())
	}
}

// No part of a backup counts as a backup, and none that was changed anywhere.
func TestDamaged(t *testing.T) {
	t.Parallel()
	whole := sample(t)
	refused := func(what string, data []byte) {
		t.Helper()
		if _, trailer, err := read(bytes.NewReader(data)); !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, backup.ErrForeign) && !errors.Is(err, backup.ErrNewer) || trailer != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for n := range whole {
		refused(fmt.Sprintf("cut to %d bytes", n), whole[:n])
		for bit := range 8 {
			changed := bytes.Clone(whole)
			changed[n] ^= 1 << bit
			if got, _, err := read(bytes.NewReader(changed)); err == nil {
				// zstd has bits that mean nothing: what is read must be the same.
				if want, _, _ := read(bytes.NewReader(whole)); !reflect.DeepEqual(got, want) {
					t.Errorf("bit %d of byte %d: taken for whole", bit, n)
				}
			}
		}
	}
	refused("two in one", append(bytes.Clone(whole), whole...))
	refused("more after it", append(bytes.Clone(whole), "more"...))
	refused("a line after it", append(bytes.Clone(whole), '\n'))
}

// pack is what a sequence of items looks like in a file.
func pack(t *testing.T, items ...any) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range items {
		data, err := cbor.Marshal(i)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestRefused(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	header := m{"header": m{"magic": "milaan backup", "format": 1, "schema": 15, "engine": "sqlite", "made_at": 1}}
	table := m{"table": m{"name": "t", "columns": []m{{"name": "id", "kind": "int"}}}}
	for _, tt := range []struct {
		name string
		data []byte
		want error
	}{
		{"nothing", nil, backup.ErrForeign},
		{"text", []byte("PRAGMA foreign_keys=OFF; BEGIN TRANSACTION;"), backup.ErrForeign},
		{"a database", []byte("SQLite format 3\x00"), backup.ErrForeign},
		{"something else in zstd", pack(t, "hello"), backup.ErrForeign},
		{"another header", pack(t, m{"header": m{"magic": "salaam backup", "format": 1}}), backup.ErrForeign},
		{"a later form", pack(t, m{"header": m{"magic": "milaan backup", "format": 2, "new": m{"what": 1}}}, 7), backup.ErrNewer},
		{"a header alone", pack(t, header), backup.ErrDamaged},
		{"rows of no table", pack(t, header, m{"rows": [][]any{{1}}}), backup.ErrDamaged},
		{"a row too long", pack(t, header, table, m{"rows": [][]any{{1, 2}}}), backup.ErrDamaged},
		{"a null", pack(t, header, table, m{"rows": [][]any{{nil}}}), backup.ErrDamaged},
		{"another kind", pack(t, header, table, m{"rows": [][]any{{"1"}}}), backup.ErrDamaged},
		{"a number too big", pack(t, header, table, m{"rows": [][]any{{uint64(1) << 63}}}), backup.ErrDamaged},
		{"no sum", pack(t, header, m{"end": m{"rows": m{}}}), backup.ErrDamaged},
		{"what nobody knows", pack(t, header, m{"indexes": 1}), backup.ErrDamaged},
	} {
		if _, trailer, err := read(bytes.NewReader(tt.data)); !errors.Is(err, tt.want) || trailer != nil {
			t.Errorf("%s gives %v", tt.name, err)
		}
	}
}

// What a column does not hold is not written: it could not be read back.
func TestWrongValues(t *testing.T) {
	t.Parallel()
	for _, row := range [][]any{{nil, "x", []byte{}}, {int64(1), nil, []byte{}}, {int64(1), "x", any(nil)}, {"1", "x", []byte{}}, {int64(1), []byte("x"), []byte{}}, {1.5, "x", []byte{}}} {
		w, err := backup.NewWriter(io.Discard, 15, "sqlite", now)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Table(wallets); err != nil {
			t.Fatal(err)
		}
		if err := w.Row(row); err == nil || !strings.Contains(err.Error(), "wallets.") {
			t.Errorf("%v gives %v", row, err)
		}
		w.Abandon()
	}
}

// full is a disk that takes so many bytes.
type full struct{ room int }

var errFull = errors.New("no space left on device")

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, room := range []int{0, 10, 200} {
		err := func() error {
			w, err := backup.NewWriter(&full{room}, 15, "sqlite", now)
			if err != nil {
				return err
			}
			defer w.Abandon()
			if err := w.Table(wallets); err != nil {
				return err
			}
			for i := range 9999 {
				if err := w.Row([]any{int64(i) * 7919 % 10007, fmt.Sprint(i * i), []byte{byte(i)}}); err != nil {
					return err
				}
			}
			_, err = w.Close(backup.Books{})
			return err
		}()
		if !errors.Is(err, errFull) {
			t.Errorf("room for %d gives %v", room, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(sample(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		tables, trailer, err := read(bytes.NewReader(data))
		if (err == nil) != (trailer != nil) {
			t.Errorf("%v with trailer %v", err, trailer)
		}
		if err == nil {
			for name, rows := range tables {
				if trailer.Rows[name] != int64(len(rows)) {
					t.Errorf("%s has %d rows, not %d", name, len(rows), trailer.Rows[name])
				}
			}
		}
	})
}
