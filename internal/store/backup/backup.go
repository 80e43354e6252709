// Package backup is the form of a backup: every table of a database as it was
// at one moment, in words that no engine owns, so that what one engine wrote
// another reads. It knows streams and rows; SQL is with the engines.
//
// A backup is a sequence of CBOR items (RFC 8742), compressed with zstd: first
// the Header, then each table's description and its rows in groups, at the end
// the Trailer with what the whole must add up to and the SHA-256 of everything
// before it.
package backup

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"

	"github.com/milaan/milaan/money"
)

// Format is the version of the form that this package writes. It reads no later
// one.
const Format = 1

// magic tells a backup from other files of zstd and CBOR.
const magic = "milaan backup"

// Header begins a backup.
type Header struct {
	Magic  string `cbor:"magic"`
	Format int    `cbor:"format"`
	// Schema is the version of the database's schema: of the last migration.
	Schema int64 `cbor:"schema"`
	// Engine is what it was read from: sqlite or postgres.
	Engine string `cbor:"engine"`
	// Micros is when, in microseconds since 1970 UTC, see MadeAt.
	Micros int64 `cbor:"made_at"`
}

// MadeAt is when the backup was begun, in UTC.
func (h Header) MadeAt() time.Time { return time.UnixMicro(h.Micros).UTC() }

// Kind is what a column holds.
type Kind string

// The kinds of columns.
const (
	Int   Kind = "int"
	Text  Kind = "text"
	Bytes Kind = "bytes"
)

// Column is a column of a table.
type Column struct {
	Name string `cbor:"name"`
	Kind Kind   `cbor:"kind"`
}

// Table is a table: its rows follow it, with a value for each column. A value is
// an int64, a string or a []byte; there are no nulls.
type Table struct {
	Name    string   `cbor:"name"`
	Columns []Column `cbor:"columns"`
}

// Books are what a copy is compared by: the ledger's totals, and the end of the
// audit log's chain, which stands for all of it.
type Books struct {
	Postings  int64       `cbor:"postings"`
	Held      money.Paise `cbor:"held"`      // on wallets
	Unclaimed money.Paise `cbor:"unclaimed"` // in suspense
	Owed      money.Paise `cbor:"owed"`      // to merchants
	OnHold    money.Paise `cbor:"on_hold"`   // by withdrawals
	Fees      money.Paise `cbor:"fees"`
	Outflow   money.Paise `cbor:"outflow"`
	Income    money.Paise `cbor:"income"`
	AuditSeq  int64       `cbor:"audit_seq"`
	AuditHash []byte      `cbor:"audit_hash"`
}

// Equal reports whether two copies have the same books.
func (b *Books) Equal(other *Books) bool {
	return bytes.Equal(b.AuditHash, other.AuditHash) &&
		b.Postings == other.Postings && b.Held == other.Held && b.Unclaimed == other.Unclaimed && b.Owed == other.Owed &&
		b.OnHold == other.OnHold && b.Fees == other.Fees && b.Outflow == other.Outflow && b.Income == other.Income && b.AuditSeq == other.AuditSeq
}

// Trailer ends a backup.
type Trailer struct {
	Rows   map[string]int64 `cbor:"rows"` // by table
	Books  Books            `cbor:"books"`
	SHA256 []byte           `cbor:"sha256"`
}

// Summary is a whole backup in a few figures.
type Summary struct {
	Header
	Trailer
	// Size is how many bytes it has, compressed.
	Size int64
}

// Total is how many rows it has.
func (s *Summary) Total() (rows int64) {
	for _, n := range s.Rows {
		rows += n
	}
	return rows
}

var (
	// ErrForeign means that what was read is no backup.
	ErrForeign = errors.New("this is no backup that milaan made")
	// ErrDamaged means that a backup is cut short or was changed.
	ErrDamaged = errors.New("the backup is damaged: it is cut short, or was changed: take another one")
	// ErrNewer means that only a later milaan reads it.
	ErrNewer = errors.New("the backup was made by a newer milaan: restore it with that version or a later one")
)

// item is one of what a backup is a sequence of.
type item struct {
	Header *Header  `cbor:"header,omitempty"`
	Table  *Table   `cbor:"table,omitempty"`
	Rows   [][]any  `cbor:"rows,omitempty"`
	End    *Trailer `cbor:"end,omitempty"`
}

