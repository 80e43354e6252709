package console

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/notice"
	"github.com/milaan/milaan/internal/report"
	"github.com/milaan/milaan/internal/settlement"
	"github.com/milaan/milaan/internal/staff"
)

// Admin is what the pages of reports, the audit log, alerts, keys and settings work
// with.
type Admin struct {
	Store    AdminStore
	Settler  *settlement.Settler
	Settings []Setting // in force, in the order of docs/settings.md
	Alerts   Alerts
	// Backup writes a backup of the database as it is at one moment. What was
	// written is one only if there is no error.
	Backup func(ctx context.Context, to io.Writer) error
}

// AdminStore is what those pages read.
type AdminStore interface {
	lookup.AuditLog
	report.Store
	access.Keys
	// Settlements lists settlements, see settlement.Store.
	Settlements(ctx context.Context, filter settlement.Filter) ([]*settlement.Settlement, error)
	// Statements lists the imported statements of a wallet, the newest first.
	Statements(ctx context.Context, wallet string, limit int) ([]feed.Statement, error)
	// Reconcile compares a statement with the books.
	Reconcile(ctx context.Context, s feed.Statement) (*report.Reconciliation, error)
	// Notices keep what the operator was told.
	Notices() notice.Store
}

// Setting is a setting as it is in force.
type Setting struct {
	Name, Help string
	Value      string // what may be shown of it: of a secret only that there is one
	Source     string // flag, environment, file or default
	Secret     bool
}

// Alerts are the ways by which the operator is told of trouble.
type Alerts struct {
	Ways []string // their names: mail, webhook, telegram
	// Try sends a test by each of them.
	Try func(ctx context.Context, by string) ([]notice.Tried, error)
}

// adminRoutes are the pages of those who answer for the installation.
var adminRoutes = []route{
	{pattern: "GET /audit", name: "page.audit", scope: ofInstallation, needs: staff.SeeAudit, menu: true},
	{pattern: "GET /audit/export", name: "page.audit", scope: ofInstallation, needs: staff.SeeAudit},
	{pattern: "GET /alerts", name: "page.alerts", scope: ofInstallation, needs: staff.SeeWorks, menu: true},
	{pattern: "POST /alerts/test", name: "page.alerts", scope: ofInstallation, needs: staff.RunWorks},
	{pattern: "GET /keys", name: "page.apikeys", scope: ofMerchants, needs: staff.MerchantKeys, menu: true},
	{pattern: "GET /keys/add", name: "page.apikeys.add", scope: ofMerchants, needs: staff.MerchantKeys, sure: true},
	{pattern: "POST /keys/add", name: "page.apikeys.add", scope: ofMerchants, needs: staff.MerchantKeys, sure: true},
	{pattern: "GET /keys/{id}/revoke", name: "page.apikeys.revoke", scope: ofMerchants, needs: staff.MerchantKeys, sure: true},
	{pattern: "POST /keys/{id}/revoke", name: "page.apikeys.revoke", scope: ofMerchants, needs: staff.MerchantKeys, sure: true},
	{pattern: "GET /settings", name: "page.settings", scope: ofInstallation, needs: staff.ManageSettings, menu: true},
	{pattern: "GET /settings/backup", name: "page.backup", scope: ofInstallation, needs: staff.ManageSettings, sure: true},
	{pattern: "POST /settings/backup", name: "page.backup", scope: ofInstallation, needs: staff.ManageSettings, sure: true},
}

func (d *Door) admin() handlers {
	return handlers{
		"GET /audit":             d.auditPage,
		"GET /audit/export":      d.auditExport,
		"GET /alerts":            d.alertsPage,
		"POST /alerts/test":      d.testAlerts,
		"GET /keys":              d.apiKeys,
		"GET /keys/add":          d.addKeyPage,
		"POST /keys/add":         d.addKey,
		"GET /keys/{id}/revoke":  d.ofKey(d.revokeKeyPage),
		"POST /keys/{id}/revoke": d.ofKey(d.revokeKey),
		"GET /settings":          d.settingsPage,
		"GET /settings/backup":   d.backupPage,
		"POST /settings/backup":  d.backup,
	}
}

// exports are the addresses of what a page shows, as files.
type exports struct{ CSV, XLSX string }

// exportsOf are the addresses of an export with the page's own query.
func (v *visit) exportsOf(path string) exports {
	address := func(as report.Format) string {
		q := v.URL.Query()
		for _, name := range []string{"before", "after"} {
			q.Del(name)
		}
		q.Set("as", string(as))
		return base + path + "?" + q.Encode()
	}
	return exports{address(report.CSV), address(report.XLSX)}
}

