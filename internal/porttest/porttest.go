// Package porttest finds ports of this machine for tests whose servers are told where
// to listen, as another process or another server has to know it before.
package porttest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Free is a port of loopback that nothing listens on. It is none of those that the
// system gives to connections and to whoever asks for any: they would take it until
// somebody listens there.
func Free(tb testing.TB) int {
	tb.Helper()
	for range 100 {
		port := 10_000 + rand.IntN(20_000) //nolint:gosec // no secret: any free one will do
		if l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	tb.Fatal("there is no free port")
	return 0
}

// FreeAddr is a free port with its host, as a listener is given it.
func FreeAddr(tb testing.TB) string {
	tb.Helper()
	return fmt.Sprintf("127.0.0.1:%d", Free(tb))
}
