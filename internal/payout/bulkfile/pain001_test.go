package bulkfile_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/bulkfile"
	"github.com/milaan/milaan/money"
	"pgregory.net/rapid"
)

// second is paid from another account, by a name that XML has to escape.
func second() bulkfile.Batch {
	b := batch()
	b.ID, b.Debit.Account, b.Debit.Name, b.Note = "B8", "000099887766", "Rao <& Co>", ""
	b.Orders = []payout.Order{order("MLP2A", "30200100500", "SBIN0001234", "Sita Devi", 10_000_000_00)}
	return b
}

func pain001(t *testing.T, id string, batches ...bulkfile.Batch) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := bulkfile.WritePain001(&out, id, batches...); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// texts are the values of a message by their paths, in order.
func texts(t *testing.T, message []byte) map[string][]string {
	t.Helper()
	of := map[string][]string{}
	var path []string
	decoder := xml.NewDecoder(bytes.NewReader(message))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return of
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Space != "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09" {
				t.Fatalf("%s is of the namespace %q", token.Name.Local, token.Name.Space)
			}
			path = append(path, token.Name.Local)
			for _, attr := range token.Attr {
				if attr.Name.Local != "xmlns" {
					at := strings.Join(path[2:], "/") + "@" + attr.Name.Local
					of[at] = append(of[at], attr.Value)
				}
			}
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			if text := strings.TrimSpace(string(token)); text != "" {
				at := strings.Join(path[2:], "/")
				of[at] = append(of[at], text)
			}
		}
	}
}

func TestPain001(t *testing.T) {
	t.Parallel()
	got := texts(t, pain001(t, "M1", batch(), second()))
	tx := "PmtInf/CdtTrfTxInf/"
	references := []string{"MLP1A", "MLP1B", "MLP1C", "MLP1D", "MLP2A"}
	five := func(text string) []string { return []string{text, text, text, text, text} }
	ifscs := []string{"HDFC0000001", "ICIC0000007", "UTIB0000012", "KKBK0000958", "SBIN0001234"}
	want := map[string][]string{
		"GrpHdr/MsgId":                  {"M1"},
		"GrpHdr/CreDtTm":                {"2026-03-04T20:15:00Z"},
		"GrpHdr/NbOfTxs":                {"5"},
		"GrpHdr/CtrlSum":                {"10502500.00"},
		"GrpHdr/InitgPty/Nm":            {"Kaveri Traders & Sons"},
		"PmtInf/PmtInfId":               {"B7", "B8"},
		"PmtInf/PmtMtd":                 {"TRF", "TRF"},
		"PmtInf/BtchBookg":              {"false", "false"},
		"PmtInf/NbOfTxs":                {"4", "1"},
		"PmtInf/CtrlSum":                {"502500.00", "10000000.00"},
		"PmtInf/ReqdExctnDt/Dt":         {"2026-03-05", "2026-03-05"},
		"PmtInf/Dbtr/Nm":                {"Kaveri Traders & Sons", "Rao <& Co>"},
		"PmtInf/DbtrAcct/Id/Othr/Id":    {"004405001122", "000099887766"},
		"PmtInf/DbtrAcct/Ccy":           {"INR", "INR"},
		"PmtInf/ChrgBr":                 {"DEBT", "DEBT"},
		tx + "PmtId/InstrId":            references,
		tx + "PmtId/EndToEndId":         references,
		tx + "PmtTpInf/SvcLvl/Prtry":    five("IMPS"),
		tx + "PmtTpInf/LclInstrm/Prtry": five("IMPS"),
		tx + "Amt/InstdAmt":             {"1500.00", "999.99", "0.01", "500000.00", "10000000.00"},
		tx + "Amt/InstdAmt@Ccy":         five("INR"),
		tx + "Cdtr/Nm":                  {"Asha Rao", "Ravi Kumar Iyer", "Meena", "Om Prakash", "Sita Devi"},
		tx + "CdtrAcct/Id/Othr/Id":      {"50100200300401", "000701567890", "912010034567890", "0123456789", "30200100500"},
		tx + "RmtInf/Ustrd":             {"MLP1A Shop payouts", "MLP1B Shop payouts", "MLP1C Shop payouts", "MLP1D Shop payouts", "MLP2A"},

		"PmtInf/DbtrAgt/FinInstnId/ClrSysMmbId/ClrSysId/Cd": {"INFSC", "INFSC"},
		"PmtInf/DbtrAgt/FinInstnId/ClrSysMmbId/MmbId":       {"ICIC0000044", "ICIC0000044"},
		tx + "CdtrAgt/FinInstnId/ClrSysMmbId/ClrSysId/Cd":   five("INFSC"),
		tx + "CdtrAgt/FinInstnId/ClrSysMmbId/MmbId":         ifscs,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The official schema may not be given on with milaan; whoever has it validates
// with it.
func TestPain001IsValid(t *testing.T) {
	t.Parallel()
	schema := os.Getenv("MILAAN_TEST_PAIN001_XSD")
	if schema == "" {
		t.Skip("set MILAAN_TEST_PAIN001_XSD to the file pain.001.001.09.xsd of iso20022.org to run this test")
	}
	xmllint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Skip("install xmllint (libxml2-utils) to run this test")
	}
	long := batch()
	long.ID, long.Note = strings.Repeat("B", 35), strings.Repeat("note ", 60)
	long.Debit.Name = strings.Repeat("N", 140)
	long.Orders[0].Name = strings.Repeat("n", 140)
	long.Orders[0].Amount = 999_999_999_999_999_00 // 17 digits; the sum of all has no more than 18
	for name, message := range map[string][]byte{
		"one":  pain001(t, "M1", batch()),
		"two":  pain001(t, "M1", batch(), second()),
		"long": pain001(t, strings.Repeat("M", 35), long, second()),
	} {
		file := filepath.Join(t.TempDir(), name+".xml")
		if err := os.WriteFile(file, message, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), xmllint, "--nonet", "--noout", "--schema", schema, file).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		t.Logf("%s", out)
	}
}

