package staff

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// TOTP is the user's authenticator app (RFC 6238).
type TOTP struct {
	Seed string `json:"seed,omitempty"` // in base32; empty where there is none
	// Step is the last one of which a code was taken: no code is good twice
	// (RFC 6238, section 5.2).
	Step int64 `json:"step,omitempty"`
	// Proposed is a seed that the user has not proved yet to have.
	Proposed string `json:"proposed,omitempty"`
}

const (
	totpPeriod = 30 * time.Second
	totpSkew   = 1 // steps a phone's clock may be off
)

// step gives the step of which code is the seed's, from those around now and
// after one.
func step(seed, code string, after int64, now time.Time) (at int64, ok bool) {
	code = strings.Join(strings.Fields(code), "")
	middle := now.Unix() / int64(totpPeriod/time.Second)
	for candidate := middle - totpSkew; candidate <= middle+totpSkew; candidate++ {
		want, err := totp.GenerateCodeCustom(seed, time.Unix(candidate*int64(totpPeriod/time.Second), 0),
			totp.ValidateOpts{Period: uint(totpPeriod / time.Second), Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		// Every step is looked at, whichever fits: the time tells nothing.
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && candidate > after {
			at, ok = candidate, true
		}
	}
	return at, ok
}

// propose makes a seed for the user's app.
func (u *User) propose() error {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: u.Email})
	if err != nil {
		return fmt.Errorf("make a seed: %w", err)
	}
	u.Secrets.TOTP.Proposed = key.Secret()
	return nil
}

const issuer = "milaan"

// ProposedURL is what an authenticator app reads of the seed that it is offered;
// empty where there is none.
func (u *User) ProposedURL() string {
	if u.Secrets.TOTP.Proposed == "" {
		return ""
	}
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Secrets.TOTP.Proposed)
	if err != nil {
		return ""
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: u.Email, Secret: seed})
	if err != nil {
		return ""
	}
	return key.URL()
}

// Recovery codes: each has 80 bits, so that its digest alone tells nothing.
const (
	recoveryCodes = 10
	recoveryBytes = 10
	recoveryGroup = 4 // characters between dashes
)

// renewRecovery makes new recovery codes; the old ones are good no more.
func (u *User) renewRecovery() (codes []string) {
	u.Secrets.Recovery = nil
	for range recoveryCodes {
		raw := make([]byte, recoveryBytes)
		_, _ = rand.Read(raw) // never fails, see crypto/rand
		text := strings.ToLower(base32.StdEncoding.EncodeToString(raw))
		u.Secrets.Recovery = append(u.Secrets.Recovery, recoveryDigest(text))
		var groups []string
		for group := range slices.Chunk([]byte(text), recoveryGroup) {
			groups = append(groups, string(group))
		}
		codes = append(codes, strings.Join(groups, "-"))
	}
	return codes
}

func recoveryDigest(code string) Digest {
	code = strings.ToLower(strings.Join(strings.FieldsFunc(code, func(r rune) bool { return r == '-' || r == ' ' }), ""))
	return sha256.Sum256([]byte(code))
}

// second takes a code of the user's app, or a recovery code, which is spent. It
// tells which it was; empty where it was neither.
func (u *User) second(code string, now time.Time) (way string) {
	if t := &u.Secrets.TOTP; t.Seed != "" {
		if at, ok := step(t.Seed, code, t.Step, now); ok {
			t.Step = at
			return "code"
		}
	}
	digest := recoveryDigest(code)
	for i, left := range u.Secrets.Recovery {
		if subtle.ConstantTimeCompare(left[:], digest[:]) == 1 {
			u.Secrets.Recovery = slices.Delete(u.Secrets.Recovery, i, i+1)
			return "recovery code"
		}
	}
	return ""
}
