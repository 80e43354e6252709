package store_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/store/postgres"
	"github.com/milaan/milaan/internal/store/sqlite"
)

// expandOnlyAfter is the last migration that was free to do anything. Those after it
// must leave what an older gateway works with as it is (docs/upgrade.md), or say that
// all gateways have to stop.
const expandOnlyAfter = 19

// stopMark begins the line of a migration that says why all gateways have to stop.
const stopMark = "-- Stop all gateways: "

var (
	sqlComment = regexp.MustCompile(`--[^\n]*`)
	newTable   = regexp.MustCompile(`(?i)^CREATE TABLE (?:IF NOT EXISTS )?(\w+)`)
	newIndex   = regexp.MustCompile(`(?i)^CREATE (UNIQUE )?INDEX (?:IF NOT EXISTS )?\w+ ON (\w+)`)
	newTrigger = regexp.MustCompile(`(?i)^CREATE (?:OR REPLACE )?TRIGGER .*? ON (\w+)`)
	withValue  = regexp.MustCompile(`(?i)\bDEFAULT\b`)
)

// harms are the ways in which a statement hurts an older gateway.
var harms = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`(?i)^DROP |^ALTER TABLE \w+ .*\bDROP (?:COLUMN|CONSTRAINT)\b|^TRUNCATE `), "drops what an older gateway may use"},
	{regexp.MustCompile(`(?i)^ALTER .*\bRENAME\b`), "renames what an older gateway calls otherwise"},
	{regexp.MustCompile(`(?i)^ALTER TABLE .*\bALTER (?:COLUMN )?\w+ (?:SET DATA )?TYPE\b`), "changes the type of a column"},
	{regexp.MustCompile(`(?i)^ALTER TABLE .*\bSET NOT NULL\b|^ALTER TABLE .*\bADD (?:CONSTRAINT|CHECK|UNIQUE|FOREIGN|PRIMARY)\b`), "refuses rows that an older gateway writes"},
	{regexp.MustCompile(`(?i)^INSERT INTO .*\bSELECT\b.*\bFROM\b`), "adds up what an older gateway does not keep"},
}

// statements are what a migration does on its way up.
func statements(migration string) (all []string) {
	_, up, _ := strings.Cut(migration, "-- +goose Up")
	up, _, _ = strings.Cut(up, "-- +goose Down")
	// What goose is told to take as one statement has its own semicolons.
	parts := regexp.MustCompile(`(?s)-- \+goose StatementBegin(.*?)-- \+goose StatementEnd`).FindAllStringSubmatch(up, -1)
	rest := regexp.MustCompile(`(?s)-- \+goose StatementBegin.*?-- \+goose StatementEnd`).ReplaceAllString(up, "")
	texts := strings.Split(sqlComment.ReplaceAllString(rest, ""), ";")
	for _, part := range parts {
		texts = append(texts, sqlComment.ReplaceAllString(part[1], ""))
	}
	for _, text := range texts {
		if text = strings.Join(strings.Fields(text), " "); text != "" {
			all = append(all, text)
		}
	}
	return all
}

// harm lists what a migration does to a gateway that does not know it.
func harm(migration string) (found []string) {
	made := make(map[string]bool)
	for _, statement := range statements(migration) {
		if m := newTable.FindStringSubmatch(statement); m != nil {
			made[strings.ToLower(m[1])] = true
		}
	}
	for _, statement := range statements(migration) {
		tell := func(why string) { found = append(found, fmt.Sprintf("%.70s: %s", statement, why)) }
		for _, h := range harms {
			if h.pattern.MatchString(statement) {
				tell(h.why)
			}
		}
		for column := range strings.SplitSeq(statement, ",") {
			if regexp.MustCompile(`(?i)\bADD COLUMN\b`).MatchString(column) && regexp.MustCompile(`(?i)\bNOT NULL\b`).MatchString(column) && !withValue.MatchString(column) {
				tell("wants a value that an older gateway does not give")
			}
		}
		if m := newTrigger.FindStringSubmatch(statement); m != nil && !made[strings.ToLower(m[1])] {
			tell("watches over rows that an older gateway writes")
		}
		m := newIndex.FindStringSubmatch(statement)
		if m == nil || made[strings.ToLower(m[2])] {
			continue
		}
		if m[1] != "" {
			tell("refuses rows that an older gateway writes")
		}
		if !strings.Contains(migration, "-- Locks "+m[2]+" ") {
			tell("locks " + m[2] + " against writes while the index is made: say so, and for how long, in a line that begins with -- Locks " + m[2])
		}
	}
	return found
}

