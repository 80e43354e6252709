package mt940

import (
	"regexp"
	"strings"
)

const (
	lineWidth = 65 // SWIFT's width of a line of :86:
	partWidth = 27 // the German banks' width of a part ?20
)

var (
	// A business transaction code and then parts such as ?20.
	queryPattern = regexp.MustCompile(`^ *(?:[0-9]{3})?\?[0-9]{2}`)
	partPattern  = regexp.MustCompile(`\?([0-9]{2})`)
	// SWIFT's code words. Only these: an Indian narration may well be /UPI/… or NEFT/….
	wordPattern = regexp.MustCompile(`/(ADDR|BENM|BIC|CNTP|CSID|EREF|IBAN|IREF|ISDT|MARF|NAME|ORDP|PREF|PURP|REMI|RTRN|STRD|SVCL|TRCD|TRTP|ULTB|ULTD|USTD)/`)
)

// details makes one text of the lines of :86:, and its parts where it is structured.
func details(lines []string) (string, []Field) {
	if len(lines) == 0 {
		return "", nil
	}
	if queryPattern.MatchString(lines[0]) {
		return queryDetails(unwrap(lines, lineWidth, "?"))
	}
	text := unwrap(lines, lineWidth, "")
	if at := wordPattern.FindStringIndex(text); at != nil && at[0] == 0 {
		return text, split(text, wordPattern)
	}
	return text, nil
}

// queryDetails reads text structured with ?20.
func queryDetails(text string) (string, []Field) {
	parts := split(text, partPattern)
	var remittance []string
	for _, part := range parts {
		if c := part.Code; c >= "20" && c <= "29" || c >= "60" && c <= "63" {
			remittance = append(remittance, part.Text)
		}
	}
	return unwrap(remittance, partWidth, ""), parts
}

// unwrap joins lines. A line that is full was cut wherever it ended, within a word and within a
// reference; others ended with a word. Where glue is set, it begins a part, so nothing has to
// stand before it.
func unwrap(lines []string, width int, glue string) string {
	var b strings.Builder
	for i, line := range lines {
		if i > 0 {
			before := lines[i-1]
			cut := len([]rune(before)) >= width
			part := glue != "" && (strings.HasPrefix(line, glue) || strings.HasSuffix(before, glue))
			if !cut && !part {
				b.WriteByte(' ')
			}
		}
		b.WriteString(line)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// split cuts text before each code; the pattern's first group is the code.
func split(text string, codes *regexp.Regexp) []Field {
	found := codes.FindAllStringSubmatchIndex(text, -1)
	parts := make([]Field, 0, len(found))
	for i, at := range found {
		end := len(text)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		parts = append(parts, Field{Code: text[at[2]:at[3]], Text: strings.TrimSpace(text[at[1]:end])})
	}
	return parts
}
