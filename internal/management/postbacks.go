package management

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/postback"
)

// Postback is how far the announcement of a deposit, or of a withdrawal's end, came.
type Postback struct {
	ID          int64      `json:"id" doc:"The number in the postback's webhook-id."`
	Kind        string     `json:"kind" enum:"deposit,withdrawal" doc:"What it announces."`
	CustomID    string     `json:"custom_id" doc:"The merchant's own id of the deposit or withdrawal."`
	Outcome     string     `json:"outcome" enum:"credited,success,failed,canceled" doc:"The state that it tells of. A withdrawal that came back after it was paid has two postbacks."`
	Amount      Amount     `json:"amount"`
	State       string     `json:"state" enum:"due,held,delivered,dead" doc:"due: sent, or sent again, at next_at; held: waits for a change of settings; delivered; dead: given up."`
	Attempts    int        `json:"attempts" doc:"Since it was first, or last, sent afresh."`
	NextAt      *time.Time `json:"next_at,omitempty"`
	LastStatus  int        `json:"last_status,omitempty" doc:"HTTP status of the last answer; absent where there was none."`
	LastError   string     `json:"last_error,omitempty" doc:"Why the last attempt failed."`
	CreatedAt   time.Time  `json:"created_at"`
	DeliveredAt *time.Time `json:"delivered_at,omitempty"`
}

func viewPostback(p *postback.Summary) Postback {
	v := Postback{
		ID: p.ID, Kind: string(p.Kind()), CustomID: p.CustomID, Outcome: p.Told, Amount: amountOf(p.Amount), State: string(p.State), Attempts: p.Attempts,
		NextAt: instant(p.NextAt), LastStatus: p.LastStatus, LastError: p.LastError, CreatedAt: p.CreatedAt.UTC(), DeliveredAt: instant(p.DeliveredAt),
	}
	if p.Kind() == postback.OfDeposit {
		v.Outcome = "credited"
	}
	return v
}

// Attempt is one try to deliver a postback.
type Attempt struct {
	Number        int       `json:"number"`
	At            time.Time `json:"at"`
	LatencyMillis int64     `json:"latency_ms" doc:"Until the answer was read, or the attempt given up."`
	Status        int       `json:"status,omitempty" doc:"HTTP status; absent where no answer came."`
	Confirmed     bool      `json:"confirmed" doc:"Whether the merchant's server took it: 200 with {\"status\":\"ok\"}."`
	Error         string    `json:"error,omitempty" doc:"Why it failed."`
	Answer        string    `json:"answer,omitempty" doc:"The first 2 kB of the answer's body."`
}

func viewAttempt(a *postback.Attempt) Attempt {
	return Attempt{
		Number: a.Number, At: a.At.UTC(), LatencyMillis: a.Latency.Milliseconds(), Status: a.Status, Confirmed: a.Error == "", Error: a.Error,
		Answer: strings.ToValidUTF8(string(a.Answer), "\uFFFD"),
	}
}

// TriedPostback is a postback with its attempts.
type TriedPostback struct {
	Postback
	Tries []Attempt `json:"tries" nullable:"false" doc:"The attempts that are kept, the oldest first."`
}

// Resent says what is sent again.
type Resent struct {
	Resent int64  `json:"resent" doc:"How many are sent again. Those that were about to be sent anyway are left out."`
	Next   string `json:"next,omitempty" doc:"There is more: make the same call with this as after, and another Idempotency-Key. Absent at the end."`
}

// Endpoint is where a merchant's server stands, which takes its postbacks.
type Endpoint struct {
	Merchant  string     `json:"merchant"`
	State     string     `json:"state" enum:"open,failing,paused,disabled,none" doc:"open: sent to; failing: probed with one postback at a time; paused: held until it is resumed; disabled: it failed for days or said that it is gone, held until it is enabled; none: held, as there is no postback URL or no private key to sign with."`
	Since     *time.Time `json:"since,omitempty" doc:"Of failing, paused and disabled."`
	Why       string     `json:"why,omitempty"`
	PublicKey string     `json:"public_key,omitempty" doc:"What the ed25519 signature is verified with, where there is one." example:"whpk_…"`
}

// mostResent is how many postbacks a call sends again.
const mostResent = 500

