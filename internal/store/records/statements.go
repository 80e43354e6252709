package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// KeepStatement keeps a statement, or finds the one of the wallet with its
// digest, and gives its id.
func (r *Records) KeepStatement(ctx context.Context, s *feed.Statement) (id int64, err error) {
	err = r.Write(ctx, func(tx Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT id FROM statements WHERE wallet = $1 AND digest = $2`, s.Wallet, s.Digest[:]).Scan(&id)
		if err == nil || !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if id, err = reserveIDs(ctx, tx, 1); err != nil {
			return err
		}
		var opening, closing money.Paise
		balanced := s.Opening != nil && s.Closing != nil
		if balanced {
			opening, closing = *s.Opening, *s.Closing
		}
		// Another gateway may have kept it since: it then gives that one's id.
		return tx.QueryRowContext(ctx, `INSERT INTO statements (id, wallet, feed, digest, name, layout, from_at, to_at, opening, closing, balanced,
				lines, imported_at, actor, problems, done) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 0)
			ON CONFLICT (wallet, digest) DO UPDATE SET digest = excluded.digest RETURNING id`,
			id, s.Wallet, s.Feed, s.Digest[:], s.Name, s.Layout, Micros(s.From), Micros(s.To), int64(opening), int64(closing), Flag(balanced),
			s.Lines, Micros(s.ImportedAt), s.Actor, strings.Join(s.Problems, "\n")).Scan(&id)
	})
	if err != nil {
		return 0, fmt.Errorf("keep a statement: %w", err)
	}
	return id, nil
}

// lineColumns are the columns of a line of a statement.
const lineColumns = `statement, line, kind, utr, amount, booked_at, narration, result, why, credit_id, movement_id`

// linesAtOnce is how many lines one statement of SQL writes.
const linesAtOnce = 64

// KeepLines keeps what became of lines of a statement. A line that was kept
// before has what became of it now.
func (r *Records) KeepLines(ctx context.Context, statement int64, lines []feed.StatementLine) error {
	return r.Write(ctx, func(tx Tx) error {
		for start := 0; start < len(lines); start += linesAtOnce {
			chunk := lines[start:min(start+linesAtOnce, len(lines))]
			var rows []string
			var args []any
			for i := range chunk {
				l := &chunk[i]
				values := []any{
					statement, l.Number, string(l.Kind), string(l.UTR), int64(l.Amount), Micros(l.At), l.Narration,
					string(l.Outcome.Result), l.Outcome.Why, l.Outcome.CreditID, l.Outcome.MovementID,
				}
				marks := make([]string, len(values))
				for j := range values {
					marks[j] = fmt.Sprintf("$%d", len(args)+j+1)
				}
				rows, args = append(rows, "("+strings.Join(marks, ", ")+")"), append(args, values...)
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO statement_lines (`+lineColumns+`) VALUES `+strings.Join(rows, ", ")+`
				ON CONFLICT (statement, line) DO UPDATE SET result = excluded.result, why = excluded.why,
					credit_id = excluded.credit_id, movement_id = excluded.movement_id`, args...); err != nil {
				return fmt.Errorf("keep lines of statement %d: %w", statement, err)
			}
		}
		return nil
	})
}

