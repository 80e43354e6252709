package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/internal/porttest"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/money"
)

// posted is a postback as the gateway signs it.
type posted struct {
	header http.Header
	body   []byte
}

func newPosted(t *testing.T, secrets directory.MerchantSecrets) posted {
	t.Helper()
	rates, err := fx.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	e := postback.Event{
		ID: 7, Merchant: "shop", Method: "upi_l", Label: "55", CustomID: "order-1001", Amount: 50010, Currency: money.INR,
		Payer: "rahul@okaxis", CreditID: 3, UTR: "321323438267", CreatedAt: time.Now(), ActivatedAt: time.Now(),
	}
	p := posted{make(http.Header), postback.AppendBody(nil, &e, &directory.Merchant{Secrets: secrets}, rates)}
	postback.Sign(p.header, secrets, e.MessageID(), time.Now(), p.body)
	return p
}

var postbackSecrets = directory.MerchantSecrets{AccessKey: "AK", PrivateKey: "PK"}

func (p posted) to(t *testing.T, address string) (status int, said string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, bytes.NewReader(p.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = p.header.Clone()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res.StatusCode, string(text)
}

// listening is a milaan listen that runs.
type listening struct {
	address string
	lines   chan string
	stop    context.CancelFunc
	code    chan int
}

func listen(t *testing.T, flags ...string) *listening {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	read, write := io.Pipe()
	l := &listening{lines: make(chan string, 1000), stop: stop, code: make(chan int, 1)}
	go func() {
		defer close(l.lines)
		for out := bufio.NewScanner(read); out.Scan(); {
			l.lines <- out.Text()
		}
	}()
	var errs bytes.Buffer
	go func() {
		code := run(ctx, append([]string{"listen", "--addr", "127.0.0.1:0", "--access-key", "AK", "--private-key", "PK"}, flags...), write, &errs)
		_ = write.Close()
		l.code <- code
	}()
	t.Cleanup(func() {
		stop()
		if code := <-l.code; code != exitDone {
			t.Errorf("exit code %d: %s", code, &errs)
		}
	})
	_, rest, found := strings.Cut(l.line(t), "Listening on ")
	if !found {
		t.Fatal("it does not say where it listens")
	}
	l.address, _, _ = strings.Cut(rest, " ")
	return l
}

func (l *listening) line(t *testing.T) string {
	t.Helper()
	line, more := <-l.lines
	if !more {
		t.Fatal("no more lines")
	}
	return line
}

// delivery reads what is printed of one, from the empty line before it to its
// answer.
func (l *listening) delivery(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for {
		line := l.line(t)
		text.WriteString(line + "\n")
		if strings.HasPrefix(line, "  → ") {
			return text.String()
		}
	}
}

func TestListenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	l := listen(t)
	good := newPosted(t, postbackSecrets)
	changed := posted{good.header, bytes.Replace(good.body, []byte(`"amount":500.1`), []byte(`"amount":5001`), 1)}
	otherKey := newPosted(t, directory.MerchantSecrets{AccessKey: "AK", PrivateKey: "other"})
	otherShop := newPosted(t, directory.MerchantSecrets{AccessKey: "BK", PrivateKey: "PK"})
	old := newPosted(t, postbackSecrets)
	postback.Sign(old.header, postbackSecrets, "deposit_7", time.Now().Add(-time.Hour), old.body)
	for _, tt := range []struct {
		posted
		status int
		want   []string
	}{
		{good, 200, []string{"genuine\n", `ingoing 500.10 INR: label "55", order "order-1001", UTR "321323438267", payer "raxxx@okaxis"`,
			"✓ webhook signature", "✓ webhook timestamp", "✓ body", "✓ legacy signature", "✓ agreement", `→ answered 200 {"status":"ok"}`}},
		{good, 200, []string{"genuine, delivery 2 of the same"}},
		{changed, 403, []string{"NOT GENUINE", "✗ webhook signature: it is signed with another key", "✓ legacy signature", "✗ agreement: the top level and additional_data disagree in amount", `→ answered 403 {"status":"fail"}`}},
		{otherKey, 403, []string{"✗ webhook signature", "✗ legacy signature: it is signed with another private_key"}},
		{otherShop, 403, []string{"✓ webhook signature", "✗ legacy signature: access_key is another one"}},
		{old, 403, []string{"✗ webhook timestamp: it is 1h0m", "✓ webhook signature"}},
		{posted{http.Header{}, []byte("hello")}, 403, []string{"✗ webhook signature: webhook-id, webhook-timestamp or webhook-signature is missing", "✗ body"}},
	} {
		status, _ := tt.to(t, l.address+"/%1b[2Jpostback")
		text := l.delivery(t)
		if status != tt.status {
			t.Errorf("answered %d, want %d:\n%s", status, tt.status, text)
		}
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("lacks %q:\n%s", want, text)
			}
		}
		if strings.Contains(text, "\x1b") {
			t.Errorf("a stranger steers the terminal: %q", text)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET is answered with %d", res.StatusCode)
	}
}

