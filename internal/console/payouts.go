package console

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/batch"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/upi"
)

// payoutRoutes are the pages of those who pay withdrawals.
var payoutRoutes = []route{
	{pattern: "GET /payouts", name: "page.payouts", scope: ofInstallation, needs: staff.SeePayments, menu: true},
	{pattern: "POST /payouts/approve", name: "page.payouts", scope: ofInstallation, needs: staff.RunPayouts, sure: true},
	{pattern: "GET /payouts/{withdrawal}", name: "page.payout", scope: ofInstallation, needs: staff.SeePayments},
	{pattern: "POST /payouts/{withdrawal}/approve", name: "page.payout", scope: ofInstallation, needs: staff.RunPayouts, sure: true},
	{pattern: "GET /payouts/{withdrawal}/hand", name: "page.payout.hand", scope: ofInstallation, needs: staff.RunPayouts, sure: true},
	{pattern: "POST /payouts/{withdrawal}/hand", name: "page.payout.hand", scope: ofInstallation, needs: staff.RunPayouts, sure: true},
	{pattern: "GET /payouts/{withdrawal}/paid", name: "page.payout.paid", scope: ofInstallation, needs: staff.RunPayouts, sure: true},
	{pattern: "POST /payouts/{withdrawal}/paid", name: "page.payout.paid", scope: ofInstallation, needs: staff.RunPayouts, sure: true},
	{pattern: "GET /payouts/{withdrawal}/failed", name: "page.payout.failed", scope: ofInstallation, needs: staff.RunPayouts, sure: true},
	{pattern: "POST /payouts/{withdrawal}/failed", name: "page.payout.failed", scope: ofInstallation, needs: staff.RunPayouts, sure: true},
	{pattern: "GET /payouts/{withdrawal}/clear", name: "page.payout.clear", scope: ofInstallation, needs: staff.RunPayouts, sure: true},
	{pattern: "POST /payouts/{withdrawal}/clear", name: "page.payout.clear", scope: ofInstallation, needs: staff.RunPayouts, sure: true},
	{pattern: "GET /payouts/{withdrawal}/reject", name: "page.payout.reject", scope: ofInstallation, needs: staff.RunPayouts, sure: true},
	{pattern: "POST /payouts/{withdrawal}/reject", name: "page.payout.reject", scope: ofInstallation, needs: staff.RunPayouts, sure: true},

	{pattern: "GET /payout-files", name: "page.payoutfiles", scope: ofInstallation, needs: staff.RunPayouts},
	{pattern: "GET /payout-files/make", name: "page.payoutfiles.make", scope: ofInstallation, needs: staff.RunPayouts, sure: true},
	{pattern: "POST /payout-files/make", name: "page.payoutfiles.make", scope: ofInstallation, needs: staff.RunPayouts, sure: true},
	{pattern: "GET /payout-files/{file}/download", name: "page.payoutfiles.get", scope: ofInstallation, needs: staff.RunPayouts, sure: true},
	{pattern: "GET /payout-files/answer", name: "page.payoutfiles.answer", scope: ofInstallation, needs: staff.RunPayouts, sure: true},
	{pattern: "POST /payout-files/answer", name: "page.payoutfiles.answer", scope: ofInstallation, needs: staff.RunPayouts, sure: true, upload: batch.MaxAnswer},
}

