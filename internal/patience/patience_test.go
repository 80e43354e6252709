package patience_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/milaan/milaan/internal/patience"
)

func TestBound(t *testing.T) {
	t.Parallel()
	for name, lifted := range map[string]bool{"bounded": false, "lifted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					if lifted {
						patience.Lift(r.Context())
					}
					select {
					case <-r.Context().Done():
						if lifted {
							t.Error("the limit was lifted, and ended the request")
						}
						if err := context.Cause(r.Context()); !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("the cause is %v", err)
						}
					case <-time.After(time.Hour):
						if !lifted {
							t.Error("the request may wait for ever")
						}
					}
				})
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
				patience.Bound(handler, time.Minute).ServeHTTP(httptest.NewRecorder(), r)
			})
		})
	}
	patience.Lift(t.Context()) // of a request that nobody bounded
}
