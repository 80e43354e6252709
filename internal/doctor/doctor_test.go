package doctor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/doctor"
	"github.com/milaan/milaan/internal/feed/health"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/internal/store/records"
)

var now = time.Date(2026, 1, 2, 9, 30, 0, 0, time.UTC)

// sound is an installation with which nothing is wrong.
func sound(t *testing.T) *doctor.Surroundings {
	t.Helper()
	config := server.DefaultConfig()
	config.SecretKey = "a passphrase of more than thirty-two bytes"
	config.NoticeWebhookURL = "https://example.com/notices"
	return &doctor.Surroundings{
		Config: config, Now: func() time.Time { return now }, Client: http.DefaultClient,
		Condition: func(context.Context) (records.Condition, error) {
			return records.Condition{Engine: "PostgreSQL 17", Schema: 15, Wanted: 15, Journal: "synchronous_commit on", Clock: now, Size: 1 << 20, Free: -1}, nil
		},
		Books: func(context.Context) (*doctor.Books, error) {
			return &doctor.Books{
				Hosts: []string{"api.shop.example"}, Feeds: []health.Health{{Feed: "bank1", State: health.Good, LastAt: now}},
				Endpoints: []doctor.Endpoint{{Name: "merchant shop", URL: "https://shop.example/postback"}},
			}, nil
		},
		Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("203.0.113.7")}, nil
		},
		Handshake: func(context.Context, string) (time.Time, error) { return now.AddDate(0, 0, 60), nil },
		Reach:     func(context.Context, string) error { return nil },
	}
}

func condition(change func(*records.Condition)) func(*doctor.Surroundings) {
	return func(s *doctor.Surroundings) {
		before := s.Condition
		s.Condition = func(ctx context.Context) (records.Condition, error) {
			c, err := before(ctx)
			change(&c)
			return c, err
		}
	}
}

func books(change func(*doctor.Books)) func(*doctor.Surroundings) {
	return func(s *doctor.Surroundings) {
		before := s.Books
		s.Books = func(ctx context.Context) (*doctor.Books, error) {
			b, err := before(ctx)
			change(b)
			return b, err
		}
	}
}

