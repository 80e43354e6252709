package apply_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/directory"
)

// TestReports: addresses are kept, changed and taken back by the file.
func TestReports(t *testing.T) {
	t.Parallel()
	m := newMemory()
	const file = "merchants:\n- id: shop\n  reports: {daily: [accounts@shop.example, asha@ca.example], monthly: [asha@ca.example]}\n"
	m.mustApply(t, file)
	want := directory.Reports{Daily: []string{"accounts@shop.example", "asha@ca.example"}, Monthly: []string{"asha@ca.example"}}
	if got := m.snapshot(t).Merchant("shop").Reports; !reflect.DeepEqual(got, want) {
		t.Errorf("kept %+v", got)
	}
	if plan, err := apply.Run(t.Context(), m, mustParse(t, strings.Replace(file, "accounts@shop.example, ", "", 1)), apply.Options{Now: func() time.Time { return noon }}); err != nil ||
		printed(t, plan) != "~ merchant shop: reports.daily accounts@shop.example asha@ca.example → asha@ca.example\n" {
		t.Errorf("one address less gives %v, %v", plan, err)
	}
	for text, wrong := range map[string]string{
		"{daily: [shop]}":                                 "is no e-mail address",
		"{daily: ['Shop <a@shop.example>']}":              "is no e-mail address",
		`{daily: ["a@b.example\nBcc: x@y"]}`:              "",
		"{monthly: [a@b.example, a@b.example]}":           "twice",
		"{weekly: [a@b.example]}":                         "weekly",
		"{daily: [a@b.example, " + manyAddresses() + "]}": "one too many",
	} {
		if _, err := apply.Parse("shop.yaml", []byte("merchants:\n- id: shop\n  reports: "+text+"\n")); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%s: %v, want %q", text, err, wrong)
		}
	}
}

func manyAddresses() string {
	list := make([]string, 20)
	for i := range list {
		list[i] = string(rune('a'+i)) + "@many.example"
	}
	return strings.Join(list, ", ")
}
