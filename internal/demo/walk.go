package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// errUnexpected is a step of the play that went otherwise than it must.
var errUnexpected = errors.New("not as expected")

func expect(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf("%w: %s", errUnexpected, fmt.Sprintf(format, args...))
}

// patience is how long the play waits for a postback.
const patience = 20 * time.Second

// walk plays payments through and prints each step. It ends at the first that
// is not as expected.
func (s *stage) walk(ctx context.Context) error {
	before, err := s.gateway.Verify(ctx)
	if err != nil {
		return err
	}
	w := &walk{stage: s, terminal: newTerminal(s.Out), before: before}
	w.printf("%s\n", w.style(bold, "milaan demo: two payments and a refund, played through by themselves"))
	w.printf("Sandbox: no real money. Gateway %s, shop %s, bank %s\n", base(s.gateway.Addr()), base(s.shopAt.Addr()), base(s.bankAt.Addr()))
	for _, step := range []func(context.Context) error{
		w.order, w.pay, w.claimEarly, w.reportCredit, w.awaitPostback, w.askStatus,
		w.claimAgain, w.payKnown, w.claimForeign, w.refundFails, w.refundArrives, w.verify,
	} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("stopped at step %d of the play", w.steps)
			}
			return fmt.Errorf("step %d: %w", w.steps, err)
		}
	}
	w.printf("\n%s\n", w.style(green, "Everything went as expected."))
	return w.err
}

// walk is the play: what its steps hand on to each other.
type walk struct {
	*stage
	*terminal
	before   Books
	first    *Order
	transfer *Transfer
	credited money.Paise
	refunded money.Paise
	deposits int64
}

func (w *walk) order(ctx context.Context) (err error) {
	w.step("The shop creates a payment")
	if w.first, err = w.place(ctx, "chai"); err != nil {
		return err
	}
	w.exchange(w.first.Trail[0])
	product, _ := findProduct(w.first.Product)
	w.right("%s for %s, to be paid to %s", product.Name, rupees(w.first.Total), w.first.Payee)
	return nil
}

// place orders, and asks where to pay to, as a shop without the window does.
func (w *walk) place(ctx context.Context, product string) (*Order, error) {
	o, err := w.shop.Place(newCustomer(), product)
	if err != nil {
		return nil, err
	}
	return w.shop.Create(ctx, o.ID)
}

func (w *walk) pay(ctx context.Context) (err error) {
	w.step("The payer pays in the sandbox bank's UPI app")
	if w.transfer, err = w.payFor(ctx, w.first, "Asha Rao", "asha@sandbox", Held); err != nil {
		return err
	}
	w.right("%s paid %s to %s; the app shows UTR %s", w.transfer.PayerName, rupees(w.transfer.Amount), w.transfer.Payee, w.transfer.UTR)
	w.right("the bank has not reported it to the gateway yet")
	return nil
}

// payFor pays what the order's own link says.
func (w *walk) payFor(ctx context.Context, o *Order, name string, payer upi.VPA, when When) (*Transfer, error) {
	link, err := upi.ParseLink(o.UPILink)
	if err != nil {
		return nil, err
	}
	return w.bank.Pay(ctx, Payment{Payee: link.PayeeVPA, PayerVPA: payer, PayerName: name, Amount: link.Amount, How: Asked, When: when})
}

func (w *walk) claimEarly(ctx context.Context) error {
	w.step("The payer enters the UTR before the bank's feed reported it")
	o, err := w.claim(ctx, w.first, w.transfer.UTR)
	if err != nil {
		return err
	}
	if err := expect(o.Status == statusWaiting && o.State() == Checking, "the claim is %q, the order %s", o.Status, o.State()); err != nil {
		return err
	}
	w.right("the claim waits for the credit; the order is %s", o.State())
	return nil
}

func (w *walk) claim(ctx context.Context, o *Order, utr upi.UTR) (*Order, error) {
	o, err := w.shop.Claim(ctx, o.ID, utr)
	if err != nil {
		return nil, err
	}
	for _, x := range o.Trail {
		// The postback may have come already, behind it in the trail.
		if strings.HasSuffix(x.Call, "/activate") {
			w.exchange(x)
			break
		}
	}
	return o, nil
}

