package console

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store/storetest"
	"github.com/milaan/milaan/money"
)

// factory is a house whose shop has money, with desks that pay by hand and by
// files.
func factory(tb testing.TB) *house {
	tb.Helper()
	h := openWith(tb, storetest.Setup{Change: func(c *directory.Change) {
		c.Payouts = []*directory.PayoutDesk{
			{ID: "files", Kind: directory.PayoutFiles, Method: "imps_ib", Layout: "pain.001", Account: "50100012347310", Wallets: []string{"till"}},
			{ID: "portal", Kind: directory.PayoutManual, Method: "by_hand", Wallets: []string{"till"}},
		}
		c.Methods = append(c.Methods, &directory.Method{Type: "by_hand", Name: map[string]string{"en": "By hand"}, Enabled: true, Order: 4})
		for _, w := range c.Wallets {
			if w.ID == "till" {
				w.Bank, w.Account, w.DailyLimit = "hdfc", "50100012347310", 100_000_00
			}
		}
	}})
	h.MustReport("till", 1, 0, 0, h.Entry(storetest.UTR(900), 50_000_00))
	h.MustActivate(storetest.Claim("funds", storetest.UTR(900), 50_000_00), deposit.Credited)
	return h
}

// withdraw asks for a withdrawal of the shop.
func (h *house) withdraw(id, method string, amount money.Paise) *payout.Withdrawal {
	h.Helper()
	w, err := h.door.office().Create(h.Context(), payout.Request{
		Key: payout.Key{Merchant: storetest.Shop, WithdrawalID: id}, Method: method, Label: "55", Amount: amount, Currency: money.INR,
		Beneficiary: payout.Beneficiary{Account: "123456789012", Name: "Asha Rao", IFSC: "HDFC0000001"}, CreatedBy: "api:shop",
	})
	if err != nil {
		h.Fatal(err)
	}
	return w
}

// stands is where a withdrawal stands.
func (h *house) stands(id int64) *payout.Withdrawal {
	h.Helper()
	w, err := h.Store.FindWithdrawal(h.Context(), id)
	if err != nil {
		h.Fatal(err)
	}
	return w
}

// filePart is a field of a form that brings a file.
type filePart struct{ name, file, text string }

// upload sends such a form.
func (b *browser) upload(path string, parts ...filePart) answer {
	b.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, p := range parts {
		var field io.Writer
		var err error
		if p.file != "" {
			field, err = w.CreateFormFile(p.name, p.file)
		} else {
			field, err = w.CreateFormField(p.name)
		}
		if err == nil {
			_, err = io.WriteString(field, p.text)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return b.sendBody(path, w.FormDataContentType(), &body)
}

func (b *browser) sendBody(path, kind string, body io.Reader) answer {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, b.server.URL+path, body)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	res, err := b.client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.Fatal(err)
	}
	return answer{res.StatusCode, strings.TrimPrefix(res.Header.Get("Location"), b.server.URL), string(text), res.Header}
}

// audited fails the test unless the newest audit entries have one of an actor that
// says so.
func (h *house) audited(actor, action, why string) {
	h.Helper()
	for _, line := range h.MustDump() {
		if strings.Contains(line, actor) && strings.Contains(line, action) && strings.Contains(line, why) {
			return
		}
	}
	h.Errorf("the audit log has no %s by %s: %s", action, actor, why)
}

