package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

type echo struct {
	Status  string      `json:"status"`
	Deposit bool        `json:"deposit"`
	Amount  json.Number `json:"deposit_amount"`
}

// ServeEcho answers every activation with a fixed `ok` over bare net/http: the
// most this machine can do. What the gateway does is measured against it.
func ServeEcho(ctx context.Context, addr string) error {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for the echo: %w", err)
	}
	s := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			Amount json.Number `json:"amount"`
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			http.Error(w, "no JSON", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		// A client that went away misses nothing.
		_ = json.NewEncoder(w).Encode(echo{Status: "ok", Deposit: true, Amount: request.Amount})
	})}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
