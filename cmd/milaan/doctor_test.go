package main

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/doctor"
)

// TestDoctor examines real installations: one that is not there, one that is
// empty, and one with a shop.
func TestDoctor(t *testing.T) {
	t.Parallel()
	shop := httptest.NewServer(nil)
	defer shop.Close()
	dir := t.TempDir()
	database := filepath.Join(dir, "milaan.db")
	examine := func(flags ...string) (int, doctor.Report) {
		t.Helper()
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"doctor", "--json", "--database-url", "sqlite://" + database}, flags...), &out, &errs)
		var report doctor.Report
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			t.Fatalf("%v: %s%s", err, out.String(), errs.String())
		}
		return code, report
	}
	code, report := examine()
	if _, err := os.Stat(database); err == nil {
		t.Error("looking made a database")
	}
	if code != exitFailed || !has(report, "database", doctor.Fail, "there is none") {
		t.Errorf("nothing there: exit code %d, %+v", code, report)
	}
	file := filepath.Join(dir, "shop.yaml")
	if err := os.WriteFile(file, []byte(`
merchants:
  - {id: shop, name: Sample shop, domain: shop.localhost, plugin_api_secret: s3cret, withdrawal_private_key: wkey, postback: {url: `+shop.URL+`, access_key: AK, private_key: PK}}
wallets:
  - {id: w1, method: upi_l, vpa: test@upi, name: Test Traders, merchants: [shop]}
feeds:
  - {id: bank1, kind: json, wallet: w1, token: feedtoken}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"apply", file, "--database-url", "sqlite://" + database}, &out, &errs); code != exitDone {
		t.Fatal(errs.String())
	}
	code, report = examine("--allow-private-targets", "true", "--clock", shop.URL)
	if code != exitDone || report.Worst != doctor.Warn || !has(report, "postbacks", doctor.OK, "reached") || !has(report, "feeds", doctor.Warn, "Nothing has come") ||
		!has(report, "database", doctor.OK, "journal wal") || !has(report, "dns", doctor.OK, "this machine") || !has(report, "clock", doctor.OK, "agree") {
		t.Errorf("a shop: exit code %d, %+v", code, report)
	}
	// The same rules as for postbacks: no way into one's own network.
	code, report = examine()
	if code != exitFailed || !has(report, "postbacks", doctor.Fail, "refused for safety") {
		t.Errorf("a shop on loopback: exit code %d, %+v", code, report)
	}
	code, report = examine("--log-format", "xml")
	if code != exitFailed || !has(report, "configuration", doctor.Fail, "log_format") {
		t.Errorf("a wrong setting: exit code %d, %+v", code, report)
	}
}

func has(report doctor.Report, check string, level doctor.Level, says string) bool {
	for _, f := range report.Findings {
		if f.Check == check && f.Level == level && strings.Contains(f.Says, says) {
			return true
		}
	}
	return false
}