// TestSwitches: one click turns a wallet, a method and nothing else; payers see it
// at once, a file declares it back, and the audit log says who did it.
func TestSwitches(t *testing.T) {
	t.Parallel()
	h := factory(t)
	h.user("asha@example.com", staff.Grant{Role: staff.Operator})
	b := h.browser().signIn("asha@example.com")
	before := *h.Directory.Current().Wallet("till")
	b.get("/console/wallets").must(t, http.StatusOK, "till@upi").must(t, http.StatusOK, "₹50,000.00").must(t, http.StatusOK, "50 %")
	b.post("/console/wallets/till/switch", "on", "no", "next", "/console/wallets?search=till").leads(t, "/console/wallets?search=till")
	b.get("/console/wallets").must(t, http.StatusOK, "Switched off.")
	after := *h.Directory.Current().Wallet("till")
	if after.Enabled || after.DailyLimit != before.DailyLimit || after.VPA != before.VPA || !slices.Equal(after.Merchants, before.Merchants) || after.Account != before.Account {
		t.Errorf("the switch made %+v of %+v", after, before)
	}
	h.audited("user:asha@example.com", "directory.changed", "wallet till: enabled")
	// What is asked again changes nothing, and a foreign way on is not gone.
	b.post("/console/wallets/till/switch", "on", "no", "next", "https://evil.example/").leads(t, "/console/")
	b.post("/console/wallets/till/switch", "on", "maybe").must(t, http.StatusUnprocessableEntity, "not in order")
	b.post("/console/wallets/none/switch", "on", "no").must(t, http.StatusNotFound, "")

	b.post("/console/methods/upi_w/switch", "on", "no", "next", "/console/wallets").leads(t, "/console/wallets")
	methods := h.Directory.Current().Methods
	for i, m := range methods {
		if m.Type == "upi_w" && m.Enabled || m.Type == "upi_l" && (!m.Enabled || m.Order != 1) || i > 0 && m.Order == 0 {
			t.Errorf("method %+v", m)
		}
	}
	b.post("/console/wallets/till", "daily_limit", "2,00,000.50", "per_payment_max", "").leads(t, "/console/wallets/till")
	if w := h.Directory.Current().Wallet("till"); w.DailyLimit != 200_000_50 || w.PerPaymentMax != 0 || w.Enabled {
		t.Errorf("the limits are %+v", w)
	}
	b.post("/console/wallets/till", "daily_limit", "lots").must(t, http.StatusUnprocessableEntity, "lots")
	b.post("/console/methods/upi_l", "min", "500", "max", "100").must(t, http.StatusUnprocessableEntity, "below min")
	b.get("/console/wallets/till").must(t, http.StatusOK, "upi://pay?pa=till@upi")

	// The file is the installation's declaration: what it names it puts back, and
	// what it does not name stays as the console left it.
	file, err := apply.Parse("shop.yaml", []byte("wallets:\n- {id: till, method: upi_l, vpa: till@upi, merchants: [shop], enabled: on}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apply.Run(t.Context(), h.Store, file, apply.Options{Now: h.Clock.Now}); err != nil {
		t.Fatal(err)
	}
	if err := h.Directory.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := h.Directory.Current().Wallet("till"); !w.Enabled || w.DailyLimit != 0 {
		t.Errorf("the file made %+v", w)
	}
	if m := h.Directory.Current().Method("upi_w"); m.Enabled {
		t.Error("the file has no methods and changed one")
	}
}

// rowsOf is a statement of the till as HDFC Bank writes it.
func rowsOf(rows ...string) string {
	day := storetest.Start.Format("02/01/06")
	text := "Account No :,50100012347310\nDate,Narration,Value Dat,Debit Amount,Credit Amount,Chq/Ref Number,Closing Balance\n"
	balance := money.Paise(5000_00)
	for _, row := range rows {
		balance += 100_00
		text += fmt.Sprintf("%s,%s,%s,0.00,100.00,0,%s\n", day, row, day, balance.Fixed())
	}
	return text
}

func creditRow(n int) string {
	return fmt.Sprintf("UPI-ASHA-ASHA@OKAXIS-UTIB0000123-%s-RENT", storetest.UTR(n))
}

// TestStatement: every line of an uploaded statement is accounted for, the same
// again changes nothing, and nothing of it is left on the disk.
func TestStatement(t *testing.T) {
	h := factory(t)
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	h.user("asha@example.com", staff.Grant{Role: staff.Operator})
	b := h.browser().signIn("asha@example.com")
	h.MustActivate(storetest.Claim("order", storetest.UTR(1), 100_00), deposit.Waiting)
	b.get("/console/statements/upload?wallet=till").must(t, http.StatusOK, "Every line is accounted for")
	text := rowsOf(creditRow(1), creditRow(2), "CASH AT <script>alert(1)</script> COUNTER")
	first := b.upload("/console/statements/upload", filePart{"wallet", "", "till"}, filePart{"format", "", "auto"}, filePart{"file", "<i>march<i>.csv", text})
	if first.status != http.StatusSeeOther || !strings.HasPrefix(first.to, "/console/statements/") {
		t.Fatalf("answered %d to %q: %s", first.status, first.to, first.text())
	}
	page := b.get(first.to).must(t, http.StatusOK, "3 of 3 lines are accounted for.")
	page.must(t, http.StatusOK, "user:asha@example.com").must(t, http.StatusOK, "New credit")
	if strings.Contains(page.body, "<script>alert") || strings.Contains(page.body, "<i>march") {
		t.Error("the page runs what the statement says")
	}
	h.MustCredit("till", storetest.UTR(2))
	if c := h.MustCredit("till", storetest.UTR(1)); c.State != deposit.Bound {
		t.Errorf("the claim's credit is %s", c.State)
	}
	b.get(first.to+"?lines=open").must(t, http.StatusOK, "CASH AT")
	if again := b.upload("/console/statements/upload", filePart{"wallet", "", "till"}, filePart{"file", "march.csv", text}); again.to != first.to {
		t.Errorf("the same file leads to %q", again.to)
	}
	b.get(first.to).must(t, http.StatusOK, "3 of 3 lines are accounted for.")
	b.get("/console/statements?wallet=till").must(t, http.StatusOK, "march")
	b.get("/console/statements/999999").must(t, http.StatusNotFound, "")
	h.MustVerify()
	if left, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(left) > 0 {
		t.Errorf("uploads left %v, %v", left, err)
	}
}

// TestHostileStatements: files that are none get an error that says so, and leave
// nothing behind.
func TestHostileStatements(t *testing.T) {
	h := factory(t)
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	h.user("asha@example.com", staff.Grant{Role: staff.Operator})
	b := h.browser().signIn("asha@example.com")
	for name, tt := range map[string]struct{ text, want string }{
		"a page":          {"<!doctype html><html><script>alert(1)</script><p>Session expired</p></html>", "not imported"},
		"a picture":       {"\x89PNG\r\n\x1a\n" + strings.Repeat("\x00", 500), "not imported"},
		"a program":       {"\x7fELF" + strings.Repeat("\x01\x00", 400), "not imported"},
		"nothing":         {"", "not imported"},
		"a bomb":          {string(workbook(t, 600)), "not imported"},
		"a large sheet":   {string(workbook(t, 40)), "not imported"}, // unpacked by way of the disk
		"a broken zip":    {"PK\x03\x04" + strings.Repeat("x", 300), "not imported"},
		"another account": {strings.Replace(rowsOf(creditRow(1)), "50100012347310", "99900012340000", 1), "account"},
		"entities":        {`<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><Document>&b;</Document>`, "not imported"},
	} {
		got := b.upload("/console/statements/upload", filePart{"wallet", "", "till"}, filePart{"file", "x.csv", tt.text})
		if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.text(), tt.want) {
			t.Errorf("%s is answered %d: %s", name, got.status, got.text())
		}
		if strings.Contains(got.body, "<script>alert") {
			t.Errorf("%s is run", name)
		}
	}
	b.upload("/console/statements/upload", filePart{"wallet", "", "none"}, filePart{"file", "x.csv", "x"}).must(t, http.StatusUnprocessableEntity, "choose the wallet")
	b.upload("/console/statements/upload", filePart{"wallet", "", "till"}).must(t, http.StatusUnprocessableEntity, "No file arrived")
	b.upload("/console/statements/upload", filePart{"file", "x.csv", "x"}, filePart{"wallet", "", "till"}).must(t, http.StatusUnprocessableEntity, "choose the wallet")
	b.post("/console/statements/upload", "wallet", "till", "file", "x").must(t, http.StatusUnprocessableEntity, "No file arrived")
	b.sendBody("/console/statements/upload", "multipart/form-data; boundary=x", strings.NewReader("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhalf of it")).
		must(t, http.StatusUnprocessableEntity, "")
	if left, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(left) > 0 {
		t.Errorf("uploads left %v, %v", left, err)
	}
	if list, err := h.Store.NewestStatements(t.Context(), "", 0, 10); err != nil || len(list) > 0 {
		t.Errorf("statements are kept: %+v, %v", list, err)
	}
}

