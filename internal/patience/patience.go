// Package patience bounds how long a request may wait for an answer: for its turn
// at the desk, for a connection to the database, for the database itself.
package patience

import (
	"context"
	"net/http"
	"time"
)

type timerKey struct{}

// Bound ends the context of requests that take longer than a limit; whoever works
// on one answers then that it should be tried again. Context.Cause of such a
// context is context.DeadlineExceeded.
func Bound(next http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, end := context.WithCancelCause(r.Context())
		defer end(nil)
		timer := time.AfterFunc(limit, func() { end(context.DeadlineExceeded) })
		defer timer.Stop()
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, timerKey{}, timer)))
	})
}

// Lift takes the limit off a request that takes long on purpose: an upload, an
// export, news for as long as somebody listens. Their doors have limits of their
// own.
func Lift(ctx context.Context) {
	if timer, ok := ctx.Value(timerKey{}).(*time.Timer); ok {
		timer.Stop()
	}
}
