package server

import (
	"fmt"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/payout"
)

// providers are what sends the withdrawals of desks.
type providers struct{}

// of gives a desk's provider; nil for one that people serve.
func (p *providers) of(desk *directory.PayoutDesk) (payout.Provider, error) {
	switch desk.Kind {
	case directory.PayoutManual, directory.PayoutFiles:
		return nil, nil
	default:
		return nil, fmt.Errorf("desk %s is of kind %s, which this version does not serve", desk.ID, desk.Kind)
	}
}
