package server_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/internal/settlement"
	"github.com/milaan/milaan/money"
)

// TestSettlementBySchedule: a gateway that starts after a run fell due makes up
// for it, and pays it out.
func TestSettlementBySchedule(t *testing.T) { //nolint:tparallel // the first gateway ends before the second begins
	t.Parallel()
	config := server.DefaultConfig()
	config.DatabaseURL = "sqlite://" + filepath.Join(t.TempDir(), "milaan.db")
	config.Listen, config.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	mustParse := func(more string) *apply.File {
		file, err := apply.Parse("shop.yaml", []byte(installation+more))
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	t.Run("the shop is paid", func(t *testing.T) {
		base := serve(t, config, mustParse(""))
		c, err := client.New(client.Config{API: base, Merchant: "shop", Secret: "s3cret"})
		if err != nil {
			t.Fatal(err)
		}
		if status, said := ask(t, http.MethodPost, base+"/feeds/bank1", "feedtoken", `{"credits":[{"utr":"321323438267","amount":"1000"}]}`); status != http.StatusOK {
			t.Fatalf("the feed is answered %d %s", status, said)
		}
		if _, err := c.Activate(t.Context(), client.Activation{Method: "upi_l", Label: "55", UTR: "321323438267", Amount: 1000 * money.Rupee, CustomID: "A-1"}); err != nil {
			t.Fatal(err)
		}
	})
	// The account was registered three days ago: it has cooled.
	const settled = `
merchants:
- {id: shop, settlement: {account_number: "998877665501", account_name: Shop, ifsc: HDFC0000001, method: imps_ib, schedule: daily, at: "00:00", keep: 100}}
payouts:
- {id: desk, kind: sandbox, method: imps_ib, approve_above: 1000}
`
	file, err := apply.Parse("settled.yaml", []byte(settled))
	if err != nil {
		t.Fatal(err)
	}
	db, err := server.OpenStore(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = apply.Run(t.Context(), db, file, apply.Options{Now: func() time.Time { return time.Now().Add(-72 * time.Hour) }})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	g, err := server.Open(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	stopped := make(chan error, 1)
	go func() { stopped <- g.Run(running) }()
	defer func() {
		stop()
		if err := <-stopped; err != nil {
			t.Errorf("the gateway stopped with %v", err)
		}
	}()
	for range 400 {
		available, held, err := g.Store().MerchantBalance(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		if available == 100*money.Rupee && held == 0 {
			list, err := g.Store().Settlements(t.Context(), settlement.Filter{Merchant: "shop"})
			if err != nil || len(list) != 1 || !list[0].Scheduled || list[0].Amount != 900*money.Rupee || list[0].CreatedBy != "settlement" {
				t.Errorf("settled %+v, %v", list, err)
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("nothing was settled")
}
