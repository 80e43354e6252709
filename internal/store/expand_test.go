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
	// newFunction's body is what it does between its own BEGIN and END.
	newFunction = regexp.MustCompile(`(?i)^CREATE FUNCTION (\w+)\(\) RETURNS trigger LANGUAGE plpgsql (?:SET search_path FROM CURRENT )?AS \$\$ BEGIN (.*) \$\$;?$`)
	withValue   = regexp.MustCompile(`(?i)\bDEFAULT\b`)
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

// statements are what a migration does on its way up, in order.
func statements(migration string) (all []string) {
	_, up, _ := strings.Cut(migration, "-- +goose Up")
	up, _, _ = strings.Cut(up, "-- +goose Down")
	add := func(text string) {
		if text = strings.Join(strings.Fields(sqlComment.ReplaceAllString(text, "")), " "); text != "" {
			all = append(all, text)
		}
	}
	for {
		// What goose is told to take as one statement has its own semicolons.
		plain, rest, found := strings.Cut(up, "-- +goose StatementBegin")
		for text := range strings.SplitSeq(sqlComment.ReplaceAllString(plain, ""), ";") {
			add(text)
		}
		if !found {
			return all
		}
		whole, after, _ := strings.Cut(rest, "-- +goose StatementEnd")
		add(whole)
		up = after
	}
}

// expansion looks through a migration's statements one after the other.
type expansion struct {
	migration string
	made      map[string]bool   // the tables that it makes
	adders    map[string]string // its functions that do nothing but add to one of those, and to which
	watched   map[string]string // tables whose new rows such a function or trigger adds to which of those
	loose     map[string]bool   // indexes of migrations before it that hold nobody to anything
}

// adds gives the table that the body of a trigger adds to, and does nothing else: one
// that this migration makes. A row that is there already has to be no error, since an
// older gateway's own row would fail with it.
func (e *expansion) adds(body string) (table string, ok bool) {
	m := regexp.MustCompile(`(?i)^INSERT INTO (\w+)\b[^;]*\bON CONFLICT\b[^;]*; (?:RETURN NULL; )?END;?$`).FindStringSubmatch(body)
	if m == nil {
		return "", false
	}
	table = strings.ToLower(m[1])
	return table, e.made[table] && !regexp.MustCompile(`(?i)\b(?:RAISE|DELETE|PERFORM|EXECUTE|WITH)\b`).MatchString(body)
}

// harmless reports whether a statement that would harm an older gateway otherwise does
// not, since it keeps sums that the database itself adds to: in a table of this
// migration, with every row of an older gateway counted once.
func (e *expansion) harmless(statement string) bool {
	if m := regexp.MustCompile(`(?i)^CREATE TRIGGER \w+ AFTER INSERT ON (\w+) .*\bEXECUTE FUNCTION (\w+)\(\);?$`).FindStringSubmatch(statement); m != nil {
		sums, ok := e.adders[strings.ToLower(m[2])]
		if ok {
			e.watched[strings.ToLower(m[1])] = sums
		}
		return ok
	}
	if m := regexp.MustCompile(`(?i)^CREATE TRIGGER \w+ AFTER INSERT ON (\w+) .*?\bBEGIN (.*)$`).FindStringSubmatch(statement); m != nil {
		sums, ok := e.adds(m[2])
		if ok {
			e.watched[strings.ToLower(m[1])] = sums
		}
		return ok
	}
	// What is there is added up when the trigger watches already: nothing slips in between.
	if m := regexp.MustCompile(`(?i)^INSERT INTO (\w+)\b.* FROM (\w+)\b`).FindStringSubmatch(statement); m != nil {
		return len(regexp.MustCompile(`(?i)\b(?:FROM|JOIN)\b`).FindAllString(statement, -1)) == 1 && e.watched[strings.ToLower(m[2])] == strings.ToLower(m[1])
	}
	if m := regexp.MustCompile(`(?i)^DROP INDEX (?:CONCURRENTLY )?(?:IF EXISTS )?(\w+)$`).FindStringSubmatch(statement); m != nil {
		return e.loose[strings.ToLower(m[1])] && regexp.MustCompile(`(?m)^-- Slows .*\b`+m[1]+`\b`).MatchString(e.migration)
	}
	return false
}