func (d *Door) payouts() handlers {
	return handlers{
		"GET /payouts":                       d.payoutList,
		"POST /payouts/approve":              d.approveChosen,
		"GET /payouts/{withdrawal}":          d.ofWithdrawal(d.payoutPage),
		"POST /payouts/{withdrawal}/approve": d.ofWithdrawal(d.approvePayout),
		"GET /payouts/{withdrawal}/hand":     d.ofWithdrawal(d.askHand),
		"POST /payouts/{withdrawal}/hand":    d.ofWithdrawal(d.hand),
		"GET /payouts/{withdrawal}/paid":     d.ofWithdrawal(d.askPaid),
		"POST /payouts/{withdrawal}/paid":    d.ofWithdrawal(d.markPaid),
		"GET /payouts/{withdrawal}/failed":   d.ofWithdrawal(d.askFailed),
		"POST /payouts/{withdrawal}/failed":  d.ofWithdrawal(d.markFailed),
		"GET /payouts/{withdrawal}/clear":    d.ofWithdrawal(d.askClear),
		"POST /payouts/{withdrawal}/clear":   d.ofWithdrawal(d.clearPayout),
		"GET /payouts/{withdrawal}/reject":   d.ofWithdrawal(d.askReject),
		"POST /payouts/{withdrawal}/reject":  d.ofWithdrawal(d.rejectPayout),

		"GET /payout-files":                 d.payoutFiles,
		"GET /payout-files/make":            d.askFile,
		"POST /payout-files/make":           d.makeFile,
		"GET /payout-files/{file}/download": d.downloadFile,
		"GET /payout-files/answer":          d.askAnswer,
		"POST /payout-files/answer":         d.importAnswer,
	}
}

func (d *Door) office() *payout.Office { return d.Works.Clerk.Office }

// openStates are those of withdrawals that somebody still has to do something
// about.
var openStates = []payout.State{payout.New, payout.Approved, payout.Processing}

// contested stands for withdrawals, in any state, of which something was told that
// the books do not say.
const contested = "contested"

// payoutRow is a withdrawal in a list.
type payoutRow struct {
	*payout.Withdrawal
	Status  status
	Reasons []string // why a person has to approve it
}

func (v *visit) payoutRow(w *payout.Withdrawal) payoutRow {
	tone := map[payout.State]string{payout.New: toneWait, payout.Approved: toneSoft, payout.Processing: toneWait, payout.Success: toneGood, payout.Failed: toneBad, payout.Canceled: toneSoft}[w.State]
	row := payoutRow{Withdrawal: w, Status: status{v.T("payout.state." + string(w.State)), tone}}
	for _, reason := range w.Reasons {
		if key := "payout.reason." + reason; v.Has(key) {
			reason = v.T(key)
		}
		row.Reasons = append(row.Reasons, reason)
	}
	return row
}

// payoutQueue is what the page of payouts shows.
type payoutQueue struct {
	Problem string
	Filter  filter
	Rows    []payoutRow
	Next    string
	MayRun  bool
	Some    bool // a row can be approved
}

// payoutList shows the withdrawals that somebody has to do something about, the
// oldest first.
func (d *Door) payoutList(v *visit) error { return d.showPayouts(v, http.StatusOK, "") }

func (d *Door) showPayouts(v *visit, code int, problem string) error {
	desk, state := v.FormValue("desk"), payout.State(v.FormValue("state"))
	states := openStates
	if slices.Contains(openStates, state) {
		states = []payout.State{state}
	}
	after, err := v.number("after")
	if err != nil {
		return err
	}
	var list []*payout.Withdrawal
	if state == contested { // of any desk: there are few
		desk = ""
		list, err = d.office().Store.ContestedWithdrawals(v.Context(), after, rowsOfPage+1)
	} else {
		list, err = d.office().Store.ListWithdrawals(v.Context(), states, desk, after, rowsOfPage+1)
	}
	if err != nil {
		return err
	}
	choices := []string{"", v.T("works.all"), contested, v.T("payout.state." + contested)}
	for _, s := range openStates {
		choices = append(choices, string(s), v.T("payout.state."+string(s)))
	}
	body := payoutQueue{Problem: problem, MayRun: v.May(staff.RunPayouts), Filter: filter{Fields: []field{
		{Name: "state", Label: v.T("payouts.state"), Type: "select", Options: options(string(state), choices...)},
		d.deskField(v, desk, v.T("works.all"), ""),
	}}}
	if desk != "" || state != "" {
		body.Filter.Clear = address("/payouts")
	}
	list, body.Next = cut(v, list, func(w *payout.Withdrawal) string { return strconv.FormatInt(w.ID, 10) })
	for _, w := range list {
		body.Rows = append(body.Rows, v.payoutRow(w))
		body.Some = body.Some || w.State == payout.New && body.MayRun
	}
	return v.show(page{Status: code, Name: "payouts", Wide: true, Body: body})
}

