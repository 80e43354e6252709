package records

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/milaan/milaan/internal/directory"
)

// Kinds of directory object, as stored.
const (
	kindMerchant = "merchant"
	kindMethod   = "method"
	kindWallet   = "wallet"
	kindFeed     = "feed"
	kindRule     = "rule"
	kindPayout   = "payout"
	kindWebhook  = "webhook"
)

// merchantKeys is the stored form of a merchant's secrets; the Secret type
// itself never shows its text to an encoder.
type merchantKeys struct {
	PluginAPI     []string `json:"plugin_api"`
	WithdrawalKey string   `json:"withdrawal_key"`
	AccessKey     string   `json:"access_key"`
	PrivateKey    string   `json:"private_key"`
	Webhook       string   `json:"webhook"`

	PrivateKeyPrevious string `json:"private_key_previous,omitempty"`
	WebhookPrevious    string `json:"webhook_previous,omitempty"`
	Ed25519            string `json:"ed25519,omitempty"`
	ClientCert         string `json:"client_cert,omitempty"`
	ClientKey          string `json:"client_key,omitempty"`
}

// DirectoryVersion reads the stored directory's version.
func (r *Records) DirectoryVersion(ctx context.Context) (version int64, err error) {
	err = r.Read.QueryRowContext(ctx, `SELECT directory FROM installation`).Scan(&version)
	return version, err
}

// LoadDirectory reads the whole directory at one version.
func (r *Records) LoadDirectory(ctx context.Context) (directory.Contents, error) {
	for {
		contents, err := r.readDirectory(ctx)
		if err != nil {
			return contents, err
		}
		// The reads above are several statements: a change between them shows
		// in the version, and then they are made again.
		version, err := r.DirectoryVersion(ctx)
		if err != nil || version == contents.Version {
			return contents, err
		}
	}
}

func (r *Records) readDirectory(ctx context.Context) (contents directory.Contents, err error) {
	if contents.Version, err = r.DirectoryVersion(ctx); err != nil {
		return contents, err
	}
	err = each(ctx, r.Read, func(row Row) error {
		var kind, id, doc string
		var sealed []byte
		if err := row.Scan(&kind, &id, &doc, &sealed); err != nil {
			return err
		}
		if err := r.openObject(&contents, kind, id, doc, sealed); err != nil {
			return fmt.Errorf("%s %s: %w", kind, id, err)
		}
		return nil
	}, `SELECT kind, id, doc, sealed FROM directory ORDER BY kind, id`)
	if err != nil {
		return contents, err
	}
	contents.Accounts = make(map[string]int64)
	err = each(ctx, r.Read, func(row Row) error {
		var code string
		var id int64
		err := row.Scan(&code, &id)
		contents.Accounts[code] = id
		return err
	}, `SELECT code, id FROM accounts`)
	return contents, err
}

func (r *Records) openObject(contents *directory.Contents, kind, id, doc string, sealed []byte) error {
	place := kind + ":" + id
	switch kind {
	case kindMerchant:
		m, err := decode[directory.Merchant](doc)
		if err != nil {
			return err
		}
		if m.Secrets, err = r.openMerchantKeys(sealed, place); err != nil {
			return err
		}
		contents.Merchants = append(contents.Merchants, m)
		return nil
	case kindFeed:
		f, err := decode[directory.Feed](doc)
		if err != nil {
			return err
		}
		if err := r.openFeedKeys(f, sealed, place); err != nil {
			return err
		}
		contents.Feeds = append(contents.Feeds, f)
		return nil
	case kindMethod:
		return collect(&contents.Methods, doc)
	case kindWallet:
		return collect(&contents.Wallets, doc)
	case kindRule:
		return collect(&contents.Rules, doc)
	case kindPayout:
		d, err := decode[directory.PayoutDesk](doc)
		if err != nil {
			return err
		}
		if d.Secrets, err = r.openPayoutKeys(sealed, place); err != nil {
			return err
		}
		contents.Payouts = append(contents.Payouts, d)
		return nil
	case kindWebhook:
		w, err := decode[directory.Webhook](doc)
		if err != nil {
			return err
		}
		if w.Secrets, err = r.openWebhookKeys(sealed, place); err != nil {
			return err
		}
		contents.Webhooks = append(contents.Webhooks, w)
		return nil
	default:
		return errors.New("this version of milaan does not know the kind: was the database made by a newer one?")
	}
}

func decode[T any](doc string) (*T, error) {
	v := new(T)
	return v, json.Unmarshal([]byte(doc), v)
}

func collect[T any](list *[]*T, doc string) error {
	v, err := decode[T](doc)
	*list = append(*list, v)
	return err
}

