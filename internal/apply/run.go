package apply

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
)

// ErrUnfit means that a file is in order by itself, and not beside what is stored.
var ErrUnfit = errors.New("does not fit what is stored")

// maxTries is how often a plan is made anew when others change the directory at
// the same time.
const maxTries = 5

// Options say how a file is applied.
type Options struct {
	// DryRun works everything out and stores nothing.
	DryRun bool
	// Now dates the audit entries.
	Now func() time.Time
	// Actor is who the audit log names; "apply" where empty.
	Actor string
	// From is the version of the directory that the file was made on: with another
	// one stored, Run fails with [directory.ErrMoved]. 0 takes any.
	From int64
}

// Run makes the stored directory match the file and returns what it changed.
// On any error nothing was stored: [Errors] where the file is at fault,
// [ErrUnfit] where only what is stored stands against it, [directory.ErrMoved]
// where others kept changing the directory.
func Run(ctx context.Context, store directory.Store, file *File, o Options) (*Plan, error) {
	for try := 1; ; try++ {
		plan, err := prepare(ctx, store, file, o.From)
		if err != nil || plan.Empty() || o.DryRun {
			return plan, err
		}
		now := o.Now().UTC()
		for i := range plan.Change.Audit {
			plan.Change.Audit[i].At = now
			if o.Actor != "" {
				plan.Change.Audit[i].Actor = o.Actor
			}
		}
		register(&plan.Change, now)
		err = store.SaveDirectory(ctx, plan.Change)
		switch {
		case err == nil:
			plan.Saved = true
			return plan, nil
		case !errors.Is(err, directory.ErrMoved) || o.From != 0 || try == maxTries:
			return nil, fmt.Errorf("store the directory: %w", err)
		}
	}
}

// Edit changes single objects as a file would that declares them, by the same
// rules: what the document does not name stays as it is. The document is what
// write gives for the stored directory, of the sections and keys of the apply file;
// see [Installation] for objects in that form. Edits of others meanwhile have it
// made anew; with [Options].From they end in [directory.ErrMoved].
func Edit(ctx context.Context, store directory.Store, o Options, write func(*directory.Contents) (any, error)) (*Plan, error) {
	for try := 1; ; try++ {
		current, err := store.LoadDirectory(ctx)
		if err != nil {
			return nil, fmt.Errorf("load the directory: %w", err)
		}
		document, err := write(&current)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(document)
		if err != nil {
			return nil, fmt.Errorf("write the change down: %w", err)
		}
		file, err := Parse("form", text)
		if err != nil {
			return nil, err
		}
		pinned := o
		if pinned.From == 0 {
			pinned.From = current.Version
		}
		plan, err := Run(ctx, store, file.alone(), pinned)
		if !errors.Is(err, directory.ErrMoved) || o.From != 0 || try == maxTries {
			return plan, err
		}
	}
}

// prepare plans on what is stored now, and makes sure that a gateway could run
// on the result.
func prepare(ctx context.Context, store directory.Store, file *File, from int64) (*Plan, error) {
	current, err := store.LoadDirectory(ctx)
	if err != nil {
		return nil, fmt.Errorf("load the directory: %w", err)
	}
	if from != 0 && current.Version != from {
		return nil, directory.ErrMoved
	}
	plan, err := NewPlan(current, file, newSecret)
	if err != nil {
		return nil, err
	}
	snapshot, err := directory.NewSnapshot(after(current, plan.Change))
	if err != nil {
		return nil, fmt.Errorf("%s %w: %w", file.Name, ErrUnfit, err)
	}
	if _, err := deposit.CompileRules(snapshot.ActiveRules()); err != nil {
		return nil, fmt.Errorf("%s %w: %w", file.Name, ErrUnfit, err)
	}
	return plan, nil
}

// newSecret makes a secret nobody guesses, in letters and digits that stand in
// a URL as they are.
func newSecret() (directory.Secret, error) { return directory.Secret(rand.Text()), nil }
