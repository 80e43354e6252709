package statement

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"iter"
	"strconv"
)

// maxRecorded are the bytes of memory a recording may take; a million rows fit.
const maxRecorded = 64 << 20

// recorded keeps the rows of a table that is slow to read, packed, the first
// time it is read to its end, and gives them from there afterwards.
func recorded(table rows) rows {
	var kept []byte
	return func(ctx context.Context) iter.Seq2[row, error] {
		if kept != nil {
			return replay(kept)
		}
		return func(yield func(row, error) bool) {
			var packed bytes.Buffer
			squeeze, err := flate.NewWriter(&packed, flate.BestSpeed)
			if err != nil {
				yield(row{}, err)
				return
			}
			write := csv.NewWriter(squeeze)
			var fields []string
			for r, err := range table(ctx) {
				if err != nil {
					yield(row{}, err)
					return
				}
				if packed.Len() <= maxRecorded {
					fields = append(append(fields[:0], strconv.Itoa(r.number)), r.cells...)
					if err := write.Write(fields); err != nil {
						yield(row{}, err)
						return
					}
				}
				if !yield(r, nil) {
					return
				}
			}
			write.Flush()
			if errors.Join(write.Error(), squeeze.Close()) == nil && packed.Len() <= maxRecorded {
				kept = packed.Bytes()
			}
		}
	}
}

func replay(packed []byte) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		r := csv.NewReader(flate.NewReader(bytes.NewReader(packed)))
		r.FieldsPerRecord = -1
		r.ReuseRecord = true
		for {
			fields, err := r.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(row{}, err)
				return
			}
			number, err := strconv.Atoi(fields[0])
			if !yield(row{number: number, cells: fields[1:]}, err) || err != nil {
				return
			}
		}
	}
}
