package apply_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/directory"
)

const webhooksFile = `
merchants:
- id: shop
  webhooks:
  - {id: hook1, url: "https://shop.example/events", events: [deposit.expired, "withdrawal.*"]}
  - id: Hook2
    url: https://shop.example/more
    events: ["*"]
    secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz
    ed25519: on
    schedule: [5s, 1h]
- id: cafe
  webhooks:
  - {id: hook1, url: "https://cafe.example/", events: [deposit.credited]}
webhooks:
- {id: ops, url: "https://ops.example/", events: [credit.unclaimed, "feed.*"]}
`

func TestWebhooks(t *testing.T) {
	t.Parallel()
	m := newMemory()
	first := m.mustApply(t, webhooksFile)
	var made []string
	for _, g := range first.Generated {
		if g.Kind == "webhook" {
			made = append(made, g.ID+" "+g.Name)
			if err := directory.CheckSigningSecret(g.Value); err != nil {
				t.Errorf("made for %s: %v", g.ID, err)
			}
		}
	}
	if want := []string{"shop/hook1 secret", "cafe/hook1 secret", "/ops secret"}; !slices.Equal(made, want) {
		t.Errorf("made %v, want %v", made, want)
	}
	if !strings.Contains(printed(t, first), "+ webhook shop/hook1\n+ webhook shop/Hook2\n+ webhook cafe/hook1\n+ webhook /ops\n") {
		t.Errorf("printed\n%s", printed(t, first))
	}
	if got := printed(t, m.mustApply(t, webhooksFile)); got != "no changes\n" {
		t.Errorf("the second time\n%s", got)
	}
	s := m.snapshot(t)
	h := s.Webhook("shop/Hook2")
	if h.URL != "https://shop.example/more" || !h.Ed25519 || h.Signers().PublicKey() == "" || !slices.Equal(h.Waits, []time.Duration{5 * time.Second, time.Hour}) {
		t.Errorf("stored %+v", h)
	}
	to := func(merchant, event string) (keys []string) {
		for _, w := range s.Subscribers(merchant, event) {
			keys = append(keys, w.Key())
		}
		return keys
	}
	if got := to("shop", "withdrawal.failed"); !slices.Equal(got, []string{"shop/hook1", "shop/Hook2"}) {
		t.Errorf("told are %v", got)
	}
	if got := to("", "feed.silent"); !slices.Equal(got, []string{"/ops"}) {
		t.Errorf("told are %v", got)
	}

	// A secret is replaced while both are live; leaving both lines out keeps that.
	rotated := strings.Replace(webhooksFile, "secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",
		"secret: whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3\n    secret_previous: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", 1)
	if got := printed(t, m.mustApply(t, rotated)); got != "~ webhook shop/Hook2: secret (secret), secret_previous (secret)\n" {
		t.Errorf("rotated\n%s", got)
	}
	bare := strings.Replace(webhooksFile, "    secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\n", "", 1)
	if got := printed(t, m.mustApply(t, bare)); got != "no changes\n" {
		t.Errorf("without the secret\n%s", got)
	}
	ended := strings.Replace(rotated, "\n    secret_previous: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", "", 1)
	m.mustApply(t, ended)
	if keys := m.snapshot(t).Webhook("shop/Hook2").Signers().WebhookKeys(); len(keys) != 1 || string(keys[0]) != "newnewnewnewnewnewnewnew" {
		t.Errorf("signed with %d keys", len(keys))
	}

	// Each section retires its own.
	if got := printed(t, m.mustApply(t, "webhooks: []\n")); got != "- webhook /ops (retired: not in the file)\n" {
		t.Errorf("retired\n%s", got)
	}
	if got := printed(t, m.mustApply(t, "merchants:\n- id: shop\n- id: cafe\n")); got != "- webhook shop/hook1 (retired: not in the file)\n- webhook shop/Hook2 (retired: not in the file)\n- webhook cafe/hook1 (retired: not in the file)\n" &&
		strings.Count(got, "- webhook ") != 3 {
		t.Errorf("retired\n%s", got)
	}
	if s := m.snapshot(t); len(s.Subscribers("shop", "deposit.expired")) != 0 {
		t.Error("retired webhooks are told")
	}
	if got := printed(t, m.mustApply(t, ended)); strings.Count(got, "+ webhook ") != 4 || strings.Contains(got, "generated") {
		t.Errorf("restored\n%s", got)
	}
}

func TestWebhooksThatAreWrong(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ lines, want string }{
		"unknown event":    {`{id: a, url: "https://a.example/", events: [deposit.expires]}`, `webhooks[0].events[0]: "deposit.expires" is no event: use deposit.credited, deposit.pending`},
		"the owner's":      {`{id: a, url: "https://a.example/", events: [credit.unclaimed]}`, `"credit.unclaimed" is told to the owner alone`},
		"no events":        {`{id: a, url: "https://a.example/", events: []}`, `webhooks[0].events: is empty`},
		"events left out":  {`{id: a, url: "https://a.example/"}`, `events`},
		"no URL":           {`{id: a, url: "ftp://a.example/", events: ["*"]}`, `webhooks[0].url: "ftp://a.example/" is no web address`},
		"a slash":          {`{id: a/b, url: "https://a.example/", events: ["*"]}`, `webhooks[0].id: "a/b" is no id`},
		"a weak secret":    {`{id: a, url: "https://a.example/", events: ["*"], secret: hook}`, `webhooks[0].secret: is no Standard Webhooks secret`},
		"a short secret":   {`{id: a, url: "https://a.example/", events: ["*"], secret: whsec_YWJj}`, `webhooks[0].secret: is no Standard Webhooks secret`},
		"previous alone":   {`{id: a, url: "https://a.example/", events: ["*"], secret_previous: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz}`, `secret_previous: needs secret beside it`},
		"twice":            {"{id: a, url: \"https://a.example/\", events: [\"*\"]}\n  - {id: A, url: \"https://b.example/\", events: [\"*\"]}", `"A" is used at line`},
		"an unknown field": {`{id: a, url: "https://a.example/", events: ["*"], secrets: x}`, `secret`},
	} {
		_, err := apply.Parse("shop.yaml", []byte("merchants:\n- id: shop\n  webhooks:\n  - "+tt.lines+"\n"))
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "whsec_MD") || strings.Contains(err.Error(), "YWJj") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Two merchants may have one of the same name, and a merchant and the owner.
	if _, err := apply.Parse("shop.yaml", []byte("merchants:\n- {id: a, webhooks: [{id: h, url: 'https://a.example/', events: ['*']}]}\n- {id: b, webhooks: [{id: h, url: 'https://a.example/', events: ['*']}]}\nwebhooks: [{id: h, url: 'https://a.example/', events: ['*']}]\n")); err != nil {
		t.Error(err)
	}
}