func TestNothingWrong(t *testing.T) {
	t.Parallel()
	report := doctor.Examine(t.Context(), sound(t))
	if report.Worst != doctor.OK {
		t.Errorf("found %+v", report)
	}
	checks := make(map[string]bool)
	for _, f := range report.Findings {
		checks[f.Check] = true
		if f.Fix != "" || f.Says == "" {
			t.Errorf("%+v", f)
		}
	}
	for _, check := range []string{"configuration", "key", "database", "clock", "dns", "tls", "feeds", "postbacks"} {
		if !checks[check] {
			t.Errorf("%s was not checked", check)
		}
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*doctor.Surroundings)
		check  string
		level  doctor.Level
		says   string
	}{
		{"private targets", func(s *doctor.Surroundings) { s.Config.AllowPrivateTargets = true }, "configuration", doctor.Warn, "private"},
		{"metrics for all", func(s *doctor.Surroundings) { s.Config.AdminListen = ":9090" }, "configuration", doctor.Warn, "profiles"},
		{"in the clear", func(s *doctor.Surroundings) { s.Config.Listen = "0.0.0.0:8080" }, "configuration", doctor.Warn, "without TLS"},
		{"nobody told", func(s *doctor.Surroundings) { s.Config.NoticeWebhookURL = "" }, "configuration", doctor.Warn, "nobody"},
		{"no key on PostgreSQL", func(s *doctor.Surroundings) { s.Config.SecretKey, s.KeyFile = "", filepath.Join(t.TempDir(), "none") }, "key", doctor.Fail, "there is none"},
		{"no database", func(s *doctor.Surroundings) {
			s.Condition = func(context.Context) (records.Condition, error) { return records.Condition{}, fs.ErrNotExist }
		}, "database", doctor.Fail, "there is none"},
		{"database away", func(s *doctor.Surroundings) {
			s.Condition = func(context.Context) (records.Condition, error) {
				return records.Condition{}, errors.New("connection refused")
			}
		}, "database", doctor.Fail, "connection refused"},
		{"not migrated", condition(func(c *records.Condition) { c.Schema = 14 }), "database", doctor.Fail, "needs 15"},
		{"migrated by a newer one", condition(func(c *records.Condition) { c.Schema = 16 }), "database", doctor.Fail, "knows 15"},
		{"unsafe", condition(func(c *records.Condition) { c.Unsafe = []string{"fsync is off"} }), "database", doctor.Fail, "fsync"},
		{"standby", condition(func(c *records.Condition) { c.ReadOnly = true }), "database", doctor.Fail, "written"},
		{"disk nearly full", condition(func(c *records.Condition) { c.Free = 100 << 20 }), "database", doctor.Fail, "100 MiB"},
		{"disk filling", condition(func(c *records.Condition) { c.Free = 2 << 30 }), "database", doctor.Warn, "2 GiB"},
		{"clock a little ahead", condition(func(c *records.Condition) { c.Clock = now.Add(-5 * time.Second) }), "clock", doctor.Warn, "5s ahead"},
		{"clock far behind", condition(func(c *records.Condition) { c.Clock = now.Add(2 * time.Minute) }), "clock", doctor.Fail, "2m0s behind"},
		{"no clock", condition(func(c *records.Condition) { c.Clock = time.Time{} }), "clock", doctor.Warn, "nothing to compare"},
		{"another key's books", func(s *doctor.Surroundings) {
			s.Books = func(context.Context) (*doctor.Books, error) { return nil, errors.New("wrong key") }
		}, "database", doctor.Fail, "wrong key"},
		{"no hosts", books(func(b *doctor.Books) { b.Hosts = nil }), "dns", doctor.Warn, "domain"},
		{"no address", func(s *doctor.Surroundings) {
			s.Resolve = func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no such host") }
		}, "dns", doctor.Fail, "no such host"},
		{"inner address", func(s *doctor.Surroundings) {
			s.Resolve = func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("10.0.0.7")}, nil
			}
		}, "dns", doctor.Warn, "10.0.0.7"},
		{"certificate away", func(s *doctor.Surroundings) {
			s.Handshake = func(context.Context, string) (time.Time, error) { return time.Time{}, errors.New("expired") }
		}, "tls", doctor.Fail, "expired"},
		{"certificate not renewed", func(s *doctor.Surroundings) {
			s.Handshake = func(context.Context, string) (time.Time, error) { return now.AddDate(0, 0, 10), nil }
		}, "tls", doctor.Warn, "10 days"},
		{"certificate about to end", func(s *doctor.Surroundings) {
			s.Handshake = func(context.Context, string) (time.Time, error) { return now.AddDate(0, 0, 2), nil }
		}, "tls", doctor.Fail, "2 days"},
		{"no feeds", books(func(b *doctor.Books) { b.Feeds = nil }), "feeds", doctor.Warn, "none"},
		{"silent feed", books(func(b *doctor.Books) {
			b.Feeds[0].Findings = []health.Finding{{Code: health.Silent, Severity: health.Critical, Text: "Nothing has come for 3 h."}}
		}), "feeds", doctor.Fail, "3 h"},
		{"feed never used", books(func(b *doctor.Books) {
			b.Feeds[0].Findings = []health.Finding{{Code: health.NeverCame, Severity: health.Warning, Text: "Nothing has come yet."}}
		}), "feeds", doctor.Warn, "yet"},
		{"nowhere to tell", books(func(b *doctor.Books) { b.Endpoints = nil }), "postbacks", doctor.Warn, "nobody"},
		{"shop away", func(s *doctor.Surroundings) {
			s.Reach = func(context.Context, string) error { return errors.New("connection refused") }
		}, "postbacks", doctor.Fail, "refused"},
		{"shop disabled", books(func(b *doctor.Books) { b.Endpoints[0].Disabled = "it answered 500 for a day" }), "postbacks", doctor.Fail, "500"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sound(t)
			tt.change(s)
			report := doctor.Examine(t.Context(), s)
			if report.Worst != tt.level {
				t.Errorf("the worst is %s, not %s: %+v", report.Worst, tt.level, report.Findings)
			}
			var wrong []doctor.Finding
			for _, f := range report.Findings {
				if f.Level != doctor.OK {
					wrong = append(wrong, f)
				}
			}
			if len(wrong) != 1 || wrong[0].Check != tt.check || wrong[0].Level != tt.level || !strings.Contains(wrong[0].Says, tt.says) {
				t.Fatalf("found %+v", wrong)
			}
			if fix := wrong[0].Fix; !strings.HasSuffix(fix, ".") && !strings.HasSuffix(fix, ")") {
				t.Errorf("what to do is %q", fix)
			}
		})
	}
}

func TestWhoMayReadTheKey(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode fs.FileMode
		want doctor.Level
	}{{0o600, doctor.OK}, {0o640, doctor.OK}, {0o660, doctor.Warn}, {0o644, doctor.Fail}, {0o602, doctor.Fail}} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func(*doctor.Surroundings){
			"of a setting":        func(s *doctor.Surroundings) { s.Files = map[string]string{"secret_key": path} },
			"beside the database": func(s *doctor.Surroundings) { s.Config.SecretKey, s.KeyFile = "", path },
		} {
			s := sound(t)
			change(s)
			if report := doctor.Examine(t.Context(), s); report.Worst != tt.want {
				t.Errorf("%s, mode %o: %+v", name, tt.mode, report.Findings)
			}
		}
	}
}

func TestClockOfAWebServer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		date string
		want doctor.Level
	}{
		{now.Format(http.TimeFormat), doctor.OK},
		{now.Add(-time.Hour).Format(http.TimeFormat), doctor.Fail},
		{"yesterday", doctor.Warn},
	} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Date", tt.date) }))
		s := sound(t)
		s.TimeServer = web.URL
		if report := doctor.Examine(t.Context(), s); report.Worst != tt.want {
			t.Errorf("%s: %+v", tt.date, report.Findings)
		}
		web.Close()
	}
}

func TestWritten(t *testing.T) {
	t.Parallel()
	s := sound(t)
	s.Config.NoticeWebhookURL = ""
	report := doctor.Examine(t.Context(), s)
	var text, machine bytes.Buffer
	if err := errors.Join(report.Write(&text), report.WriteJSON(&machine)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "warn  configuration  nobody is told of trouble\n") || !strings.Contains(text.String(), "→ Set notice_webhook_url") {
		t.Errorf("it reads\n%s", text.String())
	}
	var read doctor.Report
	if err := json.Unmarshal(machine.Bytes(), &read); err != nil || read.Worst != doctor.Warn || len(read.Findings) != len(report.Findings) {
		t.Errorf("%v: %s", err, machine.String())
	}
}