// Rows are put in groups: so many, or of so many bytes of text.
const (
	groupRows  = 512
	groupBytes = 1 << 20
)

// Writer writes a backup.
type Writer struct {
	zip     *zstd.Encoder
	sum     hash.Hash
	out     counter
	summary Summary
	table   *Table
	group   [][]any
	bytes   int
}

type counter struct {
	io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n += int64(n)
	return n, err
}

// NewWriter begins a backup.
func NewWriter(to io.Writer, schema int64, engine string, now time.Time) (*Writer, error) {
	w := &Writer{sum: sha256.New(), out: counter{Writer: to}}
	w.summary.Header = Header{Magic: magic, Format: Format, Schema: schema, Engine: engine, Micros: now.UnixMicro()}
	w.summary.Rows = make(map[string]int64)
	var err error
	// One goroutine beside the caller's: a gateway has other work to do.
	if w.zip, err = zstd.NewWriter(&w.out, zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(1<<20)); err != nil {
		return nil, err
	}
	if err := w.put(item{Header: &w.summary.Header}); err != nil {
		return nil, err
	}
	// A block of its own: a reader knows what it has before it reads the rest.
	return w, w.zip.Flush()
}

// encoding writes no bytes as no bytes, not as a null.
var encoding = func() cbor.EncMode {
	mode, err := cbor.EncOptions{NilContainers: cbor.NilContainerAsEmpty}.EncMode()
	if err != nil {
		panic(err) // the options are constants, and valid
	}
	return mode
}()

func (w *Writer) put(i item) error {
	encoded, err := encoding.Marshal(i)
	if err != nil {
		return err
	}
	_, _ = w.sum.Write(encoded) // a hash never fails
	_, err = w.zip.Write(encoded)
	return err
}

// Table begins a table.
func (w *Writer) Table(t Table) error {
	if err := w.flush(); err != nil {
		return err
	}
	w.table = &t
	w.summary.Rows[t.Name] = 0
	return w.put(item{Table: &t})
}

// Row writes a row of the table that was begun last. It keeps the values until a
// group is full.
func (w *Writer) Row(values []any) error {
	for i, v := range values {
		ok := false
		switch v := v.(type) {
		case int64:
			ok = w.table.Columns[i].Kind == Int
		case string:
			ok = w.table.Columns[i].Kind == Text
			w.bytes += len(v)
		case []byte:
			ok = w.table.Columns[i].Kind == Bytes
			w.bytes += len(v)
		}
		if !ok {
			return fmt.Errorf("%s.%s holds a %T", w.table.Name, w.table.Columns[i].Name, v)
		}
	}
	w.group = append(w.group, values)
	w.summary.Rows[w.table.Name]++
	if len(w.group) >= groupRows || w.bytes >= groupBytes {
		return w.flush()
	}
	return nil
}

func (w *Writer) flush() error {
	if len(w.group) == 0 {
		return nil
	}
	err := w.put(item{Rows: w.group})
	clear(w.group)
	w.group, w.bytes = w.group[:0], 0
	return err
}

// Close ends the backup with what it must add up to. Without it a backup is no
// whole one.
func (w *Writer) Close(books Books) (Summary, error) {
	if err := w.flush(); err != nil {
		return Summary{}, err
	}
	w.summary.Books = books
	w.summary.SHA256 = w.sum.Sum(nil)
	if err := w.put(item{End: &w.summary.Trailer}); err != nil {
		return Summary{}, err
	}
	err := w.zip.Close()
	w.summary.Size = w.out.n
	return w.summary, err
}

// Abandon releases what a backup that is not closed took.
func (w *Writer) Abandon() { w.zip.Reset(nil) }

// Reader reads a backup from its beginning to its end.
type Reader struct {
	Header Header
	zip    *zstd.Decoder
	items  *cbor.Decoder
	mode   cbor.DecMode
	sum    hash.Hash
	table  *Table
	rows   map[string]int64
	end    *Trailer
	ahead  *item // read, but not handed out yet
	group  [][]any
}

// readerMemory is what a damaged backup may make zstd ask for at most.
const readerMemory = 64 << 20