// endless is a body that never ends.
type endless struct{ head io.Reader }

func (e endless) Read(p []byte) (int, error) {
	if n, err := e.head.Read(p); err == nil {
		return n, nil
	}
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestEndlessUpload: more than a bank's answer may have is not read.
func TestEndlessUpload(t *testing.T) {
	h := factory(t)
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	h.user("asha@example.com", staff.Grant{Role: staff.Operator})
	b := h.browser().signIn("asha@example.com")
	body := endless{strings.NewReader("--x\r\nContent-Disposition: form-data; name=\"desk\"\r\n\r\nfiles\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n")}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.server.URL+"/console/payout-files/answer", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	res, err := b.client.Do(r)
	if err == nil { // the server may hang up before it is read
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("answered %d", res.StatusCode)
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("uploads left %v, %v", left, err)
	}
}

// TestMessages: what feeds reported is listed with what was read of it; the text
// as it came is for those who run the works.
func TestMessages(t *testing.T) {
	t.Parallel()
	h := factory(t)
	const text = `Dear <script>alert(1)</script> Rahul Sharma, a/c XX7310 has Rs.500 from 9876543210`
	var items []feed.Item
	for i := range 60 {
		m := feed.Message{Raw: []byte(fmt.Sprint(text, i)), Sender: `"><script>alert(2)</script>`, Reading: feed.Reading{Kind: feed.Unparsed, Why: "no template reads it"}}
		m.Digest = [32]byte{byte(i), 1}
		items = append(items, feed.Item{Place: i, Message: &m})
	}
	if _, err := h.Desk.Ingest(t.Context(), h.Directory.Current().Feed("till"), items); err != nil {
		t.Fatal(err)
	}
	h.user("asha@example.com", staff.Grant{Role: staff.Operator})
	h.user("ravi@example.com", staff.Grant{Role: staff.Viewer})
	asha, ravi := h.browser().signIn("asha@example.com"), h.browser().signIn("ravi@example.com")
	found, err := h.Store.Inbox(t.Context(), "", 0, 1)
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	one := "/console/messages/" + strconv.FormatInt(found[0].ID, 10)
	asha.get(one).must(t, http.StatusOK, "9876543210")
	if got := ravi.get(one).must(t, http.StatusOK, "hidden from your role"); strings.Contains(got.body, "9876543210") {
		t.Error("a viewer sees whom it is from")
	}
	for _, path := range []string{"/console/inbox", "/console/inbox?feed=till", "/console/feeds/till", "/console/feeds", one} {
		got := asha.get(path).must(t, http.StatusOK, "")
		if strings.Contains(got.body, "<script>alert") {
			t.Errorf("%s runs a message", path)
		}
		if path != one && strings.Contains(got.body, "9876543210") {
			t.Errorf("%s lists numbers", path)
		}
	}
	for path, rows := range map[string]int{"/console/inbox": 50, "/console/feeds/till": 50} {
		got := asha.get(path)
		if n := strings.Count(got.body, "<tr><th scope=\"row\">"); n != rows {
			t.Errorf("%s shows %d", path, n)
		}
		_, rest, _ := strings.Cut(got.body, `href="`+path+`?`)
		query, _, _ := strings.Cut(rest, `"`)
		if n := strings.Count(asha.get(path+"?"+strings.ReplaceAll(query, "&amp;", "&")).body, "<tr><th scope=\"row\">"); n != 10 {
			t.Errorf("the second page of %s (%s) shows %d", path, query, n)
		}
	}
	asha.get("/console/inbox?after=x").must(t, http.StatusNotFound, "")
	asha.get("/console/messages/99999").must(t, http.StatusNotFound, "")
}

// TestPayByHand: approved by another, taken over, told paid; each by the right
// page, and none twice.
func TestPayByHand(t *testing.T) {
	t.Parallel()
	h := factory(t)
	h.user("asha@example.com", staff.Grant{Role: staff.Operator})
	h.user("ravi@example.com", staff.Grant{Role: staff.Viewer})
	b, ravi := h.browser().signIn("asha@example.com"), h.browser().signIn("ravi@example.com")
	w := h.withdraw("W1", "by_hand", 1000_00)
	page := fmt.Sprint("/console/payouts/", w.ID)
	b.get("/console/payouts").must(t, http.StatusOK, "To be approved").must(t, http.StatusOK, "Asha Rao")
	if got := ravi.get(page).must(t, http.StatusOK, "₹1,000.00"); strings.Contains(got.body, "123456789012") || strings.Contains(got.body, "Asha Rao") || strings.Contains(got.body, "/approve") {
		t.Error("a viewer sees who is paid, or can approve")
	}
	b.get(page).must(t, http.StatusOK, "123456789012")
	// That it was paid before anybody could is a doubt, which somebody clears.
	b.post(page+"/paid", "reference", "999").must(t, http.StatusUnprocessableEntity, "kept as contested")
	b.post(page+"/approve").must(t, http.StatusUnprocessableEntity, "is contested")
	b.get("/console/payouts?state=contested").must(t, http.StatusOK, "W1")
	b.get(page).must(t, http.StatusOK, "says that it was paid, while it was new")
	b.post(page+"/clear", "why", "a slip").leads(t, page)
	b.get("/console/payouts?state=contested").must(t, http.StatusOK, "Nothing is to be done")
	b.post(page+"/approve").leads(t, page)
	if w := h.stands(w.ID); w.State != payout.Approved || w.ApprovedBy != "user:asha@example.com" {
		t.Errorf("approved: %+v", w)
	}
	b.get(page+"/hand").must(t, http.StatusOK, "nobody else can take")
	b.post(page+"/hand", "wallet", "till").leads(t, page)
	b.post(page+"/hand", "wallet", "till").must(t, http.StatusUnprocessableEntity, "handed over already")
	b.get(page+"/paid").must(t, http.StatusOK, "booked as paid")
	b.post(page+"/paid", "reference", " ").must(t, http.StatusUnprocessableEntity, "fill in")
	b.post(page+"/paid", "reference", "307312345678").leads(t, page)
	if w := h.stands(w.ID); w.State != payout.Success || w.BankRef != "307312345678" {
		t.Errorf("paid: %+v", w)
	}
	h.audited("user:asha@example.com", "withdrawal.success", "")
	if got := b.get(page); strings.Contains(got.body, "123456789012") {
		t.Error("the account is shown when nobody has to type it any more")
	}
	// Rejected and failed ones give the money back.
	rejected, failed := h.withdraw("W2", "by_hand", 100_00), h.withdraw("W3", "by_hand", 200_00)
	b.post(fmt.Sprint("/console/payouts/", rejected.ID, "/reject"), "why", "double").leads(t, fmt.Sprint("/console/payouts/", rejected.ID))
	b.post("/console/payouts/approve", "id", fmt.Sprint(failed.ID), "id", fmt.Sprint(rejected.ID)).must(t, http.StatusUnprocessableEntity, "Nothing was done: it does not fit")
	if h.stands(rejected.ID).State != payout.Canceled || h.stands(failed.ID).State != payout.Approved {
		t.Errorf("they are %s and %s", h.stands(rejected.ID).State, h.stands(failed.ID).State)
	}
	b.post(fmt.Sprint("/console/payouts/", failed.ID, "/hand")).leads(t, fmt.Sprint("/console/payouts/", failed.ID))
	b.post(fmt.Sprint("/console/payouts/", failed.ID, "/failed"), "why", "account closed").leads(t, fmt.Sprint("/console/payouts/", failed.ID))
	if h.stands(failed.ID).State != payout.Failed {
		t.Errorf("it is %s", h.stands(failed.ID).State)
	}
	h.MustVerify()
}

// TestPayByFile: a file takes each withdrawal once, is there to be downloaded by
// those alone who may, and the bank's answer settles what it says for certain.
func TestPayByFile(t *testing.T) {
	t.Parallel()
	h := factory(t)
	h.user("asha@example.com", staff.Grant{Role: staff.Operator})
	h.user("ravi@example.com", staff.Grant{Role: staff.Viewer})
	b, ravi := h.browser().signIn("asha@example.com"), h.browser().signIn("ravi@example.com")
	one, two := h.withdraw("W1", "imps_ib", 1000_00), h.withdraw("W2", "imps_ib", 2000_00)
	b.post("/console/payout-files/make", "desk", "files", "wallet", "till").must(t, http.StatusUnprocessableEntity, "no approved withdrawal")
	b.post("/console/payouts/approve", "id", fmt.Sprint(one.ID), "id", fmt.Sprint(two.ID)).leads(t, "/console/payouts")
	b.get("/console/payout-files/make").must(t, http.StatusOK, "2 waiting")
	b.post("/console/payout-files/make", "desk", "portal", "wallet", "till").must(t, http.StatusUnprocessableEntity, "no such payout desk")
	b.post("/console/payout-files/make", "desk", "files", "wallet", "till", "ifsc", "x").must(t, http.StatusUnprocessableEntity, "no IFSC")
	b.post("/console/payout-files/make", "desk", "files", "wallet", "till", "ifsc", "HDFC0000002").must(t, http.StatusOK, "2 payouts of ₹3,000.00")
	b.post("/console/payout-files/make", "desk", "files", "wallet", "till", "ifsc", "HDFC0000002").must(t, http.StatusUnprocessableEntity, "no approved withdrawal")
	files, err := h.Store.PayoutFiles(t.Context(), 0, 10)
	if err != nil || len(files) != 1 || files[0].Orders != 2 || files[0].Total != 3000_00 {
		t.Fatal(files, err)
	}
	path := fmt.Sprint("/console/payout-files/", files[0].ID, "/download")
	got := b.get(path)
	if got.status != http.StatusOK || !strings.Contains(got.body, one.Reference()) || !strings.Contains(got.body, "123456789012") ||
		!strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment; filename=") {
		t.Errorf("the file is %d, %v: %s", got.status, got.header, got.body)
	}
	h.audited("user:asha@example.com", "payoutfile.downloaded", files[0].Name)
	ravi.get(path).must(t, http.StatusForbidden, "")
	b.get("/console/payout-files").must(t, http.StatusOK, files[0].Name)
	b.get("/console/payout-files/77777/download").must(t, http.StatusNotFound, "")

	report := func(orders ...string) string {
		var text strings.Builder
		for _, o := range orders {
			id, status, _ := strings.Cut(o, " ")
			fmt.Fprintf(&text, `<TxInfAndSts><OrgnlEndToEndId>%s</OrgnlEndToEndId><TxSts>%s</TxSts></TxInfAndSts>`, id, status)
		}
		return `<?xml version="1.0" encoding="UTF-8"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt><GrpHdr><MsgId>R1</MsgId><CreDtTm>2026-03-14T10:00:00</CreDtTm></GrpHdr>` +
			`<OrgnlGrpInfAndSts><OrgnlMsgId>B1</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId></OrgnlGrpInfAndSts><OrgnlPmtInfAndSts><OrgnlPmtInfId>P1</OrgnlPmtInfId>` +
			text.String() + `</OrgnlPmtInfAndSts></CstmrPmtStsRpt></Document>`
	}
	b.upload("/console/payout-files/answer", filePart{"desk", "", "files"}, filePart{"file", "a.xml", "<html>sorry</html>"}).must(t, http.StatusUnprocessableEntity, "cannot be read")
	b.upload("/console/payout-files/answer", filePart{"desk", "", "none"}, filePart{"file", "a.xml", "x"}).must(t, http.StatusUnprocessableEntity, "no such payout desk")
	b.upload("/console/payout-files/answer", filePart{"desk", "", "files"}, filePart{"file", "a.xml", report(one.Reference()+" ACSC", two.Reference()+" PDNG", "STRANGE1 ACSC")}).
		must(t, http.StatusOK, "1 of 3 are settled.")
	if h.stands(one.ID).State != payout.Success || h.stands(two.ID).State != payout.Processing {
		t.Errorf("they are %s and %s", h.stands(one.ID).State, h.stands(two.ID).State)
	}
	b.upload("/console/payout-files/answer", filePart{"desk", "", "files"}, filePart{"file", "a.xml", report(one.Reference() + " ACSC")}).must(t, http.StatusOK, "1 of 1 are settled.")
	h.MustVerify()
}

