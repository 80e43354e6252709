package console

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/directory"
)

// keySpec is one of a merchant's keys: what the apply file calls it, and how it is
// read from what is stored.
type keySpec struct {
	name string
	// postback keys stand under postback in the file.
	postback bool
	// current and previous are what is valid now. A key without previous has no
	// time in which both are: the new one is in force at once.
	current  func(*directory.MerchantSecrets) directory.Secret
	previous func(*directory.MerchantSecrets) directory.Secret
	make     func() string
}

// keySpecs are the keys that a merchant has.
func keySpecs() []keySpec {
	return []keySpec{
		{
			name: "plugin_api_secret", make: rand.Text,
			current:  func(s *directory.MerchantSecrets) directory.Secret { return nth(s.PluginAPI, 0) },
			previous: func(s *directory.MerchantSecrets) directory.Secret { return nth(s.PluginAPI, 1) },
		},
		{
			name: "private_key", postback: true, make: rand.Text,
			current:  func(s *directory.MerchantSecrets) directory.Secret { return s.PrivateKey },
			previous: func(s *directory.MerchantSecrets) directory.Secret { return s.PrivateKeyPrevious },
		},
		{
			name: "webhook_secret", postback: true, make: newWebhookSecret,
			current:  func(s *directory.MerchantSecrets) directory.Secret { return s.Webhook },
			previous: func(s *directory.MerchantSecrets) directory.Secret { return s.WebhookPrevious },
		},
		{
			name: "access_key", postback: true, make: rand.Text,
			current: func(s *directory.MerchantSecrets) directory.Secret { return s.AccessKey },
		},
		{
			name: "withdrawal_private_key", make: rand.Text,
			current: func(s *directory.MerchantSecrets) directory.Secret { return s.WithdrawalKey },
		},
	}
}

func nth(list []directory.Secret, n int) directory.Secret {
	if n < len(list) {
		return list[n]
	}
	return ""
}

// newWebhookSecret makes a secret as the Standard Webhooks specification writes
// it.
func newWebhookSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}

// keySheet is what the page of a merchant's keys shows. No page shows a key that
// is stored.
type keySheet struct {
	Problem string
	Tabs    []tab
	Keys    []keyRow
}

type keyRow struct {
	Name, Label, Text string
	There             bool
	Rotating          bool   // the one before is valid, too
	Gentle            bool   // a rotation has a time in which both are
	Path              string // of its acts; empty where none can be made
}

func (d *Door) keysPage(v *visit, m *directory.Merchant) error {
	return d.showKeys(v, http.StatusOK, m, "")
}

func (*Door) showKeys(v *visit, code int, m *directory.Merchant, problem string) error {
	body := keySheet{Problem: problem, Tabs: v.tabs(m)}
	for _, k := range keySpecs() {
		row := keyRow{
			Name: k.name, Label: v.T("merchantkeys." + k.name), Text: v.T("merchantkeys." + k.name + ".text"), There: k.current(&m.Secrets) != "",
			Gentle: k.previous != nil, Rotating: k.previous != nil && k.previous(&m.Secrets) != "",
		}
		if !m.Retired && (!k.postback || m.PostbackURL != "") {
			row.Path = merchantPath(m, "keys/"+k.name)
		}
		body.Keys = append(body.Keys, row)
	}
	return v.show(page{Status: code, Name: "keys", Title: v.T("merchantkeys.title", "merchant", v.door.merchantName(m.ID)), Body: body})
}

// errNoTarget: keys of postbacks belong to an address of postbacks.
var errNoTarget = errors.New("set the address of postbacks first: their keys belong to it")

// setKey stores a key, and the one that is valid beside it; previous empty for
// none. Both are worked out of what is stored.
func (*Door) setKey(v *visit, m *directory.Merchant, k *keySpec, pair func(*directory.MerchantSecrets) (current, previous directory.Secret)) error {
	return v.edit(func(c *directory.Contents) (map[string]any, error) {
		for _, stored := range c.Merchants {
			if stored.ID != m.ID || stored.Retired {
				continue
			}
			wanted, err := declared(apply.MerchantOf(stored))
			if err != nil {
				return nil, err
			}
			into := wanted
			if k.postback {
				var ok bool
				if into, ok = wanted["postback"].(map[string]any); !ok {
					return nil, errNoTarget
				}
			}
			current, previous := pair(&stored.Secrets)
			into[k.name] = current.Reveal()
			if previous != "" {
				into[k.name+"_previous"] = previous.Reveal()
			}
			return map[string]any{"merchants": []any{wanted}}, nil
		}
		return nil, errNotFound
	})
}

// declared is a declaration as the apply file has it.
func declared(v any) (fields map[string]any, err error) {
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if err != nil {
		return nil, fmt.Errorf("write a declaration: %w", err)
	}
	return fields, nil
}

// keyOf finds the key that the address names.
func keyOf(v *visit) (*keySpec, error) {
	for _, k := range keySpecs() {
		if k.name == v.PathValue("key") {
			return &k, nil
		}
	}
	return nil, errNotFound
}

// newKey is what the page of a new key shows, the only time that it can be.
type newKey struct {
	Tabs   []tab
	Label  string
	Key    string
	Gentle bool
	Back   string
}

// rotateKey makes a new key. Where both can be valid for a time, the one before
// stays so until the rotation is finished.
func (d *Door) rotateKey(v *visit, m *directory.Merchant) error {
	k, err := keyOf(v)
	if err != nil {
		return err
	}
	made := k.make()
	if err := d.setKey(v, m, k, func(s *directory.MerchantSecrets) (current, previous directory.Secret) {
		if k.previous != nil {
			previous = k.current(s)
		}
		if k.name == "webhook_secret" { // which the private key serves as, where there is none
			previous = cmp.Or(previous, s.PrivateKey)
		}
		return directory.Secret(made), previous
	}); err != nil {
		return d.again(v, err, func(code int, problem string) error { return d.showKeys(v, code, m, problem) })
	}
	return v.show(page{Name: "newkey", Title: v.T("merchantkeys.made"), Body: newKey{
		Tabs: v.tabs(m), Label: v.T("merchantkeys." + k.name), Key: made, Gentle: k.previous != nil, Back: merchantPath(m, "keys"),
	}})
}

// finishKey ends a rotation: the new key alone is valid then.
func (d *Door) finishKey(v *visit, m *directory.Merchant) error {
	k, err := keyOf(v)
	if err != nil {
		return err
	}
	if k.previous == nil || k.previous(&m.Secrets) == "" {
		return errNotFound
	}
	if err := d.setKey(v, m, k, func(s *directory.MerchantSecrets) (current, previous directory.Secret) { return k.current(s), "" }); err != nil {
		return d.again(v, err, func(code int, problem string) error { return d.showKeys(v, code, m, problem) })
	}
	v.say("said.rotated")
	return v.lead(merchantPath(m, "keys"))
}
