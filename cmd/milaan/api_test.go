package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/internal/porttest"
	"github.com/milaan/milaan/money"
)

var blockPattern = regexp.MustCompile("(?ms)^```(sh|json|text)\n(.*?)^```$")

// example is a block of commands of a page, and what the page says they print.
type example struct{ commands, kind, prints string }

func examplesOf(t *testing.T, page string) (list []example) {
	t.Helper()
	text, err := os.ReadFile(filepath.Clean(page))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range blockPattern.FindAllStringSubmatch(string(text), -1) {
		if block[1] == "sh" {
			list = append(list, example{commands: block[2]})
			continue
		}
		list[len(list)-1].kind, list[len(list)-1].prints = block[1], block[2]
	}
	return list
}

// TestAPIExamples pastes the examples of docs/api.md into a shell, beside a
// gateway with one deposit that was announced, one claim in review, and one
// withdrawal that nobody approved.
func TestAPIExamples(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not here, which the examples use", tool)
		}
	}
	dir, shop := t.TempDir(), newShop(t)
	c := &crashTest{program: os.Args[0], client: http.DefaultClient, answered: make(map[string]string), reported: make(map[string]bool)}
	c.ask(porttest.FreeAddr(t))
	c.env = append(os.Environ(), asMilaan+"=1", "MILAAN_DATABASE_URL=sqlite://"+filepath.Join(dir, "milaan.db"),
		"MILAAN_LISTEN="+c.addr(), "MILAAN_ADMIN_LISTEN="+porttest.FreeAddr(t), "MILAAN_ALLOW_PRIVATE_TARGETS=true", "PATH="+dir+":"+os.Getenv("PATH"))
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("milaan", fmt.Sprintf("#!/bin/sh\nexec %q \"$@\"\n", os.Args[0]), 0o700)
	c.command(t, "apply", write("shop.yaml", fmt.Sprintf(`
merchants:
  - {id: shop, name: Sample shop, plugin_api_secret: s3cret, withdrawal_private_key: wkey, postback: {url: %q}}
wallets:
  - {id: w1, method: upi_l, vpa: test@upi, merchants: [shop]}
feeds:
  - {id: bank1, kind: json, wallet: w1, token: feedtoken}
payouts:
  - {id: desk, kind: manual, method: imps_ib}
`, shop.URL), 0o600))
	gateway := c.start(t)
	t.Cleanup(func() {
		_ = gateway.Process.Signal(syscall.SIGTERM)
		_ = gateway.Wait()
	})
	post := func(path, bearer, body string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.addr()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+bearer)
		res, err := c.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s answered %d", path, res.StatusCode)
		}
	}
	post("/feeds/bank1", "feedtoken", `{"credits":[{"utr":"321323438267","amount":"500.00"},{"utr":"321323438268","amount":"70.00"}]}`)
	for _, claim := range []struct{ utr, id, amount string }{{"321323438267", "123465477897", "500"}, {"321323438268", "123465477898", "700"}} {
		post("/api/v1/transaction/activate", "s3cret", fmt.Sprintf(
			`{"currency_code":"INR","wallet_type":"upi_l","label":"55","key1":%q,"amount":%s,"custom_transaction_id":%q}`, claim.utr, claim.amount, claim.id))
	}
	sdk, err := client.New(client.Config{API: "http://" + c.addr(), Merchant: "shop", Secret: "s3cret", WithdrawalKey: "wkey"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sdk.Withdraw(t.Context(), client.Withdrawal{
		ID: "w-1", Label: "55", Amount: 100 * money.Rupee, AccountNumber: "12345678901", AccountName: "Asha Rao", IFSC: "HDFC0000001",
	}); err != nil {
		t.Fatal(err)
	}
	shop.wait(t, map[string]bool{"123465477897": true})
	for deadline := time.Now().Add(time.Minute); !strings.Contains(c.command(t, "postbacks", "list", "--state", "delivered"), "123465477897"); {
		if time.Sleep(50 * time.Millisecond); time.Now().After(deadline) {
			t.Fatal("the postback is not delivered")
		}
	}

	const mark = "=== next example ==="
	var script strings.Builder
	examples := examplesOf(t, "../../docs/api.md")
	for _, e := range examples {
		fmt.Fprintf(&script, "%s\necho; echo %q\n", e.commands, mark)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "bash", "-euo", "pipefail", "-c",
		strings.ReplaceAll(script.String(), "127.0.0.1:8080", c.addr()))
	cmd.Dir, cmd.Env = dir, c.env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("the examples fail: %v\n%s%s", err, &out, &errs)
	}
	if list := c.command(t, "postbacks", "list"); !strings.Contains(list, "deposit") || !regexp.MustCompile(`withdrawal success +w-1 `).MatchString(list) {
		t.Errorf("milaan postbacks list shows\n%s", list)
	}
	printed := strings.Split(out.String(), mark+"\n")
	if len(examples) < 5 || len(printed) != len(examples)+1 {
		t.Fatalf("%d examples printed %d times", len(examples), len(printed))
	}
	for i, e := range examples {
		if !agrees(t, e, strings.TrimSpace(printed[i])) {
			t.Errorf("%s\nprints\n%s\nand the page says\n%s", e.commands, printed[i], e.prints)
		}
	}
}