// deskField asks for a desk, of one kind or of any.
func (d *Door) deskField(v *visit, chosen, none, kind string) field {
	choices := []string{"", none}
	for _, desk := range d.Directory.Current().Payouts {
		if (kind == "" || desk.Kind == kind) && (!desk.Retired || desk.ID == chosen) {
			choices = append(choices, desk.ID, desk.ID)
		}
	}
	return field{Name: "desk", Label: v.T("payouts.desk"), Type: "select", Options: options(chosen, choices...)}
}

// approveChosen approves the withdrawals that were chosen. One that is refused
// does not keep the others.
func (d *Door) approveChosen(v *visit) error {
	if err := v.ParseForm(); err != nil {
		return err
	}
	var refused []string
	for _, text := range v.PostForm["id"] {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errNotFound
		}
		if _, err := d.office().Approve(v.Context(), id, v.actor()); err != nil {
			problem, ok := v.payoutProblem(err)
			if !ok {
				return err
			}
			refused = append(refused, text+": "+problem)
		}
	}
	if len(refused) > 0 {
		return d.showPayouts(v, http.StatusUnprocessableEntity, strings.Join(refused, "\n"))
	}
	v.say("said.approved")
	return v.lead(address("/payouts"))
}

func (v *visit) payoutProblem(err error) (string, bool) {
	if errors.Is(err, payout.ErrNoWithdrawal) {
		return v.T("error.notfound"), true
	}
	return v.problem(err)
}

// ofWithdrawal finds the withdrawal that the address names.
func (d *Door) ofWithdrawal(next func(*visit, *payout.Withdrawal) error) func(*visit) error {
	find := func(ctx context.Context, id int64) (*payout.Withdrawal, error) {
		return d.office().Store.FindWithdrawal(ctx, id)
	}
	return ofRecord("withdrawal", find, payout.ErrNoWithdrawal, next)
}

// payoutSheet is what the page of a withdrawal shows.
type payoutSheet struct {
	Problem string
	payoutRow
	MerchantName string
	DeskKind     string
	Account      string // in full for those who have to type it into a bank's portal
	MayRun       bool
	Acts         []payoutAct
}

// payoutAct is what can be done about a withdrawal now.
type payoutAct struct {
	Name, Path string
	Danger     bool
}

func (d *Door) payoutPage(v *visit, w *payout.Withdrawal) error {
	return d.showPayout(v, http.StatusOK, w, "")
}

func (d *Door) showPayout(v *visit, code int, w *payout.Withdrawal, problem string) error {
	body := payoutSheet{Problem: problem, payoutRow: v.payoutRow(w), MerchantName: d.merchantName(w.Merchant), Account: w.Account.Masked(), MayRun: v.May(staff.RunPayouts)}
	if desk := payout.Desk(d.Directory.Current(), w.Desk); desk != nil {
		body.DeskKind = desk.Kind
	}
	if body.MayRun && !w.State.Final() {
		body.Account = string(w.Account)
	}
	add := func(name string, danger bool) {
		body.Acts = append(body.Acts, payoutAct{v.T("page.payout." + name), d.payoutPath(w, name), danger})
	}
	byHand := body.DeskKind == directory.PayoutManual || body.DeskKind == directory.PayoutFiles
	if w.Contested {
		add("clear", false)
	}
	switch w.State {
	case payout.New:
		add("reject", true)
	case payout.Approved:
		if byHand && !w.Test {
			add("hand", false)
		}
		add("reject", true)
	case payout.Processing:
		add("paid", false)
		add("failed", true)
	case payout.Success:
		add("failed", true)
	case payout.Failed, payout.Canceled:
	}
	return v.show(page{Status: code, Name: "payout", Title: v.T("payouts.title", "payout", strconv.FormatInt(w.ID, 10)), Body: body})
}

func (*Door) payoutPath(w *payout.Withdrawal, act string) string {
	path := "/payouts/" + strconv.FormatInt(w.ID, 10)
	if act != "" {
		path += "/" + act
	}
	return address(path)
}

