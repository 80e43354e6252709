package notice_test

import (
	"context"
	"errors"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/notice"
)

// silent is a way to nobody.
type silent struct{}

func (silent) Send(context.Context, notice.Notice) error { return errors.New("nobody is there") }

// TestKept: what a board keeps is listed, what lasts first, with who was told.
func TestKept(t *testing.T) {
	t.Parallel()
	store := new(memory)
	at := time.Date(2026, 5, 4, 4, 50, 0, 0, time.UTC)
	box := new(outbox)
	board, err := notice.NewBoard(t.Context(), store, map[string]notice.Sender{"mail": box, "webhook": silent{}}, notice.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	first := notice.Trouble{Key: "feed/a/silent", Code: "silent", Severity: notice.Warning, Subject: "A"}
	second := notice.Trouble{Key: "feed/b/silent", Code: "silent", Severity: notice.Critical, Subject: "B"}
	for i, there := range [][]notice.Trouble{{first}, {second}, {second}} {
		if err := board.Tick(t.Context(), at.Add(time.Duration(i)*20*time.Minute), there); err == nil {
			t.Fatal("a way to nobody worked")
		}
	}
	list, err := notice.List(t.Context(), store)
	if err != nil || len(list) != 2 || list[0].Subject != "B" || list[0].Over || !list[1].Over || !list[1].Since.Equal(at) {
		t.Fatalf("kept are %+v, %v", list, err)
	}
	if told := list[0].Told; len(told) != 2 || told[0].Way != "mail" || told[0].At.IsZero() || told[1].Failed == 0 || !told[1].At.IsZero() {
		t.Errorf("told are %+v", told)
	}
	tried := notice.Try(t.Context(), map[string]notice.Sender{"mail": new(outbox), "webhook": silent{}}, at, "user:asha@example.com")
	if len(tried) != 2 || tried[0].Err != nil || tried[1].Err == nil {
		t.Errorf("tried %+v", tried)
	}
}

// TestLetter: a letter has its own recipients, its text and its files.
func TestLetter(t *testing.T) {
	t.Parallel()
	p := newPost(t, notice.Plain)
	m, err := notice.NewMail(p.settings(notice.Plain))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Post(t.Context(), notice.Letter{
		ID: "report_1", To: []string{"accounts@shop.example"}, At: time.Date(2026, 5, 4, 4, 50, 0, 0, time.UTC),
		Subject: "Report of shop\r\nBcc: all@shop.example", Text: "Closing balance ₹500.00",
		Files: []notice.File{{Name: "shop-2026-05-03.csv", Type: "text/csv", Data: []byte("line,amount\n")}},
	}); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	got, err := mail.ReadMessage(strings.NewReader(p.mail))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(p.to, " ") != "accounts@shop.example" || got.Header.Get("Message-Id") != "<report_1@shop.example>" || got.Header.Get("Bcc") != "" ||
		!strings.HasPrefix(got.Header.Get("Content-Type"), "multipart/mixed") || !strings.Contains(p.mail, "shop-2026-05-03.csv") {
		t.Errorf("to %v came %s", p.to, p.mail)
	}
	if err := m.Post(t.Context(), notice.Letter{ID: "x", To: []string{"nobody"}, Subject: "x"}); err == nil {
		t.Error("mail to no address went out")
	}
}
