package storetest

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/internal/postback"
)

// taker is a merchant's server that takes everything and keeps the last request.
type taker struct {
	header http.Header
	body   string
	status int
}

// RoundTrip answers a request.
func (m *taker) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	m.header, m.body = r.Header, string(body)
	return &http.Response{StatusCode: m.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"status":"ok"}`))}, nil
}

// mustControl opens a control of the house's postbacks.
func (h *House) mustControl(merchant *taker) *postback.Control {
	h.Helper()
	rates, err := fx.Bundled()
	if err != nil {
		h.Fatal(err)
	}
	if _, err := h.Store.SaveRates(h.Context(), rates); err != nil {
		h.Fatal(err)
	}
	h.mustExec("UPDATE deposits SET rates_id = (SELECT MAX(id) FROM rates)")
	return postback.NewControl(h.Store, postback.Config{Directory: h.Directory, Rates: h.Store, Transport: merchant, Now: h.Clock.Now})
}

// testControl plays an operator.
func testControl(t *testing.T, fresh Fresh) {
	t.Helper()
	const actor = "operator:asha"
	play(t, fresh, []scenario{
		{"inspect", Setup{}, func(h *House) {
			id := h.mustDeposit(Shop, 1)
			c := h.mustControl(&taker{})
			d, err := c.Inspect(h.Context(), id)
			if err != nil || d.BodyKept || !strings.Contains(string(d.Body), `"transaction_id":"`+string(UTR(1))+`"`) {
				h.Errorf("%+v, %v", d, err)
			}
			if _, err := c.Inspect(h.Context(), id+999); !errors.Is(err, postback.ErrNoPostback) {
				h.Errorf("no postback gives %v", err)
			}
		}},
		{"resend one", Setup{}, func(h *House) {
			id := h.mustDeposit(Shop, 1)
			c := h.mustControl(&taker{})
			if sent, err := c.Resend(h.Context(), actor, id); err != nil || sent {
				h.Errorf("what is due is resent: %t, %v", sent, err)
			}
			job := h.mustLease(Shop, Start, 10, id)[0]
			attempts := []postback.Attempt{{Number: 1, At: Start, Latency: 3 * time.Millisecond, Status: 200, Answer: []byte(`{"status":"ok"}`)}}
			h.mustRecord(postback.Result{EventID: id, LeasedUntil: job.LeasedUntil, State: postback.StateDelivered, Attempt: attempts[0]})
			h.mustKept(id, attempts)
			before := h.MustVerify().AuditEntries
			if sent, err := c.Resend(h.Context(), actor, id); err != nil || !sent {
				h.Errorf("%t, %v", sent, err)
			}
			h.mustRow(id, postback.StateDue, 0, Start, "")
			h.mustKept(id, attempts)
			job = h.mustLease(Shop, Start, 10, id)[0]
			attempts = append(attempts, postback.Attempt{Number: 1, At: Start.Add(time.Second), Latency: time.Millisecond, Status: 200, Answer: []byte(`{"status":"ok","x":1}`)})
			h.mustRecord(postback.Result{EventID: id, LeasedUntil: job.LeasedUntil, State: postback.StateDelivered, Attempt: attempts[1]})
			h.mustKept(id, attempts)
			if after := h.MustVerify().AuditEntries; after != before+1 {
				h.Errorf("%d audit entries, %d before", after, before)
			}
			if _, err := c.Resend(h.Context(), actor, id+999); !errors.Is(err, postback.ErrNoPostback) {
				h.Errorf("no postback gives %v", err)
			}
		}},
		{"resend a range", Setup{}, func(h *House) {
			for i := range 30 {
				h.mustDeposit([]string{Shop, Cafe}[i%2], i)
				h.Clock.Advance(time.Minute)
			}
			for _, merchant := range []string{Shop, Cafe} {
				jobs, err := h.Store.Lease(h.Context(), []postback.Want{{Merchant: merchant, Limit: 100}}, h.Clock.Now(), h.Clock.Now().Add(postback.Lease))
				if err != nil || len(jobs) != 15 {
					h.Fatal(len(jobs), err)
				}
				slices.SortFunc(jobs, func(a, b postback.Job) int { return cmp.Compare(a.ID, b.ID) })
				for i, job := range jobs {
					state := []postback.State{postback.StateDelivered, postback.StateDead}[i%2]
					h.mustRecord(postback.Result{EventID: job.ID, LeasedUntil: job.LeasedUntil, State: state, Attempt: postback.Attempt{Number: 1, At: Start}})
				}
			}
			c := h.mustControl(&taker{})
			resend := func(want int64, f postback.Filter) {
				h.Helper()
				if sent, err := c.ResendRange(h.Context(), actor, f); err != nil || sent != want {
					h.Errorf("%+v: %d resent, %v; want %d", f, sent, err, want)
				}
			}
			// Of the shop's, every second minute from the first: ten minutes have five.
			resend(5, postback.Filter{Merchant: Shop, From: Start.Add(10 * time.Minute), To: Start.Add(20 * time.Minute)})
			resend(6, postback.Filter{Merchant: Shop, From: Start, State: postback.StateDelivered})
			resend(0, postback.Filter{Merchant: Shop, From: Start.Add(time.Hour)})
			if _, err := c.ResendRange(h.Context(), actor, postback.Filter{Merchant: "none"}); !errors.Is(err, postback.ErrNoMerchant) {
				h.Errorf("no merchant gives %v", err)
			}
			if list, err := c.List(h.Context(), postback.Filter{Merchant: Cafe, State: postback.StateDue}); err != nil || len(list) != 0 {
				h.Errorf("the café's are due: %v, %v", list, err)
			}
			h.MustVerify()
		}},
		{"a test is no deposit", Setup{Change: withAddress}, func(h *House) {
			m := &taker{status: 200}
			c := h.mustControl(m)
			before := h.MustVerify()
			a, err := c.Test(h.Context(), actor, Shop)
			if err != nil || a.Error != "" || a.Status != 200 || string(a.Answer) != `{"status":"ok"}` {
				h.Errorf("%+v, %v", a, err)
			}
			for _, want := range []string{`"label":"test"`, `"plugin_custom_order_id":"test_`, `"comment":"This is a test`, `"stockpiling_id":0`, `"transaction_id":"000000000000"`} {
				if !strings.Contains(m.body, want) {
					h.Errorf("%s is missing in %s", want, m.body)
				}
			}
			if !strings.HasPrefix(m.header.Get("webhook-id"), "test_") || m.header.Get("webhook-signature") == "" {
				h.Errorf("headers %v", m.header)
			}
			m.status = 500
			if a, err = c.Test(h.Context(), actor, Shop); err != nil || a.Error != "answered 500 instead of 200" {
				h.Errorf("%+v, %v", a, err)
			}
			if after := h.MustVerify(); after.Postbacks != before.Postbacks || after.AuditEntries != before.AuditEntries+2 {
				h.Errorf("%+v, before %+v", after, before)
			}
			if _, err := c.Test(h.Context(), actor, Cafe); err == nil {
				h.Error("a merchant without an address is tested")
			}
		}},
		{"pause, resume, enable", Setup{Change: withAddress}, func(h *House) {
			id := h.mustDeposit(Shop, 1)
			c := h.mustControl(&taker{})
			deeds := map[string]error{}
			do := func(name string, err error) { deeds[name] = err }
			stands := func(want ...postback.EndpointState) {
				h.Helper()
				list, err := c.Endpoints(h.Context())
				if err != nil || len(list) != len(want) || len(want) > 0 && list[0].State != want[0] {
					h.Errorf("endpoints %+v, %v; want %v", list, err, want)
				}
			}
			do("pause", c.Pause(h.Context(), actor, Shop))
			stands(postback.EndpointPaused)
			if err := c.Enable(h.Context(), actor, Shop); !errors.Is(err, postback.ErrNothing) {
				h.Errorf("a paused one is enabled: %v", err)
			}
			do("resume", c.Resume(h.Context(), actor, Shop))
			stands()
			if err := c.Resume(h.Context(), actor, Shop); !errors.Is(err, postback.ErrNothing) {
				h.Errorf("an open one is resumed: %v", err)
			}
			disabled := postback.Endpoint{Merchant: Shop, Target: postback.Target(shopAddress), State: postback.EndpointDisabled, Since: Start, Why: "gone"}
			if _, err := h.Store.SetEndpoint(h.Context(), disabled, []postback.EndpointState{postback.EndpointOpen}, nil); err != nil {
				h.Fatal(err)
			}
			stands(postback.EndpointDisabled)
			do("enable", c.Enable(h.Context(), actor, Shop))
			stands()
			// What is known of another URL is not shown.
			disabled.Target = "another"
			if _, err := h.Store.SetEndpoint(h.Context(), disabled, []postback.EndpointState{postback.EndpointOpen}, nil); err != nil {
				h.Fatal(err)
			}
			stands()
			// What died of a refusal is taken up again, too.
			job := h.mustLease(Shop, Start, 10, id)[0]
			h.mustRecord(postback.Result{EventID: id, LeasedUntil: job.LeasedUntil, State: postback.StateDead, Refused: postback.Target(shopAddress),
				Attempt: postback.Attempt{Number: 1, At: Start}})
			do("enable the refused", c.Enable(h.Context(), actor, Shop))
			h.mustRow(id, postback.StateDue, 0, Start, "")
			for name, err := range deeds {
				if err != nil {
					h.Errorf("%s: %v", name, err)
				}
			}
			if err := c.Pause(h.Context(), actor, "none"); !errors.Is(err, postback.ErrNoMerchant) {
				h.Errorf("no merchant gives %v", err)
			}
			h.MustVerify()
		}},
	})
}

const shopAddress = "https://shop.example/postback"

// withAddress gives the shop an address and keys.
func withAddress(c *directory.Change) {
	for _, m := range c.Merchants {
		if m.ID == Shop {
			m.PostbackURL = shopAddress
			m.Secrets.AccessKey, m.Secrets.PrivateKey = "AK", "PK"
		}
	}
}
