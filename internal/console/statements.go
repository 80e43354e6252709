package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/statement"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/patience"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/upi"
)

// statementList is what the page of statements shows.
type statementList struct {
	Filter filter
	Rows   []feed.Statement
	Next   string
	MayRun bool
}

func (d *Door) statements(v *visit) error {
	wallet := v.FormValue("wallet")
	before, err := v.number("after")
	if err != nil {
		return err
	}
	list, err := d.Works.Store.NewestStatements(v.Context(), wallet, before, rowsOfPage+1)
	if err != nil {
		return err
	}
	body := statementList{MayRun: v.May(staff.RunWorks), Filter: filter{Fields: []field{d.walletField(v, wallet, v.T("works.all"))}}}
	if wallet != "" {
		body.Filter.Clear = address("/statements")
	}
	body.Rows, body.Next = cut(v, list, func(s feed.Statement) string { return strconv.FormatInt(s.ID, 10) })
	return v.show(page{Name: "statements", Wide: true, Body: body})
}

// walletField asks for a wallet; none is what stands for no wallet.
func (d *Door) walletField(v *visit, chosen, none string) field {
	choices := []string{"", none}
	for _, w := range d.Directory.Current().Wallets {
		if !w.Retired || w.ID == chosen {
			choices = append(choices, w.ID, w.ID+" · "+string(w.VPA))
		}
	}
	return field{Name: "wallet", Label: v.T("wallets.wallet"), Type: "select", Options: options(chosen, choices...)}
}

func (d *Door) uploadPage(v *visit) error {
	return d.showUpload(v, http.StatusOK, "", v.FormValue("wallet"), "")
}

func (d *Door) showUpload(v *visit, code int, problem, wallet, format string) error {
	var formats []string
	for _, f := range statement.Formats() {
		formats = append(formats, string(f), v.T("upload.format."+string(f)))
	}
	return v.show(page{Status: code, Name: "upload", Body: form{Problem: problem, Fields: []field{
		d.walletField(v, wallet, v.T("upload.choose")),
		{Name: "format", Label: v.T("upload.format"), Type: "select", Options: options(format, formats...)},
		{Name: "file", Label: v.T("upload.file"), Type: "file", Required: true, Hint: v.T("upload.hint", "size", strconv.Itoa(intake.MaxStatement>>20))},
	}}})
}

// Times of an upload: those of other requests are for small ones.
const (
	uploadTimeout = 5 * time.Minute
	// answerAfter is how long an upload's answer waits for the import to begin, and
	// so to be refused where the file is at fault.
	answerAfter = 2 * time.Minute
)

// errPart: a form that is to bring a file brings none.
var errPart = errors.New("the form has no file")

// mostText bounds the fields of a form beside its file, in bytes.
const mostText = 1 << 10

// uploaded reads a form that brings a file: the fields before the file, and the
// file itself, of which nothing was read yet.
func (v *visit) uploaded(names ...string) (fields map[string]string, file *multipart.Part, err error) {
	patience.Lift(v.Context())
	connection, now := http.NewResponseController(v.w), time.Now() // deadlines of a connection are on the machine's clock
	err = errors.Join(connection.SetReadDeadline(now.Add(uploadTimeout)), connection.SetWriteDeadline(now.Add(uploadTimeout+answerAfter)))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, nil, fmt.Errorf("give an upload its time: %w", err)
	}
	parts, err := v.MultipartReader()
	if err != nil {
		return nil, nil, errPart
	}
	fields = make(map[string]string)
	for range len(names) + 1 {
		part, err := parts.NextPart()
		if err != nil {
			return fields, nil, partError(err)
		}
		name := part.FormName()
		if name == "file" {
			if part.FileName() == "" {
				return fields, nil, errPart
			}
			return fields, part, nil
		}
		text, err := io.ReadAll(io.LimitReader(part, mostText))
		if err != nil {
			return fields, nil, partError(err)
		}
		fields[name] = string(text)
	}
	return fields, nil, errPart
}