// harm lists what a migration does to a gateway that knows only those before it.
func harm(before, migration string) (found []string) {
	e := expansion{migration, make(map[string]bool), make(map[string]string), make(map[string]string), make(map[string]bool)}
	for _, m := range regexp.MustCompile(`(?i)CREATE (UNIQUE )?INDEX (\w+)`).FindAllStringSubmatch(before, -1) {
		e.loose[strings.ToLower(m[2])] = m[1] == ""
	}
	for _, statement := range statements(migration) {
		if m := newTable.FindStringSubmatch(statement); m != nil {
			e.made[strings.ToLower(m[1])] = true
		}
	}
	for _, statement := range statements(migration) {
		tell := func(why string) { found = append(found, fmt.Sprintf("%.70s: %s", statement, why)) }
		if m := newFunction.FindStringSubmatch(statement); m != nil {
			if sums, ok := e.adds(m[2]); ok {
				e.adders[strings.ToLower(m[1])] = sums
			}
		}
		unsaid := func(table, why string) {
			if !strings.Contains(migration, "-- Locks "+table+" ") {
				tell("locks " + table + " against writes " + why + ": say so, and for how long, in a line that begins with -- Locks " + table)
			}
		}
		if e.harmless(statement) {
			if m := newTrigger.FindStringSubmatch(statement); m != nil {
				unsaid(m[1], "until the migration is done")
			}
			continue
		}
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
		if m := newTrigger.FindStringSubmatch(statement); m != nil && !e.made[strings.ToLower(m[1])] {
			tell("watches over rows that an older gateway writes")
		}
		m := newIndex.FindStringSubmatch(statement)
		if m == nil || e.made[strings.ToLower(m[2])] {
			continue
		}
		if m[1] != "" {
			tell("refuses rows that an older gateway writes")
		}
		unsaid(m[2], "while the index is made")
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
		var before strings.Builder
		for _, name := range names {
			var number int
			if _, err := fmt.Sscanf(name, "%d_", &number); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			text, err := fs.ReadFile(migrations, name)
			if err != nil {
				t.Fatal(err)
			}
			known := before.String()
			before.Write(text)
			if number <= expandOnlyAfter || strings.Contains(string(text), stopMark) {
				continue
			}
			for _, why := range harm(known, string(text)) {
				t.Errorf("%s/%s: %s: see CONTRIBUTING.md, or begin a line of it with %q and say why", engine, name, why, stopMark)
			}
		}
	}
}

func TestHarm(t *testing.T) {
	t.Parallel()
	const (
		sums    = "CREATE TABLE sums (utr TEXT PRIMARY KEY, n BIGINT);\n"
		lock    = "-- Locks claims for some seconds.\n"
		trigger = "-- +goose StatementBegin\nCREATE TRIGGER c AFTER INSERT ON claims WHEN NEW.utr <> '' BEGIN\n INSERT INTO sums VALUES (NEW.utr, 1) ON CONFLICT (utr) DO UPDATE SET n = n + 1; END;\n-- +goose StatementEnd\n"
		adder   = "-- +goose StatementBegin\nCREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n INSERT INTO sums SELECT utr, 1 FROM added ON CONFLICT (utr) DO UPDATE SET n = sums.n + 1; RETURN NULL; END $$;\n-- +goose StatementEnd\n"
		watch   = "CREATE TRIGGER c AFTER INSERT ON claims REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION f();\n"
		fill    = "INSERT INTO sums SELECT utr, count(*) FROM claims GROUP BY utr;\n"
	)
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
		// Sums that the database keeps by itself, and what only resembles them.
		{sums + lock + trigger + fill, 0},
		{sums + adder + lock + watch + fill, 0},
		{sums + trigger + fill, 1}, // does not say what it locks
		{sums + lock + fill + trigger, 1},
		{sums + adder + lock + fill + watch, 1},
		{sums + lock + watch + fill, 2}, // by a function of somebody else's
		{lock + trigger, 1},             // to a table that older gateways may have
		{sums + lock + trigger + "INSERT INTO sums SELECT utr, 1 FROM claims JOIN credits USING (utr);", 1},
		{sums + lock + trigger + "INSERT INTO sums SELECT utr, 1 FROM credits;", 1},
		{sums + lock + strings.Replace(trigger, "AFTER INSERT", "AFTER UPDATE", 1), 1},
		{sums + lock + strings.Replace(trigger, "AFTER INSERT", "BEFORE INSERT", 1), 1},
		{sums + lock + strings.Replace(trigger, " ON CONFLICT (utr) DO UPDATE SET n = n + 1", "", 1), 1}, // fails the second time
		{sums + lock + strings.Replace(trigger, "BEGIN", "BEGIN UPDATE claims SET utr = '';", 1), 1},
		{sums + lock + strings.Replace(trigger, "; END", "; UPDATE claims SET utr = ''; END", 1), 1},
		{sums + lock + strings.Replace(trigger, "VALUES (NEW.utr, 1)", "SELECT RAISE(ABORT, 'no')", 1), 1},
		{sums + strings.Replace(adder, "RETURN NULL", "DELETE FROM claims; RETURN NULL", 1) + lock + watch + fill, 2},
		{"-- Slows lists of older gateways, which read claims_listed.\nDROP INDEX claims_listed;", 0},
		{"-- Slows lists of older gateways, which read claims_listed.\nDROP INDEX CONCURRENTLY IF EXISTS claims_listed;", 0},
		{"-- Slows nothing.\nDROP INDEX claims_listed;", 1},
		{"-- Slows look-ups by claims_utr.\nDROP INDEX claims_utr;", 1}, // what ON CONFLICT names
		{"-- Slows look-ups by claims_gone.\nDROP INDEX claims_gone;", 1},
	} {
		if got := harm("CREATE INDEX claims_listed ON claims (at); CREATE UNIQUE INDEX claims_utr ON claims (utr);", "-- +goose Up\n"+tt.up+"\n-- +goose Down\nDROP TABLE claims;"); len(got) != tt.want {
			t.Errorf("of %q it is said: %q", tt.up, got)
		}
	}
}
