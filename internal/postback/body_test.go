package postback_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// exampleMerchant reads dates in UTC, as the example's zone is not told.
func exampleMerchant(tb testing.TB) *directory.Merchant {
	tb.Helper()
	m := shop("shop", "https://shop.example/postback")
	m.Timezone = "UTC"
	m.Secrets.AccessKey = "FQ9jMwrNSkFbyMNqYFf6Ed4xeKmjHK"
	return newShops(tb, m).Current().Merchant("shop")
}

func exampleEvent() postback.Event {
	e := event(7, "shop", time.Date(2023, 7, 3, 6, 42, 55, 0, time.UTC))
	e.CustomID = "h8JxcM123DbmAvfn"
	e.Payer = "9912346690"
	return e
}

// member is a key and what stands under it; order counts.
type member struct {
	Key   string
	Value any
}

// as is a checked type assertion.
func as[T any](tb testing.TB, v any) T {
	tb.Helper()
	typed, ok := v.(T)
	if !ok {
		tb.Fatalf("%v is a %T", v, v)
	}
	return typed
}

// ordered parses JSON keeping the order of keys and the text of numbers.
func ordered(tb testing.TB, data []byte) any {
	tb.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var value func() any
	value = func() any {
		tok, err := dec.Token()
		if err != nil {
			tb.Fatalf("%v in %s", err, data)
		}
		switch tok {
		case json.Delim('{'):
			members := []member{}
			for dec.More() {
				key := as[string](tb, value())
				members = append(members, member{key, value()})
			}
			value()
			return members
		case json.Delim('['):
			items := []any{}
			for dec.More() {
				items = append(items, value())
			}
			value()
			return items
		}
		return tok
	}
	parsed := value()
	if _, err := dec.Token(); err != io.EOF {
		tb.Fatalf("more than one value in %s", data)
	}
	return parsed
}