// NewReader reads a backup's header. Errors are ErrForeign, ErrNewer, ErrDamaged
// or those of from. The caller closes the reader.
func NewReader(from io.Reader) (*Reader, error) {
	// Text is taken as it is: a copy that can't be read back would be none.
	mode, err := cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid, IntDec: cbor.IntDecConvertSignedOrFail, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField}.DecMode()
	if err != nil {
		return nil, err
	}
	r := &Reader{sum: sha256.New(), mode: mode, rows: make(map[string]int64)}
	if r.zip, err = zstd.NewReader(from, zstd.WithDecoderMaxMemory(readerMemory), zstd.WithDecoderConcurrency(2)); err != nil {
		return nil, err
	}
	r.items = mode.NewDecoder(r.zip)
	if err := r.begin(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) begin() error {
	// What follows may be of a later form: only the header's own names are read.
	var first struct {
		Header *Header `cbor:"header"`
	}
	raw, err := r.raw()
	if errors.Is(err, ErrDamaged) {
		return ErrForeign
	}
	if err != nil {
		return err
	}
	if err := cbor.Unmarshal(raw, &first); err != nil || first.Header == nil || first.Header.Magic != magic {
		return ErrForeign
	}
	_, _ = r.sum.Write(raw)
	r.Header = *first.Header
	if r.Header.Format > Format {
		return ErrNewer
	}
	return nil
}

// raw reads an item as it is.
func (r *Reader) raw() (raw cbor.RawMessage, err error) {
	if err := r.items.Decode(&raw); err != nil {
		// Not with %w: an io.EOF would say that all was read.
		return nil, fmt.Errorf("%w (%v)", ErrDamaged, err) //nolint:errorlint // on purpose, see above
	}
	return raw, nil
}

// next reads an item, the end included.
func (r *Reader) next() (*item, error) {
	if r.ahead != nil {
		i := r.ahead
		r.ahead = nil
		return i, nil
	}
	raw, err := r.raw()
	if err != nil {
		return nil, err
	}
	var i item
	if err := r.mode.Unmarshal(raw, &i); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	if i.End == nil {
		_, _ = r.sum.Write(raw)
	}
	return &i, nil
}

// Next goes on to the next table; io.EOF after the last, when everything was found
// whole. Rows of the table before that were not read are passed over.
func (r *Reader) Next() (*Table, error) {
	r.group = nil
	for {
		i, err := r.next()
		switch {
		case err != nil:
			return nil, err
		case i.Table != nil:
			r.table = i.Table
			r.rows[i.Table.Name] += 0
			return r.table, nil
		case i.End != nil:
			return nil, r.finish(i.End)
		case r.table == nil || len(i.Rows) == 0:
			return nil, ErrDamaged
		}
		r.rows[r.table.Name] += int64(len(i.Rows))
	}
}

// Row gives the next row of the table; nil after its last.
func (r *Reader) Row() ([]any, error) {
	for len(r.group) == 0 {
		i, err := r.next()
		if err != nil {
			return nil, err
		}
		if i.Rows == nil {
			r.ahead = i
			return nil, nil
		}
		r.group = i.Rows
		r.rows[r.table.Name] += int64(len(i.Rows))
	}
	row := r.group[0]
	r.group = r.group[1:]
	return row, r.check(row)
}

// check makes sure that a row is one of the table.
func (r *Reader) check(row []any) error {
	if len(row) != len(r.table.Columns) {
		return ErrDamaged
	}
	for i, v := range row {
		ok := false
		switch v.(type) {
		case int64:
			ok = r.table.Columns[i].Kind == Int
		case string:
			ok = r.table.Columns[i].Kind == Text
		case []byte:
			ok = r.table.Columns[i].Kind == Bytes
		}
		if !ok {
			return ErrDamaged
		}
	}
	return nil
}

// finish compares the end with what was read, and makes sure that nothing follows.
func (r *Reader) finish(end *Trailer) error {
	if !bytes.Equal(end.SHA256, r.sum.Sum(nil)) || len(end.Rows) != len(r.rows) {
		return ErrDamaged
	}
	for table, n := range end.Rows {
		if got, ok := r.rows[table]; !ok || got != n {
			return ErrDamaged
		}
	}
	// The last bytes are zstd's own checksum: they are read here.
	var more cbor.RawMessage
	if err := r.items.Decode(&more); !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrDamaged
	}
	r.end = end
	return io.EOF
}

// Trailer is the end of a backup of which everything was read; before that nil.
func (r *Reader) Trailer() *Trailer { return r.end }

// Close releases what the reader took.
func (r *Reader) Close() { r.zip.Close() }
