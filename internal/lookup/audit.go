package lookup

import (
	"context"

	"github.com/milaan/milaan/internal/audit"
)

// Audit is what of the audit log is asked for, the newest first. Zero fields filter
// nothing.
type Audit struct {
	Actor, Action string // how they begin
	Subject       int64
	// Acts leaves out what payments write as they go: that a credit came, that a
	// claim waits, that it was credited without a person.
	Acts   bool
	Range        // of the entries' times
	Before int64 // entries with smaller numbers alone; 0 for all
	Limit  int
}

// Noted is an entry of the audit log, and whether its hash follows from the entry
// before it.
type Noted struct {
	audit.Entry
	Whole bool
}

// Notes is a part of the audit log.
type Notes struct {
	Items []Noted
	// Next is where the next page begins, see Audit.Before; 0 at the end. As any page
	// it may be short.
	Next int64
	// Head is the number of the log's last entry, and Headed whether the head that is
	// kept apart agrees with it.
	Head   int64
	Headed bool
}

// AuditLog reads the audit log.
type AuditLog interface {
	// ListAudit gives a page of the audit log.
	ListAudit(ctx context.Context, q Audit) (Notes, error)
}
