package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/milaan/milaan/internal/load"
)

type loadCommand struct {
	URL         string `name:"url" default:"http://127.0.0.1:8080" help:"The gateway."`
	Secret      string `help:"Plugin API secret of the merchant." required:"" xor:"what"`
	Method      string `default:"upi_l" help:"wallet_type of the activations."`
	Feed        string `help:"A json feed of a wallet of that method."`
	Token       string `help:"The feed's token."`
	Connections int    `default:"64" help:"Connections at once."`
	Activations int    `default:"100000" help:"Payments to activate."`
	Credits     int    `help:"Credits to report before; the rest stays unclaimed, as history. As many as activations where absent."`
	Remote      bool   `help:"The gateway is on another machine, and is yours."`
	Echo        string `placeholder:"ADDR" help:"Do not load: serve the bare net/http echo that the gateway is measured against." required:"" xor:"what"`
}

// Run measures the gateway and prints what came out.
func (l loadCommand) Run(ctx context.Context, term terminal) error {
	if l.Echo != "" {
		return load.ServeEcho(ctx, l.Echo)
	}
	result, err := load.Run(ctx, load.Plan{
		URL: l.URL, Secret: l.Secret, Method: l.Method, Feed: l.Feed, Token: l.Token,
		Connections: l.Connections, Activations: l.Activations, Credits: max(l.Credits, l.Activations), Remote: l.Remote,
	}, term.err)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(term.out, "credits      %d in %s: %.0f/s\n", result.Credits, result.CreditTime.Round(time.Millisecond),
		float64(result.Credits)/result.CreditTime.Seconds())
	_, _ = fmt.Fprintf(term.out, "activations  %d in %s: %.0f/s\n", result.Activations, result.Time.Round(time.Millisecond), result.PerSecond())
	_, _ = fmt.Fprintf(term.out, "latency      p50 %s  p90 %s  p99 %s  max %s\n", micro(result.Percentile(50)), micro(result.Percentile(90)),
		micro(result.Percentile(99)), micro(result.Percentile(100)))
	for _, status := range slices.Sorted(maps.Keys(result.Outcomes)) {
		_, _ = fmt.Fprintf(term.out, "  %-30s %d\n", status, result.Outcomes[status])
	}
	return nil
}

func micro(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