// did goes on after an act, or shows why it was refused.
func (d *Door) did(v *visit, w *payout.Withdrawal, err error, said string, show func(code int, problem string) error) error {
	if err != nil {
		return d.again(v, err, show)
	}
	v.say(said)
	return v.lead(d.payoutPath(w, ""))
}

func (d *Door) approvePayout(v *visit, w *payout.Withdrawal) error {
	_, err := d.office().Approve(v.Context(), w.ID, v.actor())
	return d.did(v, w, err, "said.approved", func(code int, problem string) error { return d.showPayout(v, code, w, problem) })
}

// ask is a question with a field, before something that can't be taken back.
type ask struct {
	question
	Fields []field
	Danger bool
}

// word is what a person says of a withdrawal, in the form of ask.
func (d *Door) word(v *visit, code int, w *payout.Withdrawal, problem, act string, danger bool, fields ...field) error {
	text := v.T("payout."+act+".text", "amount", v.Money(w.Amount), "name", w.Name, "account", w.Account.Masked(), "payout", strconv.FormatInt(w.ID, 10))
	return v.show(page{Status: code, Name: "ask", Body: ask{
		question: question{Problem: problem, Text: text, Button: v.T("page.payout." + act), Back: d.payoutPath(w, "")}, Fields: fields, Danger: danger,
	}})
}

func (d *Door) askHand(v *visit, w *payout.Withdrawal) error {
	return d.showHand(v, http.StatusOK, w, "")
}

func (d *Door) showHand(v *visit, code int, w *payout.Withdrawal, problem string) error {
	return d.word(v, code, w, problem, "hand", false, d.payerField(v, w.Desk, v.FormValue("wallet"), v.T("payouts.anywallet")))
}

// payerField asks for the wallet that pays, one of the desk's; none is what stands
// for no wallet.
func (d *Door) payerField(v *visit, deskID, chosen, none string) field {
	dir := d.Directory.Current()
	desk := payout.Desk(dir, deskID)
	choices := []string{"", none}
	for _, w := range dir.Wallets {
		if !w.Retired && (desk == nil || len(desk.Wallets) == 0 || slices.Contains(desk.Wallets, w.ID)) {
			choices = append(choices, w.ID, w.ID+" · "+cmp.Or(v.MaskedAccount(w.Account), string(w.VPA)))
		}
	}
	return field{Name: "wallet", Label: v.T("payouts.wallet"), Type: "select", Options: options(chosen, choices...)}
}

func (d *Door) hand(v *visit, w *payout.Withdrawal) error {
	_, err := d.office().HandFrom(v.Context(), w.ID, v.PostFormValue("wallet"), v.actor(), "paid by hand")
	return d.did(v, w, err, "said.handed", func(code int, problem string) error { return d.showHand(v, code, w, problem) })
}

func (d *Door) askPaid(v *visit, w *payout.Withdrawal) error {
	return d.showPaid(v, http.StatusOK, w, "")
}

func (d *Door) showPaid(v *visit, code int, w *payout.Withdrawal, problem string) error {
	return d.word(v, code, w, problem, "paid", false,
		field{Name: "reference", Label: v.T("payouts.bankref"), Hint: v.T("payouts.bankref.hint"), Value: v.PostFormValue("reference"), Required: true, Focus: true, Wrong: problem != ""})
}

// longest bounds what a person says of a withdrawal, in bytes.
const longest = 500

// errEmpty: a field that is needed is empty, or too long.
var errEmpty = errors.New("the field is empty or too long")

// told reads a text that is needed.
func (v *visit) told(name string) (string, error) {
	text := strings.Join(strings.Fields(v.PostFormValue(name)), " ")
	if text == "" || len(text) > longest {
		return "", errEmpty
	}
	return text, nil
}

func (d *Door) markPaid(v *visit, w *payout.Withdrawal) error {
	reference, err := v.told("reference")
	if err == nil {
		_, err = d.office().MarkPaid(v.Context(), w.ID, "", reference, v.actor())
	}
	return d.did(v, w, err, "said.paid", func(code int, problem string) error { return d.showPaid(v, code, w, problem) })
}

