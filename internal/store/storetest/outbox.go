package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

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
	jobs, err := h.Store.Lease(h.Context(), merchant, at, at.Add(postback.Lease), limit)
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
			if jobs, err := h.Store.Lease(h.Context(), Shop, Start, Start.Add(time.Hour), 10); err != nil || len(jobs) != 2 {
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
						jobs, err := stores[i%2].Lease(h.Context(), Shop, Start, Start.Add(postback.Lease), 7)
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
