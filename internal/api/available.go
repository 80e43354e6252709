package api

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/money"
)

// availableAnswer lists what a payer can pay by now (protocol, section 3).
type availableAnswer struct {
	Status string          `json:"status"`
	Params availableParams `json:"params"`
}

type availableParams struct {
	Currencies []currencySign    `json:"currency_data"`
	Wallets    []availableMethod `json:"wallets"`
}

type availableMethod struct {
	Type     string         `json:"type"`
	Currency money.Currency `json:"currency_code"`
	Order    int            `json:"order"`
	Name     string         `json:"name"`
	Logo     string         `json:"logo"`
	IsManual bool           `json:"is_manual"` // the payer types the UTR
}

// available lists the methods that are on and have a wallet with headroom:
// GET /api/v1/payment-systems/available. The label changes nothing: headroom is
// the same for everybody.
func (d *Door) available(c *call) (any, error) {
	params := availableParams{Currencies: []currencySign{}, Wallets: []availableMethod{}}
	if !c.wantsRupees() {
		return availableAnswer{Status: "ok", Params: params}, nil
	}
	used, err := d.use.today(c.Context(), d.Store, d.Now())
	if err != nil {
		return nil, fmt.Errorf("read what wallets received today: %w", err)
	}
	logo := c.origin() + methodLogoPath
	params.Currencies = append(params.Currencies, currencySign{Code: string(money.INR), Symbol: "₹"})
	for _, method := range c.dir.Methods {
		if !c.merchant.MethodOn(method) || !c.hasHeadroom(method, used) {
			continue
		}
		params.Wallets = append(params.Wallets, availableMethod{
			Type: method.Type, Currency: money.INR, Order: method.Order,
			Name: method.Label(c.query.Get("lang")), Logo: logo, IsManual: true,
		})
	}
	return availableAnswer{Status: "ok", Params: params}, nil
}

// wantsRupees reports whether the currencies asked for are all, or hold the one
// there is. PHP writes a list as currency_code[] or currency_code[0].
func (c *call) wantsRupees() bool {
	all := true
	for key, values := range c.query {
		if name, _, _ := strings.Cut(key, "["); name != "currency_code" {
			continue
		}
		for _, value := range values {
			if value == "" {
				continue
			}
			all = false
			if code, err := money.ParseCurrency(value); err == nil && code == money.INR {
				return true
			}
		}
	}
	return all
}

func (c *call) hasHeadroom(method *directory.Method, used map[string]money.Paise) bool {
	for _, w := range c.dir.WalletsFor(c.merchant.ID, method.Type) {
		if deposit.CanTake(w, 0, used[w.ID]) {
			return true
		}
	}
	return false
}

// useAge is how old the sums behind a list of methods may be. The list is a
// hint; the desk decides on the sums of its own transaction.
const useAge = time.Second

// walletUse remembers what wallets received today.
type walletUse struct {
	mu     sync.Mutex
	day    deposit.Day
	readAt time.Time
	paise  map[string]money.Paise
}

// today gives the sums by wallet, at most useAge old. Whoever finds them older
// reads them while others wait for it, so that a crowd asks the store once.
func (u *walletUse) today(ctx context.Context, store Store, now time.Time) (map[string]money.Paise, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	day := deposit.DayOf(now)
	if u.paise != nil && u.day == day && now.Sub(u.readAt) < useAge {
		return u.paise, nil
	}
	paise, err := store.WalletUse(ctx, day)
	if err != nil {
		return nil, err
	}
	if paise == nil {
		paise = map[string]money.Paise{}
	}
	u.day, u.readAt, u.paise = day, now, paise
	return paise, nil
}