// TestMigrationsExpand: a gateway that was started before a migration works on after
// it, so that gateways can be replaced one by one.
func TestMigrationsExpand(t *testing.T) {
	t.Parallel()
	for engine, migrations := range map[string]fs.FS{"postgres": postgres.Migrations(), "sqlite": sqlite.Migrations()} {
		names, err := fs.Glob(migrations, "*.sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			var number int
			if _, err := fmt.Sscanf(name, "%d_", &number); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			text, err := fs.ReadFile(migrations, name)
			if err != nil {
				t.Fatal(err)
			}
			if number <= expandOnlyAfter || strings.Contains(string(text), stopMark) {
				continue
			}
			for _, why := range harm(string(text)) {
				t.Errorf("%s/%s: %s: see CONTRIBUTING.md, or begin a line of it with %q and say why", engine, name, why, stopMark)
			}
		}
	}
}

func TestHarm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		up   string
		want int
	}{
		{"CREATE TABLE a (id BIGINT PRIMARY KEY, b TEXT NOT NULL);\nCREATE UNIQUE INDEX a_b ON a (b);", 0},
		{"ALTER TABLE claims ADD COLUMN b TEXT NOT NULL DEFAULT '';\nALTER TABLE claims ADD COLUMN c TEXT;", 0},
		{"INSERT INTO accounts (code) VALUES ('x');", 0},
		{"-- Locks claims for some seconds a million rows.\nCREATE INDEX c ON claims (utr);", 0},
		{"-- DROP TABLE claims; is what we don't do\nCREATE TABLE a (id BIGINT);", 0},
		{"-- +goose StatementBegin\nCREATE FUNCTION f() RETURNS trigger AS $$ BEGIN DROP TABLE x; END; $$;\n-- +goose StatementEnd", 0},
		{"CREATE INDEX c ON claims (utr);", 1},
		{"-- Locks claims for some seconds.\nCREATE UNIQUE INDEX c ON claims (utr);", 1},
		{"DROP INDEX c;", 1},
		{"DROP TABLE claims;", 1},
		{"ALTER TABLE claims DROP COLUMN utr;", 1},
		{"ALTER TABLE claims RENAME COLUMN utr TO rrn;", 1},
		{"ALTER TABLE claims RENAME TO demands;", 1},
		{"ALTER TABLE claims ALTER COLUMN utr TYPE VARCHAR(12);", 1},
		{"ALTER TABLE claims ALTER COLUMN utr SET NOT NULL;", 1},
		{"ALTER TABLE claims ADD CONSTRAINT c CHECK (amount > 0);", 1},
		{"ALTER TABLE claims ADD COLUMN b TEXT NOT NULL;", 1},
		{"ALTER TABLE claims ADD COLUMN a TEXT NOT NULL DEFAULT '', ADD COLUMN b TEXT NOT NULL;", 1},
		{"CREATE TRIGGER c BEFORE UPDATE ON claims BEGIN SELECT 1; END;", 1},
		{"CREATE TABLE sums (n BIGINT);\nINSERT INTO sums SELECT count(*) FROM claims;", 1},
	} {
		if got := harm("-- +goose Up\n" + tt.up + "\n-- +goose Down\nDROP TABLE claims;"); len(got) != tt.want {
			t.Errorf("of %q it is said: %q", tt.up, got)
		}
	}
}
