package audit_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/audit"
)

func entries(t *rapid.T) []audit.Entry {
	text := rapid.StringN(0, 8, -1)
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) audit.Entry {
		return audit.Entry{
			At:    time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "at")).UTC(),
			Actor: text.Draw(t, "actor"), Action: text.Draw(t, "action"), Why: text.Draw(t, "why"),
			Subject: rapid.Int64().Draw(t, "subject"),
		}
	}), 2, 10).Draw(t, "entries")
}

// walk reports whether the chain holds from its beginning to a head.
func walk(list []audit.Entry, wantSeq int64, want [sha256.Size]byte) error {
	var seq int64
	var head [sha256.Size]byte
	for _, e := range list {
		if e.Seq != seq+1 || !audit.Verify(head, e) {
			return fmt.Errorf("entry %d does not follow", e.Seq)
		}
		seq, head = e.Seq, e.Hash
	}
	if seq != wantSeq || head != want {
		return fmt.Errorf("it ends at %d, not %d", seq, wantSeq)
	}
	return nil
}

// However a log is cut into batches it is the same log, and any change shows.
func TestChain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := entries(t)
		whole := slices.Clone(list)
		seq, head := audit.Chain(0, [sha256.Size]byte{}, whole)
		if err := walk(whole, seq, head); err != nil || seq != int64(len(list)) {
			t.Fatalf("the chain of %d ends at %d: %v", len(list), seq, err)
		}
		cut := rapid.IntRange(0, len(list)).Draw(t, "cut")
		parts := slices.Clone(list)
		s, h := audit.Chain(0, [sha256.Size]byte{}, parts[:cut])
		s, h = audit.Chain(s, h, parts[cut:])
		if s != seq || h != head || !slices.Equal(parts, whole) {
			t.Fatalf("in two batches it is another log")
		}

		i := rapid.IntRange(0, len(list)-1).Draw(t, "entry")
		for name, damage := range map[string]func([]audit.Entry) []audit.Entry{
			"at":      func(l []audit.Entry) []audit.Entry { l[i].At = l[i].At.Add(time.Microsecond); return l },
			"actor":   func(l []audit.Entry) []audit.Entry { l[i].Actor += "x"; return l },
			"action":  func(l []audit.Entry) []audit.Entry { l[i].Action += "x"; return l },
			"why":     func(l []audit.Entry) []audit.Entry { l[i].Why += "x"; return l },
			"subject": func(l []audit.Entry) []audit.Entry { l[i].Subject++; return l },
			"hash":    func(l []audit.Entry) []audit.Entry { l[i].Hash[7]++; return l },
			"gone":    func(l []audit.Entry) []audit.Entry { return slices.Delete(l, i, i+1) },
			"twice":   func(l []audit.Entry) []audit.Entry { return slices.Insert(l, i, l[i]) },
			"swapped": func(l []audit.Entry) []audit.Entry { j := (i + 1) % len(l); l[i], l[j] = l[j], l[i]; return l },
			// A letter that moves from one field to the next is no other spelling of the same.
			"moved": func(l []audit.Entry) []audit.Entry {
				l[i].Actor, l[i].Action = l[i].Actor+"x"+l[i].Action, ""
				return l
			},
		} {
			if walk(damage(slices.Clone(whole)), seq, head) == nil {
				t.Fatalf("damage unseen: %s of entry %d", name, i+1)
			}
		}
	})
}
