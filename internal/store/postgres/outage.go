package postgres

import (
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	readOnly = "25006" // read_only_sql_transaction
	// connectTimeout is for one host of several, where the URL says nothing: a host
	// that is gone does not even refuse.
	connectTimeout = 5 * time.Second
)

// passing are the SQLSTATEs of a server that can't do now what it did a moment
// ago, and will again: by code or by class (PostgreSQL, Appendix A).
var passing = []string{
	"08",     // connection exceptions
	"53",     // insufficient resources: disk_full, out_of_memory, too_many_connections
	"57014",  // query_canceled: by statement_timeout
	"57P",    // shutting down, crashed, starting
	"58",     // errors of the system below it
	"55P03",  // lock_not_available
	"25P",    // a transaction that was idle for too long, and what else came in it
	readOnly, // a standby, or a server that somebody forbade to write
}

// Outage reports whether an error of the database is no fault of what was asked:
// the server is away, full, read-only or too slow, and the same may be asked again.
func Outage(err error) bool {
	if answered, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slices.ContainsFunc(passing, func(code string) bool { return strings.HasPrefix(answered.Code, code) })
	}
	var connecting *pgconn.ConnectError
	var network net.Error
	for _, gone := range []error{driver.ErrBadConn, io.EOF, io.ErrUnexpectedEOF, pgconn.ErrConnClosed, net.ErrClosed} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return errors.As(err, &connecting) || errors.As(err, &network) || pgconn.Timeout(err) || pgconn.SafeToRetry(err)
}

// endure makes connections that outlive their server's end no longer than they have
// to: a host that is gone is given up for the next one, and a connection that may
// not write any more for a new one, which finds the server that may.
func endure(config *pgx.ConnConfig) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	config.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}).DialContext
	fatal := config.OnPgError
	config.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		return err.Code != readOnly && fatal(conn, err)
	}
}
