package window

// receipt is a drawing of our own of where an app shows the UTR: it has the
// app's words for it, and nothing else of the app's.
type receipt struct {
	App   string // its name; empty where the text named by Name says what it is
	Name  string
	Way   string // names the text that leads there
	Lines []receiptLine
	SMS   bool // drawn as a message, not as a screen
}

// receiptLine is a line of a drawing: a text that does not matter where it has
// no label.
type receiptLine struct {
	Label, Number string
	UTR           bool // the number to take, among others that are not
}

// drawnUTR is the number in every drawing; no payment has it, being of a day
// that no year has.
const drawnUTR = "4999 1234 5678"

// receipts are the drawings, the apps that most people have first. Labels are
// what the apps themselves write, in English in whatever language.
var receipts = [...]receipt{
	{App: "Google Pay", Way: "utr.gpay", Lines: []receiptLine{
		{}, {Label: "UPI transaction ID", Number: drawnUTR, UTR: true}, {}, {Label: "Google transaction ID", Number: "CICA…"},
	}},
	{App: "PhonePe", Way: "utr.phonepe", Lines: []receiptLine{
		{Label: "Transaction ID", Number: "T260…"}, {}, {}, {Label: "UTR", Number: drawnUTR, UTR: true},
	}},
	{App: "Paytm", Way: "utr.paytm", Lines: []receiptLine{
		{}, {}, {Label: "UPI Ref No", Number: drawnUTR, UTR: true},
	}},
	{App: "BHIM", Way: "utr.bhim", Lines: []receiptLine{
		{}, {Label: "UPI transaction ID / RRN", Number: drawnUTR, UTR: true}, {},
	}},
	{Name: "utr.bank", Way: "utr.sms", SMS: true, Lines: []receiptLine{
		{Label: "UPI Ref", Number: drawnUTR, UTR: true},
	}},
}

// Label is what the app calls the UTR.
func (r receipt) Label() string {
	for _, line := range r.Lines {
		if line.UTR {
			return line.Label
		}
	}
	return ""
}
