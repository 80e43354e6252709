package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/patience"
)

// Intake reads what reaches feeds; an [intake.Reader] is one.
type Intake interface {
	// Read reads a request to a feed, see [intake.Reader.Read].
	Read(ctx context.Context, f *directory.Feed, w *directory.Wallet, req intake.Request) (*intake.Report, error)
}

// Importer imports statements; an [intake.Importer] is one.
type Importer interface {
	// Import reads a statement into the books, see [intake.Importer.Import].
	Import(ctx context.Context, f *directory.Feed, w *directory.Wallet, file intake.File) (intake.Imported, error)
}

// report takes what a feed reports: POST /feeds/{id} (contract, Feeds). Good
// records are kept when others are refused; a body that can't be read at all
// changes nothing.
func (d *Door) report(c *call) (any, error) {
	wallet := c.dir.Wallet(c.feed.Wallet)
	if wallet == nil {
		return nil, fmt.Errorf("feed %s: wallet %s is not in the directory", c.feed.ID, c.feed.Wallet)
	}
	if c.feed.Kind == directory.FeedStatement {
		return d.statement(c, wallet)
	}
	body, err := c.body(intake.MaxBody(c.feed.Kind))
	if err != nil {
		return nil, err
	}
	report, err := d.Intake.Read(c.Context(), c.feed, wallet, intake.Request{
		Header: c.Header, Body: body, Address: c.origin() + c.URL.RequestURI(), Endpoint: c.PathValue("endpoint"),
	})
	if err != nil {
		return nil, d.unread(c, err)
	}
	taken, err := d.Desk.Ingest(c.Context(), c.feed, report.Items)
	if err != nil {
		return nil, fmt.Errorf("take a report: %w", err)
	}
	if report.Kept != nil {
		report.Kept()
	}
	summary := taken.Summary
	// Made, not nil: the answer always has the list.
	summary.Refused = append(append(make([]feed.Refusal, 0, len(report.Refused)+len(summary.Refused)), report.Refused...), summary.Refused...)
	slices.SortStableFunc(summary.Refused, func(a, b feed.Refusal) int { return cmp.Compare(a.Index, b.Index) })
	d.Metrics.FeedRefusals.WithLabelValues(c.feed.ID).Add(float64(len(summary.Refused))) //nolint:forbidigo // a count, not money
	if a := report.Answer; a != nil {
		return reply{status: a.Status, contentType: a.ContentType, body: a.Body}, nil
	}
	return summary, nil
}

// unread puts what is wrong with a request into an answer. Whoever does not
// prove itself learns nothing.
func (d *Door) unread(c *call, err error) error {
	var bad *intake.BodyError
	switch {
	case errors.As(err, &bad):
		d.Metrics.FeedRefusals.WithLabelValues(c.feed.ID).Inc()
		return badBody(bad.Why)
	case errors.Is(err, intake.ErrStranger):
		d.Metrics.FeedStrangers.WithLabelValues(c.feed.ID).Inc()
		d.Log.LogAttrs(c.Context(), slog.LevelWarn, "a request to a feed was not proven", slog.String("feed", c.feed.ID), slog.Any("error", err))
		return errNotFound
	case errors.Is(err, intake.ErrSetup), errors.Is(err, intake.ErrTemporary):
		d.Log.LogAttrs(c.Context(), slog.LevelError, "a report could not be read", slog.String("feed", c.feed.ID), slog.Any("error", err))
		return &requestError{
			status: http.StatusServiceUnavailable, message: "The report can't be read now: send it again later",
			header: http.Header{"Retry-After": {"60"}},
		}
	default:
		return fmt.Errorf("read a report: %w", err)
	}
}

// uploadTimeout is how long a statement may take to arrive, importTimeout how
// long to be read into the books, and its answer to leave: a million lines take
// some minutes.
const (
	uploadTimeout = 5 * time.Minute
	importTimeout = 15 * time.Minute
)

// statement takes an uploaded statement: the file as the body, or the field file
// of a form.
func (d *Door) statement(c *call, wallet *directory.Wallet) (any, error) {
	file, name, err := c.upload()
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	imported, err := d.Importer.Import(c.Context(), c.feed, wallet, intake.File{
		ReaderAt: file, Size: file.Size(), Name: name, Actor: "feed:" + c.feed.ID,
	})
	if errors.Is(err, intake.ErrStatement) {
		d.Metrics.FeedRefusals.WithLabelValues(c.feed.ID).Inc()
		return nil, badBody(err.Error())
	}
	if err != nil {
		return nil, fmt.Errorf("import a statement: %w", err)
	}
	summary := imported.Summary()
	d.Metrics.FeedRefusals.WithLabelValues(c.feed.ID).Add(float64(len(summary.Refused))) //nolint:forbidigo // a count, not money
	return summary, nil
}

// upload keeps an uploaded file, which the caller closes.
func (c *call) upload() (file *intake.Spool, name string, err error) {
	// The server's times to read a request and to answer it are for small ones.
	patience.Lift(c.Context())
	connection, now := http.NewResponseController(c.writer), c.now()
	err = errors.Join(connection.SetReadDeadline(now.Add(uploadTimeout)), connection.SetWriteDeadline(now.Add(uploadTimeout+importTimeout)))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, "", fmt.Errorf("give an upload its time: %w", err)
	}
	c.Body = http.MaxBytesReader(c.writer, c.Body, intake.MaxStatement)
	var source io.Reader = c.Body
	if kind, _, _ := mime.ParseMediaType(c.Header.Get("Content-Type")); kind == "multipart/form-data" {
		parts, err := c.MultipartReader()
		if err != nil {
			return nil, "", badBody("is no form that can be read: send the file as the field file")
		}
		for {
			part, err := parts.NextPart()
			if err != nil {
				return nil, "", badBody("has no field file: send the statement in it")
			}
			if part.FormName() == "file" {
				source, name = part, part.FileName()
				break
			}
		}
	}
	if file, err = intake.NewSpool(source); err == nil {
		return file, name, nil
	}
	if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
		return nil, "", badBody(fmt.Sprintf("must have at most %d MiB: export a shorter period", intake.MaxStatement>>20))
	}
	if disk := new(fs.PathError); errors.As(err, &disk) {
		return nil, "", err
	}
	return nil, "", badBody("did not arrive whole: send it again")
}
