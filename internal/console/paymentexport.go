package console

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/xuri/excelize/v2"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/patience"
	"github.com/milaan/milaan/internal/staff"
)

const (
	// exportPage is how many records an export reads at once.
	exportPage = 1000
	// exportPause is how long an export may wait for a browser that reads slowly,
	// or for the records that fit: the server's own limit is for pages.
	exportPause = 2 * time.Minute
	// sheetRows is how many rows a sheet has at most, the heads among them
	// (ECMA-376; "Excel specifications and limits").
	sheetRows = 1 << 20
)

// export sends the list as a file, as it is read: as a table of commas, or as a
// workbook. It is noted who took it: it leaves the house.
func (l *list[T]) export(v *visit) error {
	a, err := l.ask(v)
	if err != nil {
		return err
	}
	if a.problem != "" {
		return v.lead(base + "/" + l.name + "?" + narrowed(v.URL.Query()).Encode())
	}
	as := v.URL.Query().Get("as")
	if as != "csv" && as != "xlsx" {
		return errNotFound
	}
	note := audit.Entry{
		At: v.now.UTC().Truncate(time.Microsecond), Actor: staff.By(v.user), Action: "payments.exported",
		Why: fmt.Sprintf("%s as %s, of %d %s", l.name, as, len(a.Sources), map[bool]string{true: "wallets", false: "merchants"}[l.wallets]),
	}
	if err := l.door.People.Note(v.Context(), note); err != nil {
		return err
	}
	name := "milaan-" + l.name + "-" + v.now.In(v.user.Location()).Format("2006-01-02-1504") + "." + as
	h := v.w.Header()
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	if as == "csv" {
		h.Set("Content-Type", "text/csv; charset=utf-8")
		return l.begun(v, l.csv(v, a))
	}
	h.Set("Content-Type", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
	return l.begun(v, l.workbook(v, a, sheetRows))
}

// begun breaks the connection off where an export that has begun can't be
// finished: half a file must not look like a whole one.
func (l *list[T]) begun(v *visit, err error) error {
	if err != nil {
		if v.Context().Err() == nil {
			l.door.Log.ErrorContext(v.Context(), "an export broke off", "list", l.name, "error", err)
		}
		panic(http.ErrAbortHandler)
	}
	return nil
}

// rows gives the heads of an export, and then every record, page by page.
func (l *list[T]) rows(v *visit, a *sought, put func(row []string) error, flush func() error) error {
	columns := l.shown(v, true)
	row := make([]string, len(columns))
	for i, c := range columns {
		row[i] = c.key
	}
	if err := put(row); err != nil {
		return err
	}
	zone := v.user.Location()
	for after := (*lookup.Place)(nil); ; {
		v.patient().wait()
		page, _, err := l.stretch(v.Context(), a, after, exportPage)
		if err != nil {
			return err
		}
		for i := range page.Items {
			for j, c := range columns {
				row[j] = c.of(&page.Items[i]).plain(zone)
			}
			if err := put(row); err != nil {
				return err
			}
		}
		if err := flush(); err != nil || page.Next == nil {
			return err
		}
		if after != nil && !page.Next.Before(*after) {
			return fmt.Errorf("the list leads from %v back to %v", *after, *page.Next)
		}
		after = page.Next
	}
}

// patient writes an answer that may take longer than the server's limits of time
// allow for pages, as long as it goes on.
type patient struct{ http.ResponseWriter }

// patient lets the answer to a visit take its time.
func (v *visit) patient() patient {
	patience.Lift(v.Context())
	return patient{v.w}
}

// wait gives the answer more time. A server that can't wait ends the export, and
// half a file is none.
func (p patient) wait() {
	_ = http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(exportPause))
}

func (p patient) Write(data []byte) (int, error) {
	p.wait()
	return p.ResponseWriter.Write(data)
}

func (l *list[T]) csv(v *visit, a *sought) error {
	w := csv.NewWriter(v.patient())
	return l.rows(v, a, func(row []string) error {
		for i, text := range row {
			row[i] = disarmed(text)
		}
		return w.Write(row)
	}, func() error {
		w.Flush()
		return w.Error()
	})
}

// disarmed is a text that no spreadsheet takes for a formula (OWASP, "CSV
// Injection").
func disarmed(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

// workbook sends the list as sheets of so many rows at most.
func (l *list[T]) workbook(v *visit, a *sought, most int) (err error) {
	file := excelize.NewFile()
	defer func() { _ = file.Close() }() // its temporary files go with it
	var sheet *excelize.StreamWriter
	rows, sheets := most, 0
	var heads []any
	put := func(row []string) error {
		cells := make([]any, len(row))
		for i, text := range row {
			cells[i] = text // a text is no formula
		}
		if heads == nil {
			heads = cells
			return nil
		}
		if rows == most {
			if sheet != nil {
				if err := sheet.Flush(); err != nil {
					return err
				}
			}
			sheets++
			if sheet, err = openSheet(file, sheets, heads); err != nil {
				return err
			}
			rows = 1
		}
		rows++
		return sheet.SetRow(fmt.Sprintf("A%d", rows), cells)
	}
	if err := l.rows(v, a, put, func() error { return nil }); err != nil {
		return err
	}
	if sheet == nil {
		if sheet, err = openSheet(file, 1, heads); err != nil {
			return err
		}
	}
	if err := sheet.Flush(); err != nil {
		return err
	}
	_, err = file.WriteTo(v.patient())
	return err
}

// openSheet begins the n-th sheet of a workbook with its heads.
func openSheet(file *excelize.File, n int, heads []any) (*excelize.StreamWriter, error) {
	name := fmt.Sprintf("Sheet%d", n) // a new workbook has the first
	if n > 1 {
		if _, err := file.NewSheet(name); err != nil {
			return nil, err
		}
	}
	sheet, err := file.NewStreamWriter(name)
	if err != nil {
		return nil, err
	}
	return sheet, sheet.SetRow("A1", heads)
}
