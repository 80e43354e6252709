package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// payoutInstallation has a desk that people serve and one of files in a layout.
func payoutInstallation(layout string) string {
	return `
merchants:
  - {id: shop, name: Shop, domain: shop.localhost, fee: {withdrawal_fixed: 5}, postback: {url: 'http://127.0.0.1:9/', private_key: PK}}
wallets:
  - {id: w1, method: upi_l, vpa: test@upi, merchants: [shop], bank: sbi, account: "2101"}
  - {id: w2, method: upi_l, vpa: other@upi, merchants: [shop]}
methods:
  - {type: upi_l, name: {en: UPI}}
  - {type: imps_f, name: {en: Files}}
payouts:
  - {id: people, kind: manual, method: imps_ib, approve_above: 1000}
  - {id: files, kind: bulkfile, method: imps_f, approve_above: 1000, wallets: [w1], layout: ` + layout + `, account: "98765432101",
     codes: {client_code: KAVE, product_code: VPAY}}
`
}

// payoutShell is a shell on an installation whose shop has 5,000 rupees.
func payoutShell(t *testing.T, layout string) *shell {
	t.Helper()
	s := newShell(t, payoutInstallation(layout))
	s.office(func(ctx context.Context, tools *server.Tools) error {
		const utr = "612112345701"
		e := feed.Entry{UTR: utr, Amount: 5000 * money.Rupee, Currency: money.INR, At: time.Now(), Trust: feed.Confirmed}
		if _, err := tools.Desk.Ingest(ctx, intake.ByHand(tools.Office.Directory.Current().Wallet("w1")), []feed.Item{{Credit: &e}}); err != nil {
			return err
		}
		c, err := tools.Desk.Activate(ctx, deposit.Activation{
			Merchant: "shop", CustomID: "1", Method: "upi_l", Label: "55", UTR: utr, Amount: e.Amount, Currency: money.INR, Via: "api",
		})
		if err == nil && c.State != deposit.Credited {
			err = fmt.Errorf("the claim is %s", c.State)
		}
		return err
	})
	return s
}

// office does something with the tools of a command.
func (s *shell) office(do func(context.Context, *server.Tools) error) {
	s.Helper()
	config := server.DefaultConfig()
	config.DatabaseURL = "sqlite://" + filepath.Join(s.dir, "milaan.db")
	tools, err := server.OpenTools(s.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		s.Fatal(err)
	}
	ctx, stop := context.WithCancel(s.Context())
	ended := make(chan error, 1)
	go func() { ended <- tools.Desk.Run(ctx) }()
	err = do(ctx, tools)
	stop()
	if ended := <-ended; err != nil || ended != nil {
		s.Fatal(err, ended)
	}
	if err := tools.Store.Close(); err != nil {
		s.Fatal(err)
	}
}

// mustAsk asks for a withdrawal, and gives its number and reference.
func (s *shell) mustAsk(r payout.Request) (number, reference string) {
	s.Helper()
	r.Merchant, r.Label, r.Currency = "shop", "55", money.INR
	r.Name, r.IFSC = "Asha Rao", "HDFC0000001"
	if r.CreatedBy == "" {
		r.CreatedBy = "api:shop"
	}
	s.office(func(ctx context.Context, tools *server.Tools) error {
		w, err := tools.Office.Create(ctx, r)
		if err == nil {
			number, reference = fmt.Sprint(w.ID), w.Reference()
		}
		return err
	})
	return number, reference
}

func (s *shell) mustStand(number string, want payout.State) {
	s.Helper()
	s.office(func(ctx context.Context, tools *server.Tools) error {
		var id int64
		if _, err := fmt.Sscan(number, &id); err != nil {
			return err
		}
		w, err := tools.Store.FindWithdrawal(ctx, id)
		if err == nil && w.State != want {
			err = fmt.Errorf("withdrawal %s is %s (%s), want %s", number, w.State, w.Why, want)
		}
		return err
	})
}

func (s *shell) mustHave(available, held money.Paise) {
	s.Helper()
	s.office(func(ctx context.Context, tools *server.Tools) error {
		a, h, err := tools.Store.MerchantBalance(ctx, "shop")
		if err == nil && (a != available || h != held) {
			err = fmt.Errorf("the shop has %s, %s held; want %s and %s", a, h, available, held)
		}
		return err
	})
}

func asked(id string, method string, amount money.Paise, account upi.AccountNumber) payout.Request {
	return payout.Request{
		Key: payout.Key{WithdrawalID: id}, Method: method, Amount: amount, Beneficiary: payout.Beneficiary{Account: account},
	}
}

