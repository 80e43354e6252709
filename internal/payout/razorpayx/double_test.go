package razorpayx_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/razorpayx"
	"github.com/milaan/milaan/money"
)

const (
	keyID, keySecret = "rzp_test_key", "secret of the tests"
	debitAccount     = "7878780012345678"
)

// fault is what goes wrong with one request.
type fault string

const (
	fine          fault = ""
	dropBefore    fault = "dropped before it was read"
	dropAfter     fault = "dropped after it was carried out"
	errorBefore   fault = "500 before"
	errorAfter    fault = "500 after"
	garbageAfter  fault = "answered with half a body"
	htmlAfter     fault = "answered with a page, 200"
	late          fault = "carried out within the hour, 504 now"
	tooMany       fault = "429"
	unauthorized  fault = "401"
	forbidden     fault = "403"
	redirected    fault = "302"
	foreign       fault = "answered with another payout"
	undocumented  fault = "answered with another status"
	contradiction fault = "answered failed, as processed"
	twice         fault = "answered with a status that stands twice"
	otherAccount  fault = "answered with a payout to another account"
	otherBank     fault = "answered with another bank account"
	inactive      fault = "answered with one that is inactive"
	unfiltered    fault = "answered with a list of other payouts"
	timeoutAfter  fault = "carried out, and timed out" // made by the transport
)

var faults = []fault{fine, dropBefore, dropAfter, errorBefore, errorAfter, garbageAfter, htmlAfter, late, tooMany, unauthorized,
	forbidden, redirected, foreign, undocumented, contradiction, twice, otherAccount, otherBank, inactive, unfiltered, timeoutAfter}

// lateBy is how late a late request is carried out. With the longest lag, its
// payout shows within the hour.
const lateBy = 25 * time.Minute

type object = map[string]any

// doublePayout is a payout of the double.
type doublePayout struct {
	object
	visible time.Time // in lists, from then on
}

func (p *doublePayout) status() string { return p.object["status"].(string) } //nolint:errcheck // the double's own

// keyed is what the double keeps of an idempotency key.
type keyed struct {
	body   [sha256.Size]byte
	payout *doublePayout // nil while its request is late
	at     time.Time
}

// lateRequest is one that will be carried out.
type lateRequest struct {
	at   time.Time
	key  string
	body []byte
}

// double is RazorpayX as its documentation tells of it.
type double struct {
	*httptest.Server
	mu       sync.Mutex
	now      time.Time
	next     []fault // of the next requests, in their order
	contacts map[string]object
	accounts map[string]object
	payouts  []*doublePayout
	keys     map[string]*keyed
	late     []lateRequest
	lag      time.Duration // until a payout shows in lists
	broke    bool          // no balance
	status   string        // of new payouts
	requests int
	headers  []http.Header // of payouts that were asked for
}

func newDouble(tb testing.TB) *double {
	tb.Helper()
	d := &double{
		now:      time.Date(2026, 5, 4, 4, 50, 30, 0, time.UTC),
		contacts: map[string]object{}, accounts: map[string]object{}, keys: map[string]*keyed{}, status: "processing",
	}
	d.Server = httptest.NewServer(http.HandlerFunc(d.serve))
	tb.Cleanup(d.Close)
	return d
}

func (d *double) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// advance moves the clock and carries out what was late.
func (d *double) advance(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	end := d.now.Add(by)
	waiting := d.late
	d.late = nil
	for _, r := range waiting {
		if r.at.After(end) {
			d.late = append(d.late, r)
			continue
		}
		d.now = r.at
		d.create(r.key, r.body)
	}
	d.now = end
}

func (d *double) fail(list ...fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next = append(d.next, list...)
}

func (d *double) calm() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next = nil
}

// of are the payouts of a reference, and whether one may still come.
func (d *double) of(reference string) (list []*doublePayout, coming bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.payouts {
		if p.object["reference_id"] == reference {
			list = append(list, p)
		}
	}
	for _, r := range d.late {
		coming = coming || strings.Contains(string(r.body), `"`+reference+`"`)
	}
	return list, coming
}

