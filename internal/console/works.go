package console

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/health"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/batch"
	"github.com/milaan/milaan/internal/payout/bulkfile"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/window"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Works are what the pages of wallets, feeds, payouts and merchants work with.
type Works struct {
	Store    WorksStore
	Importer *intake.Importer
	Clerk    *batch.Clerk // and its office
}

// WorksStore is what those pages read, beside the directory that they change.
type WorksStore interface {
	lookup.Store
	directory.Store
	// WalletUse gives what each wallet received on a day.
	WalletUse(ctx context.Context, day deposit.Day) (map[string]money.Paise, error)
	// Inbox lists messages that a person should look at, the oldest first.
	Inbox(ctx context.Context, feed string, after int64, limit int) ([]deposit.KeptMessage, error)
	// FindReferrals returns what is known of the payments with those references.
	FindReferrals(ctx context.Context, references []string) ([]deposit.Referral, error)
	// AppendAudit writes audit entries.
	AppendAudit(ctx context.Context, entries ...audit.Entry) error
}

// worksRoutes are the pages of wallets, methods and feeds.
var worksRoutes = []route{
	{pattern: "GET /wallets", name: "page.wallets", scope: ofInstallation, needs: staff.SeeWorks, menu: true},
	{pattern: "GET /wallets/{wallet}", name: "page.wallet", scope: ofInstallation, needs: staff.SeeWorks},
	{pattern: "POST /wallets/{wallet}", name: "page.wallet", scope: ofInstallation, needs: staff.RunWorks},
	{pattern: "POST /wallets/{wallet}/switch", name: "page.wallet", scope: ofInstallation, needs: staff.RunWorks},
	{pattern: "GET /methods/{method}", name: "page.method", scope: ofInstallation, needs: staff.SeeWorks},
	{pattern: "POST /methods/{method}", name: "page.method", scope: ofInstallation, needs: staff.RunWorks},
	{pattern: "POST /methods/{method}/switch", name: "page.method", scope: ofInstallation, needs: staff.RunWorks},

	{pattern: "GET /feeds", name: "page.feeds", scope: ofInstallation, needs: staff.SeeWorks, menu: true},
	{pattern: "GET /feeds/{feed}", name: "page.feed", scope: ofInstallation, needs: staff.SeeWorks},
	{pattern: "GET /inbox", name: "page.inbox", scope: ofInstallation, needs: staff.SeeWorks},
	{pattern: "GET /messages/{message}", name: "page.message", scope: ofInstallation, needs: staff.SeeWorks},
	{pattern: "GET /statements", name: "page.statements", scope: ofInstallation, needs: staff.SeeWorks},
	{pattern: "GET /statements/upload", name: "page.upload", scope: ofInstallation, needs: staff.RunWorks},
	{pattern: "POST /statements/upload", name: "page.upload", scope: ofInstallation, needs: staff.RunWorks, upload: intake.MaxStatement},
	{pattern: "GET /statements/{statement}", name: "page.statement", scope: ofInstallation, needs: staff.SeeWorks},
}

func (d *Door) works() handlers {
	return handlers{
		"GET /wallets":                  d.wallets,
		"GET /wallets/{wallet}":         d.ofWallet(d.walletPage),
		"POST /wallets/{wallet}":        d.ofWallet(d.setWallet),
		"POST /wallets/{wallet}/switch": d.ofWallet(d.switchWallet),
		"GET /methods/{method}":         d.ofMethod(d.methodPage),
		"POST /methods/{method}":        d.ofMethod(d.setMethod),
		"POST /methods/{method}/switch": d.ofMethod(d.switchMethod),

		"GET /feeds":                  d.feedsPage,
		"GET /feeds/{feed}":           d.feedPage,
		"GET /inbox":                  d.inbox,
		"GET /messages/{message}":     d.messagePage,
		"GET /statements":             d.statements,
		"GET /statements/upload":      d.uploadPage,
		"POST /statements/upload":     d.upload,
		"GET /statements/{statement}": d.statementPage,
	}
}

// actor is whom the audit log names for what the user does.
func (v *visit) actor() string { return staff.By(v.user) }

// edit changes single objects of the directory, as milaan apply would by a file
// that declares them alone. Write gives them for what is stored, by section.
func (v *visit) edit(write func(*directory.Contents) (map[string]any, error)) error {
	_, err := apply.Edit(v.Context(), v.door.Works.Store, apply.Options{Now: v.door.Now, Actor: v.actor()}, func(c *directory.Contents) (any, error) {
		return write(c)
	})
	if err != nil {
		return err
	}
	return v.door.Directory.Refresh(v.Context())
}

// errForm: a form was sent that no page of the console has.
var errForm = errors.New("the form is not in order")

// turned reads which way a switch is turned.
func (v *visit) turned() (on bool, err error) {
	switch v.PostFormValue("on") {
	case "yes":
		return true, nil
	case "no":
		return false, nil
	default:
		return false, errForm
	}
}

