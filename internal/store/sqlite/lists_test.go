package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/internal/store/records"
)

// TestListIndexesAreOfLists: the group commit has smaller indexes of its own.
func TestListIndexesAreOfLists(t *testing.T) {
	t.Parallel()
	key, err := seal.NewKey(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "milaan.db"), key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, statement := range db.statements.all() {
		if strings.HasPrefix(statement.query, "BEGIN") || statement.query == "COMMIT" || statement.query == "ROLLBACK" {
			continue
		}
		for _, step := range plan(t, db, statement.query) {
			if strings.Contains(step, "_listed") {
				t.Errorf("%s\n\tplan: %s", statement.query, step)
			}
		}
	}
}

// TestListPlans holds every list to an index, in the list's order: one that scans
// or sorts would cost more with every payment there ever was.
func TestListPlans(t *testing.T) {
	t.Parallel()
	key, err := seal.NewKey(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "milaan.db")
	db, err := Open(t.Context(), path, key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	h := &listener{dsn: "file:" + path}
	reads := sql.OpenDB(h)
	defer func() { _ = reads.Close() }()
	records := db.Records
	records.Read = reads
	ctx, now := t.Context(), time.Now()
	during := lookup.Range{From: now.Add(-time.Hour), To: now}
	after := &lookup.Place{At: now, ID: 7}
	var errs []error
	for _, q := range []lookup.Deposits{
		{Merchant: "shop", Limit: 50},
		{Merchant: "shop", Limit: 50, State: deposit.Waiting, Label: "55", Amount: 500, Range: during, After: after},
		{Merchant: "shop", Limit: 50, UTR: "000000000001", Range: during, After: after},
	} {
		_, err := records.ListDeposits(ctx, q)
		errs = append(errs, err)
	}
	for _, q := range []lookup.Postbacks{{Merchant: "shop", Limit: 50}, {Merchant: "shop", Limit: 50, State: "dead", Range: during, After: after}} {
		_, err := records.ListPostbacks(ctx, q)
		errs = append(errs, err)
	}
	for _, q := range []lookup.Withdrawals{{Merchant: "shop", Limit: 50}, {Merchant: "shop", Limit: 50, State: payout.New, Label: "55", Range: during, After: after}} {
		_, err := records.ListWithdrawalsOf(ctx, q)
		errs = append(errs, err)
	}
	for _, q := range []lookup.Account{{Merchant: "shop", Range: during, Limit: 50}, {Merchant: "shop", Range: during, After: after, Limit: 50}} {
		_, err := records.ListAccount(ctx, q)
		errs = append(errs, err)
	}
	for _, q := range []lookup.Credits{
		{Limit: 50}, {Limit: 50, State: deposit.Bound, After: after}, {Wallet: "till", Limit: 50}, {Wallet: "till", Limit: 50, Range: during, After: after},
		{UTR: "000000000001", Limit: 50, After: after},
	} {
		_, err := records.ListCredits(ctx, q)
		errs = append(errs, err)
	}
	word := lookup.Word{ID: 7, UTR: "000000000001", CustomID: "a", Label: "55", VPA: "a@okaxis", Amount: 500}
	for _, r := range []lookup.Range{{}, during} {
		_, err := records.ListDeposits(ctx, lookup.Deposits{Merchant: "shop", Word: word, Method: "upi_l", Wallet: "till", Range: r, Limit: 50, Look: 300})
		errs = append(errs, err)
		_, err = records.ListPostbacks(ctx, lookup.Postbacks{Merchant: "shop", Word: word, Range: r, After: after, Limit: 50, Look: 300})
		errs = append(errs, err)
		_, err = records.ListWithdrawalsOf(ctx, lookup.Withdrawals{Merchant: "shop", Word: word, Method: "imps_ib", Wallet: "till", Range: r, Limit: 50, Look: 300})
		errs = append(errs, err)
		_, err = records.ListCredits(ctx, lookup.Credits{Wallet: "till", Word: word, Range: r, After: after, Limit: 50, Look: 300})
		errs = append(errs, err)
		_, err = records.FindDeposits(ctx, []string{"cafe", "shop"}, lookup.Deposits{Word: word, State: deposit.Waiting, Range: r, Limit: 50})
		errs = append(errs, err)
		_, err = records.FindWithdrawals(ctx, []string{"cafe", "shop"}, lookup.Withdrawals{Word: word, State: payout.New, Range: r, Limit: 50})
		errs = append(errs, err)
	}
	_, err = records.FindPostbacks(ctx, []int64{7, 8})
	errs = append(errs, err)
	_, err = records.PostingsOf(ctx, 7)
	errs = append(errs, err)
	_, err = records.NotesOf(ctx, []int64{7, 8}, 50)
	errs = append(errs, err)
	_, err = records.MessagesOf(ctx, 7)
	errs = append(errs, err)
	_, err = records.LinesOf(ctx, 7)
	errs = append(errs, err)
	for _, find := range []func() error{
		func() error { _, err := records.FindDepositByID(ctx, 7); return err },
		func() error { _, err := records.FindMovement(ctx, 7); return err },
	} {
		errs = append(errs, notMissing(find()))
	}
	_, err = records.FindDeposit(ctx, deposit.CustomKey{Merchant: "shop", CustomID: "a"})
	errs = append(errs, notMissing(err))
	_, err = records.Postback(ctx, 7)
	errs = append(errs, notMissing(err))
	open := []payout.State{payout.New, payout.Approved, payout.Processing}
	for _, states := range [][]payout.State{open, open[:1]} {
		_, err = records.ListWithdrawals(ctx, states, "", 7, 50)
		errs = append(errs, err)
	}
	_, _, err = records.MerchantBalance(ctx, "shop")
	errs = append(errs, err)
	_, err = records.FindKey(ctx, access.Hash{})
	errs = append(errs, notMissing(err))
	_, err = records.FindStatement(ctx, "till", 7)
	errs = append(errs, notMissing(err))
	errs = append(errs, reviewReads(ctx, &records), overviewReads(ctx, &records))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if len(h.said) < 20 {
		t.Errorf("only %d queries were heard", len(h.said))
	}
	for _, said := range h.said {
		query := said.query
		steps := plan(t, db, query, said.args...)
		if strings.Contains(query, "utr = ") == strings.Contains(strings.Join(steps, "\n"), "_listed") && strings.Contains(query, "FROM claims c LEFT JOIN") && !strings.Contains(query, "custom_id = ") && !strings.Contains(query, "c.id = ") {
			t.Errorf("%s\n\tis found otherwise than meant: %q", query, steps)
		}
		sorted := slices.ContainsFunc(steps, func(s string) bool { return strings.HasPrefix(s, "USE TEMP B-TREE FOR ORDER BY") })
		// What one UTR brings is few, and so is what some records' numbers bring.
		if sorted && !strings.Contains(query, "utr = ") && !strings.Contains(query, "id IN (") && !strings.Contains(query, "subject IN (") {
			t.Errorf("%s\n\tis sorted: %q", query, steps)
		}
		// A page begins at its place, not at the beginning of the list.
		if bounded := strings.Contains(strings.Join(steps, "\n"), "<expr>"); strings.Contains(query, " + 0 <= ") && !bounded || strings.Contains(query, " + 0 >= ") && !bounded {
			t.Errorf("%s\n\twalks from the beginning: %q", query, steps)
		}
		if open := strings.Contains(query, "FROM withdrawals WHERE id > "); open && !strings.Contains(strings.Join(steps, "\n"), "withdrawals_open") {
			t.Errorf("%s\n\tlooks at those that are not open: %q", query, steps)
		}
		for _, step := range steps {
			// Walking the table along its key is what a list of all credits does.
			if strings.HasPrefix(step, "SCAN") && !smallTables.MatchString(step) && !boundedWalks.MatchString(step) && !strings.Contains(query, "FROM credits WHERE id > 0") {
				t.Errorf("%s\n\tplan: %s", query, step)
			}
		}
	}
}

func notMissing(err error) error {
	if errors.Is(err, lookup.ErrNone) || errors.Is(err, access.ErrNoKey) || errors.Is(err, postback.ErrNoPostback) {
		return nil
	}
	return err
}

// boundedWalks are walks along the end of a small index, and over what they found.
var boundedWalks = regexp.MustCompile(`^SCAN (CONSTANT ROW|r|newest|few|claims USING INDEX claims_expiry|postbacks USING (COVERING )?INDEX postbacks_(due|dead))$`)

// reviewReads asks for all that a person needs who decides about a claim.
func reviewReads(ctx context.Context, r *records.Records) error {
	_, _, around := r.PendingAround(ctx, 7)
	_, credits := r.CreditsByUTR(ctx, &deposit.Claim{UTR: "000000000001"})
	past := &deposit.Credit{ID: 7, Wallet: "till"}
	past.PayerVPA = "payer@upi"
	_, paid := r.PayerCredits(ctx, past, 5)
	past.PayerVPA, past.PayerName = "", "Asha"
	_, paidByName := r.PayerCredits(ctx, past, 5)
	_, waiting := r.WaitingClaims(ctx, 500, 5)
	_, undone := r.Undone(ctx, 7)
	return errors.Join(around, credits, paid, paidByName, waiting, notMissing(undone))
}

// overviewReads asks for what the overview shows of the past.
func overviewReads(ctx context.Context, r *records.Records) error {
	_, tallies := r.Tallies(ctx, "shop", time.Unix(0, 0), time.Unix(900_000, 0))
	_, outbox := r.Outbox(ctx, "")
	_, ofMerchant := r.Outbox(ctx, "shop")
	return errors.Join(tallies, outbox, ofMerchant)
}