// turn gives a reference's payout another status.
func (d *double) turn(reference, status, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.payouts {
		if p.object["reference_id"] == reference {
			p.object["status"] = status
			p.object["status_details"] = object{"reason": reason, "source": "beneficiary_bank", "description": "In words, to " + someName}
			if status == "processed" {
				p.object["utr"] = "612345678901"
			}
		}
	}
}

func (d *double) take() fault {
	d.requests++
	if len(d.next) == 0 {
		return fine
	}
	f := d.next[0]
	d.next = d.next[1:]
	return f
}

func (d *double) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	f := d.take()
	status, answer := d.carryOut(r, body, f)
	d.mu.Unlock()
	switch f {
	case dropBefore, dropAfter:
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
		return
	case redirected:
		w.Header().Set("Location", "/elsewhere")
	case tooMany:
		w.Header().Set("Retry-After", "17")
	default:
	}
	text, _ := json.Marshal(answer)
	switch {
	case f == garbageAfter && status == http.StatusOK:
		text = text[:len(text)/2]
	case f == htmlAfter && status == http.StatusOK:
		text = []byte("<html>" + someName + " " + someAccount + "</html>")
	case f == twice && status == http.StatusOK:
		text = []byte(strings.Replace(string(text), `"status":`, `"status":"failed","status":`, 1))
		text = []byte(strings.Replace(string(text), `"active":`, `"active":true,"active":`, 1))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

func refuse(description, reason, field string) (int, object) {
	return http.StatusBadRequest, object{"error": object{
		"code": "BAD_REQUEST_ERROR", "description": description, "source": "business", "step": nil, "reason": reason, "metadata": object{}, "field": field,
	}}
}

func (d *double) carryOut(r *http.Request, body []byte, f fault) (int, object) {
	id, secret, _ := r.BasicAuth()
	switch {
	case f == dropBefore:
		return 0, nil
	case f == errorBefore:
		return http.StatusInternalServerError, object{"error": object{"code": "SERVER_ERROR", "description": "We are facing some trouble"}}
	case f == tooMany:
		return http.StatusTooManyRequests, object{"error": object{"code": "BAD_REQUEST_ERROR", "description": "Too many requests"}}
	case f == unauthorized || id != keyID || secret != keySecret:
		return http.StatusUnauthorized, object{"error": object{"code": "BAD_REQUEST_AUTHENTICATION_ERROR", "reason": "authentication_failed"}}
	case f == forbidden:
		return http.StatusForbidden, object{"error": object{"code": "BAD_REQUEST_ERROR", "description": "Transactions from this IP are not allowed. Contact support for help."}}
	case f == redirected:
		return http.StatusFound, object{}
	}
	var status int
	var answer object
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/v1/contacts":
		status, answer = d.contact(body)
	case r.Method == http.MethodPost && r.URL.Path == "/v1/fund_accounts":
		status, answer = d.fundAccount(body)
	case r.Method == http.MethodPost && r.URL.Path == "/v1/payouts":
		d.headers = append(d.headers, r.Header.Clone())
		key := r.Header.Get("X-Payout-Idempotency")
		if f == late {
			if d.keys[key] == nil {
				d.keys[key] = &keyed{body: sha256.Sum256(body), at: d.now}
			}
			d.late = append(d.late, lateRequest{d.now.Add(lateBy), key, body})
			return http.StatusGatewayTimeout, object{}
		}
		status, answer = d.pay(key, body)
	case r.Method == http.MethodGet && r.URL.Path == "/v1/payouts":
		status, answer = d.list(r, f)
	case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v1/payouts/"):
		status, answer = refuse("The id provided does not exist", "input_validation_failed", "")
		for _, p := range d.payouts {
			if "/v1/payouts/"+p.object["id"].(string) == r.URL.Path { //nolint:errcheck // the double's own
				status, answer = http.StatusOK, p.object
			}
		}
	default:
		return http.StatusNotFound, object{"error": object{"code": "BAD_REQUEST_ERROR", "description": "The requested URL was not found on the server."}}
	}
	return distort(f, status, answer)
}