// secretOf reads the key that a page shows once.
func (a answer) secretOf() string {
	_, rest, _ := strings.Cut(a.body, `id="secret">`)
	key, _, _ := strings.Cut(rest, "<")
	return strings.ReplaceAll(key, "&#43;", "+")
}

// TestKeys: a key is shown once; the one before is good until the rotation is
// finished; no page shows a stored one.
func TestKeys(t *testing.T) {
	t.Parallel()
	h := factory(t)
	h.user("meera@shop.example", staff.Grant{Role: staff.MerchantDeveloper, Merchant: storetest.Shop})
	b := h.browser().signIn("meera@shop.example")
	shop := func() directory.MerchantSecrets { return h.Directory.Current().Merchant(storetest.Shop).Secrets }
	before := shop()
	cafe := h.Directory.Current().Merchant(storetest.Cafe).Secrets.PluginAPI[0]

	made := b.post("/console/merchants/shop/keys/plugin_api_secret/rotate").must(t, http.StatusOK, "never again").secretOf()
	if got := shop().PluginAPI; len(got) != 2 || got[0].Reveal() != made || got[1] != before.PluginAPI[0] || len(made) < 26 {
		t.Errorf("rotated to %d secrets", len(got))
	}
	b.get("/console/merchants/shop/keys").must(t, http.StatusOK, "The one before is good, too")
	b.post("/console/merchants/shop/keys/plugin_api_secret/finish").leads(t, "/console/merchants/shop/keys")
	if got := shop().PluginAPI; len(got) != 1 || got[0].Reveal() != made {
		t.Errorf("finished with %d secrets", len(got))
	}
	private := b.post("/console/merchants/shop/keys/private_key/rotate").must(t, http.StatusOK, "never again").secretOf()
	if got := shop(); got.PrivateKey.Reveal() != private || got.PrivateKeyPrevious != before.PrivateKey {
		t.Error("the private key is not rotated")
	}
	webhook := b.post("/console/merchants/shop/keys/webhook_secret/rotate").must(t, http.StatusOK, "never again").secretOf()
	if got := shop(); got.Webhook.Reveal() != webhook || got.WebhookPrevious.Reveal() != private || len(got.WebhookKeys()) != 2 || string(got.WebhookKeys()[1]) != private {
		t.Error("webhooks are not signed with both")
	}
	b.post("/console/merchants/shop/keys/withdrawal_private_key/rotate").must(t, http.StatusOK, "void from now on")
	b.post("/console/merchants/shop/keys/withdrawal_private_key/finish").must(t, http.StatusNotFound, "")
	b.post("/console/merchants/shop/keys/none/rotate").must(t, http.StatusNotFound, "")
	h.audited("user:meera@shop.example", "directory.changed", "plugin_api_secret")
	after := shop()
	if h.Directory.Current().Merchant(storetest.Cafe).Secrets.PluginAPI[0] != cafe || after.AccessKey != before.AccessKey {
		t.Error("other keys changed")
	}
	for _, page := range []string{"setup", "keys", "return-urls", "guide"} {
		got := b.get("/console/merchants/shop/"+page).must(t, http.StatusOK, "")
		for _, s := range []directory.Secret{after.PluginAPI[0], after.PrivateKey, after.PrivateKeyPrevious, after.Webhook, after.WithdrawalKey} {
			if strings.Contains(got.body, s.Reveal()) {
				t.Errorf("%s shows a stored key", page)
			}
		}
	}
	for _, line := range h.MustDump() {
		if strings.Contains(line, made) || strings.Contains(line, private) {
			t.Error("a key stands in the database as it is")
		}
	}
	// Without an address of postbacks there is nothing to have keys for.
	h.user("cafe@cafe.example", staff.Grant{Role: staff.MerchantAdmin, Merchant: storetest.Cafe})
	c := h.browser().signIn("cafe@cafe.example")
	c.post("/console/merchants/cafe/keys/private_key/rotate").must(t, http.StatusUnprocessableEntity, "address of postbacks first")
}