func (d *Door) ofPostbacks(api huma.API) {
	tags := []string{"Postbacks"}
	register(d, api, access.PostbacksRead, huma.Operation{
		OperationID: "list-postbacks", Method: http.MethodGet, Path: "/v3/postbacks", Tags: tags,
		Summary:     "List postbacks",
		Description: "What was or is to be announced to the merchant, the newest first; from and to are of the deposit's credit, or the withdrawal's end.",
	}, d.listPostbacks)
	register(d, api, access.PostbacksRead, huma.Operation{
		OperationID: "get-postback", Method: http.MethodGet, Path: "/v3/postbacks/{id}", Tags: tags,
		Summary: "Get a postback and its attempts", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *postbackInput) (*output[TriedPostback], error) {
		found, err := d.postback(ctx, in)
		if err != nil {
			return nil, err
		}
		out := TriedPostback{Postback: viewPostback(&found.Summary), Tries: make([]Attempt, len(found.Tries))}
		for i := range found.Tries {
			out.Tries[i] = viewAttempt(&found.Tries[i])
		}
		return &output[TriedPostback]{out}, nil
	})
	register(d, api, access.PostbacksWrite, huma.Operation{
		OperationID: "resend-postback", Method: http.MethodPost, Path: "/v3/postbacks/{id}/resend", Tags: tags,
		Summary: "Send a postback again", Errors: []int{http.StatusNotFound},
		Description: "From the start of its schedule, whatever became of it before, with the bytes of its first attempt.",
	}, func(ctx context.Context, in *postbackInput) (*output[Resent], error) {
		found, err := d.postback(ctx, in)
		if err != nil {
			return nil, err
		}
		sent, err := d.Postbacks.Resend(ctx, callOf(ctx).key.Actor(), found.ID)
		out := &output[Resent]{}
		if sent {
			out.Body.Resent = 1
		}
		return out, err
	})
	register(d, api, access.PostbacksWrite, huma.Operation{
		OperationID: "resend-postbacks", Method: http.MethodPost, Path: "/v3/postbacks/resend", Tags: tags,
		Summary:     "Send postbacks of some time again",
		Description: "Those of a merchant that were written in from ≤ t < to, the newest first, up to 500 with a call: while there is a next, go on.",
	}, d.resendPostbacks)
	register(d, api, access.PostbacksWrite, huma.Operation{
		OperationID: "test-endpoint", Method: http.MethodPost, Path: "/v3/postbacks/test", Tags: tags,
		Summary:     "Send a postback that is marked as a test",
		Description: "Once, and signed like any other; it is of no deposit. The answer comes when the merchant's server has answered, or after 15 seconds.",
	}, d.testEndpoint)
	register(d, api, access.PostbacksRead, huma.Operation{
		OperationID: "list-endpoints", Method: http.MethodGet, Path: "/v3/endpoints", Tags: tags,
		Summary:     "List where postbacks go, and how that stands",
		Description: "A merchant's key sees its merchant's own, an operator's without merchant all.",
	}, d.listEndpoints)
	for _, deed := range []struct {
		word, summary, about string
		do                   func(c *postback.Control, ctx context.Context, actor, merchant string) error
	}{
		{"pause", "Hold a merchant's postbacks", "Until they are resumed. What is under way arrives.", (*postback.Control).Pause},
		{"resume", "End a pause", "", (*postback.Control).Resume},
		{"enable", "Send to a failing or disabled endpoint again", "Also what died because the address was refused for safety.", (*postback.Control).Enable},
	} {
		register(d, api, access.PostbacksWrite, huma.Operation{
			OperationID: deed.word + "-endpoint", Method: http.MethodPost, Path: "/v3/endpoints/" + deed.word, Tags: tags,
			Summary: deed.summary, Description: deed.about,
		}, func(ctx context.Context, in *struct{ Whose }) (*output[Endpoint], error) {
			m, err := d.owner(ctx, in.Merchant)
			if err != nil {
				return nil, err
			}
			if err := deed.do(d.Postbacks, ctx, callOf(ctx).key.Actor(), m.ID); err != nil {
				return nil, err
			}
			list, err := d.endpoints(ctx, []*directory.Merchant{m})
			if err != nil {
				return nil, err
			}
			return &output[Endpoint]{list[0]}, nil
		})
	}
}

type postbackInput struct {
	Whose
	ID int64 `path:"id" minimum:"1"`
}