// TestPayoutsByHand: a person approves, turns down and pays withdrawals.
func TestPayoutsByHand(t *testing.T) {
	t.Parallel()
	s := payoutShell(t, "axis")
	s.mustRun(exitDone, "no withdrawal is open", "payout", "list")

	large := asked("large", "imps_ib", 2000*money.Rupee, "12345678901")
	large.CreatedBy = "operator:asha"
	number, reference := s.mustAsk(large)
	s.mustHave(2995*money.Rupee, 2005*money.Rupee)
	if list := s.mustRun(exitDone, "above_limit", "payout", "list"); !strings.Contains(list, reference) || !strings.Contains(list, "₹2,000.00") {
		t.Errorf("listed\n%s", list)
	}
	// Four eyes.
	s.mustRun(exitFailed, "can't approve it", "payout", "approve", number, "--actor", "asha")
	s.mustStand(number, payout.New)
	s.mustRun(exitFailed, "can't become", "payout", "mark", number, "--failed", "x")
	s.mustRun(exitDone, "is approved", "payout", "approve", number, "--actor", "ravi")
	s.mustRun(exitFailed, "No wallet of the desk", "payout", "mark", number, "--paid", "612112345777", "--wallet", "w2")
	s.mustRun(exitDone, "is success", "payout", "mark", number, "--paid", "612112345777", "--wallet", "w1")
	s.mustRun(exitDone, "is success", "payout", "mark", number, "--paid", "612112345777")
	s.mustHave(2995*money.Rupee, 0)
	s.mustRun(exitFailed, "can't become", "payout", "reject", number, "--why", "too late")
	s.mustRun(exitDone, "is failed", "payout", "mark", number, "--failed", "the bank sent it back")
	s.mustHave(5000*money.Rupee, 0)
	// What is said against the books changes nothing, and is seen.
	s.mustRun(exitFailed, "kept as contested", "payout", "mark", number, "--paid", "612112345777")
	s.mustHave(5000*money.Rupee, 0)
	s.mustRun(exitDone, "says that it was paid, while it was failed", "payout", "list", "--contested")
	s.mustRun(exitDone, "there is none", "payout", "list", "--contested", "--desk", "files")
	s.mustRun(exitDone, "is failed", "payout", "clear", number, "--why", "mistyped")
	s.mustRun(exitFailed, "is not contested", "payout", "clear", number, "--why", "again")
	s.mustRun(exitDone, "there is none", "payout", "list", "--contested")

	number, _ = s.mustAsk(asked("rejected", "imps_ib", 1500*money.Rupee, "12345678902"))
	s.mustRun(exitUsage, "--why", "payout", "reject", number)
	s.mustRun(exitDone, "is canceled", "payout", "reject", number, "--why", "not ours")
	s.mustRun(exitFailed, "can't become", "payout", "approve", number)
	s.mustHave(5000*money.Rupee, 0)

	test := asked("test", "imps_ib", 100*money.Rupee, "12345678903")
	test.Test = true
	number, _ = s.mustAsk(test)
	s.mustRun(exitFailed, "is a test", "payout", "mark", number, "--paid", "612112345778")

	s.mustRun(exitFailed, "no such withdrawal", "payout", "approve", "999999")
	s.mustRun(exitUsage, "", "payout", "mark", number)
	s.mustRun(exitFailed, "of kind bulkfile", "payout", "batch", "people", "--wallet", "w1", "-o", filepath.Join(s.dir, "x"))
	s.mustRun(exitFailed, "there is no wallet", "payout", "batch", "files", "--wallet", "none", "-o", filepath.Join(s.dir, "x"))
	s.mustRun(exitFailed, "of kind bulkfile", "payout", "import", "people", s.write("answer", ""))
	s.mustRun(exitDone, "every invariant holds", "verify")
}