func (w *walk) reportCredit(ctx context.Context) error {
	w.step("The bank's feed reports the credit")
	t, err := w.bank.Report(ctx, w.transfer.UTR)
	if err != nil {
		return err
	}
	r := t.Last()
	w.exchange(r.Exchange)
	if err := expect(r.Failed == "" && r.Accepted == 1 && r.Matched == 1, "the report is %+v", *r); err != nil {
		return err
	}
	w.right("it settled the claim that waited")
	return nil
}

func (w *walk) awaitPostback(ctx context.Context) error {
	w.step("The postback arrives at the shop")
	o, err := w.paid(ctx, w.first.ID)
	if err != nil {
		return err
	}
	for _, x := range o.Trail {
		if strings.HasPrefix(x.Call, "Postback") {
			w.postback(x)
		}
	}
	w.right("%s is the order's total: the order is %s", rupees(o.Received()), o.State())
	return nil
}

func (w *walk) postback(x Exchange) {
	w.json(x.Request)
	w.right("both signatures verified: sha1 in the body, Standard Webhooks in the headers")
	w.right("answered %s", x.Answer)
}

// paid waits until a postback has paid the order.
func (w *walk) paid(ctx context.Context, id string) (*Order, error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	o, err := w.shop.Wait(waiting, id, func(o *Order) bool { return o.State() == Paid })
	if err != nil {
		return nil, errors.Join(expect(false, "no postback paid the order within %v", patience), err)
	}
	w.credited += o.Total
	w.deposits++
	return o, expect(len(o.Receipts) == 1 && o.Received() == o.Total, "%d postbacks brought %s", len(o.Receipts), rupees(o.Received()))
}

func (w *walk) askStatus(ctx context.Context) error {
	w.step("The shop asks for the status")
	o, err := w.shop.Order(w.first.ID)
	if err != nil {
		return err
	}
	out, _, x, err := w.shop.gateway.status(ctx, o.ID)
	if err != nil {
		return err
	}
	w.exchange(x)
	if err := expect(out.Status == statusOK && out.Amount == o.Total, "the status is %q with %s", out.Status, rupees(out.Amount)); err != nil {
		return err
	}
	w.right("credited")
	return nil
}

func (w *walk) claimAgain(ctx context.Context) error {
	w.step("The same activation again")
	o, err := w.shop.Order(w.first.ID)
	if err != nil {
		return err
	}
	out, x, err := w.shop.gateway.activate(ctx, activateRequest{
		Currency: money.INR, Method: o.Method, Label: o.Customer, UTR: o.UTR, Amount: o.Total, CustomID: o.ID,
	})
	if err != nil {
		return err
	}
	w.exchange(x)
	if err := expect(out.Status == statusOK && out.Amount == o.Total, "the answer is %q with %s", out.Status, rupees(out.Amount)); err != nil {
		return err
	}
	books, err := w.gateway.Verify(ctx)
	if err != nil {
		return err
	}
	if err := expect(books.Deposits-w.before.Deposits == 1 && books.Owed-w.before.Owed == o.Total,
		"there are %d deposits of %s", books.Deposits-w.before.Deposits, rupees(books.Owed-w.before.Owed)); err != nil {
		return err
	}
	w.right("the same answer, and still one deposit of %s", rupees(o.Total))
	return nil
}

func (w *walk) payKnown(ctx context.Context) error {
	w.step("A second payment, which the bank reports before the UTR is entered")
	o, err := w.place(ctx, "kulhad")
	if err != nil {
		return err
	}
	t, err := w.payFor(ctx, o, "Ravi Kumar", "9876543210@sandbox", AtOnce)
	if err != nil {
		return err
	}
	r := t.Last()
	w.exchange(r.Exchange)
	if err := expect(r.Failed == "" && r.Accepted == 1 && r.Matched == 0, "the report is %+v", *r); err != nil {
		return err
	}
	if o, err = w.claim(ctx, o, t.UTR); err != nil {
		return err
	}
	if err := expect(o.Status == statusOK, "the claim is %q", o.Status); err != nil {
		return err
	}
	w.right("credited at once")
	if o, err = w.paid(ctx, o.ID); err != nil {
		return err
	}
	w.right("its postback came: the order is %s", o.State())
	return nil
}