// Signature and rates are the installation's own; everything else is the
// example's, key by key.
func TestBodyIsTheExample(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("testdata/deposit-postback.json")
	if err != nil {
		t.Fatal(err)
	}
	e := exampleEvent()
	body := postback.AppendBody(nil, &e, exampleMerchant(t), bundled(t).set)
	want, got := as[[]member](t, ordered(t, example)), as[[]member](t, ordered(t, body))
	for _, members := range [][]member{want, got} {
		for i, m := range members {
			switch m.Key {
			case "signature":
				members[i].Value = len(as[string](t, m.Value))
			case "converted_amount":
				converted := as[[]member](t, m.Value)
				for j := range converted {
					converted[j].Value = nil
				}
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("body differs from the example (-example +body):\n%s", diff)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, body); err != nil || !bytes.Equal(compact.Bytes(), body) {
		t.Errorf("body is not compact: %s", body)
	}
}

func TestBodyFollowsTheMerchant(t *testing.T) {
	t.Parallel()
	e := exampleEvent()
	e.Amount = 50050
	m := newShops(t, shop("shop", "")).Current().Merchant("shop")
	body := string(postback.AppendBody([]byte("kept"), &e, m, bundled(t).set))
	for _, want := range []string{
		`kept{"signature":"`, `"amount":500.5,`, `"amount":"500.5"`, `"INR":500.5,`,
		`"created_datetime":"2023-07-03 12:12:53"`, `"activated_datetime":"2023-07-03 12:12:55"`, `"access_key":"AK"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing in %s", want, body)
		}
	}
}

// legacy is the signature as a merchant computes it from a body's text.
func legacy(accessKey, privateKey, additional string) string {
	digest := md5.Sum([]byte(additional))
	sum := sha1.Sum([]byte(accessKey + privateKey + hex.EncodeToString(digest[:])))
	return hex.EncodeToString(sum[:])
}

// A golden text and its signature, computed outside of this program, so that no
// change of either goes unseen.
func TestLegacySignature(t *testing.T) {
	t.Parallel()
	e := exampleEvent()
	m := newShops(t, shop("shop", "")).Current().Merchant("shop")
	const additional = `[{"activated_datetime":"2023-07-03 12:12:55","exchanger_identifier":"99xxxx6690","comment":"","amount":"1000",` +
		`"currency_code":"INR","wallet_type":"upi_hb","stockpiling_id":1430926,"transaction_id":"355015818634","transaction_type":0,` +
		`"plugin_custom_order_id":"h8JxcM123DbmAvfn","withdrawal_id":null,"withdrawal_status":null,"account_number":"",` +
		`"account_name":"","account_email":"","bank_details":{"bank_code":"","branch_code":""}}]`
	body := string(postback.AppendBody(nil, &e, m, bundled(t).set))
	if !strings.HasSuffix(body, `,"additional_data":`+additional+`}`) {
		t.Errorf("additional_data differs: %s", body)
	}
	if want := `{"signature":"fb81705eaec210960858cb614107fea62d09fa0f","wallet_type":`; !strings.HasPrefix(body, want) {
		t.Errorf("body starts with %.70s, want %s", body, want)
	}
}

// difficult are texts that JSON writers disagree on.
var difficult = []string{
	"", "plain", `a"b\c/d`, "<script>&amp;</script>", "राहुल 😀 é", "tab\tnew\nret\rback\bform\f", "nul\x00esc\x1bunit\x1f", "del\x7f",
	"\u0080\u009f\ufeff\ufffd", "bad\xff\xc0\xaf\xed\xa0\x80utf8", "C:\\new\\table",
}

func trickyEvents() []postback.Event {
	var events []postback.Event
	for i, text := range difficult {
		e := exampleEvent()
		e.ID = int64(i + 1)
		e.Label, e.CustomID, e.Payer, e.Method, e.UTR = text, text+"/1", text, "m"+text, upi.UTR(text)
		e.Amount = money.Paise(i*i*i*7919 + 1)
		events = append(events, e)
	}
	return events
}

// Merchants parse a body, take additional_data, write it again compactly and
// sign that. Every language they use must arrive at our signature.
func TestSignatureSurvivesReencoding(t *testing.T) {
	t.Parallel()
	runtimes := []struct{ name, script string }{
		{"node", `const {createHash: h} = require("crypto"); const b = JSON.parse(require("fs").readFileSync(0));
const md5 = h("md5").update(JSON.stringify(b.additional_data)).digest("hex");
process.stdout.write(h("sha1").update(b.access_key + "PK" + md5).digest("hex") + " " + b.signature);`},
		{"python3", `
import sys, json, hashlib
b = json.loads(sys.stdin.buffer.read())
t = json.dumps(b["additional_data"], separators=(",", ":"), ensure_ascii=False).encode()
print(hashlib.sha1((b["access_key"] + "PK" + hashlib.md5(t).hexdigest()).encode()).hexdigest(), b["signature"], end="")`},
		{"php", `$b = json_decode(file_get_contents("php://stdin"), true);
$t = json_encode($b["additional_data"], JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
echo sha1($b["access_key"] . "PK" . md5($t)), " ", $b["signature"];`},
	}
	flag := map[string]string{"node": "-e", "python3": "-c", "php": "-r"}
	m := newShops(t, shop("shop", "")).Current().Merchant("shop")
	rates := bundled(t).set
	for _, lang := range runtimes {
		t.Run(lang.name, func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(lang.name)
			if err != nil {
				t.Skipf("%s is not installed here", lang.name)
			}
			for _, e := range trickyEvents() {
				cmd := exec.CommandContext(t.Context(), path, flag[lang.name], lang.script)
				cmd.Stdin = bytes.NewReader(postback.AppendBody(nil, &e, m, rates))
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%s: %v", lang.name, err)
				}
				if computed, sent, _ := strings.Cut(string(out), " "); computed != sent || len(sent) != 40 {
					t.Errorf("%q: %s signs %q, the postback says %q", e.CustomID, lang.name, computed, sent)
				}
			}
		})
	}
}

// No float, no HTML escape, no unstable text: whatever the event holds, the
// signed text reads back as it was written.
func TestSignedTextIsStable(t *testing.T) {
	t.Parallel()
	m := newShops(t, shop("shop", "")).Current().Merchant("shop")
	set := bundled(t).set
	rapid.Check(t, func(t *rapid.T) {
		e := exampleEvent()
		e.CustomID = rapid.String().Draw(t, "custom")
		e.Label = rapid.String().Draw(t, "label")
		e.Payer = rapid.String().Draw(t, "payer")
		e.Amount = money.Paise(rapid.Int64().Draw(t, "amount"))
		e.CreditID = rapid.Int64().Draw(t, "credit")
		body := postback.AppendBody(nil, &e, m, set)
		if again := postback.AppendBody(nil, &e, m, set); !bytes.Equal(body, again) {
			t.Fatalf("not the same twice: %s and %s", body, again)
		}
		var parsed struct {
			Signature  string          `json:"signature"`
			Label      string          `json:"label"`
			Additional json.RawMessage `json:"additional_data"`
		}
		if err := json.Unmarshal(body, &parsed); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if want := legacy("AK", "PK", string(parsed.Additional)); parsed.Signature != want {
			t.Fatalf("signature %s, want %s", parsed.Signature, want)
		}
		var data []struct {
			Amount   string `json:"amount"`
			CustomID string `json:"plugin_custom_order_id"`
			CreditID int64  `json:"stockpiling_id"`
		}
		if err := json.Unmarshal(parsed.Additional, &data); err != nil || len(data) != 1 {
			t.Fatalf("%v: %s", err, parsed.Additional)
		}
		if d := data[0]; d.CustomID != e.CustomID || d.CreditID != e.CreditID || d.Amount != e.Amount.String() || parsed.Label != e.Label {
			t.Fatalf("read back %+v, label %q from %+v", d, parsed.Label, e)
		}
	})
}

func TestAppendString(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                         `""`,
		`"\/`:                      `"\"\\/"`,
		"<&>'":                     `"<&>'"`,
		"\b\f\n\r\t\v\x00\x1f\x7f": `"\b\f\n\r\t\u000b\u0000\u001f` + "\x7f\"",
		"\u2027\u2028\u2029\u202a": "\"\u2027\\u2028\\u2029\u202a\"",
		"é€😀":                      `"é€😀"`,
		"a\xffb\ufffd":             "\"a\ufffdb\ufffd\"",
		"\xe2\x80":                 "\"\ufffd\ufffd\"",
	} {
		if got := string(postback.AppendString(nil, in)); got != want {
			t.Errorf("AppendString(%q) = %s, want %s", in, got, want)
		}
	}
}

