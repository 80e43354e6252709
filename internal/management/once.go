package management

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/apply"
)

func asTooMany(err error) (*access.TooManyError, bool) {
	return errors.AsType[*access.TooManyError](err)
}

func isNoKey(err error) bool { return errors.Is(err, access.ErrNoKey) }

const (
	idempotencyHeader = "Idempotency-Key"
	mostIdempotency   = 255 // characters of an idempotency key
	// maxBody is the most that any call sends: a whole installation.
	maxBody = apply.MaxSize
)

func idempotencyParameter() *huma.Param {
	least, most := 1, mostIdempotency
	return &huma.Param{
		Name: idempotencyHeader, In: "header", Required: true,
		Description: "Any text of your own, such as a UUID. The same call with the same key is carried out once and gives the same answer for 24 hours.",
		Schema:      &huma.Schema{Type: huma.TypeString, MinLength: &least, MaxLength: &most},
	}
}

// once carries an unsafe call out, or gives the answer that the same call was
// given before.
func (d *Door) once(w http.ResponseWriter, r *http.Request, c *call) {
	key := r.Header.Get(idempotencyHeader)
	if key == "" || len(key) > mostIdempotency {
		keyMissing.problem("Send the header Idempotency-Key with a text of your own, of up to %d characters: a call that is sent twice is then done once", mostIdempotency).write(w)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, long := errors.AsType[*http.MaxBytesError](err); long {
			tooLarge.problem("Send at most %d bytes", maxBody).write(w)
			return
		}
		malformed.problem("The request did not arrive whole: send it again").write(w)
		return
	}
	c.body = body
	r.Body = io.NopCloser(bytes.NewReader(body))
	it := access.Call{Owner: c.key.Owner(), Key: key, Request: fingerprint(r, c.key.ID, body)}
	before, err := d.Store.BeginCall(r.Context(), it, d.Now())
	switch {
	case errors.Is(err, access.ErrOtherCall):
		keyReused.problem("Use a new idempotency key for a new call").write(w)
		return
	case errors.Is(err, access.ErrCallRuns):
		callRuns.problem("Wait for its answer, or ask again in a moment").with("Retry-After", "1").write(w)
		return
	case err != nil:
		d.problemOf(c, err).write(w)
		return
	case before != nil:
		maps.Copy(w.Header(), before.Header)
		w.Header().Set("Idempotency-Replayed", "true")
		w.WriteHeader(before.Status)
		_, _ = w.Write(before.Body)
		return
	}
	kept := &keeper{header: make(http.Header), status: http.StatusOK}
	// What was begun is ended, though nobody waits for the answer any more.
	ending := context.WithoutCancel(r.Context())
	done := false
	defer func() {
		if !done { // a panic
			_ = d.Store.EndCall(ending, it, nil)
		}
	}()
	d.mux.ServeHTTP(kept, r)
	var answer *access.Answer
	if kept.status < http.StatusInternalServerError && kept.status != http.StatusTooManyRequests {
		answer = &access.Answer{Status: kept.status, Header: kept.header, Body: kept.Bytes()}
	}
	done = true
	if err := d.Store.EndCall(ending, it, answer); err != nil {
		// It was done: the caller is told so, and asking again finds out.
		d.Log.LogAttrs(r.Context(), slog.LevelError, "an answer was not kept", append(c.who(), slog.Any("error", err))...)
	}
	maps.Copy(w.Header(), kept.header)
	w.WriteHeader(kept.status)
	_, _ = w.Write(kept.Bytes())
}

// fingerprint is a hash of everything that a request asks.
func fingerprint(r *http.Request, key int64, body []byte) [sha256.Size]byte {
	h := sha256.New()
	text := func(p []byte) {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		_, _ = h.Write(p) // a hash never fails
	}
	text(binary.BigEndian.AppendUint64(nil, uint64(key))) //nolint:gosec // the bits
	for _, part := range []string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("If-Match"), r.Header.Get("Content-Type")} {
		text([]byte(part))
	}
	text(body)
	return [sha256.Size]byte(h.Sum(nil))
}

// keeper keeps an answer until it is known to be kept.
type keeper struct {
	bytes.Buffer
	header  http.Header
	status  int
	started bool
}

// Header is that of the answer.
func (k *keeper) Header() http.Header { return k.header }

// WriteHeader keeps the status.
func (k *keeper) WriteHeader(status int) {
	if !k.started {
		k.status, k.started = status, true
	}
}

// Write keeps a part of the body.
func (k *keeper) Write(p []byte) (int, error) {
	k.started = true
	return k.Buffer.Write(p)
}
