package postback

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics count what the worker does.
type Metrics struct {
	Attempts *prometheus.CounterVec // by result: delivered, failed, dead
	Held     prometheus.Counter     // events that found no endpoint
	Delay    prometheus.Histogram   // seconds from activation to the first attempt
	InFlight prometheus.Gauge
	Drops    *prometheus.CounterVec // by reason: full, lapsed, broken
}

// NewMetrics registers the worker's metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	m := &Metrics{
		Attempts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "milaan_postback_attempts_total", Help: "Attempts to deliver a postback, by result.",
		}, []string{"result"}),
		Held: f.NewCounter(prometheus.CounterOpts{
			Name: "milaan_postback_held_total", Help: "Times a postback was put aside because its merchant has no endpoint.",
		}),
		Delay: f.NewHistogram(prometheus.HistogramOpts{
			Name: "milaan_postback_delay_seconds", Help: "Time from the activation to the first attempt.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}),
		InFlight: f.NewGauge(prometheus.GaugeOpts{
			Name: "milaan_postback_in_flight", Help: "Attempts under way.",
		}),
		Drops: f.NewCounterVec(prometheus.CounterOpts{
			Name: "milaan_postback_dropped_total", Help: "Postbacks left to the store again because the queue was full or too slow, or the endpoint fails.",
		}, []string{"reason"}),
	}
	// A rate sees the first of a kind only where there was a 0 before it.
	for _, result := range []string{"delivered", "failed", "dead"} {
		m.Attempts.WithLabelValues(result)
	}
	return m
}
