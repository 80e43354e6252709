package server

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/milaan/milaan/internal/trace"
)

// traceSettings are where traces go; the endpoint is nil where they go nowhere.
func (c Config) traceSettings() (s trace.Settings, err error) {
	if !trace.ValidRatio(c.OTLPRatio) {
		return s, errors.New("otlp_ratio is a share of all requests, from 0 to 1")
	}
	if s.Headers, err = trace.ParseHeaders(c.OTLPHeaders.Reveal()); err != nil {
		return s, fmt.Errorf("otlp_headers: %w", err)
	}
	s.Ratio = c.OTLPRatio
	if c.OTLPEndpoint == "" {
		return s, nil
	}
	if s.Endpoint, err = trace.ParseEndpoint(c.OTLPEndpoint); err != nil {
		return s, fmt.Errorf("otlp_endpoint: %w", err)
	}
	return s, nil
}

// openTracer makes what traces requests, if they are to be.
func (g *Gateway) openTracer(ctx context.Context) error {
	metrics := trace.NewMetrics(g.registry)
	s, err := g.config.traceSettings()
	if err != nil || s.Endpoint == nil {
		return err
	}
	s.Instance, s.Log, s.Metrics = g.name, g.log, metrics
	if info, ok := debug.ReadBuildInfo(); ok {
		s.Version = info.Main.Version
	}
	g.tracer, err = trace.Open(ctx, s)
	return err
}

// flushFor is how long a stop waits, at most, for a collector to take the last
// spans.
const flushFor = 5 * time.Second

// closeTracer sends the last spans.
func (g *Gateway) closeTracer(ctx context.Context) {
	if !g.tracer.On() {
		return
	}
	flushing, cancel := context.WithTimeout(ctx, flushFor)
	defer cancel()
	if err := g.tracer.Close(flushing); err != nil {
		g.log.WarnContext(ctx, "the last traces were not sent", "error", err)
	}
}