// EndStatement marks a statement as imported to its end.
func (r *Records) EndStatement(ctx context.Context, statement int64) error {
	// Counted before the write: a long statement must hold nobody up.
	counts, err := r.countLines(ctx, statement)
	if err != nil {
		return fmt.Errorf("count lines of statement %d: %w", statement, err)
	}
	kept, err := json.Marshal(counts)
	if err != nil {
		return err
	}
	return r.Write(ctx, func(tx Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE statements SET done = 1, counts = $1 WHERE id = $2`, string(kept), statement)
		return err
	})
}

// Statements lists the statements of a wallet that were imported to their end,
// the last period first.
func (r *Records) Statements(ctx context.Context, wallet string, limit int) (list []feed.Statement, err error) {
	err = each(ctx, r.Read, func(row Row) error {
		s, err := scanStatement(row)
		list = append(list, s)
		return err
	}, `SELECT `+statementColumns+` FROM statements WHERE wallet = $1 AND done = 1 ORDER BY to_at DESC, id DESC LIMIT $2`, wallet, limit)
	return list, err
}

const statementColumns = `id, wallet, feed, digest, name, layout, from_at, to_at, opening, closing, balanced, lines, imported_at, actor, problems, done`

func scanStatement(row Row) (s feed.Statement, err error) {
	var digest []byte
	var from, to, opening, closing, balanced, importedAt, done int64
	var problems string
	err = row.Scan(&s.ID, &s.Wallet, &s.Feed, &digest, &s.Name, &s.Layout, &from, &to, &opening, &closing, &balanced, &s.Lines, &importedAt, &s.Actor, &problems, &done)
	s.Done = done != 0
	copy(s.Digest[:], digest)
	s.From, s.To, s.ImportedAt = Time(from), Time(to), Time(importedAt)
	if balanced != 0 {
		first, last := money.Paise(opening), money.Paise(closing)
		s.Opening, s.Closing = &first, &last
	}
	if problems != "" {
		s.Problems = strings.Split(problems, "\n")
	}
	return s, err
}

// OpenLines lists the lines of a statement that stand nowhere in the books.
func (r *Records) OpenLines(ctx context.Context, statement int64, limit int) (list []feed.StatementLine, err error) {
	err = each(ctx, r.Read, func(row Row) error {
		l, err := scanLine(row)
		list = append(list, l)
		return err
	}, `SELECT `+lineOut+` FROM statement_lines l WHERE statement + 0 = $1 AND result IN `+openResults+` ORDER BY line LIMIT $2`, statement, limit)
	return list, err
}

// lineOut are the columns of a line as scanLine reads them.
const lineOut = `l.line, l.kind, l.utr, l.amount, l.booked_at, l.narration, l.result, l.why, l.credit_id, l.movement_id`

func scanLine(row Row, more ...any) (l feed.StatementLine, err error) {
	var kind, utr, result string
	var amount, at int64
	err = row.Scan(append([]any{
		&l.Number, &kind, &utr, &amount, &at, &l.Narration, &result, &l.Outcome.Why, &l.Outcome.CreditID, &l.Outcome.MovementID,
	}, more...)...)
	l.Kind, l.UTR, l.Amount, l.At = feed.Kind(kind), upi.UTR(utr), money.Paise(amount), Time(at)
	l.Outcome.Place, l.Outcome.Result = l.Number, feed.Result(result)
	return l, err
}

// StatementByID returns a statement, see lookup.Store.
func (r *Records) StatementByID(ctx context.Context, id int64) (feed.Statement, error) {
	return foundOne(scanStatement(r.Read.QueryRowContext(ctx, `SELECT `+statementColumns+` FROM statements WHERE id = $1`, id)))
}

// NewestStatements gives statements from the newest on, see lookup.Store. A
// wallet has some hundred of them, all wallets some thousand.
func (r *Records) NewestStatements(ctx context.Context, wallet string, before int64, limit int) (list []feed.Statement, err error) {
	var q query
	q.and("id > 0")
	if before != 0 {
		q.and("id < $", before)
	}
	if wallet != "" {
		q.and("wallet || '' = $", wallet) // not by the index of digests, which has them in another order
	}
	err = each(ctx, r.Read, func(row Row) error {
		s, err := scanStatement(row)
		list = append(list, s)
		return err
	}, fmt.Sprintf(`SELECT %s FROM statements WHERE %s ORDER BY id DESC LIMIT %d`, statementColumns, &q, limit), q.args...)
	if err != nil {
		return nil, fmt.Errorf("list statements: %w", err)
	}
	return list, nil
}

// openResults are those of lines that stand nowhere in the books, as the index of
// such lines has it.
const openResults = `('no_utr', 'unparsed', 'refused')`

// StatementLines gives a page of the lines of a statement, see lookup.Store.
func (r *Records) StatementLines(ctx context.Context, ask lookup.Lines) (list []lookup.BookedLine, err error) {
	var q query
	if ask.Open {
		q.and("l.statement + 0 = $ AND l.result IN "+openResults, ask.Statement)
	} else {
		q.and("l.statement = $", ask.Statement)
	}
	q.and("l.line > $", ask.After)
	err = each(ctx, r.Read, func(row Row) error {
		var line lookup.BookedLine
		var state string
		var err error
		line.StatementLine, err = scanLine(row, &state)
		line.Credit = deposit.CreditState(state)
		list = append(list, line)
		return err
	}, fmt.Sprintf(`SELECT %s, COALESCE(c.state, '') FROM statement_lines l LEFT JOIN credits c ON c.id = l.credit_id AND l.credit_id <> 0
		WHERE %s ORDER BY l.line LIMIT %d`, lineOut, &q, ask.Limit), q.args...)
	if err != nil {
		return nil, fmt.Errorf("list lines of statement %d: %w", ask.Statement, err)
	}
	return list, nil
}

// LastLine gives the number of the last line that was kept, see lookup.Store.
func (r *Records) LastLine(ctx context.Context, statement int64) (number int, err error) {
	err = r.Read.QueryRowContext(ctx, `SELECT COALESCE(MAX(line), 0) FROM statement_lines WHERE statement = $1`, statement).Scan(&number)
	return number, err
}

// CountLines counts the lines of a statement by what became of them, see
// lookup.Store.
func (r *Records) CountLines(ctx context.Context, statement int64) (counts lookup.LineCounts, err error) {
	var kept string
	err = r.Read.QueryRowContext(ctx, `SELECT counts FROM statements WHERE id = $1`, statement).Scan(&kept)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return counts, lookup.ErrNone
	case err == nil && kept != "":
		err = json.Unmarshal([]byte(kept), &counts)
	case err == nil:
		counts, err = r.countLines(ctx, statement)
	}
	if err != nil {
		return counts, fmt.Errorf("count lines of statement %d: %w", statement, err)
	}
	return counts, nil
}

// countLines goes through all lines: their counts are kept at the import's end.
func (r *Records) countLines(ctx context.Context, statement int64) (counts lookup.LineCounts, err error) {
	counts.Results = make(map[feed.Result]int64)
	err = each(ctx, r.Read, func(row Row) error {
		var result string
		var lines, matched int64
		err := row.Scan(&result, &lines, &matched)
		counts.Results[feed.Result(result)] += lines
		counts.Matched += matched
		return err
	}, `SELECT l.result, COUNT(*), COUNT(c.id) FROM statement_lines l
		LEFT JOIN credits c ON c.id = l.credit_id AND l.credit_id <> 0 AND c.state = 'bound' AND l.result IN ('new', 'known')
		WHERE l.statement = $1 GROUP BY l.result`, statement)
	return counts, err
}
