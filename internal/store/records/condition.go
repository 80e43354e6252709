package records

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// Condition is how a database is, looked at from outside: whoever looks changes
// nothing.
type Condition struct {
	Engine string // with its version, for people
	// Schema is the version of the schema, 0 where there is none yet; Wanted is
	// the one that this program needs.
	Schema, Wanted int64
	// Unsafe names settings that lose what was committed when the power fails.
	Unsafe []string
	// Journal tells how commits are made durable, for people.
	Journal string
	// ReadOnly is a standby, or a file that this user may not write to.
	ReadOnly bool
	// Clock is the database's clock; zero for an embedded one, which has none.
	Clock time.Time
	Size  int64 // bytes
	// Free is the room on the disk it is on, in bytes; -1 where that is not to be
	// seen from here.
	Free int64
}

// NewestMigration is the version of the newest of the migrations.
func NewestMigration(migrations fs.FS) (int64, error) {
	files, err := fs.Glob(migrations, "*.sql")
	if err != nil {
		return 0, err
	}
	if len(files) == 0 {
		return 0, errors.New("there are no migrations")
	}
	number, _, _ := strings.Cut(files[len(files)-1], "_") // Glob sorts
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("migration %s: %w", files[len(files)-1], err)
	}
	return version, nil
}