func TestPain001Refuses(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	refused(t, bulkfile.WritePain001(&out, "M 1", batch()), bulkfile.ErrBatch, "message's id")
	refused(t, bulkfile.WritePain001(&out, "M1"), bulkfile.ErrBatch, "none")
	refused(t, bulkfile.WritePain001(&out, "M1", batch(), batch()), bulkfile.ErrBatch, "one id or one account")
	twice := second()
	twice.Orders = batch().Orders[2:3]
	refused(t, bulkfile.WritePain001(&out, "M1", batch(), twice), bulkfile.ErrBatch, "MLP1C is in two batches")
	large := batch()
	large.Orders[0].Amount = 9_999_999_999_999_999_99
	refused(t, bulkfile.WritePain001(&out, "M1", large, second()), bulkfile.ErrBatch, "the sum")
	large.Orders[1].Amount = 9_223_372_036_854_775_807
	refused(t, bulkfile.WritePain001(&out, "M1", large), bulkfile.ErrBatch, "too large")
	bad := batch()
	bad.Orders[3].Name = "<Ccy/>"
	refused(t, bulkfile.WritePain001(&out, "M1", bad), bulkfile.ErrBatch, "MLP1D")
	if out.Len() > 0 {
		t.Error("half a message was written")
	}
}

// Amounts and sums are exact whatever they are.
func TestPain001AddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		b := batch()
		b.Orders = nil
		var sum money.Paise
		for i, n := range rapid.SliceOfN(rapid.Int64Range(1, 9e12), 1, 30).Draw(r, "paise") {
			b.Orders = append(b.Orders, order("MLP"+strconv.Itoa(i), "50100200300401", "HDFC0000001", "Asha Rao", money.Paise(n)))
			sum += money.Paise(n)
		}
		got := texts(t, pain001(t, "M1", b))
		if got["GrpHdr/CtrlSum"][0] != sum.Fixed() || got["PmtInf/CtrlSum"][0] != sum.Fixed() ||
			got["GrpHdr/NbOfTxs"][0] != strconv.Itoa(len(b.Orders)) {
			r.Fatal(got)
		}
		for i, text := range got["PmtInf/CdtTrfTxInf/Amt/InstdAmt"] {
			if p, err := money.Parse(text); err != nil || p != b.Orders[i].Amount {
				r.Fatal(text, err)
			}
		}
	})
}
