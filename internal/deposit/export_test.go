package deposit

// Queued is how many requests wait for a batch.
func (d *Desk) Queued() int { return len(d.queue) }
