package main

import (
	"context"
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
