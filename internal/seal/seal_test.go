package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/seal"
)

func key(t interface {
	Helper()
	Fatal(args ...any)
}, text string) seal.Key {
	t.Helper()
	k, err := seal.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const passphrase = "a passphrase that is long enough to be one"

func TestSealProperties(t *testing.T) {
	t.Parallel()
	k, other := key(t, passphrase), key(t, passphrase+"!")
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		place := rapid.String().Draw(t, "place")
		sealed := k.Seal(plain, place)
		if len(plain) > 7 && bytes.Contains(sealed, plain) {
			t.Fatal("the value shows")
		}
		if bytes.Equal(sealed, k.Seal(plain, place)) {
			t.Fatal("two seals of one value are equal")
		}
		if opened, err := k.Open(sealed, place); err != nil || !bytes.Equal(opened, plain) {
			t.Fatalf("opened as %q, %v", opened, err)
		}
		bent := bytes.Clone(sealed)
		bent[rapid.IntRange(0, len(bent)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		for name, open := range map[string]func() ([]byte, error){
			"another key":   func() ([]byte, error) { return other.Open(sealed, place) },
			"another place": func() ([]byte, error) { return k.Open(sealed, place+"x") },
			"a bent bit":    func() ([]byte, error) { return k.Open(bent, place) },
			"cut short":     func() ([]byte, error) { return k.Open(sealed[:len(sealed)-1], place) },
			"nothing":       func() ([]byte, error) { return k.Open(nil, place) },
		} {
			if opened, err := open(); !errors.Is(err, seal.ErrOpen) || opened != nil {
				t.Fatalf("%s opened it: %q, %v", name, opened, err)
			}
		}
	})
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	raw := bytes.Repeat([]byte{7}, seal.KeySize)
	direct, err := seal.NewKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	sealed := direct.Seal([]byte("x"), "p")
	if _, err := key(t, " "+base64.StdEncoding.EncodeToString(raw)+"\n").Open(sealed, "p"); err != nil {
		t.Errorf("the same key in base64 does not open: %v", err)
	}
	for _, text := range []string{"", "short", strings.Repeat("x", seal.KeySize-1)} {
		if _, err := seal.ParseKey(text); err == nil || strings.Contains(err.Error(), "short\"") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, size := range []int{0, 16, 24, 31, 33} {
		if _, err := seal.NewKey(make([]byte, size)); err == nil {
			t.Errorf("a key of %d bytes was taken", size)
		}
	}
}

// Processes that start together end up with one key.
func TestLoadKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "milaan.key")
	keys := make([]seal.Key, 16)
	var group sync.WaitGroup
	for i := range keys {
		group.Go(func() {
			var err error
			if keys[i], _, err = seal.LoadKey(path); err != nil {
				t.Errorf("load: %v", err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	sealed := keys[0].Seal([]byte("x"), "p")
	for i, k := range keys {
		if _, err := k.Open(sealed, "p"); err != nil {
			t.Errorf("process %d went on with a key of its own", i)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file can be read by others: %v, %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}

	if err := os.WriteFile(path, []byte("spoilt"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := seal.LoadKey(path); err == nil {
		t.Error("a spoilt key file was taken")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "spoilt" {
		t.Errorf("a spoilt key file was replaced by %q: what it sealed would be lost", text)
	}
	if _, _, err := seal.LoadKey(filepath.Join(t.TempDir(), "nowhere", "milaan.key")); err == nil {
		t.Error("a key was kept nowhere")
	}
}
