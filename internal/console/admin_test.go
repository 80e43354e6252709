package console

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/notice"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store/backup"
	"github.com/milaan/milaan/internal/store/storetest"
	"github.com/milaan/milaan/money"
)

// nasty is a text that would run in a page, and in a spreadsheet.
const nasty = `=HYPERLINK("x")<script>alert(1)</script>`

// table reads a file that the console sends, of either format.
func (a answer) table(t *testing.T) [][]string {
	t.Helper()
	if a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Disposition"), `attachment; filename="milaan-`) {
		t.Fatalf("a file is answered with %d %v: %s", a.status, a.header, a.text())
	}
	if strings.HasPrefix(a.header.Get("Content-Type"), "text/csv") {
		rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	if _, err := zip.NewReader(strings.NewReader(a.body), int64(len(a.body))); err != nil {
		t.Fatal(err)
	}
	book, err := excelize.OpenReader(bytes.NewReader([]byte(a.body)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = book.Close() }()
	for i := range 30 {
		for _, column := range "ABCDEFGHIJK" {
			if formula, err := book.GetCellFormula("Sheet1", fmt.Sprintf("%c%d", column, i+1)); formula != "" || err != nil {
				t.Errorf("cell %c%d is the formula %s, %v", column, i+1, formula, err)
			}
		}
	}
	rows, err := book.GetRows("Sheet1")
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// mustNote writes an entry of the audit log.
func (h *house) mustNote(e audit.Entry) {
	h.Helper()
	if err := h.Store.Staff().Note(h.Context(), e); err != nil {
		h.Fatal(err)
	}
}

// TestAuditPage: the log is searched, paged and downloaded, and what was changed
// shows.
func TestAuditPage(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.user("asha@example.com", owner)
	for i := range 60 {
		h.mustNote(audit.Entry{At: h.Clock.Now(), Actor: "operator:" + nasty, Action: "wallet.tried", Subject: int64(1000 + i), Why: "+1 " + nasty})
	}
	h.MustReport("till", 1, 0, 0, h.Entry(storetest.UTR(1), 500_00))
	claim := h.MustActivate(storetest.Claim("first", storetest.UTR(1), 500_00), deposit.Credited)
	b := h.browser().signIn("asha@example.com")

	first := b.get("/console/audit").must(t, 200, "Every entry shown follows")
	if strings.Contains(first.body, "<script>alert") || !strings.Contains(first.body, "&lt;script&gt;") {
		t.Error("a text of the log is not escaped")
	}
	if strings.Contains(first.text(), "credit.received") {
		t.Error("what payments write is shown unasked")
	}
	next := regexp.MustCompile(`href="([^"]*before=[^"]*)"`).FindStringSubmatch(first.body)
	if next == nil {
		t.Fatal("there is no next page")
	}
	second := b.get(strings.ReplaceAll(next[1], "&amp;", "&")).must(t, 200, "operator:")
	if n := strings.Count(first.body, "wallet.tried") + strings.Count(second.body, "wallet.tried"); n != 60 {
		t.Errorf("two pages show %d of 60 entries", n)
	}
	b.get("/console/audit?what=all&action=credit.").must(t, 200, "credit.received")
	got := b.get(fmt.Sprintf("/console/audit?object=%d", claim.ID)).must(t, 200, "claim.credited")
	if !strings.Contains(got.body, fmt.Sprintf(`href="/console/deposits/%d"`, claim.ID)) {
		t.Error("a claim's entry does not lead to the claim")
	}
	b.get("/console/audit?actor=user:asha").must(t, 200, "user:asha@example.com")
	if got := b.get("/console/audit?actor=user:ravi"); strings.Contains(got.body, "<tbody>") {
		t.Error("another's acts are shown")
	}
	b.get("/console/audit?to=2026-03-13").must(t, 200, "There is nothing here.")
	b.get("/console/audit?from=2026-03-14&to=2026-03-14").must(t, 200, "wallet.tried")
	b.get("/console/audit?from=tomorrow").must(t, 422, "That is no day")
	b.get("/console/audit?object=x").must(t, 422, "An object has a number")
	b.get("/console/audit?before=-1").must(t, 422, "no such page")

	for _, as := range []string{"csv", "xlsx"} {
		rows := b.get("/console/audit/export?as=" + as + "&action=wallet.").table(t)
		if len(rows) != 61 || !slices.Equal(rows[0][:4], []string{"entry", "time", "actor", "action"}) || len(rows[1][6]) != 64 || rows[1][7] != "yes" {
			t.Fatalf("%s: %d rows, %q", as, len(rows), rows[:2])
		}
		if why := rows[1][5]; as == "csv" && why != "'+1 "+nasty || as == "xlsx" && why != "+1 "+nasty {
			t.Errorf("%s: a text that begins as a formula is %q", as, why)
		}
	}
	b.get("/console/audit/export?as=pdf").must(t, 404, "")
	b.get("/console/audit?action=report.exported").must(t, 200, "the audit log as csv")

	raw := h.Database.Raw(t)
	for _, query := range []string{`DROP TRIGGER audit_stays`, `UPDATE audit SET why = 'nothing' WHERE action = 'wallet.tried' AND subject = 1059`} {
		if _, err := raw.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	changed := b.get("/console/audit").must(t, 200, "An entry shown does not follow")
	if n := strings.Count(changed.text(), "Does not follow"); n != 1 {
		t.Errorf("%d entries are said not to follow", n)
	}
}

// TestKeysPage: keys are made, shown once and revoked, each by who may.
func TestKeysPage(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.user("asha@example.com", owner)
	h.user("meera@shop.example", staff.Grant{Role: staff.MerchantAdmin, Merchant: storetest.Shop})
	boss, shop := h.browser().signIn("asha@example.com"), h.browser().signIn("meera@shop.example")

	made := boss.post("/console/keys/add", "name", "ledger sync "+nasty, "owner", "operator", "days", "90", "scope", "credits:read", "scope", "deposits:read").must(t, 200, "never again")
	token := regexp.MustCompile(`mln_[A-Za-z0-9_-]+`).FindString(made.body)
	if strings.Contains(made.body, "<script>alert") {
		t.Error("a key's name is not escaped")
	}
	ring := access.NewRing(h.Store, h.Clock.Now, h.door.Log)
	key, err := ring.Find(t.Context(), directory.Secret(token), netip.Addr{})
	if err != nil || !key.Allows(access.CreditsRead) || key.Merchant != "" || key.ExpiresAt.Sub(h.Clock.Now()) > 90*24*time.Hour {
		t.Fatalf("the token is of %+v, %v", key, err)
	}
	list := boss.get("/console/keys").must(t, 200, "ledger sync")
	if strings.Contains(list.body, token) {
		t.Error("the token is shown again")
	}

	// A merchant's admin makes keys of the merchant alone, with a merchant's scopes.
	shop.get("/console/keys").must(t, 200, "There is nothing here.")
	if page := shop.get("/console/keys/add").must(t, 200, "deposits:read"); strings.Contains(page.body, "directory:write") || strings.Contains(page.body, `value="operator"`) || strings.Contains(page.body, storetest.Cafe) {
		t.Error("a merchant is offered what is the operator's, or another's")
	}
	for _, other := range []string{"operator", "merchant:cafe", "merchant:none", "", "shop"} {
		shop.post("/console/keys/add", "name", "x", "owner", other, "days", "90", "scope", "deposits:read").must(t, 404, "")
	}
	shop.post("/console/keys/add", "name", "x", "owner", "merchant:shop", "days", "36500", "scope", "deposits:read").must(t, 404, "")
	shop.post("/console/keys/add", "name", "x", "owner", "merchant:shop", "days", "30", "scope", "directory:write").must(t, 422, "can't allow that")
	shop.post("/console/keys/add", "name", "x", "owner", "merchant:shop", "days", "30").must(t, 422, "Tick what")
	shop.post("/console/keys/add", "name", " ", "owner", "merchant:shop", "days", "30", "scope", "deposits:read").must(t, 422, "needs a name")
	shop.post("/console/keys/add", "name", "dashboards", "owner", "merchant:shop", "days", "30", "scope", "deposits:read").must(t, 200, "dashboards")
	if page := shop.get("/console/keys").must(t, 200, "dashboards"); strings.Contains(page.body, "ledger sync") {
		t.Error("a merchant sees the operator's keys")
	}
	boss.get("/console/keys").must(t, 200, "dashboards")

	// Nobody revokes another's key, or learns that there is one.
	revoke := fmt.Sprintf("/console/keys/%d/revoke", key.ID)
	shop.get(revoke).must(t, 404, "")
	shop.post(revoke).must(t, 404, "")
	shop.post("/console/keys/999999/revoke").must(t, 404, "")
	boss.get(revoke).must(t, 200, "ends for good")
	boss.post(revoke).leads(t, "/console/keys")
	boss.get("/console/keys").must(t, 200, "Revoked")
	boss.post(revoke).leads(t, "/console/keys")
	ring.Forget()
	if _, err := ring.Find(t.Context(), directory.Secret(token), netip.Addr{}); err == nil {
		t.Error("a revoked key is taken")
	}
	boss.get("/console/audit?action=key.").must(t, 200, "key.revoked").must(t, 200, "user:meera@shop.example")

	h.Clock.Advance(staff.Sure)
	boss.get("/console/keys/add").leads(t, "/console/sure?next=%2Fconsole%2Fkeys%2Fadd")
}

// TestAlertsPage lists what the operator was told, and sends a test.
func TestAlertsPage(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.user("asha@example.com", owner)
	h.user("ravi@example.com", viewer)
	b, looks := h.browser().signIn("asha@example.com"), h.browser().signIn("ravi@example.com")
	b.get("/console/alerts").must(t, 200, "Nothing is wrong")
	board, err := notice.NewBoard(t.Context(), h.Store.Notices(), nil, notice.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	trouble := notice.Trouble{Key: "feed/till/silent", Code: "silent", Severity: notice.Critical, Subject: "Feed till: silent " + nasty, Text: "Nothing came."}
	if err := board.Tick(t.Context(), h.Clock.Now(), []notice.Trouble{trouble}); err != nil {
		t.Fatal(err)
	}
	page := b.get("/console/alerts").must(t, 200, "Feed till: silent").must(t, 200, "Critical")
	if strings.Contains(page.body, "<script>alert") {
		t.Error("a notice is not escaped")
	}
	for _, at := range []time.Duration{time.Minute, 20 * time.Minute} {
		if err := board.Tick(t.Context(), h.Clock.Now().Add(at), nil); err != nil {
			t.Fatal(err)
		}
	}
	looks.get("/console/alerts").must(t, 200, "Over")
	if strings.Contains(looks.get("/console/alerts").body, "/alerts/test") {
		t.Error("who may not is offered to send a test")
	}
	looks.post("/console/alerts/test").must(t, 403, "")
	b.post("/console/alerts/test").must(t, 200, "answered 401").must(t, 200, "E-mail Sent")
	b.get("/console/audit?action=alerts.").must(t, 200, "alerts.tested")
}

// TestSettingsPage shows settings, and no secret.
func TestSettingsPage(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.user("asha@example.com", owner)
	b := h.browser().signIn("asha@example.com")
	page := b.get("/console/settings").must(t, 200, "127.0.0.1:8080").must(t, 200, "Set, not shown")
	if strings.Contains(page.body, "[secret]") {
		t.Error("a secret's place shows something")
	}
}

// busy is a house with a day of everything that reports tell.
func busy(t *testing.T) *house {
	t.Helper()
	h := open(t)
	for i := range 3 {
		h.MustReport("till", 1, 0, 0, h.Entry(storetest.UTR(i+1), money.Paise(500_00+i)))
		a := storetest.Claim(fmt.Sprintf("shop-%d", i), storetest.UTR(i+1), money.Paise(500_00+i))
		a.Label = []string{"55", "=1+1", "<script>alert(1)</script>"}[i]
		h.MustActivate(a, deposit.Credited)
	}
	h.MustReport("bar", 1, 0, 0, h.Entry(storetest.UTR(9), 1000_00))
	a := storetest.Claim("cafe-1", storetest.UTR(9), 1000_00)
	a.Merchant = storetest.Cafe
	h.MustActivate(a, deposit.Credited)
	h.user("asha@example.com", owner)
	h.user("meera@shop.example", staff.Grant{Role: staff.MerchantViewer, Merchant: storetest.Shop})
	return h
}

// TestReports: what a day came to, of merchants, wallets and fees, as a page and as
// files, each for who may see it.
func TestReports(t *testing.T) {
	t.Parallel()
	h := busy(t)
	b, shop := h.browser().signIn("asha@example.com"), h.browser().signIn("meera@shop.example")
	today := "day=2026-03-14"

	page := b.get("/console/reports?merchant=shop&"+today).must(t, 200, "Closing balance ₹1,500.03").must(t, 200, "Deposits 3 ₹1,500.03").must(t, 200, "Not final yet")
	if strings.Contains(page.body, "<script>alert") {
		t.Error("a label is not escaped")
	}
	b.get("/console/reports").must(t, 200, "2026-03-13") // the last day that is over
	b.get("/console/reports?every=monthly&day=2026-03-02&merchant=cafe").must(t, 200, "Deposit fees 1 -₹17.00").must(t, 200, "Closing balance ₹983.00")
	b.get("/console/reports?merchant=shop&day=2026-03-15").must(t, 200, "Opening balance ₹1,500.03")
	b.get("/console/reports?day=yesterday").must(t, 200, "That is no day")
	b.get("/console/reports/wallets?wallet=till&"+today).must(t, 200, "Credits received 3 ₹1,500.03").must(t, 200, "Closing balance ₹1,500.03")
	b.get("/console/reports/wallets?wallet=none").must(t, 404, "")
	b.get("/console/reports/fees?"+today).must(t, 200, "₹17.00").must(t, 200, "Café")
	b.get("/console/reports/reconciliation").must(t, 200, "No statement of this wallet")
	b.get("/console/reports/settlements").must(t, 200, "There is nothing here.")

	for _, as := range []string{"csv", "xlsx"} {
		rows := b.get("/console/reports/export?merchant=shop&" + today + "&as=" + as).table(t)
		if len(rows) != 6 || rows[1][1] != "opening" || rows[5][1] != "closing" || rows[5][9] != "1500.03" || rows[2][9] != "500.00" {
			t.Fatalf("%s: the statement is %q", as, rows)
		}
		if label := rows[3][4]; as == "csv" && label != "'=1+1" || as == "xlsx" && label != "=1+1" {
			t.Errorf("%s: a label that begins as a formula is %q", as, label)
		}
		rows = b.get("/console/reports/wallets/export?wallet=till&" + today + "&as=" + as).table(t)
		if last := rows[len(rows)-1]; last[3] != "closing" || last[5] != "1500.03" {
			t.Errorf("%s: the wallet's statement is %q", as, rows)
		}
		if rows = b.get("/console/reports/fees/export?" + today + "&as=" + as).table(t); len(rows) != 2 || rows[1][2] != "cafe" || rows[1][8] != "17.00" {
			t.Errorf("%s: the fees are %q", as, rows)
		}
		if rows = b.get("/console/reports/settlements/export?as=" + as).table(t); len(rows) != 1 {
			t.Errorf("%s: the settlements are %q", as, rows)
		}
		if rows = b.get("/console/reports/reconciliation/export?wallet=till&as=" + as).table(t); len(rows) != 1 {
			t.Errorf("%s: the reconciliation is %q", as, rows)
		}
	}
	b.get("/console/audit?action=report.").must(t, 200, "the statement of shop for 2026-03-14 as csv")

	// A merchant's user has that merchant's alone, and nothing of the operator's.
	got := shop.get("/console/reports?"+today).must(t, 200, "₹1,500.03")
	for _, hidden := range []string{"cafe", "Café", "/reports/fees", "/reports/wallets", "/reports/reconciliation"} {
		if strings.Contains(got.body, hidden) {
			t.Errorf("a merchant's user reads of %s", hidden)
		}
	}
	for _, path := range []string{"/reports?merchant=cafe", "/reports/export?merchant=cafe&as=csv&" + today, "/reports/settlements?merchant=cafe", "/reports/settlements/export?merchant=cafe&as=csv",
		"/reports/settlement?merchant=cafe&id=settlement-x", "/reports/settlement/export?merchant=cafe&id=settlement-x&as=csv", "/reports/settlement?merchant=shop&id=none", "/reports?merchant=none"} {
		shop.get("/console"+path).must(t, 404, "")
	}
	for _, path := range []string{"/reports/fees", "/reports/wallets", "/reports/reconciliation", "/reports/fees/export?as=csv", "/reports/wallets/export?as=csv", "/reports/reconciliation/export?as=csv"} {
		shop.get("/console"+path).must(t, 403, "")
	}
}

// TestStatementPages: the entries of a statement go on from page to page with the
// balance that stood before.
func TestStatementPages(t *testing.T) {
	t.Parallel()
	h := open(t)
	const n = entriesOfPage + 7
	entries := make([]feed.Entry, n)
	for i := range entries {
		entries[i] = h.Entry(storetest.UTR(i+1), money.Paise(100_00+i))
	}
	h.MustReport("till", n, 0, 0, entries...)
	var total money.Paise
	for i := range entries {
		total += entries[i].Amount
		h.MustActivate(storetest.Claim(fmt.Sprintf("order-%d", i), storetest.UTR(i+1), entries[i].Amount), deposit.Credited)
	}
	h.user("asha@example.com", owner)
	b := h.browser().signIn("asha@example.com")
	first := b.get("/console/reports?merchant=shop&day=2026-03-14").must(t, 200, "order-0")
	if strings.Contains(first.body, fmt.Sprintf("order-%d<", n-1)) {
		t.Error("the first page has the last entry")
	}
	next := regexp.MustCompile(`href="([^"]*after=[^"]*)"`).FindStringSubmatch(first.body)
	if next == nil {
		t.Fatal("there is no next page")
	}
	b.get(strings.ReplaceAll(next[1], "&amp;", "&")).must(t, 200, money.Format(total, money.English))
	sheet := regexp.MustCompile(`href="([^"]*sheet=1[^"]*)"`).FindStringSubmatch(first.body)
	if sheet == nil {
		t.Fatal("there is nothing to print all entries from")
	}
	whole := b.get(strings.ReplaceAll(sheet[1], "&amp;", "&")).must(t, 200, money.Format(total, money.English))
	if got := strings.Count(whole.body, `href="/console/deposits/`); got != n {
		t.Errorf("the sheet has %d of %d entries", got, n)
	}
	for _, after := range []string{"x", "1.1", "1.1.1", "9999999999999999.1.x"} {
		b.get("/console/reports?merchant=shop&day=2026-03-14&after="+url.QueryEscape(after)).must(t, 404, "")
	}
	if len(first.body) > 100<<10 {
		t.Errorf("the page has %d bytes", len(first.body))
	}
}

// TestBackupNow: an owner downloads a backup that can be read, once asked again who
// it is; it is noted.
func TestBackupNow(t *testing.T) {
	t.Parallel()
	h := busy(t)
	h.user("ravi@example.com", staff.Grant{Role: staff.Operator})
	b, other := h.browser().signIn("asha@example.com"), h.browser().signIn("ravi@example.com")
	other.post("/console/settings/backup").must(t, 403, "")
	b.get("/console/settings/backup").must(t, 200, "stay sealed")
	got := b.post("/console/settings/backup")
	if got.status != http.StatusOK || !strings.HasSuffix(got.header.Get("Content-Disposition"), `.backup"`) {
		t.Fatalf("answered %d %v", got.status, got.header)
	}
	if _, err := backup.NewReader(strings.NewReader(got.body)); err != nil || len(got.body) < 1000 {
		t.Errorf("what came, %d bytes, is no backup: %v", len(got.body), err)
	}
	b.get("/console/audit?action=backup.").must(t, 200, "backup.downloaded")
	h.Clock.Advance(staff.Sure)
	b.post("/console/settings/backup").leads(t, "/console/sure")
}
