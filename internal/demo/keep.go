package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// load reads what save kept; a file that is not there leaves v as it is.
func load(file string, v any) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the demo's data: %w", err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s can't be read: move it away to start afresh: %w", file, err)
	}
	return nil
}

// save replaces the file by v as JSON, whole or not at all.
func save(file string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return fmt.Errorf("keep the demo's data: %w", err)
	}
	_, err = next.Write(text)
	if err = errors.Join(err, next.Close()); err == nil {
		err = os.Rename(next.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("keep the demo's data: %w", errors.Join(err, os.Remove(next.Name())))
	}
	return nil
}