// partError is what went wrong with a form that was not read to its file.
func partError(err error) error {
	if errors.As(err, new(*http.MaxBytesError)) {
		return err
	}
	return errPart
}

// upload takes a statement and imports it. The answer comes once the file is
// read; the lines are booked while its page shows how far they are.
func (d *Door) upload(v *visit) error {
	fields, part, err := v.uploaded("wallet", "format")
	var statement int64
	if err == nil {
		statement, err = d.takeStatement(v, fields, part)
	}
	if err != nil {
		return d.again(v, err, func(code int, problem string) error {
			return d.showUpload(v, code, problem, fields["wallet"], fields["format"])
		})
	}
	return v.lead(address("/statements/" + strconv.FormatInt(statement, 10)))
}

// errBusy: as many statements as may be are being imported.
var errBusy = fmt.Errorf("%w: others are being imported, wait for their end", intake.ErrStatement)

// errWallet: no wallet was chosen that there is.
var errWallet = fmt.Errorf("%w: choose the wallet whose account it is of", intake.ErrStatement)

func (d *Door) takeStatement(v *visit, fields map[string]string, part *multipart.Part) (int64, error) {
	wallet := d.Directory.Current().Wallet(fields["wallet"])
	format := statement.Format(fields["format"])
	if wallet == nil {
		return 0, errWallet
	}
	if fields["format"] == "" {
		format = statement.Auto
	}
	if !d.imports.take() {
		return 0, errBusy
	}
	file, err := intake.NewSpool(part)
	if err != nil {
		d.imports.leave()
		if disk := new(fs.PathError); errors.As(err, &disk) || errors.As(err, new(*http.MaxBytesError)) {
			return 0, err
		}
		return 0, errPart // it broke off
	}
	return d.imports.run(v, importing{door: d, wallet: wallet, file: file, format: format, name: part.FileName(), actor: v.actor()})
}

// mostImports is how many statements are imported at once.
const mostImports = 2

// imports are the statements that are being imported.
type imports struct {
	life  context.Context //nolint:containedctx // imports outlive the request that brought them, and end with the door
	end   context.CancelFunc
	slots chan struct{}
	group sync.WaitGroup

	mu     sync.Mutex
	faults map[int64]string // why those broke off that did, by statement
}

func newImports() *imports {
	i := &imports{slots: make(chan struct{}, mostImports), faults: make(map[int64]string)}
	i.life, i.end = context.WithCancel(context.Background())
	return i
}

func (i *imports) take() bool {
	select {
	case i.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (i *imports) leave() { <-i.slots }

// fault tells why an import broke off; empty where it did not.
func (i *imports) fault(statement int64) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.faults[statement]
}

// mostFaults bounds what is kept of imports that broke off.
const mostFaults = 100

func (i *imports) note(statement int64, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.faults, statement)
	if err != nil && len(i.faults) < mostFaults {
		i.faults[statement] = err.Error()
	}
}

// importing is one import.
type importing struct {
	door   *Door
	wallet *directory.Wallet
	file   *intake.Spool
	format statement.Format
	name   string
	actor  string
}

// run imports in the background, and returns when the statement is known, or
// refused.
func (i *imports) run(v *visit, g importing) (int64, error) {
	begun, ended, done := make(chan int64, 1), make(chan error, 1), make(chan struct{})
	i.group.Go(func() {
		defer i.leave()
		var id int64
		_, err := g.door.Works.Importer.Import(i.life, intake.ByHand(g.wallet), g.wallet, intake.File{
			ReaderAt: g.file, Size: g.file.Size(), Name: g.name, Format: g.format, Actor: g.actor,
			Begun: func(s feed.Statement) { id = s.ID; begun <- s.ID },
		})
		err = errors.Join(err, g.file.Close())
		if id != 0 {
			i.note(id, err)
		}
		if err != nil && !errors.Is(err, intake.ErrStatement) {
			g.door.Log.ErrorContext(i.life, "a statement was not imported to its end", "wallet", g.wallet.ID, "error", err)
		}
		ended <- err
		close(done)
	})
	select {
	case id := <-begun:
		// Short ones are done at once: their page need not be asked twice.
		select {
		case <-done:
		case <-time.After(time.Second):
		case <-v.Context().Done():
		}
		return id, nil
	case err := <-ended:
		select {
		case id := <-begun: // both at once
			return id, nil
		default:
			return 0, err
		}
	}
}