func (r *Records) openMerchantKeys(sealed []byte, place string) (directory.MerchantSecrets, error) {
	var s directory.MerchantSecrets
	plain, err := r.Key.Open(sealed, place)
	if err != nil {
		return s, err
	}
	var keys merchantKeys
	if err := json.Unmarshal(plain, &keys); err != nil {
		return s, err
	}
	for _, k := range keys.PluginAPI {
		s.PluginAPI = append(s.PluginAPI, directory.Secret(k))
	}
	s.WithdrawalKey, s.AccessKey = directory.Secret(keys.WithdrawalKey), directory.Secret(keys.AccessKey)
	s.PrivateKey, s.Webhook = directory.Secret(keys.PrivateKey), directory.Secret(keys.Webhook)
	s.PrivateKeyPrevious, s.WebhookPrevious = directory.Secret(keys.PrivateKeyPrevious), directory.Secret(keys.WebhookPrevious)
	s.Ed25519 = directory.Secret(keys.Ed25519)
	s.ClientCert, s.ClientKey = directory.Secret(keys.ClientCert), directory.Secret(keys.ClientKey)
	return s, nil
}

func (r *Records) sealMerchantKeys(s directory.MerchantSecrets, place string) ([]byte, error) {
	keys := merchantKeys{
		WithdrawalKey: s.WithdrawalKey.Reveal(), AccessKey: s.AccessKey.Reveal(),
		PrivateKey: s.PrivateKey.Reveal(), Webhook: s.Webhook.Reveal(),
		PrivateKeyPrevious: s.PrivateKeyPrevious.Reveal(), WebhookPrevious: s.WebhookPrevious.Reveal(),
		Ed25519: s.Ed25519.Reveal(), ClientCert: s.ClientCert.Reveal(), ClientKey: s.ClientKey.Reveal(),
	}
	for _, k := range s.PluginAPI {
		keys.PluginAPI = append(keys.PluginAPI, k.Reveal())
	}
	plain, err := json.Marshal(keys) //nolint:gosec // to be sealed in the next line
	if err != nil {
		return nil, err
	}
	return r.Key.Seal(plain, place), nil
}

// feedKeys are a feed's secrets as they are sealed.
type feedKeys struct {
	Token      string `json:"token"`
	Signing    string `json:"signing,omitempty"`
	Password   string `json:"password,omitempty"`
	PrivateKey string `json:"private_key,omitempty"`
	BankKey    string `json:"bank_key,omitempty"`
}

// feedKeysStart begins them. Older versions sealed the token alone.
const feedKeysStart = `{"token":`

func (r *Records) openFeedKeys(f *directory.Feed, sealed []byte, place string) error {
	plain, err := r.Key.Open(sealed, place)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(plain, []byte(feedKeysStart)) {
		f.Token = directory.Secret(plain)
		return nil
	}
	var keys feedKeys
	if err := json.Unmarshal(plain, &keys); err != nil {
		return err
	}
	f.Token = directory.Secret(keys.Token)
	f.Secrets = directory.FeedSecrets{
		Signing: directory.Secret(keys.Signing), Password: directory.Secret(keys.Password),
		PrivateKey: directory.Secret(keys.PrivateKey), BankKey: directory.Secret(keys.BankKey),
	}
	return nil
}

func (r *Records) sealFeedKeys(f *directory.Feed, place string) ([]byte, error) {
	plain, err := json.Marshal(feedKeys{
		Token: f.Token.Reveal(), Signing: f.Secrets.Signing.Reveal(), Password: f.Secrets.Password.Reveal(),
		PrivateKey: f.Secrets.PrivateKey.Reveal(), BankKey: f.Secrets.BankKey.Reveal(),
	})
	if err != nil {
		return nil, err
	}
	return r.Key.Seal(plain, place), nil
}

// payoutKeys are a payout desk's secrets as they are sealed.
type payoutKeys struct {
	Key     string `json:"key"`
	Webhook string `json:"webhook"`
}

func (r *Records) openPayoutKeys(sealed []byte, place string) (directory.PayoutSecrets, error) {
	if len(sealed) == 0 { // older versions had none
		return directory.PayoutSecrets{}, nil
	}
	plain, err := r.Key.Open(sealed, place)
	if err != nil {
		return directory.PayoutSecrets{}, err
	}
	var keys payoutKeys
	err = json.Unmarshal(plain, &keys)
	return directory.PayoutSecrets{Key: directory.Secret(keys.Key), Webhook: directory.Secret(keys.Webhook)}, err
}