// TestSettings: forms of a merchant's settings change what they are for.
func TestSettings(t *testing.T) {
	t.Parallel()
	h := factory(t)
	h.user("meera@shop.example", staff.Grant{Role: staff.MerchantAdmin, Merchant: storetest.Shop})
	h.user("owner@example.com", owner)
	b, o := h.browser().signIn("meera@shop.example"), h.browser().signIn("owner@example.com")
	shop := func() *directory.Merchant { return h.Directory.Current().Merchant(storetest.Shop) }
	before := *shop()
	b.post("/console/merchants/shop/addresses", "postback_url", "https://shop.example/new", "redirect_urls", "7 = https://shop.example/thanks\n\n8=https://shop.example/sorry?a=b",
		"frame_ancestors", "https://shop.example", "allowed_ips", "203.0.113.0/24\n198.51.100.7").leads(t, "/console/merchants/shop/setup#addresses")
	m := shop()
	if m.PostbackURL != "https://shop.example/new" || m.RedirectURLs["8"] != "https://shop.example/sorry?a=b" || len(m.FrameAncestors) != 1 || len(m.AllowedIPs) != 2 {
		t.Errorf("set to %+v", m)
	}
	if m.Secrets.PrivateKey != before.Secrets.PrivateKey || m.Secrets.PluginAPI[0] != before.Secrets.PluginAPI[0] || m.AmountPolicy != before.AmountPolicy {
		t.Error("the form changed more")
	}
	for field, value := range map[string]string{
		"postback_url": "javascript:alert(1)", "redirect_urls": "x", "frame_ancestors": "https://shop.example/path", "allowed_ips": "everybody",
	} {
		b.post("/console/merchants/shop/addresses", field, value).must(t, http.StatusUnprocessableEntity, "")
	}
	if shop().PostbackURL != "https://shop.example/new" {
		t.Error("a form that is wrong in one thing changed another")
	}
	const logo = `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>`
	b.upload("/console/merchants/shop/look", filePart{"colour", "", "#0a6b4d"}, filePart{"logo", "logo.svg", logo}).leads(t, "/console/merchants/shop/setup#look")
	if shop().Look.Colour != "#0a6b4d" || !strings.HasPrefix(shop().Look.Logo, "data:image/svg+xml;base64,") {
		t.Errorf("the look is %+v", shop().Look)
	}
	if got := b.get("/console/merchants/shop/setup"); strings.Contains(got.body, "<script>alert") || !strings.Contains(got.body, `src="data:image/svg`) {
		t.Error("the logo is not shown as an image")
	}
	b.upload("/console/merchants/shop/look", filePart{"colour", "", "#0b6c4e"}).leads(t, "/console/merchants/shop/setup#look")
	if shop().Look.Logo == "" || shop().Look.Colour != "#0b6c4e" {
		t.Error("the colour took the logo away")
	}
	b.upload("/console/merchants/shop/look", filePart{"colour", "", "#ffff00"}).must(t, http.StatusUnprocessableEntity, "too light")
	b.upload("/console/merchants/shop/look", filePart{"colour", "", ""}, filePart{"logo", "x.html", "<html>"}).must(t, http.StatusUnprocessableEntity, "is no logo")
	b.upload("/console/merchants/shop/look", filePart{"colour", "", ""}, filePart{"nologo", "", "yes"}).leads(t, "/console/merchants/shop/setup#look")
	if shop().Look != (directory.Look{}) {
		t.Errorf("the look stays %+v", shop().Look)
	}
	o.post("/console/merchants/shop/terms", "name", "Shop & Söhne", "domain", "pay.shop.example", "timezone", "Asia/Dubai", "deposit_percent", "2.25", "deposit_fixed", "1.50",
		"withdrawal_fixed", "7", "amount_policy", "actual").leads(t, "/console/merchants/shop/setup#terms")
	if m := shop(); m.Name != "Shop & Söhne" || m.Fee.DepositPercent.String() != "2.25" || m.Fee.WithdrawalFixed != 7_00 || m.AmountPolicy != directory.PolicyActual || m.Domain != "pay.shop.example" {
		t.Errorf("the terms are %+v", m)
	}
	o.post("/console/merchants/shop/terms", "name", "Shop", "timezone", "Mars/Olympus", "amount_policy", "exact").must(t, http.StatusUnprocessableEntity, "time zone")
	o.post("/console/merchants/shop/methods", "method:upi_w", "off").leads(t, "/console/merchants/shop/setup#methods")
	if on, named := shop().Methods["upi_w"]; on || !named {
		t.Error("the method is on")
	}
	o.post("/console/merchants/shop/methods", "method:upi_w", "").leads(t, "/console/merchants/shop/setup#methods")
	if _, named := shop().Methods["upi_w"]; named {
		t.Error("the method has a switch of its own still")
	}
	h.audited("user:owner@example.com", "directory.changed", "fee.deposit_percent")
}