// distort makes a sound answer a wrong one.
func distort(f fault, status int, answer object) (int, object) {
	if f == errorAfter || f == late {
		return http.StatusBadGateway, object{}
	}
	if status != http.StatusOK {
		return status, answer
	}
	out := maps.Clone(answer)
	switch {
	case f == inactive && out["active"] == true:
		out["active"] = false
	case f == otherBank && out["entity"] == "fund_account":
		out["bank_account"] = object{"name": someName, "ifsc": "HDFC0000053", "account_number": "9" + someAccount[1:]}
	}
	if out["entity"] != "payout" {
		return status, out
	}
	switch f {
	case otherAccount:
		out["fund_account_id"] = "fa_Other"
	case foreign:
		out["reference_id"], out["status"] = "MLPOTHER", "failed"
	case undocumented:
		out["status"] = "on_hold"
	case contradiction:
		out["status"], out["status_details"] = "failed", object{"reason": "payout_processed"}
	default:
	}
	return status, out
}

var validName = regexp.MustCompile(`^[A-Za-z0-9 '_/().\-]*[A-Za-z0-9.]$`)

func (d *double) contact(body []byte) (int, object) {
	var in struct{ Name, Type string }
	if json.Unmarshal(body, &in) != nil || len(in.Name) < 3 || len(in.Name) > 50 || !validName.MatchString(in.Name) {
		return refuse("The name field is invalid: "+in.Name, "input_validation_failed", "name")
	}
	c := d.contacts[string(body)]
	if c == nil {
		c = object{"id": fmt.Sprintf("cont_%014d", len(d.contacts)+1), "entity": "contact", "name": in.Name, "type": in.Type, "active": true, "reference_id": nil}
		d.contacts[string(body)] = c
	}
	return http.StatusOK, c
}

func (d *double) fundAccount(body []byte) (int, object) {
	var in struct {
		Contact string `json:"contact_id"`
		Type    string `json:"account_type"`
		Bank    struct {
			Name   string `json:"name"`
			IFSC   string `json:"ifsc"`
			Number string `json:"account_number"`
		} `json:"bank_account"`
	}
	if json.Unmarshal(body, &in) != nil || in.Type != "bank_account" || len(in.Bank.IFSC) != 11 || strings.HasPrefix(in.Bank.IFSC, "XXXX") {
		return refuse("Invalid IFSC Code in Bank Account of "+in.Bank.Number, "input_validation_failed", "ifsc")
	}
	a := d.accounts[string(body)]
	if a == nil {
		a = object{"id": fmt.Sprintf("fa_%014d", len(d.accounts)+1), "entity": "fund_account", "contact_id": in.Contact, "account_type": in.Type, "active": true,
			"bank_account": object{"name": in.Bank.Name, "ifsc": in.Bank.IFSC, "account_number": in.Bank.Number, "bank_name": "A Bank", "notes": []any{}}}
		d.accounts[string(body)] = a
	}
	return http.StatusOK, a
}

func (d *double) pay(key string, body []byte) (int, object) {
	if key == "" {
		return refuse("Idempotency key is missing. Include idempotency header and key in the request.", "null", "X-Payout-Idempotency")
	}
	known := d.keys[key]
	if known != nil && d.now.Sub(known.at) <= 7*24*time.Hour {
		switch {
		case known.body != sha256.Sum256(body):
			return refuse("Different request body sent for the same Idempotency Header", "input_validation_failed", "")
		case known.payout == nil:
			// Not documented; the worst that could be said.
			return refuse("The request was not accepted", "input_validation_failed", "")
		}
		return http.StatusOK, known.payout.object
	}
	return d.create(key, body)
}

