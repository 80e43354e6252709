// Package audit is the append-only, hash-chained record of every change of
// state: who did what to which claim, credit or setting, when and why.
package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Entry is one change of state. Hash covers the entry and the hash before it,
// so that no entry can be changed, removed or slipped in unseen.
type Entry struct {
	Seq     int64 // from 1, without gaps
	At      time.Time
	Actor   string // "api:shop", "feed:bank1", "operator:asha", "system"
	Action  string // "claim.credited", "credit.received", …
	Subject int64  // id of the claim, credit or deposit; 0 for the directory
	Why     string // codes and ids, never secrets or full payer identities
	Hash    [sha256.Size]byte
}

// Chain numbers and hashes the entries on top of a head.
func Chain(seq int64, head [sha256.Size]byte, entries []Entry) (int64, [sha256.Size]byte) {
	var buf []byte
	for i := range entries {
		e := &entries[i]
		seq++
		e.Seq = seq
		buf, head = sum(buf[:0], head, e)
		e.Hash = head
	}
	return seq, head
}

// Verify reports whether e follows the head.
func Verify(head [sha256.Size]byte, e Entry) bool {
	_, want := sum(nil, head, &e)
	return want == e.Hash
}

// sum hashes length-prefixed fields, so that no two entries share a preimage.
func sum(buf []byte, head [sha256.Size]byte, e *Entry) ([]byte, [sha256.Size]byte) {
	buf = append(buf, head[:]...)
	buf = binary.BigEndian.AppendUint64(buf, uint64(e.Seq)) //nolint:gosec // the bits, not the number
	buf = binary.BigEndian.AppendUint64(buf, uint64(e.At.UnixMicro()))
	buf = binary.BigEndian.AppendUint64(buf, uint64(e.Subject)) //nolint:gosec // the bits
	for _, s := range []string{e.Actor, e.Action, e.Why} {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(s))) //nolint:gosec // texts of an entry are short
		buf = append(buf, s...)
	}
	return buf, sha256.Sum256(buf)
}
