// Package notice tells the operator what is wrong, and when it is over: once, by
// every way that is set up, and again after a day while it lasts.
//
// What is wrong is found elsewhere. A Board takes the troubles there are at the
// moment, each under a key, and decides what is to be said; Senders say it, as a
// webhook or an e-mail. What was said is kept, so a restart repeats nothing, and
// what could not be said stays due until it is.
//
// Notices name feeds and figures, never payers or payments: they go out by
// channels that others read, too.
package notice

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Severity is how bad a trouble is.
type Severity string

// Severities.
const (
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// Trouble is something that is wrong at the moment.
type Trouble struct {
	Key      string // the same as long as it is the same trouble: "feed/phone1/silent"
	Code     string // of what kind it is: "silent"
	Severity Severity
	Subject  string // a line
	Text     string // what it means and what to do; text only
}

// Notice is what the operator is told: that there is a trouble, still or again,
// or that it is over.
type Notice struct {
	// ID is the same for the same notice sent again, by whatever way.
	ID       string
	Key      string
	Code     string
	Severity Severity
	Subject  string
	Text     string
	At       time.Time // when it became due, UTC
	Since    time.Time // when the trouble began, UTC
	Raised   bool      // false: it is over
}

// Sender is a way to the operator.
type Sender interface {
	// Send delivers a notice, within a time of its own. After an error the notice
	// stays due, so one may arrive twice.
	Send(ctx context.Context, n Notice) error
}

// kind is what a notice says of an episode of trouble.
type kind string

const (
	raised   kind = "raised"
	worsened kind = "worsened"
	reminded kind = "reminded"
	cleared  kind = "cleared"
)

// notice is what is to be said of a trouble; nth counts reminders.
func (s *state) notice(key string, k kind, nth int, at time.Time) Notice {
	n := Notice{
		Key: key, Code: s.Code, Severity: s.Severity,
		Subject: s.Subject, Text: s.Text, At: at.UTC(), Since: s.Since, Raised: k != cleared,
	}
	// An id may not tell the key: it ends up in Message-IDs and logs.
	id := []string{key, s.Since.UTC().Format(time.RFC3339Nano), string(k)}
	switch k {
	case reminded:
		n.Subject = "Still: " + s.Subject
		id = append(id, strconv.Itoa(nth))
	case cleared:
		n.Subject = "Over: " + s.Subject
		n.Text = fmt.Sprintf("This is over. It lasted from %s to %s.", inIndia(s.Since), inIndia(s.GoneAt))
	case raised, worsened:
	}
	n.Subject, n.Text = line(n.Subject), plain(n.Text)
	sum := sha256.Sum256([]byte(strings.Join(id, "\n")))
	n.ID = "notice_" + hex.EncodeToString(sum[:12])
	return n
}

var india = time.FixedZone("IST", 5*3600+1800) // no summer time since 1945

func inIndia(t time.Time) string { return t.In(india).Format("2 January 15:04 MST") }

// plain drops what could steer a terminal or a header.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// line is plain text on one line.
func line(s string) string { return strings.Join(strings.Fields(plain(s)), " ") }
