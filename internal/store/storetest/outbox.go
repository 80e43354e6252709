package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/postback"
)

// mustDeposit credits a claim of a merchant and returns its event's id.
func (h *House) mustDeposit(merchant string, utr int) int64 {
	h.Helper()
	h.MustReport("common", 1, 0, 0, h.Entry(UTR(utr), 500_00))
	a := Claim(string(UTR(utr)), UTR(utr), 500_00)
	a.Merchant = merchant
	return h.MustActivate(a, deposit.Credited).ID
}

func (h *House) mustLease(merchant string, at time.Time, limit int, want ...int64) []postback.Job {
	h.Helper()
	jobs, err := h.Store.Lease(h.Context(), []postback.Want{{Merchant: merchant, Limit: limit}}, at, at.Add(postback.Lease))
	if err != nil {
		h.Fatalf("lease: %v", err)
	}
	got := make([]int64, 0, len(jobs))
	for i := range jobs {
		got = append(got, jobs[i].ID)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		h.Fatalf("leased %v, want %v", got, want)
	}
	return jobs
}

func (h *House) mustRecord(results ...postback.Result) {
	h.Helper()
	if err := h.Store.Record(h.Context(), results); err != nil {
		h.Fatalf("record: %v", err)
	}
}

// mustRow reads an event's row behind the store's back.
func (h *House) mustRow(id int64, state postback.State, attempts int, nextAt time.Time, body string) {
	h.Helper()
	var gotState string
	var gotAttempts int
	var gotNext int64
	var gotBody []byte
	err := h.raw().QueryRowContext(h.Context(),
		`SELECT state, attempts, next_at, body FROM postbacks WHERE id = $1`, id).Scan(&gotState, &gotAttempts, &gotNext, &gotBody)
	if err != nil {
		h.Fatal(err)
	}
	var next int64
	if !nextAt.IsZero() {
		next = nextAt.UnixMicro()
	}
	if gotState != string(state) || gotAttempts != attempts || gotNext != next || string(gotBody) != body {
		h.Errorf("event %d is %s after %d attempts, next %d, body %q; want %s, %d, %d, %q",
			id, gotState, gotAttempts, gotNext, gotBody, state, attempts, next, body)
	}
}

// mustKept makes sure which attempts at an event are kept.
func (h *House) mustKept(id int64, want []postback.Attempt) {
	h.Helper()
	d, err := h.Store.Postback(h.Context(), id)
	if err != nil {
		h.Fatal(err)
	}
	if diff := cmp.Diff(want, d.Tries, cmpopts.EquateEmpty()); diff != "" {
		h.Errorf("attempts differ (-want +kept):\n%s", diff)
	}
}

