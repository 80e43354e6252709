package access_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/directory"
)

var start = time.Date(2026, time.March, 14, 9, 30, 0, 0, time.UTC)

func TestNew(t *testing.T) {
	t.Parallel()
	key, token, err := access.New(" ops ", "", []string{"keys:write", "deposits:read", "keys:write"}, start, time.Hour)
	if err != nil || key.Name != "ops" || len(key.Scopes) != 2 || key.Owner() != access.Operator || !key.ExpiresAt.Equal(start.Add(time.Hour)) {
		t.Errorf("the key is %+v, %v", key, err)
	}
	if text := token.Reveal(); !strings.HasPrefix(text, "mln_") || len(text) != len("mln_")+43 {
		t.Errorf("the token is %d characters long", len(text))
	}
	if _, other, _ := access.New("ops", "", []string{"keys:write"}, start, time.Hour); other == token {
		t.Error("two keys have one token")
	}
	if printed := fmt.Sprintf("%v %+v %#v", token, token, token); strings.Contains(printed, "mln_") {
		t.Error("printing a token shows it")
	}
	for name, tt := range map[string]struct {
		name, merchant string
		scopes         []string
		lifetime       time.Duration
	}{
		"no name":             {" ", "", []string{"keys:write"}, time.Hour},
		"two lines":           {"a\nb", "", []string{"keys:write"}, time.Hour},
		"long name":           {strings.Repeat("ü", 65), "", []string{"keys:write"}, time.Hour},
		"no scope":            {"a", "", nil, time.Hour},
		"unknown scope":       {"a", "", []string{"all"}, time.Hour},
		"the operator's":      {"a", "shop", []string{"deposits:read", "reviews:write"}, time.Hour},
		"ended":               {"a", "", []string{"keys:write"}, 0},
		"as good as for ever": {"a", "", []string{"keys:write"}, access.MaxLifetime + 1},
	} {
		if key, token, err := access.New(tt.name, tt.merchant, tt.scopes, start, tt.lifetime); err == nil || token != "" {
			t.Errorf("%s: made %+v", name, key)
		}
	}
}

// others are the methods that no test here needs.
type others interface{ access.Keys }

// keys is a double of the store that counts what it is asked.
type keys struct {
	others
	mu          sync.Mutex
	byHash      map[access.Hash]access.Key
	finds, uses int
	err         error
}

func (k *keys) FindKey(_ context.Context, hash access.Hash) (access.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.finds++
	if k.err != nil {
		return access.Key{}, k.err
	}
	key, ok := k.byHash[hash]
	if !ok {
		return key, access.ErrNoKey
	}
	return key, nil
}

func (k *keys) KeyUsed(_ context.Context, id int64, now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.uses++
	for hash, key := range k.byHash {
		if key.ID == id {
			key.UsedAt = now
			k.byHash[hash] = key
		}
	}
	return nil
}

func (k *keys) add(id int64, token directory.Secret, key access.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key.ID = id
	k.byHash[access.HashOf(token)] = key
}

func TestRing(t *testing.T) {
	t.Parallel()
	now := start
	store := &keys{byHash: make(map[access.Hash]access.Key)}
	ring := access.NewRing(store, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	key, token, err := access.New("a", "shop", []string{"deposits:read"}, start, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	store.add(7, token, key)
	from := netip.MustParseAddr("192.0.2.1")
	find := func(want error) {
		t.Helper()
		got, err := ring.Find(t.Context(), token, from)
		if !errors.Is(err, want) || (want == nil) != (got.ID == 7) {
			t.Errorf("found %+v, %v, want %v", got, err, want)
		}
	}
	for range 5 {
		find(nil)
	}
	if store.finds != 1 || store.uses != 1 {
		t.Errorf("the store was asked %d times, told %d times", store.finds, store.uses)
	}
	now = now.Add(9 * time.Minute)
	find(nil)
	if store.finds != 2 || store.uses != 1 {
		t.Errorf("later, the store was asked %d times, told %d times", store.finds, store.uses)
	}
	// What was revoked is believed for some seconds at most, and not once it is forgotten.
	revoked := key
	revoked.RevokedAt = now
	store.add(7, token, revoked)
	find(nil)
	now = now.Add(5 * time.Second)
	find(access.ErrNoKey)
	store.add(7, token, key)
	find(nil)
	store.add(7, token, revoked)
	ring.Forget()
	find(access.ErrNoKey)
	store.add(7, token, key)
	find(nil)
	now = start.Add(time.Hour) // its end counts though it is remembered
	find(access.ErrNoKey)
	store.err = errors.New("the database is away")
	if _, err := ring.Find(t.Context(), "mln_other", from); !errors.Is(err, store.err) {
		t.Errorf("a fault gives %v", err)
	}
}

func TestGuessesOfOneLineCountTogether(t *testing.T) {
	t.Parallel()
	now := start
	store := &keys{byHash: make(map[access.Hash]access.Key)}
	ring := access.NewRing(store, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	guess := func(i int, from string) error {
		_, err := ring.Find(t.Context(), directory.Secret(fmt.Sprint("mln_", i)), netip.MustParseAddr(from))
		return err
	}
	for i := range 20 {
		if err := guess(i, fmt.Sprintf("2001:db8::%x", i+1)); !errors.Is(err, access.ErrNoKey) {
			t.Fatalf("guess %d gives %v", i, err)
		}
	}
	asked := store.finds
	var many *access.TooManyError
	if err := guess(21, "2001:db8::ffff"); !errors.As(err, &many) || many.Wait <= 0 || store.finds != asked {
		t.Errorf("one more gives %v", err)
	}
	for _, elsewhere := range []string{"2001:db8:0:1::1", "192.0.2.1"} {
		if err := guess(22, elsewhere); !errors.Is(err, access.ErrNoKey) {
			t.Errorf("from %s it gives %v", elsewhere, err)
		}
	}
	// A token that can be none is not even looked up.
	asked = store.finds
	if _, err := ring.Find(t.Context(), "plugin-secret", netip.MustParseAddr("192.0.2.9")); !errors.Is(err, access.ErrNoKey) || store.finds != asked {
		t.Errorf("another secret gives %v", err)
	}
}