// Close ends imports under way, and waits for them. They go on when their file is
// uploaded again.
func (d *Door) Close() {
	d.imports.end()
	d.imports.group.Wait()
}

// lineRow is a line of a statement.
type lineRow struct {
	*lookup.BookedLine
	Status status
	Credit string // how its credit stands now
	Text   string // what the bank wrote
}

// statementSheet is what the page of a statement shows.
type statementSheet struct {
	feed.Statement
	Reached int // the line that is in the books, while it is imported
	Fault   string
	Counts  []countRow
	Total   int64
	Open    bool // those lines alone that need somebody
	Rows    []lineRow
	Next    string
	MayRun  bool
	Running string // the page's own address, while it changes
}

// countRow is how many lines had one result.
type countRow struct {
	Status status
	Text   string
	Lines  int64
}

// results are those of lines, as their page lists them.
var results = []feed.Result{feed.New, feed.Known, feed.Recorded, feed.NotCredit, feed.NoUTR, feed.Unread, feed.Refused}

// statementPage shows what became of a statement: every line of it is accounted
// for.
func (d *Door) statementPage(v *visit) error {
	id, err := strconv.ParseInt(v.PathValue("statement"), 10, 64)
	if err != nil {
		return errNotFound
	}
	s, err := d.Works.Store.StatementByID(v.Context(), id)
	if errors.Is(err, lookup.ErrNone) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	after, err := v.number("after")
	if err != nil {
		return err
	}
	body := statementSheet{Statement: s, Open: v.FormValue("lines") == "open", MayRun: v.May(staff.RunWorks), Fault: d.imports.fault(s.ID)}
	if s.Done {
		err = d.countStatement(v, &body)
	} else {
		body.Reached, err = d.Works.Store.LastLine(v.Context(), s.ID)
		if body.Fault == "" {
			body.Running = v.URL.RequestURI()
			v.w.Header().Set("Refresh", "2")
		}
	}
	if err != nil {
		return err
	}
	lines, err := d.Works.Store.StatementLines(v.Context(), lookup.Lines{Statement: s.ID, Open: body.Open, After: int(after), Limit: rowsOfPage + 1})
	if err != nil {
		return err
	}
	lines, body.Next = cut(v, lines, func(l lookup.BookedLine) string { return strconv.Itoa(l.Number) })
	for i := range lines {
		row := lineRow{BookedLine: &lines[i], Status: v.resultStatus(lines[i].Outcome.Result), Text: lines[i].Narration}
		if !body.MayRun {
			row.Text = intake.Anonymise(row.Text)
		}
		if lines[i].Credit != "" {
			row.Credit = v.T("works.credit." + string(lines[i].Credit))
		}
		body.Rows = append(body.Rows, row)
	}
	return v.show(page{Name: "statement", Title: v.T("statements.title", "statement", strconv.FormatInt(s.ID, 10)), Wide: true, Body: body})
}

func (d *Door) countStatement(v *visit, body *statementSheet) error {
	counts, err := d.Works.Store.CountLines(v.Context(), body.ID)
	if err != nil {
		return err
	}
	for _, r := range results {
		n := counts.Results[r]
		body.Total += n
		if n > 0 || r == feed.New {
			body.Counts = append(body.Counts, countRow{v.resultStatus(r), v.T("works.result." + string(r) + ".text"), n})
		}
	}
	body.Counts = append(body.Counts, countRow{status{v.T("statements.matched"), toneGood}, v.T("statements.matched.text"), counts.Matched})
	return nil
}

// payer is the other side of a payment, masked as everywhere.
func (*visit) payer(vpa, name string) string {
	if vpa != "" {
		name = vpa
	}
	return upi.MaskPayer(strings.TrimSpace(name))
}