func (r *Records) sealPayoutKeys(s directory.PayoutSecrets, place string) ([]byte, error) {
	plain, err := json.Marshal(payoutKeys{s.Key.Reveal(), s.Webhook.Reveal()})
	if err != nil {
		return nil, err
	}
	return r.Key.Seal(plain, place), nil
}

// webhookKeys are a webhook's secrets as they are sealed.
type webhookKeys struct {
	Signing  string `json:"signing"`
	Previous string `json:"previous,omitempty"`
	Ed25519  string `json:"ed25519,omitempty"`
}

func (r *Records) openWebhookKeys(sealed []byte, place string) (directory.WebhookSecrets, error) {
	plain, err := r.Key.Open(sealed, place)
	if err != nil {
		return directory.WebhookSecrets{}, err
	}
	var keys webhookKeys
	err = json.Unmarshal(plain, &keys)
	return directory.WebhookSecrets{
		Signing: directory.Secret(keys.Signing), Previous: directory.Secret(keys.Previous), Ed25519: directory.Secret(keys.Ed25519),
	}, err
}

func (r *Records) sealWebhookKeys(s directory.WebhookSecrets, place string) ([]byte, error) {
	plain, err := json.Marshal(webhookKeys{s.Signing.Reveal(), s.Previous.Reveal(), s.Ed25519.Reveal()})
	if err != nil {
		return nil, err
	}
	return r.Key.Seal(plain, place), nil
}

// SaveDirectory writes a change in one commit and moves the version on, or
// returns directory.ErrMoved.
func (r *Records) SaveDirectory(ctx context.Context, change directory.Change) error {
	return r.Write(ctx, func(tx Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE installation SET directory = directory + 1 WHERE directory = $1`, change.From)
		if err != nil {
			return fmt.Errorf("move the directory's version: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return errors.Join(directory.ErrMoved, err)
		}
		if err := r.saveObjects(ctx, tx, change); err != nil {
			return err
		}
		// Whoever needs both the audit log and ids takes the log first.
		if err := lockAudit(ctx, tx); err != nil {
			return fmt.Errorf("wait for the audit log: %w", err)
		}
		for _, a := range change.Accounts {
			id, err := reserveIDs(ctx, tx, 1)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO accounts (id, code, kind, currency, balance) VALUES ($1, $2, $3, $4, 0)
				ON CONFLICT (code) DO NOTHING`, id, a.Code, string(a.Kind), string(a.Currency)); err != nil {
				return fmt.Errorf("open account %s: %w", a.Code, err)
			}
		}
		return appendAudit(ctx, tx, change.Audit)
	})
}

func (r *Records) saveObjects(ctx context.Context, tx Tx, change directory.Change) error {
	save := func(kind, id string, object any, sealed []byte) error {
		doc, err := json.Marshal(object)
		if err != nil {
			return fmt.Errorf("encode %s %s: %w", kind, id, err)
		}
		if sealed == nil {
			sealed = []byte{}
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO directory (kind, id, doc, sealed) VALUES ($1, $2, $3, $4)
			ON CONFLICT (kind, id) DO UPDATE SET doc = excluded.doc, sealed = excluded.sealed`, kind, id, string(doc), sealed)
		if err != nil {
			return fmt.Errorf("save %s %s: %w", kind, id, err)
		}
		return nil
	}
	for _, m := range change.Merchants {
		sealed, err := r.sealMerchantKeys(m.Secrets, kindMerchant+":"+m.ID)
		if err != nil {
			return err
		}
		if err := save(kindMerchant, m.ID, m, sealed); err != nil {
			return err
		}
	}
	for _, f := range change.Feeds {
		sealed, err := r.sealFeedKeys(f, kindFeed+":"+f.ID)
		if err != nil {
			return err
		}
		if err := save(kindFeed, f.ID, f, sealed); err != nil {
			return err
		}
	}
	var errs []error
	for _, m := range change.Methods {
		errs = append(errs, save(kindMethod, m.Type, m, nil))
	}
	for _, w := range change.Wallets {
		errs = append(errs, save(kindWallet, w.ID, w, nil))
	}
	for _, rule := range change.Rules {
		errs = append(errs, save(kindRule, rule.Name, rule, nil))
	}
	for _, p := range change.Payouts {
		sealed, err := r.sealPayoutKeys(p.Secrets, kindPayout+":"+p.ID)
		errs = append(errs, err, save(kindPayout, p.ID, p, sealed))
	}
	for _, w := range change.Webhooks {
		sealed, err := r.sealWebhookKeys(w.Secrets, kindWebhook+":"+w.Key())
		errs = append(errs, err, save(kindWebhook, w.Key(), w, sealed))
	}
	return errors.Join(errs...)
}
