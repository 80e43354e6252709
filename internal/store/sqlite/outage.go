package sqlite

import (
	"errors"
	"slices"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// Outage reports whether an error of the database is no fault of what was asked:
// the disk is full or fails, the file can't be written or is held by another
// process, and the same may be asked again.
func Outage(err error) bool {
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return false
	}
	const primary = 0xff // extended codes have more above it
	return slices.Contains([]int{
		lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_NOMEM, lib.SQLITE_READONLY, lib.SQLITE_IOERR, lib.SQLITE_FULL, lib.SQLITE_CANTOPEN, lib.SQLITE_PROTOCOL,
	}, failed.Code()&primary)
}