func FuzzAppendString(f *testing.F) {
	for _, text := range difficult {
		f.Add(text)
	}
	f.Add("\u2028\u2029")
	f.Fuzz(func(t *testing.T, text string) {
		encoded := postback.AppendString([]byte("x"), text)[1:]
		var decoded string
		if err := json.Unmarshal(encoded, &decoded); err != nil {
			t.Fatalf("%q is written as %s: %v", text, encoded, err)
		}
		if want := string([]rune(text)); decoded != want {
			t.Errorf("%q reads back as %q", text, decoded)
		}
		// encoding/json agrees byte by byte, told to leave HTML alone, but for
		// what it writes for text that is not UTF-8.
		if string([]rune(text)) == text {
			var std bytes.Buffer
			enc := json.NewEncoder(&std)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(text); err != nil {
				t.Fatal(err)
			}
			if want := bytes.TrimSuffix(std.Bytes(), []byte("\n")); !bytes.Equal(encoded, want) {
				t.Errorf("%q: %s, encoding/json writes %s", text, encoded, want)
			}
		}
	})
}

func TestStandardWebhooksVerifies(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		secrets directory.MerchantSecrets
		open    func() (*standardwebhooks.Webhook, error)
	}{
		"private key": {
			directory.MerchantSecrets{PrivateKey: "PK"},
			func() (*standardwebhooks.Webhook, error) { return standardwebhooks.NewWebhookRaw([]byte("PK")) },
		},
		"own secret": {
			directory.MerchantSecrets{PrivateKey: "PK", Webhook: "another"},
			func() (*standardwebhooks.Webhook, error) { return standardwebhooks.NewWebhookRaw([]byte("another")) },
		},
		"standard secret": {
			directory.MerchantSecrets{PrivateKey: "PK", Webhook: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
			func() (*standardwebhooks.Webhook, error) {
				return standardwebhooks.NewWebhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := exampleEvent()
			header, body := http.Header{}, []byte(`{"a":1}`)
			postback.Sign(header, tt.secrets, e.MessageID(), time.Now(), body)
			hook, err := tt.open()
			if err != nil {
				t.Fatal(err)
			}
			if err := hook.Verify(body, header); err != nil {
				t.Errorf("the merchant's library refuses: %v", err)
			}
			if err := hook.Verify([]byte(`{"a":2}`), header); err == nil {
				t.Error("another body passes")
			}
			if id := header.Get("webhook-id"); id != "deposit_7" {
				t.Errorf("webhook-id %q", id)
			}
			stale := header.Clone()
			stale.Set("webhook-timestamp", strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10))
			if err := hook.VerifyIgnoringTimestamp(body, stale); err == nil {
				t.Error("another timestamp passes")
			}
		})
	}
}

func BenchmarkAppendBody(b *testing.B) {
	m, set, e := exampleMerchant(b), bundled(b).set, exampleEvent()
	b.ReportAllocs()
	for b.Loop() {
		postback.AppendBody(nil, &e, m, set)
	}
}