// TestWorksMassAssignment: a form's further fields are nobody's, least of all
// those that another role may set.
func TestWorksMassAssignment(t *testing.T) {
	t.Parallel()
	h := factory(t)
	h.user("meera@shop.example", staff.Grant{Role: staff.MerchantAdmin, Merchant: storetest.Shop})
	h.user("asha@example.com", staff.Grant{Role: staff.Operator})
	b, o := h.browser().signIn("meera@shop.example"), h.browser().signIn("asha@example.com")
	all := []string{
		"name", "Eve", "domain", "evil.example", "timezone", "UTC", "deposit_percent", "0", "deposit_fixed", "0", "withdrawal_fixed", "0", "amount_policy", "actual",
		"fee.deposit_percent", "0", "id", "cafe", "merchant", "cafe", "retired", "true", "plugin_api_secret", "mine", "private_key", "mine", "withdrawal_private_key", "mine",
		"methods", "x", "method:upi_w", "off", "enabled", "true", "vpa", "eve@upi", "account", "1", "merchants", "cafe", "method", "upi_w", "daily_limit", "1", "per_payment_max", "1",
	}
	before := h.Directory.Current()
	cafe, shop := *before.Merchant(storetest.Cafe), *before.Merchant(storetest.Shop)
	b.post("/console/merchants/shop/addresses", append(all, "postback_url", "https://shop.example/postback", "colour", "#000000")...).leads(t, "/console/merchants/shop/setup#addresses")
	b.post("/console/merchants/shop/look", append(all, "colour", "#0a6b4d", "postback_url", "https://evil.example/")...).leads(t, "/console/merchants/shop/setup#look")
	b.post("/console/merchants/shop/terms", all...).must(t, http.StatusNotFound, "")
	b.post("/console/merchants/shop/methods", all...).must(t, http.StatusNotFound, "")
	o.post("/console/merchants/shop/terms", all...).must(t, http.StatusNotFound, "")
	now := h.Directory.Current().Merchant(storetest.Shop)
	if now.Name != shop.Name || now.Domain != shop.Domain || now.Timezone != shop.Timezone || now.Fee != shop.Fee || now.AmountPolicy != shop.AmountPolicy || now.Retired ||
		len(now.Methods) > 0 || now.PostbackURL != shop.PostbackURL || now.Secrets.PluginAPI[0] != shop.Secrets.PluginAPI[0] || now.Secrets.PrivateKey != shop.Secrets.PrivateKey ||
		now.Secrets.WithdrawalKey != h.Directory.Current().Merchant(storetest.Shop).Secrets.WithdrawalKey {
		t.Errorf("the forms made %+v", now)
	}
	if got := h.Directory.Current().Merchant(storetest.Cafe); got.Name != cafe.Name || got.PostbackURL != cafe.PostbackURL {
		t.Error("another merchant changed")
	}
	till := *before.Wallet("till")
	o.post("/console/wallets/till/switch", append(all, "on", "no")...).leads(t, "/console/")
	if w := h.Directory.Current().Wallet("till"); w.VPA != till.VPA || w.Account != till.Account || !slices.Equal(w.Merchants, till.Merchants) || w.DailyLimit != till.DailyLimit || w.Enabled {
		t.Errorf("the switch made %+v", w)
	}
	w := h.withdraw("W1", "by_hand", 100_00)
	page := fmt.Sprint("/console/payouts/", w.ID)
	o.post(page+"/approve", "amount", "999999", "account", "666", "state", "success", "approved_by", "eve").leads(t, page)
	if got := h.stands(w.ID); got.Amount != w.Amount || got.Account != w.Account || got.State != payout.Approved || got.ApprovedBy != "user:asha@example.com" {
		t.Errorf("approving made %+v", got)
	}
}