// sendTable sends a table as a file while fill makes it: as the query's "as" says. It is noted
// who took it, since it leaves the house. Fill calls more between stretches, so
// that a long table has time.
func (v *visit) sendTable(name, what string, heads []string, fill func(row func(...string) error, more func() error) error) error {
	as := report.Format(v.URL.Query().Get("as"))
	if as.Media() == "" {
		return errNotFound
	}
	note := audit.Entry{At: v.now.UTC().Truncate(time.Microsecond), Actor: staff.By(v.user), Action: "report.exported", Why: what + " as " + string(as)}
	if err := v.door.People.Note(v.Context(), note); err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", as.Media())
	h.Set("Content-Disposition", `attachment; filename="milaan-`+name+"."+string(as)+`"`)
	if err := v.fillTable(as, heads, fill); err != nil {
		if v.Context().Err() == nil {
			v.door.Log.ErrorContext(v.Context(), "an export broke off", "export", name, "error", err)
		}
		panic(http.ErrAbortHandler) // half a file must not look like a whole one
	}
	return nil
}

func (v *visit) fillTable(as report.Format, heads []string, fill func(row func(...string) error, more func() error) error) error {
	t, err := report.NewTable(v.patient(), as, heads...)
	if err != nil {
		return err
	}
	more := func() error {
		v.patient().wait() // a workbook is sent at its end alone
		return t.Flush()
	}
	if err := fill(t.Row, more); err != nil {
		t.Drop()
		return err
	}
	return t.Close()
}

// auditList is what the page of the audit log shows.
type auditList struct {
	Filter  filter
	Problem string
	Rows    []auditRow
	Next    string
	Short   bool // it was not looked at to its end
	Broken  int  // entries shown that don't follow
	Head    int64
	Headed  bool
	exports
}

type auditRow struct {
	lookup.Noted
	Link string // of the page of what it is about
}

// askAudit reads what of the audit log is asked for; problem says what can't be read.
func (v *visit) askAudit() (ask lookup.Audit, f filter, problem string) {
	q := v.URL.Query()
	text := func(name string) string { return strings.TrimSpace(q.Get(name)) }
	ask = lookup.Audit{Actor: text("actor"), Action: text("action"), Acts: q.Get("what") != "all", Limit: rowsOfPage}
	zone := v.user.Location()
	day := func(name string, then int) (t time.Time) {
		if text(name) == "" {
			return t
		}
		p, err := report.Parse(text(name))
		if err != nil || p.Every != report.Daily {
			problem = v.T("audit.problem.day")
			return t
		}
		if then > 0 {
			p = p.Next()
		}
		t, _ = p.In(zone)
		return t
	}
	ask.From, ask.To = day("from", 0), day("to", 1)
	if object := text("object"); object != "" {
		var err error
		if ask.Subject, err = strconv.ParseInt(object, 10, 64); err != nil || ask.Subject <= 0 {
			problem = v.T("audit.problem.object")
		}
		ask.Acts = false
	}
	if before := text("before"); before != "" {
		var err error
		if ask.Before, err = strconv.ParseInt(before, 10, 64); err != nil || ask.Before <= 0 {
			problem = v.T("audit.problem.page")
		}
	}
	f.Fields = []field{
		{Name: "actor", Label: v.T("audit.actor"), Type: "search", Value: text("actor"), Hint: v.T("audit.actor.hint")},
		{Name: "action", Label: v.T("audit.action"), Type: "search", Value: text("action"), Hint: v.T("audit.action.hint")},
		{Name: "object", Label: v.T("audit.object"), Type: "search", Value: text("object"), Hint: v.T("audit.object.hint")},
		{Name: "from", Label: v.T("audit.from"), Type: "date", Value: text("from")},
		{Name: "to", Label: v.T("audit.to"), Type: "date", Value: text("to")},
		{Name: "what", Label: v.T("audit.what"), Type: "select", Options: options(q.Get("what"), "", v.T("audit.what.acts"), "all", v.T("audit.what.all"))},
	}
	for _, field := range f.Fields {
		if q.Get(field.Name) != "" {
			f.Clear = base + "/audit"
		}
	}
	return ask, f, problem
}

func (d *Door) auditPage(v *visit) error {
	ask, narrowed, problem := v.askAudit()
	list := auditList{Filter: narrowed, Problem: problem, exports: v.exportsOf("/audit/export")}
	if problem != "" {
		return v.show(page{Status: http.StatusUnprocessableEntity, Name: "audit", Wide: true, Body: list})
	}
	if ask.Subject != 0 {
		ask.Limit = lookup.MaxPage
	}
	notes, err := d.Admin.Store.ListAudit(v.Context(), ask)
	if err != nil {
		return err
	}
	list.Head, list.Headed = notes.Head, notes.Headed
	for _, n := range notes.Items {
		if !n.Whole {
			list.Broken++
		}
		list.Rows = append(list.Rows, auditRow{n, v.aboutOf(&n)})
	}
	if notes.Next > 0 {
		q := v.URL.Query()
		q.Set("before", strconv.FormatInt(notes.Next, 10))
		list.Next = (&url.URL{Path: v.URL.Path, RawQuery: q.Encode()}).String()
		list.Short = len(list.Rows) < ask.Limit
	}
	return v.show(page{Name: "audit", Wide: true, Body: list})
}

