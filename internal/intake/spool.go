package intake

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/milaan/milaan/internal/directory"
)

// Spool is what came once and can be read at any place: a file without a name,
// where the system has such, so that not even a crash leaves one behind.
type Spool struct {
	file *os.File
	size int64
	name string // empty where the file has none any more
}

// NewSpool reads to the end. The caller closes the spool; on an error, which is
// the reader's or the disk's, nothing is left.
func NewSpool(in io.Reader) (*Spool, error) {
	file, err := os.CreateTemp("", "milaan-*")
	if err != nil {
		return nil, fmt.Errorf("keep an upload: %w", err)
	}
	s := &Spool{file: file, name: file.Name()}
	if os.Remove(s.name) == nil { // not where open files can't be removed
		s.name = ""
	}
	if s.size, err = io.Copy(file, in); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// ReadAt reads at a place.
func (s *Spool) ReadAt(p []byte, off int64) (int, error) { return s.file.ReadAt(p, off) }

// Size is how many bytes there are.
func (s *Spool) Size() int64 { return s.size }

// Close gives the bytes up.
func (s *Spool) Close() error {
	err := s.file.Close()
	if s.name != "" {
		err = errors.Join(err, os.Remove(s.name))
	}
	return err
}

// ByHand is the feed that statements are booked as which a person imports.
func ByHand(w *directory.Wallet) *directory.Feed {
	return &directory.Feed{ID: "statement:" + w.ID, Kind: directory.FeedStatement, Wallet: w.ID}
}