// postback finds a postback of the merchant that is asked about.
func (d *Door) postback(ctx context.Context, in *postbackInput) (*postback.Detail, error) {
	m, err := d.owner(ctx, in.Merchant)
	if err != nil {
		return nil, err
	}
	found, err := d.Store.Postback(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if found.Merchant != m.ID {
		return nil, notHere()
	}
	return found, nil
}

func (d *Door) listPostbacks(ctx context.Context, in *struct {
	Whose
	Kind  string `query:"kind" enum:"deposit,withdrawal"`
	State string `query:"state" enum:"due,held,delivered,dead"`
	During
	Paging
}) (*output[List[Postback]], error) {
	m, err := d.owner(ctx, in.Merchant)
	if err != nil {
		return nil, err
	}
	query := list("postbacks", m.ID, in.Kind, in.State, in.From, in.To)
	after, _, err := readCursor(in.After, query)
	if err != nil {
		return nil, err
	}
	page, err := d.Store.ListPostbacks(ctx, lookup.Postbacks{
		Merchant: m.ID, Kind: postback.Kind(in.Kind), State: postback.State(in.State), Range: in.span(), After: after, Limit: in.Limit,
	})
	return listOf(page.Items, viewPostback, cursor(query, page.Next, 0)), err
}

// PostbacksWanted are postbacks to be sent again.
type PostbacksWanted struct {
	From  time.Time  `json:"from" doc:"Not before this."`
	To    *time.Time `json:"to,omitempty" doc:"Before this; now where it is absent."`
	Kind  string     `json:"kind,omitempty" enum:"deposit,withdrawal"`
	State string     `json:"state,omitempty" enum:"due,held,delivered,dead" doc:"Those in this state; in any where it is absent."`
	After string     `json:"after,omitempty" maxLength:"64" doc:"The next of the call before."`
}

func (d *Door) resendPostbacks(ctx context.Context, in *struct {
	Whose
	Body PostbacksWanted
}) (*output[Resent], error) {
	m, err := d.owner(ctx, in.Merchant)
	if err != nil {
		return nil, err
	}
	want := lookup.Postbacks{
		Merchant: m.ID, Kind: postback.Kind(in.Body.Kind), State: postback.State(in.Body.State), Limit: mostResent, Range: lookup.Range{From: in.Body.From.UTC()},
	}
	if in.Body.To != nil {
		want.To = in.Body.To.UTC()
	}
	query := list("resend", m.ID, in.Body.Kind, in.Body.State, want.From, want.To)
	if want.After, _, err = readCursor(in.Body.After, query); err != nil {
		return nil, err
	}
	page, err := d.Store.ListPostbacks(ctx, want)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(page.Items))
	for i := range page.Items {
		ids[i] = page.Items[i].ID
	}
	sent, err := d.Postbacks.ResendPage(ctx, callOf(ctx).key.Actor(), m.ID, ids)
	return &output[Resent]{Resent{sent, cursor(query, page.Next, 0)}}, err
}

func (d *Door) testEndpoint(ctx context.Context, in *struct{ Whose }) (*output[Attempt], error) {
	m, err := d.owner(ctx, in.Merchant)
	if err != nil {
		return nil, err
	}
	// A server that answers late would else hold as many calls as its merchant makes.
	if _, busy := d.testing.LoadOrStore(m.ID, true); busy {
		return nil, tooMany.problem("A test of this merchant is under way: wait for its end").with("Retry-After", "15")
	}
	defer d.testing.Delete(m.ID)
	a, err := d.Postbacks.Test(ctx, callOf(ctx).key.Actor(), m.ID)
	return &output[Attempt]{viewAttempt(&a)}, err
}

func (d *Door) listEndpoints(ctx context.Context, in *struct {
	Whose
	State string `query:"state" enum:"open,failing,paused,disabled,none"`
}) (*output[List[Endpoint]], error) {
	var merchants []*directory.Merchant
	if c := callOf(ctx); c.merchant == nil && in.Merchant == "" {
		for _, m := range d.Directory.Look(ctx).Merchants {
			if !m.Retired {
				merchants = append(merchants, m)
			}
		}
	} else {
		m, err := d.owner(ctx, in.Merchant)
		if err != nil {
			return nil, err
		}
		merchants = append(merchants, m)
	}
	all, err := d.endpoints(ctx, merchants)
	all = slices.DeleteFunc(all, func(e Endpoint) bool { return in.State != "" && e.State != in.State })
	return &output[List[Endpoint]]{List[Endpoint]{Items: all}}, err
}

// endpoints views where the endpoints of merchants stand.
func (d *Door) endpoints(ctx context.Context, merchants []*directory.Merchant) ([]Endpoint, error) {
	stands, err := d.Postbacks.Endpoints(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Endpoint, len(merchants))
	for i, m := range merchants {
		out[i] = Endpoint{Merchant: m.ID, State: string(postback.EndpointOpen)}
		if m.PostbackURL == "" || m.Secrets.PrivateKey == "" {
			out[i].State = "none"
		}
		if at := slices.IndexFunc(stands, func(e postback.Endpoint) bool { return e.Merchant == m.ID }); at >= 0 {
			e := &stands[at]
			out[i].State, out[i].Since, out[i].Why = string(e.State), instant(e.Since), e.Why
			if callOf(ctx).merchant != nil && strings.HasPrefix(e.Why, "by operator:") {
				out[i].Why = "by the operator" // whose people are not the merchant's to know
			}
		}
		if key, err := d.Postbacks.PublicKey(m.ID); err == nil { // there need be none
			out[i].PublicKey = key
		}
	}
	return out, nil
}