// Each bank's file is written, answered and settled.
func TestPayoutFiles(t *testing.T) {
	t.Parallel()
	const utr = "612112345799"
	for layout, answer := range map[string]func(paid, refused, pending string) string{
		"axis": func(paid, refused, pending string) string {
			row := "%[1]s^KAVE^I^24-11-2026^x^x^%[2]s^%[3]s^x^%[1]s^x^CN00011%[1]s^%[4]s\n"
			return fmt.Sprintf(row, paid, "SUCCESS", "Success--"+utr, "100.00") + fmt.Sprintf(row, refused, "REJECTED", "Account closed", "100.00") +
				fmt.Sprintf(row, pending, "PROCESSING", "With the bank", "300.00")
		},
		"hdfc": func(paid, refused, pending string) string {
			row := "M,,Asha Rao,%[2]s,,24/11/2026,%[1]s,,,12345678901,N0001,%[3]s,%[4]s,HDFC0000001,,%[5]s\n"
			return fmt.Sprintf(row, paid, "100.00", "E", "", utr) + fmt.Sprintf(row, refused, "100.00", "R", "INVALID ACCOUNT", "") +
				fmt.Sprintf(row, pending, "300.00", "", "", "")
		},
		"pain.001": func(paid, refused, pending string) string {
			one := func(reference, status, amount, more string) string {
				return "<TxInfAndSts><OrgnlInstrId>" + reference + "</OrgnlInstrId><OrgnlEndToEndId>" + reference + "</OrgnlEndToEndId><TxSts>" + status + "</TxSts>" + more +
					`<OrgnlTxRef><Amt><InstdAmt Ccy="INR">` + amount + "</InstdAmt></Amt></OrgnlTxRef></TxInfAndSts>"
			}
			return `<?xml version="1.0" encoding="UTF-8"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt>` +
				`<GrpHdr><MsgId>BANK1</MsgId><CreDtTm>2026-11-24T09:00:00Z</CreDtTm></GrpHdr>` +
				`<OrgnlGrpInfAndSts><OrgnlMsgId>M1</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId><GrpSts>PART</GrpSts></OrgnlGrpInfAndSts>` +
				`<OrgnlPmtInfAndSts><OrgnlPmtInfId>B7</OrgnlPmtInfId>` +
				one(paid, "ACSC", "100.00", "<ClrSysRef>"+utr+"</ClrSysRef>") + one(refused, "RJCT", "100.00", "") + one(pending, "PDNG", "300.00", "") +
				`</OrgnlPmtInfAndSts></CstmrPmtStsRpt></Document>`
		},
		"icici": nil, "kotak": nil, // their answers are told by statements
	} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			s := payoutShell(t, layout)
			paid, paidRef := s.mustAsk(asked("paid", "imps_f", 100*money.Rupee, "12345678901"))
			refused, refusedRef := s.mustAsk(asked("refused", "imps_f", 100*money.Rupee, "12345678902"))
			pending, pendingRef := s.mustAsk(asked("pending", "imps_f", 300*money.Rupee, "12345678903"))
			test := asked("test", "imps_f", 400*money.Rupee, "12345678904")
			test.Test = true
			tested, testRef := s.mustAsk(test)
			held, heldRef := s.mustAsk(asked("held", "imps_f", 1100*money.Rupee, "12345678905"))

			out := filepath.Join(s.dir, "upload")
			batch := []string{"payout", "batch", "files", "--wallet", "w1", "-o", out, "--ifsc", "SBIN0004321", "--actor", "asha"}
			s.mustRun(exitFailed, "IFSC", batch[:len(batch)-4]...)
			s.mustStand(paid, payout.Approved) // nothing was handed over for a file that could not be written
			s.mustRun(exitDone, "3 withdrawals in", batch...)
			file, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			for reference, in := range map[string]bool{paidRef: true, refusedRef: true, pendingRef: true, testRef: false, heldRef: false} {
				if strings.Contains(string(file), reference) != in {
					t.Errorf("%s is in the file: %v, want %v:\n%s", reference, !in, in, file)
				}
			}
			s.mustRun(exitDone, "no approved withdrawal waits", batch...)
			s.mustStand(tested, payout.Approved)
			s.mustStand(held, payout.New)
			s.mustHave(5000*money.Rupee-500*money.Rupee-15*money.Rupee-1105*money.Rupee, 500*money.Rupee+15*money.Rupee+1105*money.Rupee)

			if answer != nil {
				name := s.write("answer", answer(paidRef, refusedRef, pendingRef))
				s.mustRun(exitDone, "2 of 3 settled", "payout", "import", "files", name)
				s.mustRun(exitDone, "2 of 3 settled", "payout", "import", "files", name) // again, and nothing changes
				// An answer that swaps them, and tells of nobody's.
				s.mustRun(exitDone, "0 of 3 settled", "payout", "import", "files", s.write("other", answer(refusedRef, paidRef, "MLPZZZZZZ")))
				list := s.mustRun(exitDone, "", "payout", "list", "--contested")
				if !strings.Contains(list, "says that it was paid, while it was failed") || !strings.Contains(list, "says that it was refused, while it was success") {
					t.Errorf("contested are\n%s", list)
				}
				// And of another amount.
				s.mustRun(exitDone, "no withdrawal of this desk and amount", "payout", "import", "files", s.write("third", answer(pendingRef, refusedRef, paidRef)))
			} else {
				s.statement(paidRef, refusedRef)
				s.mustRun(exitDone, "is failed", "payout", "mark", refused, "--failed", "not among the bank's")
			}
			s.mustStand(paid, payout.Success)
			s.mustStand(refused, payout.Failed)
			s.mustStand(pending, payout.Processing)
			s.mustHave(5000*money.Rupee-105*money.Rupee-305*money.Rupee-1105*money.Rupee, 305*money.Rupee+1105*money.Rupee)
			s.mustRun(exitDone, "every invariant holds", "verify")
		})
	}
}

// statement imports a bank's statement with the debit of a withdrawal.
func (s *shell) statement(paid, other string) {
	s.Helper()
	text := "Account Name\t:\tSAMPLE\nAccount Number\t:\t_00000098765432101\nIFS Code\t:\tSBIN0004321\nBalance as on 1 November 2026\t:\t6,000.00\n\n" +
		"Txn Date\tValue Date\tDescription\tRef No./Cheque No.\tDebit\tCredit\tBalance\n" +
		"24 Nov 2026\t24 Nov 2026\tTO TRANSFER-INB IMPS " + paid + " ASHA RAO--\tTRANSFER TO 4897691162095\t100.00\t \t5,900.00\n" +
		"24 Nov 2026\t24 Nov 2026\tTO TRANSFER-INB CHARGES " + other + "--\tTRANSFER TO 4897691162095\t2.00\t \t5,898.00\n"
	s.mustRun(exitDone, "", "import", "statement", s.write("nov.xls", text), "--wallet", "w1")
}
