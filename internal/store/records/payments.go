package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/payment"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

const paymentColumns = `token, merchant, custom_id, label, currency, method, method_fixed, amount, amount_fixed, lang,
	return_to, wallet, shown_until, amends, created_at, reference`

func scanPayment(row Row) (*payment.Payment, error) {
	var (
		p                                                          payment.Payment
		currency, returnTo                                         string
		methodFixed, amount, amountFixed, shownUntil, amends, made int64
	)
	err := row.Scan(&p.Token, &p.Merchant, &p.CustomID, &p.Label, &currency, &p.Method, &methodFixed, &amount, &amountFixed,
		&p.Lang, &returnTo, &p.Wallet, &shownUntil, &amends, &made, &p.Reference)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, payment.ErrNoPayment
	}
	if err != nil {
		return nil, err
	}
	p.Currency, p.Amount = money.Currency(currency), money.Paise(amount)
	p.MethodFixed, p.AmountFixed, p.Amends = methodFixed != 0, amountFixed != 0, int(amends)
	p.ShownUntil, p.CreatedAt = Time(shownUntil), Time(made)
	if err := json.Unmarshal([]byte(returnTo), &p.Return); err != nil {
		return nil, fmt.Errorf("payment of claim %s: %w", p.CustomID, err)
	}
	return &p, nil
}

// OpenPayment keeps a new payment, or returns the one its custom id already
// has, see payment.Store.
func (r *Records) OpenPayment(ctx context.Context, p payment.Payment) (opened *payment.Payment, err error) {
	returnTo, err := json.Marshal(p.Return)
	if err != nil {
		return nil, err
	}
	err = r.Write(ctx, func(tx Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO payments (`+paymentColumns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT (merchant, custom_id) DO NOTHING`,
			p.Token, p.Merchant, p.CustomID, p.Label, string(p.Currency), p.Method, Flag(p.MethodFixed), int64(p.Amount),
			Flag(p.AmountFixed), p.Lang, string(returnTo), p.Wallet, Micros(p.ShownUntil), int64(p.Amends), Micros(p.CreatedAt), p.Reference); err != nil {
			return fmt.Errorf("keep a payment: %w", err)
		}
		opened, err = scanPayment(tx.QueryRowContext(ctx, `SELECT `+paymentColumns+` FROM payments WHERE merchant = $1 AND custom_id = $2`,
			p.Merchant, p.CustomID))
		return err
	})
	return opened, err
}

// FindPayment returns the payment with that token, or payment.ErrNoPayment.
func (r *Records) FindPayment(ctx context.Context, token string) (*payment.Payment, error) {
	return scanPayment(r.Read.QueryRowContext(ctx, `SELECT `+paymentColumns+` FROM payments WHERE token = $1`, token))
}

// SavePayment writes what the payer can change, see payment.Store.
func (r *Records) SavePayment(ctx context.Context, p *payment.Payment) error {
	return r.Write(ctx, func(tx Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE payments SET method = $1, amount = $2, wallet = $3, shown_until = $4, amends = $5 WHERE token = $6`,
			p.Method, int64(p.Amount), p.Wallet, Micros(p.ShownUntil), int64(p.Amends), p.Token)
		return err
	})
}

// FindReferrals returns what is known of the payments with those references,
// see deposit.Store.
func (r *Records) FindReferrals(ctx context.Context, references []string) (found []deposit.Referral, err error) {
	for chunk := range slices.Chunk(references, 100) {
		args := make([]any, len(chunk))
		for i, ref := range chunk {
			args[i] = ref
		}
		err := each(ctx, r.Read, func(row Row) error {
			var ref deposit.Referral
			var currency, utr string
			var amount, claim int64
			err := row.Scan(&ref.Reference, &ref.Merchant, &ref.CustomID, &ref.Label, &currency, &ref.Method, &amount, &claim, &utr)
			ref.Currency, ref.Amount = money.Currency(currency), money.Paise(amount)
			if claim != 0 {
				ref.Claim = &deposit.ClaimRef{ID: claim, UTR: upi.UTR(utr)}
			}
			found = append(found, ref)
			return err
		}, `SELECT p.reference, p.merchant, p.custom_id, p.label, p.currency, p.method, p.amount,
				COALESCE(c.id, 0), COALESCE(c.utr, '')
			FROM payments p LEFT JOIN claims c ON c.merchant = p.merchant AND c.custom_id = p.custom_id
			WHERE p.reference IN (`+placeholders(len(chunk))+`) AND p.reference <> ''`, args...)
		if err != nil {
			return nil, fmt.Errorf("find payments by reference: %w", err)
		}
	}
	return found, nil
}

// placeholders are n parameters from $1 on.
func placeholders(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", i+1)
	}
	return b.String()
}
