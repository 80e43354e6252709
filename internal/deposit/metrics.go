package deposit

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/milaan/milaan/internal/feed"
)

// Metrics count what the desk does. docs/metrics.md lists them.
type Metrics struct {
	Activations *prometheus.CounterVec // by outcome
	Refusals    *prometheus.CounterVec // by request and code
	Credits     *prometheus.CounterVec // by result
	Items       *prometheus.CounterVec // by feed and result
	Batch       prometheus.Histogram
	Conflicts   prometheus.Counter
	Shed        prometheus.Counter
}

// NewMetrics registers the desk's metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	m := &Metrics{
		Activations: f.NewCounterVec(prometheus.CounterOpts{
			Name: "milaan_activations_total", Help: "Activations by the state of their claim.",
		}, []string{"state"}),
		Refusals: f.NewCounterVec(prometheus.CounterOpts{
			Name: "milaan_refusals_total", Help: "Requests that were refused without a claim, by code.",
		}, []string{"request", "code"}),
		Credits: f.NewCounterVec(prometheus.CounterOpts{
			Name: "milaan_credits_total", Help: "Entries that feeds reported, by what became of them.",
		}, []string{"result"}),
		Items: f.NewCounterVec(prometheus.CounterOpts{
			Name: "milaan_feed_items_total", Help: "Records, messages and lines that feeds brought, by what became of them.",
		}, []string{"feed", "result"}),
		Batch: f.NewHistogram(prometheus.HistogramOpts{
			Name: "milaan_batch_records", Help: "Records that shared a commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		Conflicts: f.NewCounter(prometheus.CounterOpts{
			Name: "milaan_batch_conflicts_total", Help: "Batches run again because another gateway wrote first.",
		}),
		Shed: f.NewCounter(prometheus.CounterOpts{
			Name: "milaan_shed_total", Help: "Requests turned away because too many waited.",
		}),
	}
	// A rate sees the first of a kind only where there was a 0 before it.
	for _, state := range []State{Waiting, Pending, Credited, Refused, Rejected, Expired} {
		m.Activations.WithLabelValues(string(state))
	}
	for _, result := range []string{"accepted", "duplicate", "refused"} {
		m.Credits.WithLabelValues(result)
	}
	return m
}

func (m *Metrics) refused(cmd command, err error) {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		m.Refusals.WithLabelValues(cmd.name(), string(refusal.Code)).Inc()
	}
}

func (m *Metrics) reported(id string, t *feed.Taken) {
	s := &t.Summary
	for result, n := range map[string]int{"accepted": s.Accepted, "duplicate": s.Duplicate, "refused": len(s.Refused)} {
		m.Credits.WithLabelValues(result).Add(float64(n))
	}
	results := make(map[feed.Result]int, 4)
	for i := range t.Outcomes {
		results[t.Outcomes[i].Result]++
	}
	for result, n := range results {
		m.Items.WithLabelValues(id, string(result)).Add(float64(n))
	}
}

func (m *Metrics) settled(records int) { m.Batch.Observe(float64(records)) }
