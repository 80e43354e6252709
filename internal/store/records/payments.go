package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/milaan/milaan/internal/payment"
	"github.com/milaan/milaan/money"
)

const paymentColumns = `token, merchant, custom_id, label, currency, method, method_fixed, amount, amount_fixed, lang,
	return_to, wallet, shown_until, amends, created_at`

func scanPayment(row Row) (*payment.Payment, error) {
	var (
		p                                                          payment.Payment
		currency, returnTo                                         string
		methodFixed, amount, amountFixed, shownUntil, amends, made int64
	)
	err := row.Scan(&p.Token, &p.Merchant, &p.CustomID, &p.Label, &currency, &p.Method, &methodFixed, &amount, &amountFixed,
		&p.Lang, &returnTo, &p.Wallet, &shownUntil, &amends, &made)
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
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (merchant, custom_id) DO NOTHING`,
			p.Token, p.Merchant, p.CustomID, p.Label, string(p.Currency), p.Method, Flag(p.MethodFixed), int64(p.Amount),
			Flag(p.AmountFixed), p.Lang, string(returnTo), p.Wallet, Micros(p.ShownUntil), int64(p.Amends), Micros(p.CreatedAt)); err != nil {
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
