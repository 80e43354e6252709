package management

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/patience"
)

func isNone(err error) bool { return errors.Is(err, lookup.ErrNone) }

// AccountEntry is a line of a statement of account.
type AccountEntry struct {
	At       time.Time `json:"at"`
	Kind     string    `json:"kind" enum:"deposit,deposit_undone,withdrawal,withdrawal_returned"`
	CustomID string    `json:"custom_id" doc:"The merchant's own id of the deposit or withdrawal."`
	Label    string    `json:"label"`
	UTR      string    `json:"utr" doc:"Of a withdrawal the bank's reference; empty while there is none."`
	Amount   Amount    `json:"amount" doc:"Below zero where it left the account."`
	Fee      Amount    `json:"fee" doc:"What the operator kept; below zero where it was given back."`
	Net      Amount    `json:"net" doc:"What the account changed by."`
	Balance  Amount    `json:"balance" doc:"What stood on it then."`
}

func viewEntry(e *lookup.Entry) AccountEntry {
	return AccountEntry{
		At: e.At.UTC(), Kind: string(e.Kind), CustomID: e.CustomID, Label: e.Label, UTR: string(e.UTR),
		Amount: amountOf(e.Amount), Fee: amountOf(e.Fee), Net: amountOf(e.Net()), Balance: amountOf(e.Balance),
	}
}

// AccountStatement is a page of a merchant's account.
type AccountStatement struct {
	Merchant string         `json:"merchant"`
	From     time.Time      `json:"from"`
	To       time.Time      `json:"to"`
	Opening  Amount         `json:"opening" doc:"The balance before the first item of this page."`
	Closing  Amount         `json:"closing" doc:"The balance after the last item of this page."`
	Items    []AccountEntry `json:"items" nullable:"false"`
	Next     string         `json:"next,omitempty" doc:"Where the next page begins: send it as after, beside the same from and to. Absent at the end."`
}

const csvType = "text/csv"

func statementResponses(registry huma.Registry) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {
		Description: "The account, as JSON page by page, as CSV whole",
		Content: map[string]*huma.MediaType{
			"application/json": {Schema: registry.Schema(reflect.TypeFor[AccountStatement](), true, "AccountStatement")},
			csvType:            {Schema: &huma.Schema{Type: huma.TypeString, Description: "at,kind,custom_id,label,utr,amount,fee,net,balance,currency"}},
		},
	}}
}

type accountInput struct {
	Whose
	During
	Paging
	Format string `query:"format" enum:"json,csv" doc:"json, or csv for a file; else as Accept says."`
	Accept string `header:"Accept" hidden:"true"`
}

func (in *accountInput) csv() bool {
	if in.Format != "" {
		return in.Format == "csv"
	}
	for part := range strings.SplitSeq(in.Accept, ",") {
		if kind, _, err := mime.ParseMediaType(part); err == nil && kind == csvType {
			return true
		}
	}
	return false
}

func (d *Door) accountStatement(ctx context.Context, in *accountInput) (*huma.StreamResponse, error) {
	m, err := d.owner(ctx, in.Merchant)
	if err != nil {
		return nil, err
	}
	ask := lookup.Account{Merchant: m.ID, Range: in.span(), Limit: in.Limit}
	now := d.Now().UTC().Truncate(time.Microsecond)
	if ask.To.IsZero() {
		ask.To = now
	}
	if ask.From.IsZero() {
		local := now.In(m.Location())
		ask.From = time.Date(local.Year(), local.Month(), 1, 0, 0, 0, 0, m.Location()).UTC()
	}
	if !ask.From.Before(ask.To) {
		return nil, invalid.problem("Give a from that is before to").in("query.from", "expected a time before to")
	}
	if in.csv() {
		return d.accountFile(ctx, m, ask)
	}
	query := list("account", m.ID, in.From, in.To)
	if ask.After, ask.Balance, err = readCursor(in.After, query); err != nil {
		return nil, err
	}
	got, err := d.Store.ListAccount(ctx, ask)
	if err != nil {
		return nil, err
	}
	out := AccountStatement{Merchant: m.ID, From: ask.From, To: ask.To, Opening: amountOf(got.Opening), Closing: amountOf(got.Opening)}
	out.Items = make([]AccountEntry, len(got.Items))
	for i := range got.Items {
		out.Items[i] = viewEntry(&got.Items[i])
	}
	if n := len(got.Items); n > 0 {
		out.Closing = amountOf(got.Items[n-1].Balance)
		out.Next = cursor(query, got.Next, got.Items[n-1].Balance)
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/json")
		_ = huma.DefaultJSONFormat.Marshal(ctx.BodyWriter(), out) // a client that went away misses nothing
	}}, nil
}

const (
	csvPage = 1000             // entries that are read at once
	csvTime = 30 * time.Second // that a client may take for them
)

// accountFile streams an account as CSV.
func (d *Door) accountFile(ctx context.Context, m *directory.Merchant, ask lookup.Account) (*huma.StreamResponse, error) {
	ask.Limit = csvPage
	page, err := d.Store.ListAccount(ctx, ask)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		_, w := humago.Unwrap(hctx)
		deadline := http.NewResponseController(w)
		patience.Lift(ctx)
		name := fmt.Sprintf("%s-%s-%s.csv", m.ID, ask.From.In(m.Location()).Format("20060102"), ask.To.In(m.Location()).Format("20060102"))
		w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
		w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
		out := csv.NewWriter(w)
		out.UseCRLF = true // RFC 4180
		_ = out.Write([]string{"at", "kind", "custom_id", "label", "utr", "amount", "fee", "net", "balance", "currency"})
		for {
			for i := range page.Items {
				e := viewEntry(&page.Items[i])
				_ = out.Write([]string{e.At.Format(time.RFC3339Nano), e.Kind, plain(e.CustomID), plain(e.Label), plain(e.UTR),
					e.Amount.Amount, e.Fee.Amount, e.Net.Amount, e.Balance.Amount, e.Amount.Currency})
			}
			out.Flush()
			if out.Error() != nil || page.Next == nil {
				return
			}
			if err := deadline.SetWriteDeadline(d.Now().Add(csvTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return
			}
			ask.After, ask.Balance = page.Next, page.Items[len(page.Items)-1].Balance
			if page, err = d.Store.ListAccount(ctx, ask); err != nil {
				// Cut off, so that nobody takes a part for the whole.
				d.Log.LogAttrs(ctx, slog.LevelError, "a statement of account was cut off", slog.String("merchant", m.ID), slog.Any("error", err))
				panic(http.ErrAbortHandler)
			}
		}
	}}, nil
}

// plain is a text as a cell that no spreadsheet takes for a formula (OWASP, CSV
// injection).
func plain(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}