func (d *Door) showWhy(v *visit, code int, w *payout.Withdrawal, problem, act string) error {
	return d.word(v, code, w, problem, act, true,
		field{Name: "why", Label: v.T("payouts.why"), Hint: v.T("payouts.why.hint"), Value: v.PostFormValue("why"), Required: true, Focus: true, Wrong: problem != ""})
}

func (d *Door) askFailed(v *visit, w *payout.Withdrawal) error {
	return d.showWhy(v, http.StatusOK, w, "", "failed")
}

func (d *Door) markFailed(v *visit, w *payout.Withdrawal) error {
	why, err := v.told("why")
	if err == nil {
		_, err = d.office().MarkFailed(v.Context(), w.ID, v.actor(), why)
	}
	return d.did(v, w, err, "said.failed", func(code int, problem string) error { return d.showWhy(v, code, w, problem, "failed") })
}

func (d *Door) askClear(v *visit, w *payout.Withdrawal) error {
	return d.showWhy(v, http.StatusOK, w, "", "clear")
}

// clearPayout takes a person's word that a contested withdrawal was looked at.
func (d *Door) clearPayout(v *visit, w *payout.Withdrawal) error {
	why, err := v.told("why")
	if err == nil {
		_, err = d.office().Clear(v.Context(), w.ID, v.actor(), why)
	}
	return d.did(v, w, err, "said.cleared", func(code int, problem string) error { return d.showWhy(v, code, w, problem, "clear") })
}

func (d *Door) askReject(v *visit, w *payout.Withdrawal) error {
	return d.showWhy(v, http.StatusOK, w, "", "reject")
}

func (d *Door) rejectPayout(v *visit, w *payout.Withdrawal) error {
	why, err := v.told("why")
	if err == nil {
		_, err = d.office().Cancel(v.Context(), w.ID, v.actor(), why)
	}
	return d.did(v, w, err, "said.rejected", func(code int, problem string) error { return d.showWhy(v, code, w, problem, "reject") })
}

// fileList is what the page of payout files shows.
type fileList struct {
	Rows []batch.File
	Next string
}

func (d *Door) payoutFiles(v *visit) error {
	before, err := v.number("after")
	if err != nil {
		return err
	}
	list, err := d.Works.Clerk.Store.PayoutFiles(v.Context(), before, rowsOfPage+1)
	if err != nil {
		return err
	}
	var body fileList
	body.Rows, body.Next = cut(v, list, func(f batch.File) string { return strconv.FormatInt(f.ID, 10) })
	return v.show(page{Name: "payoutfiles", Wide: true, Body: body})
}

func (d *Door) askFile(v *visit) error { return d.showAskFile(v, http.StatusOK, "") }

func (d *Door) showAskFile(v *visit, code int, problem string) error {
	var waiting []deskRow
	for _, desk := range d.Directory.Current().Payouts {
		if desk.Kind != directory.PayoutFiles || desk.Retired {
			continue
		}
		count, err := d.Works.Clerk.Waiting(v.Context(), desk.ID)
		if err != nil {
			return err
		}
		waiting = append(waiting, deskRow{desk, count})
	}
	return v.show(page{Status: code, Name: "makefile", Body: fileForm{Desks: waiting, form: form{Problem: problem, Fields: []field{
		d.deskField(v, v.FormValue("desk"), v.T("upload.choose"), directory.PayoutFiles),
		d.payerField(v, v.FormValue("desk"), v.FormValue("wallet"), v.T("upload.choose")),
		{Name: "ifsc", Label: v.T("payouts.ifsc"), Hint: v.T("payouts.ifsc.hint"), Value: v.PostFormValue("ifsc")},
	}}}})
}

// deskRow is a desk, and how many withdrawals wait for a file of it.
type deskRow struct {
	*directory.PayoutDesk
	Waiting int
}

type fileForm struct {
	form
	Desks []deskRow
}