// refusal is a text for what the works refused; ok is false for faults. What the
// rooms behind the console say is for people, and says what to do.
func (v *visit) refusal(err error) (text string, ok bool) {
	var wrong apply.Errors
	var slow *http.MaxBytesError
	refused, isRefused := payout.IsRefusal(err)
	switch {
	case errors.As(err, &wrong):
		lines := make([]string, len(wrong))
		for i := range wrong {
			_, name, _ := strings.Cut(wrong[i].Path, ".")
			lines[i] = strings.TrimPrefix(name+": "+wrong[i].Message, ": ")
		}
		return strings.Join(lines, "\n"), true
	case errors.As(err, &slow):
		return v.T("problem.large"), true
	case errors.As(err, new(*money.ParseError)):
		return v.T("problem.amount"), true
	case isRefused && v.Has("payout.refused."+string(refused.Code)):
		return v.T("payout.refused." + string(refused.Code)), true
	case isRefused:
		return refused.Message, true
	case errors.Is(err, directory.ErrMoved):
		return v.T("problem.moved"), true
	case errors.Is(err, errForm):
		return v.T("problem.form"), true
	case errors.Is(err, errPart):
		return v.T("problem.part"), true
	case errors.Is(err, errEmpty):
		return v.T("problem.empty"), true
	case errors.Is(err, errPair):
		return v.T("problem.pair"), true
	case errors.Is(err, errTesting):
		return v.T("problem.testing"), true
	case errors.Is(err, upi.ErrIFSC):
		return v.T("problem.ifsc"), true
	case errors.Is(err, errNoTarget):
		return v.T("problem.notarget"), true
	}
	for _, known := range []error{
		apply.ErrUnfit, intake.ErrStatement, batch.ErrNoDesk, batch.ErrNoWallet, batch.ErrNothing,
		bulkfile.ErrBatch, bulkfile.ErrFile, bulkfile.ErrContradiction, bulkfile.ErrTooLarge,
		window.ErrLink, window.ErrReturn, postback.ErrNoAddress, postback.ErrNothing, errLogo,
	} {
		if errors.Is(err, known) {
			return err.Error(), true
		}
	}
	return "", false
}

// health gives how feeds are, by their ids, as of a moment ago.
func (d *Door) health(v *visit) (map[string]*health.Health, error) {
	list, err := d.feeds.look(v.Context(), d, v.now)
	if err != nil {
		return nil, err
	}
	feeds := make(map[string]*health.Health, len(list))
	for i := range list {
		feeds[list[i].Feed] = &list[i]
	}
	return feeds, nil
}

// status is a state in words, with the colour that it has beside them.
type status struct{ Text, Tone string }

// Tones of a status: what it asks of the reader.
const (
	toneGood = "good"
	toneWait = "wait"
	toneBad  = "bad"
	toneSoft = "soft"
)

func (v *visit) onOff(on bool) status {
	if on {
		return status{v.T("works.on"), toneGood}
	}
	return status{v.T("works.off"), toneSoft}
}

// feedStatus is how a feed is.
func (v *visit) feedStatus(h *health.Health) status {
	if h == nil {
		return status{v.T("feeds.state.none"), toneSoft}
	}
	tone := map[health.State]string{health.Failing: toneBad, health.Strained: toneWait, health.Never: toneWait, health.Learning: toneSoft, health.Good: toneGood}[h.State]
	return status{v.T("feeds.state." + string(h.State)), tone}
}

// address is a page of the console, with a query of pairs of name and value;
// empty values are left out.
func address(path string, pairs ...string) string {
	query := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	u := url.URL{Path: base + path, RawQuery: query.Encode()}
	return u.String()
}

// orZero is an amount as a form gives it, for the apply file.
func orZero(text string) string {
	if text = strings.TrimSpace(text); text == "" {
		return "0"
	}
	return text
}

// copier is a button that copies what an element of the page says.
type copier struct{ ID, Label, Done string }

// Copy makes a button for the element with that id.
func (v *visit) Copy(id string) copier { return copier{id, v.T("copy"), v.T("copy.done")} }

// mostDigits is how many of an account the apply file takes for its last ones.
const mostDigits = 6

// MaskedAccount shows the last digits of an account; those alone may be known.
func (*visit) MaskedAccount(number string) string {
	if len(number) <= mostDigits {
		return number
	}
	return upi.AccountNumber(number).Masked()
}

// Masked hides most of a person's name.
func (*visit) Masked(name string) string { return upi.MaskPayer(name) }

// Day writes a day of a bank, which is one of India's wherever the reader is.
func (v *visit) Day(t time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	t = t.In(feed.India())
	day, _, _ := strings.Cut(v.words.Datetime(t), ",")
	return template.HTML(`<time datetime="` + t.Format(time.DateOnly) + `">` + template.HTMLEscapeString(day) + `</time>`) //nolint:gosec // a format and escaped text
}

// PageName is the key of what the page is called.
func (v *visit) PageName() string { return v.route.name }