// TestWorksIDOR: what is another merchant's, or the installation's, is not there
// for a merchant's people: each kind of object, by reading and by changing.
func TestWorksIDOR(t *testing.T) {
	t.Parallel()
	h := factory(t)
	w := h.withdraw("W1", "by_hand", 100_00)
	h.user("cafe@cafe.example", staff.Grant{Role: staff.MerchantAdmin, Merchant: storetest.Cafe})
	h.user("asha@example.com", staff.Grant{Role: staff.Operator})
	b, o := h.browser().signIn("cafe@cafe.example"), h.browser().signIn("asha@example.com")
	upload := o.upload("/console/statements/upload", filePart{"wallet", "", "till"}, filePart{"file", "march.csv", rowsOf(creditRow(1))})
	o.post(fmt.Sprint("/console/payouts/", w.ID, "/approve")).leads(t, fmt.Sprint("/console/payouts/", w.ID))
	before := h.Directory.Current().Version
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/console/merchants/shop", 404}, {"GET", "/console/merchants/shop/setup", 404}, {"GET", "/console/merchants/shop/keys", 404},
		{"GET", "/console/merchants/shop/links?label=1", 404}, {"GET", "/console/merchants/shop/return-urls", 404}, {"GET", "/console/merchants/shop/guide", 404},
		{"POST", "/console/merchants/shop/addresses", 404}, {"POST", "/console/merchants/shop/look", 404}, {"POST", "/console/merchants/shop/methods", 404},
		{"POST", "/console/merchants/shop/terms", 404}, {"POST", "/console/merchants/cafe/terms", 404}, {"POST", "/console/merchants/cafe/methods", 404},
		{"POST", "/console/merchants/shop/keys/plugin_api_secret/rotate", 404}, {"POST", "/console/merchants/shop/keys/private_key/finish", 404},
		{"POST", "/console/merchants/shop/return-urls", 404}, {"POST", "/console/merchants/shop/test-postback", 404},
		{"GET", "/console/wallets", 403}, {"GET", "/console/wallets/till", 403}, {"GET", "/console/wallets/bar", 403}, {"POST", "/console/wallets/bar", 403},
		{"POST", "/console/wallets/bar/switch", 403}, {"GET", "/console/methods/upi_l", 403}, {"POST", "/console/methods/upi_l", 403}, {"POST", "/console/methods/upi_l/switch", 403},
		{"GET", "/console/feeds", 403}, {"GET", "/console/feeds/bar", 403}, {"GET", "/console/inbox", 403}, {"GET", "/console/messages/1", 403},
		{"GET", "/console/statements", 403}, {"GET", upload.to, 403}, {"GET", "/console/statements/upload", 403}, {"POST", "/console/statements/upload", 403},
		{"GET", "/console/payouts", 403}, {"GET", fmt.Sprint("/console/payouts/", w.ID), 403}, {"POST", fmt.Sprint("/console/payouts/", w.ID, "/paid"), 403},
		{"POST", fmt.Sprint("/console/payouts/", w.ID, "/hand"), 403}, {"POST", "/console/payouts/approve", 403}, {"GET", "/console/payout-files", 403},
		{"POST", "/console/payout-files/make", 403}, {"GET", "/console/payout-files/1/download", 403}, {"POST", "/console/payout-files/answer", 403},
	} {
		got := b.send(tt.method, tt.path, url.Values{"on": {"no"}, "id": {fmt.Sprint(w.ID)}, "reference": {"1"}, "kind": {"success"}, "url": {"https://evil.example/"}, "desk": {"files"}, "wallet": {"till"}})
		if got.status != tt.want {
			t.Errorf("%s %s is answered %d, want %d", tt.method, tt.path, got.status, tt.want)
		}
		if strings.Contains(got.text(), "Asha Rao") || strings.Contains(got.body, "private-key-of-shop") || strings.Contains(got.body, "shop.example") {
			t.Errorf("%s %s tells of another's", tt.method, tt.path)
		}
	}
	if got := b.get("/console/merchants").must(t, http.StatusOK, "Café"); strings.Contains(got.body, "/merchants/shop") {
		t.Error("another merchant is listed")
	}
	if h.Directory.Current().Version != before || h.stands(w.ID).State != payout.Approved {
		t.Error("something changed")
	}
}