// create makes a payout, unless the key has one.
func (d *double) create(key string, body []byte) (int, object) {
	known := d.keys[key]
	if known != nil && known.payout != nil && d.now.Sub(known.at) <= 7*24*time.Hour {
		return http.StatusOK, known.payout.object
	}
	var in object
	_ = json.Unmarshal(body, &in)
	amount, _ := in["amount"].(float64) //nolint:forbidigo // JSON
	switch {
	case in["account_number"] != debitAccount:
		return refuse("The account number field is invalid", "input_validation_failed", "account_number")
	case amount < 100 || amount > 500_000_00:
		return refuse("IMPS amount is out of bounds", "input_validation_failed", "amount")
	case in["currency"] != "INR" || in["mode"] != "IMPS" || in["queue_if_low_balance"] != false:
		return refuse("The request is invalid", "input_validation_failed", "mode")
	case d.broke:
		delete(d.keys, key)
		return refuse("Your account does not have enough balance to carry out the payout operation.", "insufficient_funds", "")
	}
	p := &doublePayout{visible: d.now.Add(d.lag), object: object{
		"id": fmt.Sprintf("pout_%014d", len(d.payouts)+1), "entity": "payout", "fund_account_id": in["fund_account_id"],
		"amount": int64(amount), "currency": in["currency"], "notes": []any{}, "fees": 590, "tax": 90, "status": d.status, "purpose": in["purpose"],
		"utr": nil, "mode": in["mode"], "reference_id": in["reference_id"], "narration": in["narration"], "batch_id": nil, "fee_type": nil,
		"status_details": nil, "created_at": d.now.Unix(),
	}}
	d.payouts = append(d.payouts, p)
	if known == nil || known.payout != nil {
		known = &keyed{body: sha256.Sum256(body), at: d.now}
		d.keys[key] = known
	}
	known.payout = p
	return http.StatusOK, p.object
}

func (d *double) list(r *http.Request, f fault) (int, object) {
	if r.URL.Query().Get("account_number") != debitAccount {
		return refuse("The account number field is required", "input_validation_failed", "account_number")
	}
	items := []object{}
	for _, p := range d.payouts {
		if p.object["reference_id"] == r.URL.Query().Get("reference_id") && !p.visible.After(d.now) {
			items = append(items, p.object)
		}
	}
	if f == unfiltered {
		items = []object{{"id": "pout_0", "entity": "payout", "status": "failed", "reference_id": "MLPOTHER"}}
	}
	return http.StatusOK, object{"entity": "collection", "count": len(items), "items": items}
}

// transport loses answers as a time-out would.
type transport struct {
	d *double
}

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.d.mu.Lock()
	lose := len(t.d.next) > 0 && t.d.next[0] == timeoutAfter
	t.d.mu.Unlock()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && lose {
		resp.Body.Close()
		return nil, fmt.Errorf("time-out awaiting %s", "headers")
	}
	return resp, err
}

const (
	someName    = "Asha Rangaswamy"
	someAccount = "004512345678901"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (d *double) provider(tb testing.TB) *razorpayx.Provider {
	tb.Helper()
	return d.through(tb, transport{d}.RoundTrip)
}

// through is a provider that goes out another way.
func (d *double) through(tb testing.TB, f roundTrip) *razorpayx.Provider {
	tb.Helper()
	p, err := razorpayx.New(razorpayx.Config{
		BaseURL: d.URL, KeyID: keyID, KeySecret: keySecret, Account: debitAccount, Label: "Acme", Transport: f, Now: d.clock,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// order is one that is first sent a moment after now.
func (d *double) order(n int) payout.Order {
	d.advance(time.Millisecond)
	return payout.Order{
		Reference:   "MLP" + strings.ToUpper(strconv.FormatInt(int64(n), 36)),
		Beneficiary: payout.Beneficiary{Account: someAccount, Name: someName, IFSC: "HDFC0000053"},
		Amount:      money.Paise(100_00 + n), Currency: money.INR, At: d.clock(), Wallet: "main",
	}
}