func (w *walk) claimForeign(ctx context.Context) error {
	w.step("Somebody else claims the UTR of the first payment")
	o, err := w.place(ctx, "chai")
	if err != nil {
		return err
	}
	if o, err = w.claim(ctx, o, w.transfer.UTR); err != nil {
		return err
	}
	if err := expect(o.Status == statusFail && o.State() == Awaiting, "the claim is %q, the order %s", o.Status, o.State()); err != nil {
		return err
	}
	w.right("refused: one UTR is credited once; the order is %s", o.State())
	return nil
}

func (w *walk) refundFails(ctx context.Context) error {
	w.step("The first order is refunded by IMPS, to an account whose bank refuses it")
	o, err := w.refund(ctx, "02")
	if err != nil {
		return err
	}
	r := o.Refund()
	if err := expect(r.State == client.WithdrawalFailed && o.State() == Paid, "the refund is %q, the order %s", r.State, o.State()); err != nil {
		return err
	}
	w.right("the postback says %s: the order is %s, and the customer may name another account", r.State, o.State())
	return w.balance(ctx)
}

func (w *walk) refundArrives(ctx context.Context) error {
	w.step("The customer names another account")
	o, err := w.refund(ctx, "01")
	if err != nil {
		return err
	}
	r := o.Refund()
	if err := expect(r.State == client.WithdrawalSucceeded && r.BankRef != "" && o.State() == Refunded, "the refund is %q, the order %s", r.State, o.State()); err != nil {
		return err
	}
	w.refunded += r.Amount
	w.right("the postback says %s, bank reference %s: the order is %s", r.State, r.BankRef, o.State())
	return w.balance(ctx)
}

// refund gives the first order's money back to an account of the sandbox, and
// waits for the postback of how that ended.
func (w *walk) refund(ctx context.Context, ends string) (*Order, error) {
	o, err := w.shop.Order(w.first.ID)
	if err != nil {
		return nil, err
	}
	said := len(o.Trail)
	form := blankRefund(o)
	form.Ends = ends
	to, err := form.payee()
	if err != nil {
		return nil, err
	}
	if o, err = w.shop.Refund(ctx, o.ID, to, o.Total); err != nil {
		return nil, err
	}
	if err := expect(o.Refund().Refused == "", "the gateway refused it: %s", o.Refund().Refused); err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	o, err = w.shop.Wait(waiting, o.ID, func(o *Order) bool { return o.Refund().State.Final() })
	if err != nil {
		return nil, errors.Join(expect(false, "no postback told of the refund within %v", patience), err)
	}
	for _, x := range o.Trail[said:] {
		if strings.HasPrefix(x.Call, "Postback") {
			w.printf("    %s\n", w.style(faint, "the postback"))
			w.postback(x)
		} else {
			w.exchange(x)
		}
	}
	return o, nil
}

// balance shows what the shop has, and that nothing is missing of it.
func (w *walk) balance(ctx context.Context) error {
	b, x, err := w.shop.Balance(ctx)
	if err != nil {
		return err
	}
	w.exchange(x)
	want := w.before.Owed + w.credited - w.refunded
	if err := expect(b.Available == want, "the shop has %s instead of %s", rupees(b.Available), rupees(want)); err != nil {
		return err
	}
	w.right("the shop has %s", rupees(b.Available))
	return nil
}

