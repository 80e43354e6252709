// Command go is a whole shop with milaan's Go SDK, in one file: an order, the
// link to the payment window, the way back, and the postback that pays it.
//
//	POSTBACK_ACCESS_KEY=AK POSTBACK_PRIVATE_KEY=PK PLUGIN_API_SECRET=s3cret go run ./examples/go
//
// With EVENTS_SECRET (whsec_…) it takes the events of a webhook, too, at /events.
// The gateway is GATEWAY (http://127.0.0.1:8080), the merchant MERCHANT
// (shop), and the shop listens on PORT (9000).
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/money"
)

func main() {
	if err := run(); err != nil {
		slog.Error("the shop ends", "error", err)
		os.Exit(1)
	}
}

func run() error {
	keys := client.Keys{
		AccessKey:     os.Getenv("POSTBACK_ACCESS_KEY"),
		PrivateKey:    os.Getenv("POSTBACK_PRIVATE_KEY"),
		WebhookSecret: os.Getenv("POSTBACK_WEBHOOK_SECRET"),
	}
	addr := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "9000")
	gateway, err := client.New(client.Config{
		API:        cmp.Or(os.Getenv("GATEWAY"), "http://127.0.0.1:8080"),
		Merchant:   cmp.Or(os.Getenv("MERCHANT"), "shop"),
		Secret:     os.Getenv("PLUGIN_API_SECRET"),
		PrivateKey: keys.PrivateKey,
	})
	if err != nil {
		return err
	}

	// The postback alone moves money. Each reaches OnDeposit once; if that
	// fails, the gateway sends it again.
	postbacks, err := client.NewHandler(client.HandlerConfig{
		Keys:      []client.Keys{keys},
		OnDeposit: func(_ context.Context, p client.Postback) error { return markPaid(p) },
	})
	if err != nil {
		return err
	}
	http.Handle("/postback", postbacks)

	if secret := os.Getenv("EVENTS_SECRET"); secret != "" {
		// Events tell what else becomes of a payment. Each is taken once; what you
		// don't know, ignore.
		events, err := client.NewWebhookHandler(client.WebhookConfig{
			Secrets: []string{secret},
			OnEvent: func(_ context.Context, e client.WebhookEvent) error {
				if e.Type == "deposit.expired" || e.Type == "deposit.rejected" {
					return release(e.Deposit.CustomID)
				}
				return nil
			},
		})
		if err != nil {
			return err
		}
		http.Handle("/events", events)
	}

	// An order: the payer goes to the payment window.
	http.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		link, err := gateway.WindowURL(client.Link{
			Label: "customer-55", CustomID: rand.Text(), Amount: price,
			SuccessURL: "http://" + addr + "/return", PendingURL: "http://" + addr + "/return", FailURL: "http://" + addr + "/return",
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		http.Redirect(w, r, link, http.StatusSeeOther)
	})

	// The way back says what to show, and pays nothing.
	http.HandleFunc("GET /return", func(w http.ResponseWriter, r *http.Request) {
		back, err := client.VerifyReturn(r.URL.Query(), keys.PrivateKey)
		if err != nil {
			http.Error(w, "Open the shop to see how your order stands.", http.StatusForbidden)
			return
		}
		paid, err := isPaid(back.CustomID)
		if err != nil {
			http.Error(w, "Try again in a moment.", http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprintf(w, "paid: %t, payment window: %s\n", paid, back.Status)
	})

	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>Shop</title><form method="post" action="/orders"><button>Pay %s</button></form>`, money.Format(price, money.English))
	})
	server := &http.Server{Addr: addr, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second}
	return server.ListenAndServe()
}

// price is what everything costs here.
const price = 499 * money.Rupee

// file is where a paid order stands; a database is the better place.
func file(order string) string {
	name := sha256.Sum256([]byte(order))
	return filepath.Join(cmp.Or(os.Getenv("TAKEN"), "."), hex.EncodeToString(name[:])+".json")
}

// markPaid writes down that an order was paid. A shop compares p.Label and
// p.Amount with its order first.
func markPaid(p client.Postback) error {
	slog.Info("paid", "order", p.CustomID, "label", p.Label, "amount", p.Amount.String())
	const private = 0o600
	return os.WriteFile(file(p.CustomID), fmt.Appendf(nil, `{"amount":%q}`, p.Amount), private)
}

// release writes down that nobody will pay for an order.
func release(order string) error {
	slog.Info("not paid", "order", order)
	const private = 0o600
	return os.WriteFile(file("not paid\n"+order), []byte(`{}`), private)
}

func isPaid(order string) (bool, error) {
	_, err := os.Stat(file(order))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
