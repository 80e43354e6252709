package client_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"

	_ "modernc.org/sqlite"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/money"
)

func Example() {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"status":"possible_transaction_created","message":"Transaction not found. Possible transaction created"}`)
	}))
	defer gateway.Close()

	c, err := client.New(client.Config{API: gateway.URL, Merchant: "shop", Secret: "s3cret"})
	if err != nil {
		panic(err)
	}
	outcome, err := c.Activate(context.Background(), client.Activation{
		Method: "upi_l", Label: "55", UTR: "321323438267", Amount: 500 * money.Rupee, CustomID: "order-1001",
	})
	var refused *client.Error
	switch {
	case errors.As(err, &refused):
		fmt.Println("not valid:", refused.Fields)
	case err != nil:
		fmt.Println("no answer:", err)
	case outcome.Status == client.StatusOK:
		fmt.Println("paid", outcome.Amount)
	case outcome.Open():
		fmt.Println("checking; the postback comes by itself")
	default:
		fmt.Println("not paid:", outcome.Message)
	}
	// Output: checking; the postback comes by itself
}

func ExampleClient_WindowURL() {
	c, err := client.New(client.Config{API: "https://api.shop.example", Secret: "s3cret", PrivateKey: "PK"})
	if err != nil {
		panic(err)
	}
	link, err := c.WindowURL(client.Link{
		Label: "55", CustomID: "order-1001", Amount: 49950, Method: "upi_l",
		SuccessURL: "https://shop.example/return",
	})
	if err != nil {
		panic(err)
	}
	u, err := url.Parse(link)
	if err != nil {
		panic(err)
	}
	fmt.Println(u.Host, u.Query().Get("fixed_amount"))
	fmt.Println(u.Query().Get("success_url"))
	// Output:
	// plugin.shop.example 499.50
	// aHR0cHM6Ly9zaG9wLmV4YW1wbGUvcmV0dXJu.3e72fbd4ba42ab3c4514e9b449e06aa2d7876ccfd908d48bb37766e16d3afd79
}

func ExampleVerifyReturn() {
	// What the payment window appended to https://shop.example/return.
	query := url.Values{
		"custom_transaction_id": {"order-1001"}, "status": {"success"},
		"signature": {client.ReturnSignature("PK", "order-1001", client.Success)},
	}
	back, err := client.VerifyReturn(query, "PK")
	fmt.Println(back.CustomID, back.Status, err)

	query.Set("custom_transaction_id", "order-1002")
	_, err = client.VerifyReturn(query, "PK")
	fmt.Println(errors.Is(err, client.ErrReturn))
	// Output:
	// order-1001 success <nil>
	// true
}

func ExampleNewHandler() {
	handler, err := client.NewHandler(client.HandlerConfig{
		Keys: []client.Keys{{AccessKey: "AK", PrivateKey: "PK"}},
		OnDeposit: func(_ context.Context, p client.Postback) error {
			// Look the order p.CustomID up; it is paid if p.Label and p.Amount
			// are the order's.
			fmt.Println(p.CustomID, "received", p.Amount)
			return nil
		},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	http.Handle("POST /postback", handler)

	// One that nobody signed is refused.
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/postback", http.NoBody))
	fmt.Println(w.Code, w.Body)
	// Output: 403 {"status":"fail"}
}

// database remembers postbacks in the transaction that takes them: both are
// there, or neither.
type database struct{ *sql.DB }

type transaction struct{}

// Once implements client.Seen. An insert of the same key at the same time
// waits for this transaction's end.
func (d database) Once(ctx context.Context, key string, take func(context.Context) error) error {
	tx, err := d.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	result, err := tx.ExecContext(ctx, `INSERT INTO taken (postback) VALUES (?) ON CONFLICT DO NOTHING`, key)
	if err != nil {
		return err
	}
	if inserted, err := result.RowsAffected(); err != nil || inserted == 0 {
		return err
	}
	if err := take(context.WithValue(ctx, transaction{}, tx)); err != nil {
		return err
	}
	return tx.Commit()
}

// pay marks an order paid, within the transaction of its postback.
func pay(ctx context.Context, p client.Postback) error {
	tx, ok := ctx.Value(transaction{}).(*sql.Tx)
	if !ok {
		return errors.New("no transaction")
	}
	_, err := tx.ExecContext(ctx, `UPDATE orders SET received = received + ? WHERE id = ? AND label = ?`, int64(p.Amount), p.CustomID, p.Label)
	return err
}

// A database that remembers: no postback is lost or taken twice, whenever the
// shop is stopped.
func ExampleSeen() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", "file:orders?mode=memory&cache=shared")
	if err != nil {
		panic(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, `CREATE TABLE taken (postback TEXT PRIMARY KEY);
		CREATE TABLE orders (id TEXT PRIMARY KEY, label TEXT, received INTEGER);
		INSERT INTO orders VALUES ('order-1001', '55', 0)`); err != nil {
		panic(err)
	}
	seen := database{db}
	p := client.Postback{CustomID: "order-1001", Label: "55", UTR: "321323438267", Amount: 500 * money.Rupee}
	for range 2 { // it is delivered twice
		if err := seen.Once(ctx, p.Key(), func(ctx context.Context) error { return pay(ctx, p) }); err != nil {
			panic(err)
		}
	}
	var received int64
	if err := db.QueryRowContext(ctx, `SELECT received FROM orders WHERE id = 'order-1001'`).Scan(&received); err != nil {
		panic(err)
	}
	fmt.Println(money.Paise(received))
	// Output: 500
}