func (w *walk) verify(ctx context.Context) error {
	w.step("The ledger is recomputed, as milaan verify does")
	b, err := w.gateway.Verify(ctx)
	if err != nil {
		return err
	}
	if err := expect(len(b.Problems) == 0, "%s", strings.Join(b.Problems, "; ")); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w.w, 0, 0, 2, ' ', 0)
	for _, row := range []struct {
		name  string
		value any
	}{
		{"credits", b.Credits}, {"claims", b.Claims}, {"deposits", b.Deposits},
		{"postings", b.Postings}, {"postbacks", b.Postbacks}, {"audit entries", b.AuditEntries},
		{"on wallets", rupees(b.Held)}, {"unclaimed", rupees(b.Unclaimed)},
		{"owed to merchants", rupees(b.Owed)}, {"held for payouts", rupees(b.OnHold)}, {"fees earned", rupees(b.Fees)},
	} {
		if _, err := fmt.Fprintf(table, "    %s\t%v\n", row.name, row.value); err != nil {
			return err
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	deposits, owed, held := b.Deposits-w.before.Deposits, b.Owed-w.before.Owed, (b.Held-b.OnHold)-(w.before.Held-w.before.OnHold)
	left := w.credited - w.refunded
	if err := expect(deposits == w.deposits && owed == left && held == left,
		"%d deposits, %s owed and %s on wallets instead of %d and %s", deposits, rupees(owed), rupees(held), w.deposits, rupees(left)); err != nil {
		return err
	}
	w.right("every invariant holds; %s came in, %s went out, and %s is the shop's", rupees(w.credited), rupees(w.refunded), rupees(owed))
	return nil
}

func rupees(p money.Paise) string { return money.Format(p, money.English) }

// welcome prints where everything is and what to try.
func (s *stage) welcome() error {
	t := newTerminal(s.Out)
	t.printf("%s  Sandbox: no real money. Everything runs on this computer.\n\n", t.style(bold, "milaan demo"))
	data := s.dir
	if s.Dir == "" {
		data += " (removed at the end; --dir DIR keeps it)"
	}
	for _, row := range [][2]string{
		{"Sample shop", t.style(cyan, base(s.shopAt.Addr()))},
		{"Sandbox bank", t.style(cyan, base(s.bankAt.Addr()))},
		{"Gateway", base(s.gateway.Addr())},
		{"Console", t.style(cyan, s.console())},
		{"Metrics", base(s.gateway.AdminAddr()) + "/metrics"},
		{"Data", data},
	} {
		t.printf("  %-13s %s\n", row[0], row[1])
	}
	t.printf("\n%s\n", t.style(bold, "A walk through"))
	t.printf("  1. Open the shop and buy something.\n")
	t.printf("  2. Open the sandbox UPI app from the order's page (it takes a tab of its own), pay, and copy the UTR.\n")
	t.printf("  3. “Pay by UPI” opens milaan's payment window, “Pay here” shows it within the shop: enter the UTR there.\n")
	t.printf("     Back in the shop, the order is paid when the gateway's postback has come.\n")
	t.printf("  4. Pay late: the window waits for the bank, and turns by itself once the ledger page releases the report.\n")
	t.printf("  5. Pay a wrong amount or twice, or enter a UTR that was used: none of it pays the order falsely.\n")
	t.printf("     What waits for a person: %s review list\n", s.operator())
	t.printf("  6. Get your money back, from a paid order's page: the account's last digits choose what its bank does.\n")
	t.printf("     The cups' refund waits for a person: %s payout list\n", s.operator())
	s.invite(t)
	t.printf("\n%s\n", t.style(bold, "Or call the API yourself"))
	t.printf("  curl -H 'Authorization: Bearer %s' %s/api/v1/payment-systems/available\n", s.secret, base(s.gateway.Addr()))
	t.printf("\nmilaan demo --auto plays payments and a refund through by itself. Ctrl-C ends the demo.\n")
	return t.err
}

// invite prints who can sign in to the console.
func (s *stage) invite(t *terminal) {
	t.printf("\n%s\n", t.style(bold, "Look at the console"))
	if s.busy() {
		t.printf("  A month of four made-up merchants is behind it, for every page to show something.\n")
	}
	t.printf("  Sign in at %s with the password “%s” as\n", s.console(), t.style(cyan, s.password))
	for _, p := range s.people() {
		role := string(p.Grant.Role)
		if p.Grant.Merchant != "" {
			role += " of " + p.Grant.Merchant
		}
		t.printf("    %-32s %s\n", p.Email, role)
	}
}