// makeFile hands a desk's approved withdrawals over in a file. The file is kept:
// whoever loses it downloads it again.
func (d *Door) makeFile(v *visit) error {
	var err error
	var ifsc upi.IFSC
	if text := strings.TrimSpace(v.PostFormValue("ifsc")); text != "" {
		ifsc, err = upi.ParseIFSC(text)
	}
	var made *batch.Made
	if err == nil {
		made, err = d.Works.Clerk.Make(v.Context(), batch.Ask{Desk: v.PostFormValue("desk"), Wallet: v.PostFormValue("wallet"), IFSC: ifsc, Actor: v.actor()})
	}
	if err != nil && made == nil {
		return d.again(v, err, func(code int, problem string) error { return d.showAskFile(v, code, problem) })
	}
	body := fileMade{Made: made}
	if err != nil {
		body.Problem, _ = v.problem(err)
	}
	return v.show(page{Name: "filemade", Body: body})
}

// fileMade is what the page of a new file shows.
type fileMade struct {
	Problem string
	*batch.Made
}

// downloadFile gives a file as the bank wants it. It holds account numbers, so the
// audit log says who had it.
func (d *Door) downloadFile(v *visit) error {
	id, err := strconv.ParseInt(v.PathValue("file"), 10, 64)
	if err != nil {
		return errNotFound
	}
	f, err := d.Works.Clerk.Store.PayoutFile(v.Context(), id)
	if errors.Is(err, batch.ErrNoFile) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	if err := d.Works.Store.AppendAudit(v.Context(), audit.Entry{
		At: v.now.UTC(), Actor: v.actor(), Action: "payoutfile.downloaded", Subject: f.ID, Why: f.Name + " of desk " + f.Desk,
	}); err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	h.Set("Content-Length", strconv.Itoa(len(f.Content)))
	_, _ = v.w.Write(f.Content) // a browser that went away misses nothing
	return nil
}

func (d *Door) askAnswer(v *visit) error {
	return d.showAskAnswer(v, http.StatusOK, "", v.FormValue("desk"))
}

func (d *Door) showAskAnswer(v *visit, code int, problem, desk string) error {
	return v.show(page{Status: code, Name: "upload", Body: form{Problem: problem, Fields: []field{
		d.deskField(v, desk, v.T("upload.choose"), directory.PayoutFiles),
		{Name: "file", Label: v.T("upload.answer"), Type: "file", Required: true, Hint: v.T("upload.hint", "size", strconv.Itoa(batch.MaxAnswer>>20))},
	}}})
}

// answerSheet is what the page of a bank's answer shows.
type answerSheet struct {
	Problem string
	Lines   []answerRow
	Settled int
}

type answerRow struct {
	*batch.Line
	Status status
}

// importAnswer settles withdrawals by the bank's answer to their file, and shows
// what became of each line.
func (d *Door) importAnswer(v *visit) error {
	fields, part, err := v.uploaded("desk")
	var text []byte
	if err == nil {
		if text, err = io.ReadAll(io.LimitReader(part, batch.MaxAnswer+1)); err != nil {
			err = partError(err)
		} else if len(text) > batch.MaxAnswer {
			err = &http.MaxBytesError{Limit: batch.MaxAnswer}
		}
	}
	var lines []batch.Line
	if err == nil {
		lines, err = d.Works.Clerk.Import(v.Context(), fields["desk"], bytes.NewReader(text), v.actor())
	}
	if err != nil && len(lines) == 0 {
		return d.again(v, err, func(code int, problem string) error { return d.showAskAnswer(v, code, problem, fields["desk"]) })
	}
	var body answerSheet
	if err != nil {
		d.Log.ErrorContext(v.Context(), "a bank's answer was not imported to its end", "desk", fields["desk"], "error", err)
		body.Problem = v.T("payouts.answer.broke")
	}
	for i := range lines {
		row := answerRow{&lines[i], status{v.T("payouts.answer.left"), toneSoft}}
		switch {
		case lines[i].Settled && lines[i].State == payout.Success:
			row.Status = status{v.T("payout.state.success"), toneGood}
		case lines[i].Settled:
			row.Status = status{v.T("payout.state." + string(lines[i].State)), toneBad}
		case lines[i].Why != "":
			row.Status.Tone = toneWait
		}
		if lines[i].Settled {
			body.Settled++
		}
		body.Lines = append(body.Lines, row)
	}
	return v.show(page{Name: "answered", Wide: true, Body: body})
}
