package deposit

import (
	"fmt"
	"hash/fnv"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/money"
)

// AssignmentRequest asks for a wallet to show a payer (protocol, section 2).
type AssignmentRequest struct {
	Merchant string
	Method   string
	Label    string
	Currency money.Currency
	Amount   money.Paise // 0 where the payer has not said it yet
}

type assign struct {
	AssignmentRequest
	assignment Assignment // the answer
}

func (*assign) name() string     { return "assign" }
func (a *assign) caller() string { return "merchant:" + a.Merchant }
func (*assign) weight() int      { return 1 }

func (a *assign) key() LabelKey { return LabelKey{a.Merchant, a.Method, a.Label} }

func (a *assign) need(k *Keys, dir *directory.Snapshot) {
	k.Labels[a.key()] = struct{}{}
	for _, w := range dir.WalletsFor(a.Merchant, a.Method) {
		if w.Open() && w.DailyLimit > 0 {
			k.WalletDays[WalletDay{w.ID, k.Today}] = struct{}{}
		}
	}
}

func (a *assign) run(b *book) error {
	method, err := usableMethod(b.dir, a.Merchant, a.Method, a.Currency)
	if err != nil {
		return err
	}
	if err := withinBounds(method, a.Amount); err != nil {
		return err
	}
	wallet := a.choose(b)
	if wallet == nil {
		return refuse(NoHeadroom, fmt.Sprintf("Payment method %s has no wallet free for this payment now: try later or another method", a.Method))
	}
	a.assignment = Assignment{
		Merchant: a.Merchant, Method: a.Method, Label: a.Label, Wallet: wallet.ID,
		ShownAt: b.now, ExpiresAt: b.now.Add(b.policy.AssignmentTTL),
	}
	b.keepAssignment(a.assignment)
	return nil
}

func withinBounds(method *directory.Method, amount money.Paise) error {
	switch {
	case amount == 0:
		return nil
	case amount < method.Min:
		return refuse(AmountTooSmall, fmt.Sprintf("The amount is below the least of %s for %s", method.Min, method.Type))
	case method.Max > 0 && amount > method.Max:
		return refuse(AmountTooLarge, fmt.Sprintf("The amount is above the most of %s for %s", method.Max, method.Type))
	default:
		return nil
	}
}

// choose picks the wallet to show. A live assignment stands as long as its
// wallet can take the payment. Else the wallets compete for the label by hash:
// labels spread evenly, a label comes back to the same wallet, and a wallet
// that fills up moves only its own labels.
func (a *assign) choose(b *book) *directory.Wallet {
	var best *directory.Wallet
	var bestScore uint64
	var live string
	for _, s := range b.facts.Assignments[a.key()] {
		if s.ExpiresAt.After(b.now) {
			live = s.Wallet
		}
	}
	for _, w := range b.dir.WalletsFor(a.Merchant, a.Method) {
		if !a.canTake(b, w) {
			continue
		}
		if w.ID == live {
			return w
		}
		if score := a.score(w.ID); best == nil || score > bestScore {
			best, bestScore = w, score
		}
	}
	return best
}

func (a *assign) canTake(b *book, w *directory.Wallet) bool {
	return CanTake(w, a.Amount, b.facts.WalletUse[WalletDay{w.ID, DayOf(b.now)}])
}

// CanTake reports whether a wallet that received used paise today may be shown
// for a payment.
func CanTake(w *directory.Wallet, amount, used money.Paise) bool {
	switch {
	case !w.Open():
		return false
	case w.PerPaymentMax > 0 && amount > w.PerPaymentMax:
		return false
	case w.DailyLimit > 0 && used > w.DailyLimit-max(amount, 1):
		return false
	default:
		return true
	}
}

func (a *assign) score(wallet string) uint64 {
	h := fnv.New64a()
	for _, part := range []string{wallet, a.Merchant, a.Method, a.Label} {
		_, _ = h.Write([]byte(part)) // a hash never fails
		_, _ = h.Write([]byte{0})
	}
	// FNV leaves the last bytes' mark on the low bits only: mix them upwards.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}

// keepAssignment writes down what was shown; the same wallet shown again
// renews its entry.
func (b *book) keepAssignment(a Assignment) {
	key := LabelKey{a.Merchant, a.Method, a.Label}
	for i, s := range b.changes.Assignments {
		if s.Merchant == a.Merchant && s.Method == a.Method && s.Label == a.Label && s.Wallet == a.Wallet {
			b.changes.Assignments[i] = a
			return
		}
	}
	b.changes.Assignments = append(b.changes.Assignments, a)
	list := b.facts.Assignments[key]
	for i := range list {
		if list[i].Wallet == a.Wallet {
			list[i] = a
			return
		}
	}
	b.facts.Assignments[key] = append(list, a)
}
