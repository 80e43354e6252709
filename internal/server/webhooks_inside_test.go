package server

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/notice"
	"github.com/milaan/milaan/internal/postback"
)

// What is found wrong with a feed is told once, and once that it is over, whatever
// restarts; what lasts is no event, and other troubles are none.
func TestFindingsAreTold(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.DatabaseURL = "sqlite://" + filepath.Join(t.TempDir(), "milaan.db")
	c.Listen, c.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	g, err := Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}()
	file, err := apply.Parse("x", []byte("merchants: [{id: a, webhooks: [{id: all, url: 'https://a.example/', events: ['*']}]}]\nwebhooks: [{id: ops, url: 'https://ops.example/', events: ['feed.*']}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apply.Run(t.Context(), g.store, file, apply.Options{Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	if err := g.directory.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	silent := notice.Trouble{Key: "feed/phone1/silent", Code: "silent", Severity: notice.Critical, Subject: "s", Text: "Nothing came."}
	late := notice.Trouble{Key: "feed/phone1/late", Code: "late", Severity: notice.Warning, Subject: "s", Text: "Late."}
	other := notice.Trouble{Key: "postbacks/a/disabled", Code: "endpoint_disabled", Severity: notice.Critical, Subject: "s", Text: "t"}
	tick := func(after time.Duration, troubles ...notice.Trouble) {
		t.Helper()
		// A board of its own each time, as after a restart.
		board, err := g.newBoard(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := board.Tick(t.Context(), now.Add(after), troubles); err != nil {
			t.Fatal(err)
		}
	}
	tick(0, silent, other)
	tick(time.Minute, silent, other)
	tick(25*time.Hour, silent, late) // the board reminds
	tick(26*time.Hour, late)
	tick(27*time.Hour, late)
	tick(28*time.Hour, late)
	tick(29*time.Hour, late, silent) // again
	list, err := g.store.Postbacks(t.Context(), postback.Filter{Merchant: "/ops", Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for i := range list {
		d, err := g.store.Postback(t.Context(), list[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		told = append([]string{string(d.Webhook)}, told...)
		if body := string(d.Body); !strings.Contains(body, `"feed":"phone1","finding":"`) {
			t.Errorf("told %s", body)
		}
	}
	if got := strings.Join(told, " "); got != "feed.silent feed.failing feed.recovered feed.silent" {
		t.Errorf("told %s", got)
	}
	if list, err := g.store.Postbacks(t.Context(), postback.Filter{Merchant: "a/all", Limit: 10}); err != nil || len(list) != 0 {
		t.Errorf("the merchant was told %v, %v", list, err)
	}
	if r, err := g.store.Verify(t.Context()); err != nil || len(r.Problems) != 0 {
		t.Errorf("verify: %v, %v", r.Problems, err)
	}
}
