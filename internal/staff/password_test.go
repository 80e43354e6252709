package staff

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

var cheap = Cost{Memory: 64, Time: 1, Threads: 1}

// norms is a password as it is hashed.
func norms(s string) string { return norm.NFKC.String(s) }

func TestHashProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		password := rapid.StringN(0, 40, -1).Draw(t, "password")
		other := rapid.StringN(0, 40, -1).Filter(func(s string) bool { return norms(s) != norms(password) }).Draw(t, "other")
		cost := Cost{Memory: rapid.Uint32Range(8, 128).Draw(t, "memory"), Time: rapid.Uint32Range(1, 3).Draw(t, "time"), Threads: 1}
		hash := cost.hash(password)
		if again := cost.hash(password); again == hash {
			t.Fatal("two hashes of one password are equal: there is no salt")
		}
		if made, ok := matches(hash, password); !ok || made != cost {
			t.Fatalf("%s is made with %+v, of the password: %v", hash, made, ok)
		}
		if _, ok := matches(hash, other); ok {
			t.Fatalf("%q has the hash of %q", other, password)
		}
	})
}

func TestMatches(t *testing.T) {
	t.Parallel()
	if _, ok := matches(cheap.hash("é full width Ａ"), "e\u0301 full width A"); !ok {
		t.Error("another keyboard writes another password")
	}
	good := cheap.hash("password")
	for name, hash := range map[string]string{
		"nothing":      "",
		"plain":        "password",
		"another kind": strings.Replace(good, "argon2id", "argon2i", 1),
		"no cost":      strings.Replace(good, "m=64,t=1,p=1", "m=64", 1),
		"no passes":    strings.Replace(good, "t=1", "t=0", 1),
		"no threads":   strings.Replace(good, "p=1", "p=0", 1),
		"all memory":   strings.Replace(good, "m=64", "m=4294967295", 1),
		"another salt": strings.Replace(good, "p=1$", "p=1$AA", 1),
		"cut short":    good[:len(good)-4],
		"short hash":   good[:strings.LastIndex(good, "$")+1] + "AAAA",
		"empty hash":   good[:strings.LastIndex(good, "$")+1],
		"another cost": strings.Replace(good, "t=1", "t=2", 1),
		"another time": strings.Replace(good, "v=19", "v=16", 1),
	} {
		if _, ok := matches(hash, "password"); ok {
			t.Errorf("%s matches: %s", name, hash)
		}
	}
}

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	for password, want := range map[string]error{
		"":                          ErrShortPassword,
		"elevenchars":               ErrShortPassword,
		"पासवर्ड है":                ErrShortPassword,
		strings.Repeat("long ", 60): ErrLongPassword,
		"Password1234":              ErrCommonPassword,
		"PASSWORD-2026":             ErrCommonPassword,
		"password password":         ErrCommonPassword,
		"qwertyuiop123":             ErrCommonPassword,
		"123456789012":              ErrCommonPassword,
		"aaaaaaaaaaaaaa":            ErrCommonPassword,
		"abababababab":              ErrCommonPassword,
		"milaan.2026!!":             ErrCommonPassword,
		"asha.kumari@example.com":   ErrCommonPassword,
		"asha.kumari12":             ErrCommonPassword,
		"seven tall trees":          nil,
		"mera naam asha hai":        nil,
		"मेरा पासवर्ड लंबा है": nil,
		"k3Jd9_xQ-0aZ":                   nil,
		"my password has a longer story": nil,
	} {
		if got := CheckPassword(password, "asha.kumari@example.com"); !errors.Is(got, want) || (got == nil) != (want == nil) {
			t.Errorf("%q: %v, want %v", password, got, want)
		}
	}
}

// TestHashingIsBounded: a flood of passwords takes no more memory than a few,
// and who comes too late is told so.
func TestHashingIsBounded(t *testing.T) {
	t.Parallel()
	h := newHashing()
	release := make(chan struct{})
	started := make(chan struct{}, mostHashing)
	var group sync.WaitGroup
	for range mostHashing {
		group.Go(func() {
			if err := h.do(t.Context(), func() { started <- struct{}{}; <-release }); err != nil {
				t.Error(err)
			}
		})
	}
	for range mostHashing {
		<-started
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, mostWaiting+1)
	for range mostWaiting + 1 {
		group.Go(func() { waiting <- h.do(ctx, func() { t.Error("a third is worked on") }) })
	}
	var slow *WaitError
	if err := <-waiting; !errors.As(err, &slow) { // one too many; the others wait
		t.Errorf("one too many is answered %v", err)
	}
	cancel()
	for range mostWaiting {
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Errorf("one that went away is answered %v", err)
		}
	}
	close(release)
	group.Wait()
	if err := h.do(t.Context(), func() {}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func BenchmarkHash(b *testing.B) {
	for b.Loop() {
		DefaultCost().hash("seven tall trees in a row")
	}
}