func TestListenAnswersAsTold(t *testing.T) {
	t.Parallel()
	good := newPosted(t, postbackSecrets)
	for _, tt := range []struct {
		flags  []string
		status int
		says   string
	}{
		{[]string{"--answer", "fail"}, 500, `answered 500 {"status":"fail"} (--answer=fail)`},
		{[]string{"--answer", "slow", "--delay", "10ms"}, 200, `answered 200 {"status":"ok"}`},
		{[]string{"--body"}, 200, `"label": "55"`},
	} {
		l := listen(t, tt.flags...)
		if status, _ := good.to(t, l.address); status != tt.status {
			t.Errorf("%v: answered %d", tt.flags, status)
		}
		if text := l.delivery(t); !strings.Contains(text, tt.says) {
			t.Errorf("%v lacks %q:\n%s", tt.flags, tt.says, text)
		}
	}
}

// TestListenEndsWhatHangs: an interrupt ends the command though a delivery has
// no answer yet.
func TestListenEndsWhatHangs(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{{"--answer", "hang"}, {"--answer", "slow", "--delay", "1h"}} {
		l := listen(t, append(flags, "--body")...)
		answered := make(chan int, 1)
		go func() { status, _ := newPosted(t, postbackSecrets).to(t, l.address); answered <- status }()
		time.Sleep(50 * time.Millisecond) // on its way; it may also be refused
		l.stop()
		if status := <-answered; status != 0 {
			t.Errorf("%v: answered %d", flags, status)
		}
	}
}

func TestListenForwardsUnchanged(t *testing.T) {
	t.Parallel()
	got := make(chan posted, 1)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- posted{r.Header, body}
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "no tea")
	}))
	t.Cleanup(app.Close)
	good := newPosted(t, postbackSecrets)
	l := listen(t, "--forward", app.URL+"/hook?a=1")
	if status, said := good.to(t, l.address); status != http.StatusTeapot || said != "no tea" {
		t.Errorf("answered %d %s", status, said)
	}
	if text := l.delivery(t); !strings.Contains(text, "answered 418 no tea (the gateway will try again: it wants 200)") {
		t.Errorf("printed\n%s", text)
	}
	forwarded := <-got
	if !bytes.Equal(forwarded.body, good.body) {
		t.Errorf("forwarded %s", forwarded.body)
	}
	for name := range good.header {
		if forwarded.header.Get(name) != good.header.Get(name) {
			t.Errorf("%s is %q", name, forwarded.header.Get(name))
		}
	}
	away := listen(t, "--forward", "http://"+porttest.FreeAddr(t))
	if status, _ := good.to(t, away.address); status != http.StatusBadGateway {
		t.Errorf("an application that is away is answered with %d", status)
	}
}

func TestListenPrintsJSON(t *testing.T) {
	t.Parallel()
	addr := porttest.FreeAddr(t)
	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"listen", "--addr", addr, "--access-key", "AK", "--private-key", "PK", "--json"}, write, io.Discard)
		_ = write.Close()
	}()
	good := newPosted(t, postbackSecrets)
	answered := make(chan int, 1)
	go func() {
		status, deadline := 0, time.Now().Add(10*time.Second)
		for status == 0 && time.Now().Before(deadline) { // it opens the port some time
			status, _ = good.to(t, "http://"+addr+"/postback")
		}
		answered <- status
	}()
	var got delivery
	line, err := bufio.NewReader(read).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &got)
	}
	if err != nil || !got.Genuine || got.Times != 1 || len(got.Checks) != 5 || got.ID != "deposit_7" || got.Answer.Status != 200 || got.Body != "" {
		t.Errorf("printed %s: %v", line, err)
	}
	if diff := cmp.Diff(&told{
		Direction: "ingoing", Method: "upi_l", Amount: 50010, Currency: "INR", Label: "55", CustomID: "order-1001", UTR: "321323438267", Payer: "raxxx@okaxis",
	}, got.Postback); diff != "" {
		t.Error(diff)
	}
	if status := <-answered; status != http.StatusOK {
		t.Errorf("answered %d", status)
	}
	stop()
	if c := <-code; c != exitDone {
		t.Errorf("exit code %d", c)
	}
}

func TestListenWantsKeys(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"listen", "--access-key", "AK"},
		{"listen", "--access-key", "AK", "--private-key", "PK", "--webhook-secret", "whsec_%"},
		{"listen", "--access-key", "AK", "--private-key", "PK", "--answer", "maybe"},
		{"listen", "--access-key", "AK", "--private-key", "PK", "--answer", "fail", "--forward", "http://127.0.0.1:1"},
	} {
		var errs bytes.Buffer
		if code := run(t.Context(), args, io.Discard, &errs); code != exitUsage || errs.Len() == 0 {
			t.Errorf("%v: exit code %d, %s", args, code, &errs)
		}
	}
}