// agrees reports whether what was printed is what the page says. In JSON "…"
// stands for anything.
func agrees(t *testing.T, e example, printed string) bool {
	t.Helper()
	if e.kind == "text" {
		lines := func(s string) []string {
			return strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
		}
		return reflect.DeepEqual(lines(e.prints), lines(printed))
	}
	var want, got any
	if err := json.Unmarshal([]byte(e.prints), &want); err != nil {
		t.Fatalf("the page says %s: %v", e.prints, err)
	}
	return json.Unmarshal([]byte(printed), &got) == nil && alike(want, got)
}

func alike(want, got any) bool {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok || len(got) != len(want) {
			return false
		}
		for key := range want {
			if _, there := got[key]; !there || !alike(want[key], got[key]) {
				return false
			}
		}
		return true
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			return false
		}
		for i := range want {
			if !alike(want[i], got[i]) {
				return false
			}
		}
		return true
	default:
		return want == "…" || reflect.DeepEqual(want, got)
	}
}

// TestKeyCommands makes a key, lists it and ends it, as an operator would.
func TestKeyCommands(t *testing.T) {
	t.Parallel()
	s := newShell(t, installation)
	s.mustRun(exitDone, "there is no key", "keys", "list")
	token := strings.TrimSpace(s.mustRun(exitDone, "of shop, valid until", "keys", "add", "backend", "--owner", "shop", "--scope", "deposits:read", "--expires", "720h"))
	if !strings.HasPrefix(token, "mln_") || strings.Contains(token, "\n") {
		t.Errorf("the token is printed as %q", token)
	}
	list := s.mustRun(exitDone, "backend", "keys", "list")
	if strings.Contains(list, token) || !strings.Contains(list, "in force") || !strings.Contains(list, "never") {
		t.Errorf("the list is %s", list)
	}
	id := strings.Fields(strings.Split(list, "\n")[1])[0]
	s.mustRun(exitDone, "is revoked", "keys", "revoke", id)
	s.mustRun(exitFailed, "milaan keys list shows them", "keys", "revoke", id)
	s.mustRun(exitDone, "revoked", "keys", "list")
	for _, wrong := range []struct {
		code int
		says string
		args []string
	}{
		{exitFailed, "milaan apply declares merchants", []string{"--owner", "nobody", "--scope", "deposits:read", "--expires", "1h"}},
		{exitUsage, "none but these scopes: deposits:read", []string{"--owner", "shop", "--scope", "keys:write", "--expires", "1h"}},
		{exitUsage, "give a time within that", []string{"--owner", "operator", "--scope", "keys:write", "--expires", "100000h"}},
		{exitUsage, "--expires", []string{"--owner", "operator", "--scope", "keys:write"}},
	} {
		s.mustRun(wrong.code, wrong.says, append([]string{"keys", "add", "x"}, wrong.args...)...)
	}
	s.mustRun(exitDone, "every invariant holds", "verify")
}
