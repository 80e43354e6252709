package intake

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Tour is a postman's work, a look at a time.
type Tour struct {
	postman *Postman
	reading map[string]*round
	rounds  sync.WaitGroup
}

// NewTour begins with no mailbox read.
func NewTour(p *Postman) *Tour { return &Tour{postman: p, reading: make(map[string]*round)} }

// Look looks once, and gives the feeds whose mailboxes are read from then on.
func (t *Tour) Look(ctx context.Context) []string {
	t.postman.look(ctx, t.reading, &t.rounds)
	return slices.Sorted(maps.Keys(t.reading))
}

// Wait returns when nothing is read any more.
func (t *Tour) Wait() { t.rounds.Wait() }
