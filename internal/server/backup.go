package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/internal/store/backup"
	"github.com/milaan/milaan/internal/store/records"
)

// Backup writes a backup of the database the settings name, beside a gateway or
// without one. It needs no key and leaves the schema as it is.
func Backup(ctx context.Context, c Config, to io.Writer) (backup.Summary, error) {
	location, err := store.ParseLocation(c.DatabaseURL)
	if err != nil {
		return backup.Summary{}, err
	}
	return store.Backup(ctx, location, to, time.Now())
}

// Restore makes the database the settings name from a backup; it must be a new
// one, and the key must be there already: a key that was made up here would open
// nothing of the backup.
func Restore(ctx context.Context, c Config, from io.Reader, how records.Restoring) (summary backup.Summary, err error) {
	location, err := store.ParseLocation(c.DatabaseURL)
	if err != nil {
		return summary, err
	}
	key, made, err := c.key(location)
	if err != nil {
		return summary, err
	}
	if made {
		return summary, errors.Join(
			fmt.Errorf("the secret key is missing: put the key file of the installation that was backed up at %s, or set MILAAN_SECRET_KEY", location.KeyFile()),
			os.Remove(location.KeyFile()))
	}
	lock, err := claimDatabase(location)
	if err != nil {
		return summary, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return store.Restore(ctx, location, key, from, how)
}
