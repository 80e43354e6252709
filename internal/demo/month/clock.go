package month

import (
	"sync"
	"time"
)

// clock is the one by which the rooms live through the month: it goes only when
// it is told to, and never back.
type clock struct {
	mu sync.Mutex
	at time.Time
}

// Now is what the rooms take for the present.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// reach lets the time come, unless it has passed.
func (c *clock) reach(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.at) {
		c.at = t
	}
}

// pass lets so much time pass.
func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
