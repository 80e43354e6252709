package management

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/money"

	"time"
)

// A cursor says where the next page begins: a place, on an account the balance
// there, and a sum of the query that it belongs to. It opens nothing by itself:
// whose records are listed is the key's to say.
const cursorSize = 4 * 8

// list names a query: its kind and all its filters.
func list(parts ...any) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return sum[:8]
}

func cursor(of []byte, at *lookup.Place, balance money.Paise) string {
	if at == nil {
		return ""
	}
	var micros int64
	if !at.At.IsZero() {
		micros = at.At.UnixMicro()
	}
	b := make([]byte, 0, cursorSize)
	for _, n := range []int64{micros, at.ID, int64(balance)} {
		b = binary.BigEndian.AppendUint64(b, uint64(n)) //nolint:gosec // the bits
	}
	return base64.RawURLEncoding.EncodeToString(append(b, of...))
}

// readCursor reads what cursor wrote for the same query; an empty text is no place.
func readCursor(text string, of []byte) (*lookup.Place, money.Paise, error) {
	if text == "" {
		return nil, 0, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != cursorSize || string(b[24:]) != string(of) {
		return nil, 0, invalid.problem("Begin again without the cursor").in("query.after", "is no cursor of this list with these filters")
	}
	number := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[8*i:])) } //nolint:gosec // the bits
	place := &lookup.Place{ID: number(1)}
	if micros := number(0); micros != 0 {
		place.At = time.UnixMicro(micros).UTC()
	}
	return place, money.Paise(number(2)), nil
}
