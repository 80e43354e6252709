package staff

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed" // the list of common passwords
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// Cost is what one guess at a password costs, whoever makes it.
type Cost struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// DefaultCost is twice what OWASP asks for (Password Storage Cheat Sheet:
// argon2id with 19 MiB and two passes, or more).
func DefaultCost() Cost { return Cost{Memory: 40 << 10, Time: 2, Threads: 1} }

const (
	saltSize = 16
	hashSize = 32
)

var base64Raw = base64.RawStdEncoding

// hash gives the PHC string of a password: $argon2id$v=19$m=…,t=…,p=…$salt$hash.
func (c Cost) hash(password string) string {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails, see crypto/rand
	sum := argon2.IDKey([]byte(norm.NFKC.String(password)), salt, c.Time, c.Memory, c.Threads, hashSize)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.Memory, c.Time, c.Threads,
		base64Raw.EncodeToString(salt), base64Raw.EncodeToString(sum))
}

// mostMemory bounds what a damaged hash can ask of the machine, in KiB.
const mostMemory = 1 << 20

// matches reports whether a hash is of that password, and which cost it was
// made with. A hash that can't be read is of none.
func matches(hash, password string) (made Cost, ok bool) {
	parts := strings.Split(hash, "$")
	const fields = 6
	if len(parts) != fields || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return made, false
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &made.Memory, &made.Time, &made.Threads); err != nil {
		return made, false
	}
	salt, saltErr := base64Raw.DecodeString(parts[4])
	want, wantErr := base64Raw.DecodeString(parts[5])
	if errors.Join(saltErr, wantErr) != nil || len(want) != hashSize || made.Memory > mostMemory || made.Time < 1 || made.Threads < 1 {
		return made, false
	}
	got := argon2.IDKey([]byte(norm.NFKC.String(password)), salt, made.Time, made.Memory, made.Threads, hashSize)
	return made, subtle.ConstantTimeCompare(got, want) == 1
}

// Bounds of a password's length, in characters.
const (
	LeastPassword = 12
	mostPassword  = 256
)

//go:embed common.txt
var commonText string

// Errors of a new password.
var (
	ErrShortPassword  = fmt.Errorf("a password has at least %d characters", LeastPassword)
	ErrLongPassword   = fmt.Errorf("a password has at most %d characters", mostPassword)
	ErrCommonPassword = errors.New("that password is among the first that are guessed: take another")
)

// CheckPassword reports what is wrong with a new password of a user, or nil
// (NIST SP 800-63B, 3.1.1.2: a length, and none that is commonly guessed).
func CheckPassword(password, email string) error {
	text := norm.NFKC.String(password)
	switch n := len([]rune(text)); {
	case n < LeastPassword:
		return ErrShortPassword
	case n > mostPassword:
		return ErrLongPassword
	}
	// What is common stays so with other capitals, and said twice.
	text = strings.ToLower(text)
	local, _, _ := strings.Cut(email, "@")
	common := strings.Fields(commonText)
	for _, word := range append([]string{email, local}, common...) {
		if word != "" && (text == word || strings.Trim(strings.ReplaceAll(text, word, ""), "0123456789!@#.-_ ") == "" && strings.Contains(text, word)) {
			return ErrCommonPassword
		}
	}
	if kinds := slices.Compact(slices.Sorted(slices.Values([]rune(text)))); len(kinds) < 4 { // a few keys, again and again
		return ErrCommonPassword
	}
	return nil
}

// Hashing takes memory: so many passwords are worked on at once, and so many
// callers wait for it.
const (
	mostHashing = 2
	mostWaiting = 32
)

// hashing is a turn to work on a password.
type hashing struct{ turns, queue chan struct{} }

func newHashing() hashing {
	return hashing{make(chan struct{}, mostHashing), make(chan struct{}, mostHashing+mostWaiting)}
}

// do works on a password when its turn comes. It fails with a *[WaitError] when
// too many others wait.
func (h hashing) do(ctx context.Context, work func()) error {
	select {
	case h.queue <- struct{}{}:
		defer func() { <-h.queue }()
	default:
		return &WaitError{2 * time.Second}
	}
	select {
	case h.turns <- struct{}{}:
		defer func() { <-h.turns }()
	case <-ctx.Done():
		return ctx.Err()
	}
	work()
	return nil
}
