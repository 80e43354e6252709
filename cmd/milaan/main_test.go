package main

import (
	"context"
	"net"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// asMilaan, set in its environment, makes this test binary be milaan: tests
// run the program as a process of its own without building it twice.
const asMilaan = "MILAAN_TEST_AS_MILAAN"

func TestMain(m *testing.M) {
	if os.Getenv(asMilaan) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
		stop()
		os.Exit(code)
	}
	code := m.Run()
	_ = os.RemoveAll(programs)
	os.Exit(code)
}

// freeAddr is a loopback address that nothing listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