// testOutbox holds the store to the contract of postback.Store.
func testOutbox(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{
		{"what an event tells", Setup{}, func(h *House) {
			a := Claim("order-1", UTR(1), 500_00)
			a.Merchant, a.Label = Cafe, "हिन्दी"
			h.MustActivate(a, deposit.Waiting)
			h.Clock.Advance(time.Hour)
			h.MustReport("bar", 1, 0, 1, h.Entry(UTR(1), 450_25))
			c, err := h.Store.FindClaimByKey(h.Context(), deposit.CustomKey{Merchant: Cafe, CustomID: "order-1"})
			if err != nil {
				h.Fatal(err)
			}
			job := h.mustLease(Cafe, h.Clock.Now(), 10, c.ID)[0]
			want := postback.Event{
				ID: c.ID, Merchant: Cafe, Method: "upi_l", Label: "हिन्दी", CustomID: "order-1", Amount: 450_25, Currency: "INR",
				Payer: "payer@okaxis", CreditID: c.CreditID, UTR: UTR(1), CreatedAt: Start, ActivatedAt: Start.Add(time.Hour), RatesID: RatesID,
			}
			if job.Event != want || job.Attempts != 0 || job.Body != nil || !job.LeasedUntil.Equal(h.Clock.Now().Add(postback.Lease)) {
				h.Errorf("leased %+v\nwant   %+v", job, want)
			}
		}},
		{"handed over with the commit", Setup{Outbox: &offered{}}, func(h *House) {
			id := h.mustDeposit(Shop, 1)
			offers := h.setup.Outbox.(*offered).take() //nolint:errcheck,forcetypeassert // set above
			if len(offers) != 1 || offers[0].ID != id {
				h.Fatalf("offered %+v", offers)
			}
			h.mustLease(Shop, Start.Add(postback.Lease-time.Microsecond), 10) // this gateway's own, so far
			job := h.mustLease(Shop, Start.Add(postback.Lease), 10, id)[0]
			if job.Event != offers[0] {
				h.Errorf("offered %+v\nleased  %+v", offers[0], job.Event)
			}
			h.mustLease(Cafe, Start, 10, h.mustDeposit(Cafe, 2)) // has no address to deliver to at once
		}},
		{"leases", Setup{}, func(h *House) {
			var ids []int64
			for i := range 5 {
				ids = append(ids, h.mustDeposit(Shop, i))
				h.Clock.Advance(time.Second)
			}
			other := h.mustDeposit(Cafe, 9)
			now := h.Clock.Now()
			h.mustLease(Shop, Start.Add(-time.Microsecond), 10) // not yet due
			h.mustLease(Shop, now, 3, ids[:3]...)               // the longest due first
			h.mustLease(Shop, now, 3, ids[3:]...)
			h.mustLease(Shop, now.Add(postback.Lease-time.Microsecond), 3)
			h.mustLease(Shop, now.Add(postback.Lease), 10, ids...) // run out
			h.mustLease(Cafe, now, 10, other)
		}},
		{"retries and the kept body", Setup{}, func(h *House) {
			id := h.mustDeposit(Shop, 1)
			job := h.mustLease(Shop, Start, 10, id)[0]
			next := Start.Add(time.Minute)
			failed := postback.Result{EventID: id, Merchant: Shop, LeasedUntil: job.LeasedUntil, State: postback.StateDue, NextAt: next,
				Attempt: postback.Attempt{Number: 1, At: Start, Status: 500, Error: "status 500"}, Body: []byte(`{"a":"é"}`)}
			h.mustRecord(failed)
			h.mustRow(id, postback.StateDue, 1, next, `{"a":"é"}`)
			h.mustLease(Shop, next.Add(-1), 10)
			job = h.mustLease(Shop, next, 10, id)[0]
			if job.Attempts != 1 || !bytes.Equal(job.Body, failed.Body) {
				h.Errorf("leased again as %+v", job)
			}
			// No attempt was made: only the state moves.
			h.mustRecord(postback.Result{EventID: id, Merchant: Shop, LeasedUntil: job.LeasedUntil, State: postback.StateHeld, NextAt: next.Add(time.Hour)})
			h.mustRow(id, postback.StateHeld, 1, next.Add(time.Hour), `{"a":"é"}`)
			job = h.mustLease(Shop, next.Add(time.Hour), 10, id)[0]
			h.mustRecord(postback.Result{EventID: id, Merchant: Shop, LeasedUntil: job.LeasedUntil, State: postback.StateDead,
				Attempt: postback.Attempt{Number: 2, At: next, Error: "no answer"}})
			h.mustRow(id, postback.StateDead, 2, time.Time{}, `{"a":"é"}`)
			h.mustLease(Shop, next.Add(1000*time.Hour), 10)
		}},
		{"a newer lease wins", Setup{}, func(h *House) {
			id := h.mustDeposit(Shop, 1)
			old := h.mustLease(Shop, Start, 10, id)[0]
			late := Start.Add(postback.Lease)
			newer := h.mustLease(Shop, late, 10, id)[0]
			h.mustRecord(postback.Result{EventID: id, LeasedUntil: old.LeasedUntil, State: postback.StateDead,
				Attempt: postback.Attempt{Number: 1, Error: "too late"}, Body: []byte("old")})
			h.mustRow(id, postback.StateDue, 0, newer.LeasedUntil, "")
			h.mustRecord(postback.Result{EventID: id, LeasedUntil: newer.LeasedUntil, State: postback.StateDue, NextAt: late.Add(time.Hour),
				Attempt: postback.Attempt{Number: 1, Status: 404, Error: "status 404"}, Body: []byte("new")})
			h.mustRow(id, postback.StateDue, 1, late.Add(time.Hour), "new")
			// The same result again: the row has moved on.
			h.mustRecord(postback.Result{EventID: id, LeasedUntil: newer.LeasedUntil, State: postback.StateDead})
			h.mustRow(id, postback.StateDue, 1, late.Add(time.Hour), "new")
		}},
		{"delivered wins always", Setup{}, func(h *House) {
			id := h.mustDeposit(Shop, 1)
			old := h.mustLease(Shop, Start, 10, id)[0]
			newer := h.mustLease(Shop, Start.Add(postback.Lease), 10, id)[0]
			h.mustRecord(postback.Result{EventID: id, LeasedUntil: old.LeasedUntil, State: postback.StateDelivered,
				Attempt: postback.Attempt{Number: 1, At: Start, Latency: time.Second, Status: 200}})
			h.mustRow(id, postback.StateDelivered, 1, time.Time{}, "")
			h.mustRecord(
				postback.Result{EventID: id, LeasedUntil: newer.LeasedUntil, State: postback.StateDead, Attempt: postback.Attempt{Number: 2}},
				postback.Result{EventID: 999_999, LeasedUntil: newer.LeasedUntil, State: postback.StateDead})
			h.mustRow(id, postback.StateDelivered, 1, time.Time{}, "")
			h.mustLease(Shop, Start.Add(1000*time.Hour), 10)
		}},
		{"delivered after it was given up", Setup{}, func(h *House) {
			id := h.mustDeposit(Shop, 1)
			job := h.mustLease(Shop, Start, 10, id)[0]
			h.mustRecord(postback.Result{EventID: id, LeasedUntil: job.LeasedUntil, State: postback.StateDead})
			h.mustRecord(postback.Result{EventID: id, LeasedUntil: job.LeasedUntil, State: postback.StateDelivered,
				Attempt: postback.Attempt{Number: 1, At: Start, Status: 200}})
			h.mustRow(id, postback.StateDelivered, 1, time.Time{}, "")
		}},
		{"merchants with something due", Setup{}, func(h *House) {
			list := func(at time.Time, after string, limit int, want ...string) {
				h.Helper()
				got, err := h.Store.DueMerchants(h.Context(), at, after, limit)
				if err != nil || !slices.Equal(got, want) {
					h.Errorf("due at %s after %q: %v, %v; want %v", at, after, got, err, want)
				}
			}
			list(Start, "", 10)
			for i, merchant := range []string{Shop, Shop, Cafe} {
				h.mustDeposit(merchant, i)
			}
			list(Start.Add(-1000), "", 10)
			list(Start, "", 10, Cafe, Shop)
			list(Start, "", 1, Cafe)
			list(Start, Cafe, 10, Shop)
			list(Start, Shop, 10)
			h.Clock.Advance(time.Second)
			late := h.mustDeposit(Shop, 7)
			if jobs, err := h.Store.Lease(h.Context(), []postback.Want{{Merchant: Shop, Limit: 10}}, Start, Start.Add(time.Hour)); err != nil || len(jobs) != 2 {
				h.Fatalf("leased %v, %v", jobs, err)
			}
			list(Start, "", 10, Cafe)
			list(Start.Add(time.Second), "", 10, Cafe, Shop) // one of shop's is due still
			h.mustLease(Shop, Start.Add(time.Second), 10, late)
			list(Start.Add(time.Second), "", 10, Cafe)
		}},
		{"leases of a gateway that is gone", Setup{}, func(h *House) {
			a, b := h.mustDeposit(Shop, 1), h.mustDeposit(Shop, 2)
			h.mustLease(Shop, Start, 10, a, b)
			if err := h.Store.ReleaseLeases(h.Context(), Start.Add(time.Second)); err != nil {
				h.Fatal(err)
			}
			h.mustLease(Shop, Start.Add(time.Second), 10, a, b)
		}},
		{"several merchants in one commit", Setup{}, func(h *House) {
			var ids []int64
			for i, merchant := range []string{Shop, Cafe, Shop, Cafe, Cafe} {
				ids = append(ids, h.mustDeposit(merchant, i))
				h.Clock.Advance(time.Second)
			}
			now := h.Clock.Now()
			jobs, err := h.Store.Lease(h.Context(), []postback.Want{{Merchant: Shop, Limit: 5}, {Merchant: "none", Limit: 5}, {Merchant: Cafe, Limit: 2}}, now, now.Add(postback.Lease))
			if err != nil {
				h.Fatal(err)
			}
			got := make(map[int64]string)
			for _, job := range jobs {
				got[job.ID] = job.Merchant
			}
			if want := map[int64]string{ids[0]: Shop, ids[2]: Shop, ids[1]: Cafe, ids[3]: Cafe}; !maps.Equal(got, want) {
				h.Errorf("leased %v, want %v", got, want)
			}
		}},
		{"every attempt is kept for a while", Setup{}, func(h *House) {
			id := h.mustDeposit(Shop, 1)
			job := h.mustLease(Shop, Start, 10, id)[0]
			attempts := []postback.Attempt{
				{Number: 1, At: Start, Latency: 1500 * time.Microsecond, Status: 500, Error: "answered 500 instead of 200", Answer: []byte("no\x00\xff")},
				{Number: 2, At: Start.Add(time.Hour), Latency: 15 * time.Second, Error: "no answer within 15s", Answer: []byte{}},
				{Number: 3, At: Start.Add(2 * time.Hour), Latency: time.Millisecond, Status: 200, Answer: []byte(`{"status":"ok"}`)},
			}
			for i, a := range attempts {
				// The second comes too late to count, and was made all the same.
				result := postback.Result{EventID: id, Merchant: Shop, LeasedUntil: job.LeasedUntil, State: postback.StateDue, NextAt: Start.Add(time.Hour), Attempt: a}
				if i == 2 {
					result.State, result.NextAt = postback.StateDelivered, time.Time{}
				}
				h.mustRecord(result)
			}
			// No attempt, no record of one.
			h.mustRecord(postback.Result{EventID: id, LeasedUntil: job.LeasedUntil, State: postback.StateDue, NextAt: Start})
			h.mustKept(id, attempts)
			drop := func(before time.Time, limit int, want int64) {
				h.Helper()
				if dropped, err := h.Store.DropAttempts(h.Context(), before, limit); err != nil || dropped != want {
					h.Errorf("dropped %d, %v; want %d", dropped, err, want)
				}
			}
			drop(Start, 10, 0)
			drop(Start.Add(2*time.Hour), 1, 1)
			drop(Start.Add(2*time.Hour), 10, 1)
			h.mustKept(id, attempts[2:])
			h.MustVerify()
		}},
		{"where endpoints stand", Setup{}, func(h *House) {
			set := func(want bool, state postback.EndpointState, target string, over ...postback.EndpointState) {
				h.Helper()
				e := postback.Endpoint{Merchant: Shop, Target: target, State: state, Since: h.Clock.Now(), Why: "why"}
				entry := audit.Entry{At: h.Clock.Now(), Actor: "operator:asha", Action: "endpoint.test", Why: string(state)}
				before := h.MustVerify().AuditEntries
				if done, err := h.Store.SetEndpoint(h.Context(), e, over, nil, entry); err != nil || done != want {
					h.Errorf("set to %s: %t, %v", state, done, err)
				}
				list, err := h.Store.Endpoints(h.Context())
				if err != nil {
					h.Fatal(err)
				}
				if want && state == postback.EndpointOpen && len(list) != 0 || want && state != postback.EndpointOpen && !slices.Equal(list, []postback.Endpoint{e}) {
					h.Errorf("the list is %+v", list)
				}
				if after := h.MustVerify().AuditEntries; (after > before) != want {
					h.Errorf("%d audit entries, %d before", after, before)
				}
				h.Clock.Advance(time.Minute)
			}
			const open, failing, paused, disabled = postback.EndpointOpen, postback.EndpointFailing, postback.EndpointPaused, postback.EndpointDisabled
			set(false, disabled, "a", failing)
			set(true, failing, "a", open)
			set(false, failing, "a", open)
			set(true, disabled, "a", open, failing)
			set(false, open, "a", failing)
			set(true, failing, "b", open) // of another URL, nothing is known
			set(true, open, "b", failing)
			set(true, paused, "a", open, failing, disabled)
			set(false, failing, "b", open) // a pause holds, whatever the URL
			set(false, disabled, "a", open, failing)
			set(true, open, "b", paused)
		}},
		{"refused targets", Setup{}, func(h *House) {
			a, b := h.mustDeposit(Shop, 1), h.mustDeposit(Shop, 2)
			jobs := h.mustLease(Shop, Start, 10, a, b)
			for _, job := range jobs {
				h.mustRecord(postback.Result{EventID: job.ID, LeasedUntil: job.LeasedUntil, State: postback.StateDead, Refused: "digest",
					Attempt: postback.Attempt{Number: 1, At: Start, Error: "refused"}, Body: []byte("body")})
			}
			refused := func(want ...postback.Refusal) {
				h.Helper()
				if got, err := h.Store.Refused(h.Context()); err != nil || !slices.Equal(got, want) {
					h.Errorf("refused %v, %v; want %v", got, err, want)
				}
			}
			refused(postback.Refusal{Merchant: Shop, Target: "digest"})
			h.mustRow(a, postback.StateDead, 1, time.Time{}, "body")
			h.MustVerify()
			now := Start.Add(time.Hour)
			for _, other := range []postback.Refusal{{Merchant: Shop, Target: "other"}, {Merchant: Cafe, Target: "digest"}, {Merchant: Shop}} {
				if err := h.Store.Revive(h.Context(), other, now); err != nil {
					h.Fatal(err)
				}
			}
			h.mustLease(Shop, now, 10)
			if err := h.Store.Revive(h.Context(), postback.Refusal{Merchant: Shop, Target: "digest"}, now); err != nil {
				h.Fatal(err)
			}
			refused()
			h.mustRow(a, postback.StateDue, 0, now, "body")
			h.mustLease(Shop, now, 10, a, b)
			h.MustVerify()
		}},
		{"lists and sending again", Setup{}, func(h *House) {
			var ids []int64
			for i, merchant := range []string{Shop, Cafe, Shop, Shop} {
				ids = append(ids, h.mustDeposit(merchant, i))
				h.Clock.Advance(time.Minute)
			}
			list := func(f postback.Filter, want ...int64) {
				h.Helper()
				if f.Limit == 0 {
					f.Limit = 10
				}
				page, err := h.Store.Postbacks(h.Context(), f)
				if err != nil {
					h.Fatal(err)
				}
				got := make([]int64, len(page))
				for i := range page {
					got[i] = page[i].ID
				}
				if !slices.Equal(got, want) {
					h.Errorf("%+v lists %v, want %v", f, got, want)
				}
			}
			jobs := h.mustLease(Shop, Start.Add(time.Hour), 10, ids[0], ids[2], ids[3])
			for _, job := range jobs {
				switch job.ID {
				case ids[0]:
					h.mustRecord(postback.Result{EventID: job.ID, LeasedUntil: job.LeasedUntil, State: postback.StateDelivered,
						Attempt: postback.Attempt{Number: 1, At: Start, Status: 200}})
				case ids[2]:
					h.mustRecord(postback.Result{EventID: job.ID, LeasedUntil: job.LeasedUntil, State: postback.StateDead,
						Attempt: postback.Attempt{Number: 10, At: Start, Status: 500, Error: "answered 500"}, Body: []byte("kept")})
				}
			}
			list(postback.Filter{}, ids[3], ids[2], ids[1], ids[0])
			list(postback.Filter{Limit: 2}, ids[3], ids[2])
			list(postback.Filter{Before: ids[2]}, ids[1], ids[0])
			list(postback.Filter{Merchant: Shop}, ids[3], ids[2], ids[0])
			list(postback.Filter{State: postback.StateDead}, ids[2])
			list(postback.Filter{State: postback.StateDead, Merchant: Cafe})
			list(postback.Filter{State: postback.StateDelivered}, ids[0])
			list(postback.Filter{From: Start.Add(time.Minute), To: Start.Add(3 * time.Minute)}, ids[2], ids[1])

			d, err := h.Store.Postback(h.Context(), ids[2])
			if err != nil || d.State != postback.StateDead || d.Attempts != 10 || d.LastStatus != 500 || d.LastError != "answered 500" || string(d.Body) != "kept" ||
				len(d.Tries) != 1 || d.Event.ID != ids[2] || d.CustomID != d.Event.CustomID || d.Amount != 500_00 || !d.CreatedAt.Equal(Start.Add(2*time.Minute)) {
				h.Errorf("%+v, %v", d, err)
			}
			if _, err := h.Store.Postback(h.Context(), 999_999); !errors.Is(err, postback.ErrNoPostback) {
				h.Errorf("no postback gives %v", err)
			}

			now := Start.Add(2 * time.Hour)
			entry := audit.Entry{At: now, Actor: "operator:asha", Action: "postback.resent"}
			before := h.MustVerify().AuditEntries
			// The last one is leased still: it is under way.
			sent, err := h.Store.Resend(h.Context(), []int64{ids[0], ids[2], ids[3], 999_999}, now, Start.Add(time.Hour).Add(postback.Lease), entry)
			if err != nil || sent != 2 || h.MustVerify().AuditEntries != before+1 {
				h.Errorf("%d made due, %v", sent, err)
			}
			h.mustRow(ids[0], postback.StateDue, 0, now, "")
			h.mustRow(ids[2], postback.StateDue, 0, now, "kept")
			h.mustRow(ids[3], postback.StateDue, 0, Start.Add(time.Hour).Add(postback.Lease), "")
		}},
		{"many gateways lease each event once", Setup{}, func(h *House) {
			const events = 60
			want := make(map[int64]bool)
			for i := range events {
				want[h.mustDeposit(Shop, i)] = true
			}
			stores := []interface {
				postback.Store
			}{h.Store, h.Database.Open(h.TB)}
			var mu sync.Mutex
			var group sync.WaitGroup
			leased := make(map[int64]int)
			for i := range 8 {
				group.Go(func() {
					for range 30 {
						jobs, err := stores[i%2].Lease(h.Context(), []postback.Want{{Merchant: Shop, Limit: 7}}, Start, Start.Add(postback.Lease))
						if err != nil || len(jobs) > 7 {
							h.Errorf("leased %d: %v", len(jobs), err)
							return
						}
						mu.Lock()
						for j := range jobs {
							leased[jobs[j].ID]++
						}
						all := len(leased) == events
						mu.Unlock()
						if all {
							return
						}
					}
				})
			}
			group.Wait()
			for id := range want {
				if leased[id] != 1 {
					h.Errorf("event %d was leased %d times", id, leased[id])
				}
			}
			if len(leased) != events {
				h.Error(fmt.Sprint("leased ", len(leased)))
			}
		}},
	})
}

// offered is an outbox that keeps what it is offered.
type offered struct {
	mu     sync.Mutex
	events []postback.Event
}

// Offer takes events.
func (o *offered) Offer(events []postback.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, slices.Clone(events)...)
}

func (o *offered) take() []postback.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.events
}
