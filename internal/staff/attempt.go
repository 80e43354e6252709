package staff

import (
	"encoding/hex"
	"fmt"
	"time"
)

// Attempt is a kind of guess. Attempts are counted before a secret is looked at
// and forgiven when it was right, so that guesses made at the same time all count.
type Attempt struct {
	// Name tells what is tried: a digest, since people type passwords into the
	// wrong field.
	Name string
	Free int // so many in a row cost no wait
}

const (
	freeOfAccount = 5
	freeOfNetwork = 30
	mostWait      = 15 * time.Minute // nobody is locked out for good
	// AttemptsFade is after how long a quiet name starts anew.
	AttemptsFade = 24 * time.Hour
)

// Wait is how long after that many attempts in a row the next one is refused.
func (a Attempt) Wait(attempts int) time.Duration {
	over := attempts - a.Free
	switch {
	case over < 0:
		return 0
	case over >= 10: // 2^10 seconds are more than the most
		return mostWait
	default:
		return time.Second << over
	}
}

func attemptOn(kind, name string, free int) Attempt {
	digest := digestOf(kind + "\n" + name)
	return Attempt{hex.EncodeToString(digest[:]), free}
}

// attemptsOf are what a try to sign in counts against: the account, whether
// there is one or not, and the place it comes from.
func attemptsOf(email string, from Visitor) []Attempt {
	attempts := []Attempt{attemptOn("account", email, freeOfAccount)}
	if place := from.place(); place != "" {
		attempts = append(attempts, attemptOn("place", place, freeOfNetwork))
	}
	return attempts
}

// place is what one household or server can't easily change: the address, or
// the /64 of IPv6.
func (v Visitor) place() string {
	addr := v.Addr.WithZone("").Unmap()
	if !addr.IsValid() {
		return ""
	}
	if addr.Is4() {
		return addr.String()
	}
	network, err := addr.Prefix(64)
	if err != nil {
		return ""
	}
	return network.String()
}

// WaitError refuses a try that comes too soon after those that failed.
type WaitError struct{ Wait time.Duration }

// Error says how long to wait.
func (e *WaitError) Error() string {
	return fmt.Sprintf("too many attempts: try again in %v", e.Wait.Round(time.Second))
}