// TestLinks: payment links open, end when they are said to, and return URLs are
// signed as the window checks them.
func TestLinks(t *testing.T) {
	t.Parallel()
	h := factory(t)
	h.user("meera@shop.example", staff.Grant{Role: staff.MerchantAdmin, Merchant: storetest.Shop})
	b := h.browser().signIn("meera@shop.example")
	got := b.get("/console/merchants/shop/links?label=55&amount=1,499.5&order=A-1&method=upi_l&hours=24").must(t, http.StatusOK, "It opens until")
	got.must(t, http.StatusOK, "fixed_amount=1499.50").must(t, http.StatusOK, "merchant=shop").must(t, http.StatusOK, fmt.Sprint("expires_at=", h.Clock.Now().Add(24*time.Hour).Unix()))
	if !strings.Contains(got.body, "<svg") {
		t.Error("there is no QR code")
	}
	for _, query := range []string{"label=", "label=5&amount=-1", "label=5&method=none", "label=5&hours=7", "label=5&lang=xx", "label=" + strings.Repeat("x", 200)} {
		b.get("/console/merchants/shop/links?"+query).must(t, http.StatusUnprocessableEntity, "")
	}
	hostile := b.get("/console/merchants/shop/links?label="+url.QueryEscape(`"><script>alert(1)</script>`)).must(t, http.StatusOK, "")
	if strings.Contains(hostile.body, "<script>alert") {
		t.Error("a label is run")
	}
	b.post("/console/merchants/shop/return-urls", "url", "https://shop.example/ok", "kind", "success", "label", "55", "order", "A-1").must(t, http.StatusOK, "success_url")
	for _, target := range []string{"http://shop.example/", "javascript:alert(1)", "https://u:p@shop.example/", ""} {
		b.post("/console/merchants/shop/return-urls", "url", target, "kind", "success").must(t, http.StatusUnprocessableEntity, "https")
	}
	b.post("/console/merchants/shop/return-urls", "url", "https://shop.example/", "kind", "other").must(t, http.StatusUnprocessableEntity, "not in order")
	b.get("/console/merchants/shop/guide").must(t, http.StatusOK, "custom_transaction_id=order-1001").must(t, http.StatusOK, "access-key-of-shop")
}

// TestTestPostback: a test is sent, signed, and what the shop says is shown as
// text.
func TestTestPostback(t *testing.T) {
	t.Parallel()
	h := factory(t)
	shop := http.NewServeMux()
	shop.HandleFunc("POST /ok", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("webhook-signature") == "" {
			t.Error("the test is not signed")
		}
		_, _ = io.WriteString(w, `{"status":"ok","x":"<script>alert(1)</script>"}`)
	})
	shop.HandleFunc("POST /no", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	server := newShop(t, shop)
	h.user("meera@shop.example", staff.Grant{Role: staff.MerchantAdmin, Merchant: storetest.Shop})
	b := h.browser().signIn("meera@shop.example")
	for path, want := range map[string]string{"/ok": "Delivered", "/no": "Not delivered"} {
		b.post("/console/merchants/shop/addresses", "postback_url", server+path).leads(t, "/console/merchants/shop/setup#addresses")
		got := b.post("/console/merchants/shop/test-postback").must(t, http.StatusOK, want)
		if strings.Contains(got.body, "<script>alert") {
			t.Error("an answer is run")
		}
	}
	h.audited("user:meera@shop.example", "postback.tested", "merchant shop")
	h.user("cafe@cafe.example", staff.Grant{Role: staff.MerchantAdmin, Merchant: storetest.Cafe})
	h.browser().signIn("cafe@cafe.example").post("/console/merchants/cafe/test-postback").must(t, http.StatusUnprocessableEntity, "")
}

func newShop(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// workbook is one of some kilobytes that unpacks to so many megabytes.
func workbook(t *testing.T, megabytes int) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	for name, text := range map[string]string{
		"[Content_Types].xml":        `<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>`,
		"_rels/.rels":                `<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
		"xl/workbook.xml":            `<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="a" sheetId="1" r:id="rId1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": `<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`,
	} {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w, err := z.Create("xl/worksheets/sheet1.xml")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>`)
	zeros := make([]byte, 1<<20)
	for i := range zeros {
		zeros[i] = ' '
	}
	for range megabytes {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
