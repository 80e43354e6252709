package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

type healthCommand struct{}

// Run asks the gateway of this machine whether it is ready. It is what a
// container that has no other program in it checks its health with.
func (healthCommand) Run(ctx context.Context, s *settings, term terminal) error {
	config, err := s.load()
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(config.AdminListen)
	if err != nil {
		return usageError{fmt.Errorf("admin_listen: %w", err)}
	}
	if addr := net.ParseIP(host); host == "" || addr != nil && addr.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("no gateway answers: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", strings.TrimSpace(string(text)))
	}
	_, err = term.out.Write(text)
	return err
}
