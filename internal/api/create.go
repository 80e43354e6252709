package api

import (
	"fmt"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/upi"
)

// created is the wallet a payer is to pay to (protocol, section 2).
type created struct {
	Status string        `json:"status"`
	Params createdParams `json:"params"`
}

type createdParams struct {
	Identifier upi.VPA `json:"identifier"`
	Name       string  `json:"name"`
	UPILink    string  `json:"upi_link"`
	ExpiresAt  string  `json:"expires_at"` // RFC 3339, in the merchant's zone
}

// create assigns a wallet: POST /api/v1/transaction/create/{wallet_type}.
func (d *Door) create(c *call) (any, error) {
	body, err := c.body(maxBody)
	if err != nil {
		return nil, err
	}
	f, err := readFields(body)
	if err != nil {
		return nil, err
	}
	request := deposit.AssignmentRequest{
		Merchant: c.merchant.ID,
		Method:   f.check("wallet_type", c.PathValue("wallet_type")),
		Currency: f.currency("currency"),
		Label:    f.text("label"),
		Amount:   f.amount("amount"),
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	shown, err := d.Desk.Assign(c.Context(), request)
	if err != nil {
		return nil, fmt.Errorf("assign a wallet: %w", err)
	}
	// The directory may have moved on since the call came.
	wallet := d.Directory.Current().Wallet(shown.Wallet)
	if wallet == nil {
		return nil, fmt.Errorf("assign a wallet: %s is not in the directory", shown.Wallet)
	}
	link := upi.Link{PayeeVPA: wallet.VPA, PayeeName: wallet.Name, Amount: request.Amount, Currency: wallet.Currency}
	return created{Status: "ok", Params: createdParams{
		Identifier: wallet.VPA, Name: wallet.Name, UPILink: link.String(),
		ExpiresAt: shown.ExpiresAt.In(c.merchant.Location()).Format(time.RFC3339),
	}}, nil
}