// aboutOf is the page of the record that an entry is about, where there is one.
func (v *visit) aboutOf(n *lookup.Noted) string {
	if n.Subject <= 0 {
		return ""
	}
	group, _, _ := strings.Cut(n.Action, ".")
	pattern, ok := map[string]string{ //nolint:gosec // addresses of pages, no credentials
		"claim": "/deposits/{id}", "credit": "/credits/{id}", "withdrawal": "/withdrawals/{id}", "user": "/users/{user}",
	}[group]
	if !ok {
		return ""
	}
	return v.pageOf(pattern, "", n.Subject)
}

func (d *Door) auditExport(v *visit) error {
	ask, _, problem := v.askAudit()
	if problem != "" {
		return errNotFound
	}
	ask.Limit = exportPage
	zone := v.user.Location()
	heads := []string{"entry", "time", "actor", "action", "object", "why", "hash", "follows"}
	return v.sendTable("audit-"+v.now.In(zone).Format("2006-01-02-1504"), "the audit log", heads, func(row func(...string) error, more func() error) error {
		for {
			notes, err := d.Admin.Store.ListAudit(v.Context(), ask)
			if err != nil {
				return err
			}
			for _, n := range notes.Items {
				follows := "yes"
				if !n.Whole {
					follows = "no"
				}
				if err := row(strconv.FormatInt(n.Seq, 10), n.At.In(zone).Format(time.RFC3339Nano), n.Actor, n.Action,
					strconv.FormatInt(n.Subject, 10), n.Why, fmt.Sprintf("%x", n.Hash), follows); err != nil {
					return err
				}
			}
			if err := more(); err != nil || notes.Next == 0 {
				return err
			}
			ask.Before = notes.Next
		}
	})
}

// alertList is what the page of alerts shows.
type alertList struct {
	Ways  []string
	Rows  []notice.Kept
	Tried []notice.Tried
	Test  bool // the user may send one
	More  bool
}

// mostAlerts is how many notices are shown: there is one for each thing that can be wrong.
const mostAlerts = 200

func (d *Door) alertsPage(v *visit) error { return d.showAlerts(v, nil) }

func (d *Door) showAlerts(v *visit, tried []notice.Tried) error {
	rows, err := notice.List(v.Context(), d.Admin.Store.Notices())
	if err != nil {
		return err
	}
	list := alertList{Ways: d.Admin.Alerts.Ways, Rows: rows[:min(len(rows), mostAlerts)], Tried: tried, Test: v.May(staff.RunWorks), More: len(rows) > mostAlerts}
	return v.show(page{Name: "alerts", Wide: true, Body: list})
}

// testAlerts sends a test by every way and shows how that went.
func (d *Door) testAlerts(v *visit) error {
	if len(d.Admin.Alerts.Ways) == 0 {
		return v.lead(base + "/alerts")
	}
	by := staff.By(v.user)
	if err := d.People.Note(v.Context(), audit.Entry{At: v.now.UTC().Truncate(time.Microsecond), Actor: by, Action: "alerts.tested"}); err != nil {
		return err
	}
	tried, err := d.Admin.Alerts.Try(v.Context(), by)
	if err != nil {
		return err
	}
	return d.showAlerts(v, tried)
}

// settingsPage shows every setting in force.
func (d *Door) settingsPage(v *visit) error {
	return v.show(page{Name: "settings", Wide: true, Body: d.Admin.Settings})
}

func (*Door) backupPage(v *visit) error {
	return v.show(page{Name: "confirm", Body: question{Text: v.T("backup.text"), Button: v.T("backup.button"), Back: base + "/settings"}})
}

// backup sends a backup as it is made, as milaan backup writes it. It is noted who
// took it, before it leaves the house.
func (d *Door) backup(v *visit) error {
	note := audit.Entry{At: v.now.UTC().Truncate(time.Microsecond), Actor: staff.By(v.user), Action: "backup.downloaded"}
	if err := d.People.Note(v.Context(), note); err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="milaan-`+v.now.UTC().Format("2006-01-02-1504")+`.backup"`)
	if err := d.Admin.Backup(v.Context(), v.patient()); err != nil {
		if v.Context().Err() == nil {
			d.Log.ErrorContext(v.Context(), "a backup broke off", "error", err)
		}
		panic(http.ErrAbortHandler) // what was sent must not look like a backup
	}
	return nil
}
