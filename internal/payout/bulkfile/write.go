package bulkfile

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"strings"
)

// FileName is what the bank wants the batch's file to be called. The error wraps
// ErrBatch.
func (l *Layout) FileName(batch Batch) (string, error) {
	total, err := batch.total()
	if err != nil {
		return "", err
	}
	name, err := l.file.fill(&values{batch: &batch, layout: l, total: total})
	if err != nil {
		return "", err
	}
	// It is shown, typed and saved: no path, no white space.
	if name == "" || len(name) > 100 || name[0] == '.' || strings.ContainsAny(name, `/\ :*?"<>|`) {
		return "", fmt.Errorf("%w: the layout %s makes %.64q of its name, which is none for a file", ErrBatch, l.name, name)
	}
	return name, nil
}

// Write writes the batch in the bank's form, all of it or nothing. The error
// wraps ErrBatch when the batch cannot be written: it names the order, and
// nothing of its beneficiary.
func (l *Layout) Write(w io.Writer, batch Batch) error {
	total, err := batch.total()
	if err != nil {
		return err
	}
	if len(batch.Orders) > l.upload.max {
		return fmt.Errorf("%w: the bank takes %d in one file, these are %d", ErrBatch, l.upload.max, len(batch.Orders))
	}
	v := &values{batch: &batch, layout: l, total: total}
	var rows [][]string
	line := func(cells []template, where string) error {
		if len(cells) == 0 {
			return nil
		}
		row := make([]string, len(cells))
		for i, cell := range cells {
			text, err := cell.fill(v)
			if err != nil {
				return err
			}
			if row[i], err = l.upload.cell(cell, text, where); err != nil {
				return err
			}
		}
		rows = append(rows, row)
		return nil
	}
	if err := line(l.upload.first, "the first line"); err != nil {
		return err
	}
	if l.upload.header {
		row := make([]string, len(l.upload.columns))
		for i, column := range l.upload.columns {
			row[i] = column.header
		}
		rows = append(rows, row)
	}
	for i := range batch.Orders {
		v.order, v.row = &batch.Orders[i], i+1
		row, err := l.row(v)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	v.order, v.row = nil, 0
	if err := line(l.upload.last, "the last line"); err != nil {
		return err
	}
	return l.upload.send(w, rows)
}

// row is an order's.
func (l *Layout) row(v *values) ([]string, error) {
	v.mode = l.modes.other
	only := "other_bank"
	if v.order.IFSC.Bank() == l.modes.bank {
		v.mode, only = l.modes.same, "same_bank"
	}
	refuse := func(why string) error { return fmt.Errorf("%w: %s: %s", ErrBatch, v.order.Reference, why) }
	if v.mode.max > 0 && v.order.Amount > v.mode.max {
		return nil, refuse("one payout may be ₹" + v.mode.max.Fixed() + " at most")
	}
	row := make([]string, len(l.upload.columns))
	for i, column := range l.upload.columns {
		if column.only != "" && column.only != only {
			continue
		}
		text, err := column.text.fill(v)
		if err != nil {
			return nil, err
		}
		if column.max > 0 && len(text) > column.max {
			if !column.cut {
				return nil, refuse(fmt.Sprintf("column %d (%s) holds %d signs at most", i+1, column.header, column.max))
			}
			text = strings.TrimRight(text[:column.max], " ") // ASCII: checked with the batch
		}
		if row[i], err = l.upload.cell(column.text, text, v.order.Reference); err != nil {
			return nil, err
		}
	}
	return row, nil
}

// cell is the last look at a text before it is written: what the batch's own
// checks let through is plain, but a separator may be any sign.
func (u *upload) cell(t template, text, where string) (string, error) {
	if !plainPattern.MatchString(text) || (u.quote == "never" && strings.ContainsRune(text, u.separator)) {
		return "", fmt.Errorf("%w: %s: a text holds a sign that the bank's file cannot", ErrBatch, where)
	}
	if len(t) > 0 && t[0].field != "" && formula(text) {
		return "", fmt.Errorf("%w: %s: a text starts like a formula", ErrBatch, where)
	}
	return text, nil
}

// send writes the rows in one piece, so that what cannot be encoded leaves no
// half a file.
func (u *upload) send(w io.Writer, rows [][]string) error {
	var text bytes.Buffer
	if u.quote == "needed" {
		c := csv.NewWriter(&text)
		c.Comma, c.UseCRLF = u.separator, u.lineEnd == "\r\n"
		if err := c.WriteAll(rows); err != nil {
			return fmt.Errorf("write the payouts: %w", err)
		}
	} else {
		// The library quotes only where it must. No cell holds a quote or a line
		// end, so that putting them around all, or none, needs no escaping.
		around := ""
		if u.quote == "always" {
			around = `"`
		}
		for _, row := range rows {
			text.WriteString(around + strings.Join(row, around+string(u.separator)+around) + around + u.lineEnd)
		}
	}
	encoded, err := u.charset.NewEncoder().Bytes(text.Bytes())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBatch, err)
	}
	if _, err := w.Write(encoded); err != nil {
		return fmt.Errorf("write the payouts: %w", err)
	}
	return nil
}
