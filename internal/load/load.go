// Package load measures a running gateway through its own doors: it reports
// credits to a feed, activates them from many connections at once, and says
// how many a second were answered and how long each took.
package load

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"
)

// Plan is what to measure.
type Plan struct {
	URL         string // of the gateway
	Secret      string // plugin API secret of the merchant
	Method      string // wallet_type
	Feed, Token string // a json feed of a wallet of that method
	Connections int
	Activations int
	// Credits is how many credits are reported before: more than Activations
	// leaves the rest unclaimed, as history.
	Credits int
	// Remote allows a gateway on another machine.
	Remote bool
}

// Result is what was measured.
type Result struct {
	Credits     int
	CreditTime  time.Duration
	Outcomes    map[string]int // by status
	Activations int
	Time        time.Duration
	Latencies   []time.Duration // sorted
}

// PerSecond is the rate of activations.
func (r *Result) PerSecond() float64 { return float64(r.Activations) / r.Time.Seconds() }

// Percentile is the latency that p percent of activations did not exceed.
func (r *Result) Percentile(p float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	return r.Latencies[min(len(r.Latencies)-1, int(float64(len(r.Latencies))*p/100))]
}

// CheckTarget refuses a URL that is not on this machine, so that a slip of the
// hand does not load somebody's gateway.
func CheckTarget(target string, remote bool) error {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q is no URL: give one such as http://127.0.0.1:8080", target)
	}
	ip := net.ParseIP(u.Hostname())
	if remote || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s is not on this machine: add --remote if it is yours and you mean it", u.Host)
}

const reportSize = 500 // credits in one report

// Run carries out the plan; progress says what is being done.
func Run(ctx context.Context, p Plan, progress io.Writer) (*Result, error) {
	if err := CheckTarget(p.URL, p.Remote); err != nil {
		return nil, err
	}
	if p.Connections < 1 || p.Activations < 1 || p.Credits < p.Activations {
		return nil, errors.New("a load has at least one connection and activation, and no fewer credits than activations")
	}
	first, err := rand.Int(rand.Reader, big.NewInt(899_999_000_000-int64(p.Credits)))
	if err != nil {
		return nil, err
	}
	// UTRs of a run follow each other from a random start, so that runs on one
	// database do not meet.
	run := &run{Plan: p, firstUTR: first.Int64() + 100_000_000_000, mark: rand.Text()[:8]}
	run.client = &fasthttp.Client{
		MaxConnsPerHost: p.Connections, NoDefaultUserAgentHeader: true,
		ReadTimeout: time.Minute, WriteTimeout: time.Minute, MaxIdleConnDuration: time.Minute,
	}
	result := &Result{Credits: p.Credits, Activations: p.Activations, Outcomes: make(map[string]int)}
	_, _ = fmt.Fprintf(progress, "reporting %d credits …\n", p.Credits)
	start := time.Now()
	if err := run.report(ctx); err != nil {
		return nil, err
	}
	result.CreditTime = time.Since(start)
	_, _ = fmt.Fprintf(progress, "activating %d of them over %d connections …\n", p.Activations, p.Connections)
	start = time.Now()
	if err := run.activate(ctx, result); err != nil {
		return nil, err
	}
	result.Time = time.Since(start)
	slices.Sort(result.Latencies)
	return result, nil
}

type run struct {
	Plan
	client   *fasthttp.Client
	firstUTR int64
	mark     string
}

type credit struct {
	UTR    string `json:"utr"`
	Amount string `json:"amount"`
	Payer  string `json:"payer_vpa"`
}

// amount of the i-th credit, in whole rupees.
func amount(i int) int { return 100 + i%900 }

func (r *run) utr(i int) string { return strconv.FormatInt(r.firstUTR+int64(i), 10) }

// post sends a request and returns the answer's body; the buffers are reused.
func (r *run) post(req *fasthttp.Request, res *fasthttp.Response, target, bearer string, body []byte) ([]byte, error) {
	req.Header.SetMethod(fasthttp.MethodPost)
	req.SetRequestURI(target)
	req.Header.SetContentType("application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	req.SetBodyRaw(body)
	if err := r.client.Do(req, res); err != nil {
		return nil, err
	}
	if res.StatusCode() != fasthttp.StatusOK {
		return nil, fmt.Errorf("%s answered %d: %s", target, res.StatusCode(), res.Body())
	}
	return res.Body(), nil
}

func (r *run) report(ctx context.Context) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(4, r.Connections) {
		group.Go(func() error {
			var req fasthttp.Request
			var res fasthttp.Response
			for ctx.Err() == nil {
				start := int(next.Add(reportSize)) - reportSize
				if start >= r.Credits {
					return nil
				}
				credits := make([]credit, 0, reportSize)
				for i := start; i < min(start+reportSize, r.Credits); i++ {
					credits = append(credits, credit{r.utr(i), strconv.Itoa(amount(i)), "payer" + strconv.Itoa(i) + "@upi"})
				}
				body, err := json.Marshal(map[string]any{"credits": credits})
				if err != nil {
					return err
				}
				if _, err := r.post(&req, &res, r.URL+"/feeds/"+url.PathEscape(r.Feed), r.Token, body); err != nil {
					return fmt.Errorf("report credits: %w", err)
				}
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

func (r *run) activate(ctx context.Context, result *Result) error {
	target := r.URL + "/api/v1/transaction/activate"
	var next atomic.Int64
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	for range r.Connections {
		group.Go(func() error {
			var req fasthttp.Request
			var res fasthttp.Response
			var body []byte
			outcomes := make(map[string]int)
			latencies := make([]time.Duration, 0, r.Activations/r.Connections+1)
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= r.Activations {
					break
				}
				body = fmt.Appendf(body[:0],
					`{"currency_code":"INR","wallet_type":%q,"label":"payer-%d","key1":"%s","amount":%d,"custom_transaction_id":"%s"}`,
					r.Method, i, r.utr(i), amount(i), scattered(r.mark, i))
				start := time.Now()
				answer, err := r.post(&req, &res, target, r.Secret, body)
				if err != nil {
					return fmt.Errorf("activate: %w", err)
				}
				latencies = append(latencies, time.Since(start))
				outcomes[status(answer)]++
			}
			mu.Lock()
			defer mu.Unlock()
			for s, n := range outcomes {
				result.Outcomes[s] += n
			}
			result.Latencies = append(result.Latencies, latencies...)
			return ctx.Err()
		})
	}
	return group.Wait()
}

// scattered makes a custom id that sorts anywhere among the others, as
// merchants' ids do: ids in a row would flatter the index.
func scattered(mark string, i int) string {
	x := uint64(i)*0x9e3779b97f4a7c15 + 0x632be59bd9b4e019 //nolint:gosec // i counts from 0
	x ^= x >> 31
	return strconv.FormatUint(x, 36) + "-" + mark + strconv.Itoa(i)
}

// status reads the first member of an answer; decoding every answer whole
// would cost the machine more than the gateway does.
func status(answer []byte) string {
	const before = `{"status":"`
	if len(answer) > len(before) && string(answer[:len(before)]) == before {
		for end := len(before); end < len(answer); end++ {
			if answer[end] == '"' {
				return string(answer[len(before):end])
			}
		}
	}
	return "unreadable"
}
