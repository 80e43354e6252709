package statement

import (
	"context"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// headerWithin is how many rows may stand above the headings; HDFC has about 20.
const headerWithin = 120

// layout is where a table has what, as its own rows say.
type layout struct {
	columns
	close     func() error // of what was opened to read it
	notes     []string     // for a person
	table     rows
	header    int // number of the row of headings
	epoch         // of a workbook; zero for text
	text      bool
	comma     string // between cells of text
	owner     string // the bank whose file it is for certain
	bank      string
	tail      string
	currency  money.Currency
	preamble  []string // of what stands above: balances and totals it states
	overdrawn bool     // says it is an account whose balance may be what is owed
}

// findLayout looks for the headings; ok is false when the table has none.
func findLayout(ctx context.Context, table rows) (l layout, ok bool, err error) {
	seen := 0
	var above []string
	for r, err := range table(ctx) {
		if err != nil {
			return layout{}, false, err
		}
		if c, found := findColumns(r.cells); found {
			c.names = slices.Clone(c.names) // a reader may use its slice again
			l = layout{columns: c, table: table, header: r.number, preamble: above}
			l.describe()
			return l, true, nil
		}
		if seen++; seen > headerWithin {
			break
		}
		above = append(above, strings.Join(r.cells, "\x00"))
	}
	return layout{}, false, nil
}

// textLayout tries the separators, then positions; the one by which the row of
// headings has most columns that are known is right.
func textLayout(ctx context.Context, open func() io.Reader) (layout, bool, error) {
	var best layout
	var firstErr error
	known := 0
	for _, comma := range []rune{',', '\t', ';', '|'} {
		l, ok, err := findLayout(ctx, limited(delimited(open, comma)))
		if err != nil && firstErr == nil {
			firstErr = err
		}
		if !ok {
			continue
		}
		n := 0
		for _, r := range l.roles {
			if r != none {
				n++
			}
		}
		if n > known {
			best, known = l, n
			best.text, best.comma = true, string(comma)
		}
	}
	if known > 0 {
		return best, true, nil
	}
	if firstErr != nil {
		return layout{}, false, firstErr
	}
	l, ok, err := positioned(ctx, open)
	l.text = true
	return l, ok, err
}

var (
	accountText  = regexp.MustCompile(`(?i)\b(?:a/?c|account)\b\s*(?:no|number|num)?\b\.?[\s:\-–="']*_?([Xx*]+\d{2,6}|\d{4,18})\b`)
	currencyText = regexp.MustCompile(`(?i)\bcurrency\b[\s:\-]*([A-Z]{3})\b`)
	ifscText     = regexp.MustCompile(`(?i)\bIFS(?:C)?(?:\s*code)?[\s:\-]*([A-Z]{4})0[A-Z0-9]{6}\b`)
	owedText     = regexp.MustCompile(`(?i)\boverdraft\b|\bcash credit\b|\bOD (?:a/?c|account|limit)\b|\bCC (?:a/?c|account|limit)\b|\bloan account\b|\bcredit card statement\b|\bdrawing power\b|\bsanction(?:ed)? limit\b`)
)

// banks by the IFSC's first letters, and by the name at the top of their files.
// The short names are those of feeds and wallets.
var banks = []struct {
	id, code string
	name     *regexp.Regexp
}{
	{"hdfc", "HDFC", bankName(`hdfc bank`)}, {"icici", "ICIC", bankName(`icici bank`)},
	{"sbi", "SBIN", bankName(`state bank of india`)}, {"axis", "UTIB", bankName(`axis bank`)},
	{"kotak", "KKBK", bankName(`kotak mahindra bank`)}, {"yes", "YESB", bankName(`yes bank`)},
	{"pnb", "PUNB", bankName(`punjab national bank`)}, {"bob", "BARB", bankName(`bank of baroda`)},
	{"central", "CBIN", bankName(`central bank of india`)}, {"boi", "BKID", regexp.MustCompile(`(?i)(?:^|\x00)\W*bank of india\b`)},
	{"idbi", "IBKL", bankName(`idbi bank`)}, {"iob", "IOBA", bankName(`indian overseas bank`)},
	{"idfc", "IDFB", bankName(`idfc first bank`)}, {"indusind", "INDB", bankName(`indusind bank`)},
	{"federal", "FDRL", bankName(`federal bank`)}, {"canara", "CNRB", bankName(`canara bank`)},
	{"union", "UBIN", bankName(`union bank of india`)}, {"indian", "IDIB", bankName(`indian bank`)},
	{"rbl", "RATN", bankName(`rbl bank`)}, {"au", "AUBL", bankName(`au small finance bank`)},
	{"bandhan", "BDBL", bankName(`bandhan bank`)}, {"uco", "UCBA", bankName(`uco bank`)},
	{"bom", "MAHB", bankName(`bank of maharashtra`)}, {"psb", "PSIB", bankName(`punjab (?:and|&) sind bank`)},
	{"sib", "SIBL", bankName(`south indian bank`)}, {"kvb", "KVBL", bankName(`karur vysya bank`)},
	{"cub", "CIUB", bankName(`city union bank`)}, {"tmb", "TMBL", bankName(`tamilnad mercantile bank`)},
	{"karnataka", "KARB", bankName(`karnataka bank`)}, {"jk", "JAKA", bankName(`jammu (?:and|&) kashmir bank|j&k bank`)},
	{"csb", "CSBK", bankName(`csb bank`)}, {"dcb", "DCBL", bankName(`dcb bank`)}, {"dbs", "DBSS", bankName(`dbs bank`)},
	{"equitas", "ESFB", bankName(`equitas small finance bank`)}, {"ujjivan", "UJVN", bankName(`ujjivan small finance bank`)},
}

func bankName(names string) *regexp.Regexp { return regexp.MustCompile(`(?i)\b(?:` + names + `)\b`) }

// signatures are headings that a bank writes so. Those that are its own alone
// tell whose file it is; the others only how to read it.
var signatures = []struct {
	id       string
	own      bool
	headings []string
}{
	{"hdfc", true, []string{"narration", "chq./ref.no."}}, {"hdfc", true, []string{"narration", "value dat"}}, {"hdfc", true, []string{"withdrawal amt.", "deposit amt."}},
	{"icici", true, []string{"transaction remarks", "withdrawal amount (inr )"}}, {"icici", false, []string{"transaction remarks"}}, {"icici", true, []string{"txn posted date", "chequeno."}},
	{"kotak", true, []string{"chq / ref no.", "dr / cr"}}, {"axis", true, []string{"tran date", "chqno", "particulars"}}, {"axis", true, []string{"particulars", "sol"}},
	{"axis", true, []string{"particulars", "init br"}}, {"axis", false, []string{"debit/credit", "amount(inr)"}},
	{"bob", false, []string{"withdrawal(dr)", "deposit(cr)"}}, {"central", false, []string{"account description", "post date"}},
	{"boi", false, []string{"inst-no"}}, {"sbi", false, []string{"txn date", "ref no./cheque no."}}, {"sbi", false, []string{"details", "ref no/cheque no"}},
	{"iob", false, []string{"date(value date)"}}, {"pnb", false, []string{"instrument id", "type"}}, {"yes", false, []string{"running balance", "withdrawals"}},
}

// describe tells whose statement it is from what stands above the headings, and
// from the headings. The account's own IFSC says it best; a name may be part of
// an address.
func (l *layout) describe() {
	var lower []string
	for _, name := range l.names {
		lower = append(lower, strings.ToLower(strings.Join(strings.Fields(name), " ")))
	}
	for _, above := range l.preamble {
		line := strings.Join(strings.Fields(strings.ReplaceAll(above, "\x00", " ")), " ")
		if m := ifscText.FindStringSubmatch(line); m != nil && l.owner == "" {
			for _, b := range banks {
				if b.code == strings.ToUpper(m[1]) {
					l.owner = b.id
				}
			}
		}
		if m := accountText.FindStringSubmatch(line); m != nil && l.tail == "" {
			digits := strings.TrimLeft(m[1], "Xx*")
			l.tail = digits[max(0, len(digits)-shownDigits):]
		}
		if m := currencyText.FindStringSubmatch(line); m != nil {
			if c, err := money.ParseCurrency(m[1]); err == nil {
				l.currency = c
			}
		}
		l.overdrawn = l.overdrawn || owedText.MatchString(line)
	}
	l.bank = l.owner
	for _, s := range signatures {
		if slices.ContainsFunc(s.headings, func(h string) bool { return !slices.Contains(lower, h) }) {
			continue
		}
		if l.bank == "" {
			l.bank = s.id
		}
		if s.own && l.owner == "" {
			l.owner = s.id
		}
	}
	var named []string
	for _, above := range l.preamble {
		for _, b := range banks {
			if b.name.MatchString(above) && !slices.Contains(named, b.id) {
				named = append(named, b.id)
			}
		}
	}
	if len(named) == 1 && l.owner == "" { // of two, one is somebody else
		l.owner = named[0]
	}
	if l.bank == "" {
		l.bank = l.owner
	}
}

// shownDigits of an account number are enough to tell accounts apart.
const shownDigits = 4

// plan is what the whole file, read once, says of how to read each row.
type plan struct {
	dates       dateOrder
	newestFirst bool
	swapped     bool // the headings of debit and credit are the wrong way round
	owed        bool // the balance is what is owed: a credit lowers it
	chained     bool // the running balance is held against each row
	signed      bool // a minus is how a single amount says debit
	flagless    bool // the column headed as a flag holds none
	refIsUTR    bool // the reference column repeats the narration's UTR wherever both have one
	opening     *money.Paise
	opposite    map[upi.UTR]moves // UTRs that were both credited and debited
}

// moves are the places, in order of time, of a UTR's first credit and first debit.
type moves struct{ credit, debit int }
