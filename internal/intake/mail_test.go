package intake_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/store/storetest"
)

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// names is a name server with the key of some domains; those below "slow." fail
// for now.
type names []string

func (n names) lookup(_ context.Context, name string) ([]string, error) {
	for _, domain := range n {
		if name == "slow._domainkey."+domain {
			return nil, &net.DNSError{Err: "timeout", Name: name, IsTimeout: true, IsTemporary: true}
		}
		if name == "s1._domainkey."+domain {
			public, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
			return []string{"v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public)}, err
		}
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// letter is an alert of HDFC Bank, as yet unsigned.
func letter(utr, amount, to string) string {
	return fmt.Sprintf("From: HDFC Bank InstaAlerts <alerts@hdfcbank.net>\r\nTo: %s\r\nSubject: Account update\r\nDate: %s\r\nMessage-ID: <%s@hdfcbank.net>\r\n"+
		"Content-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n", to, now.Format(time.RFC1123Z), utr, alertText("7310", utr, amount))
}

func alertText(tail, utr, amount string) string {
	return fmt.Sprintf("Dear Customer, Rs.%s is successfully credited to your account **%s by VPA asha@okaxis ASHA on 14-03-26. Your UPI transaction reference number is %s.", amount, tail, utr)
}

func sign(t *testing.T, domain, selector, message string, fields ...string) string {
	t.Helper()
	if fields == nil {
		fields = []string{"From", "To", "Subject", "Date", "Message-ID", "Content-Type"}
	}
	var signed bytes.Buffer
	err := dkim.Sign(&signed, strings.NewReader(message), &dkim.SignOptions{
		Domain: domain, Selector: selector, Signer: rsaKey(), HeaderKeys: fields,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return signed.String()
}

const business = "Shop <Accounts@Shop.example>"

// postRoom is a house that takes e-mail on its till.
type postRoom struct {
	*storetest.House
	reader *intake.Reader
	feed   directory.Feed
	wallet directory.Wallet
}

func openPostRoom(t *testing.T, fresh storetest.Fresh) *postRoom {
	t.Helper()
	h := storetest.MustOpenHouse(t, fresh(t), storetest.Setup{})
	r, err := intake.New(names{"hdfcbank.net", "evil.example", "sbi.co.in"}.lookup, h.Clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	p := &postRoom{House: h, reader: r, feed: *h.Directory.Current().Feed("till"), wallet: *h.Directory.Current().Wallet("till")}
	p.feed.Kind, p.feed.Recipients = directory.FeedEmail, []string{"accounts@shop.example"}
	p.wallet.Bank, p.wallet.Account = "hdfc", "50100012347310"
	return p
}

// take books a message, and gives what became of it.
func (p *postRoom) take(raw string) feed.Outcome {
	p.Helper()
	report, err := p.reader.ReadMail(p.Context(), &p.feed, &p.wallet, []byte(raw))
	if err != nil {
		p.Fatalf("read: %v", err)
	}
	taken, err := p.Desk.Ingest(p.Context(), &p.feed, report.Items)
	if err != nil || len(taken.Outcomes) != 1 {
		p.Fatalf("took %+v, %v", taken, err)
	}
	return taken.Outcomes[0]
}

// TestMail: the bank's signed word to this business is a credit, and confirms
// what an SMS told of.
func TestMail(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, fresh storetest.Fresh) {
		t.Helper()
		p := openPostRoom(t, fresh)
		const utr = "607312345021"
		large := p.Entry(utr, 25_000_00)
		large.Trust, large.PayerVPA, large.PayerName = feed.Provisional, "", ""
		p.MustReport("till", 1, 0, 0, large)
		c := p.MustActivate(storetest.Claim("a", utr, 25_000_00), deposit.Pending, deposit.CreditUnverified)
		raw := sign(t, "hdfcbank.net", "s1", letter(utr, "25,000.00", business))
		if out := p.take(raw); out.Result != feed.Known || !out.Settled {
			t.Errorf("the bank's word gave %+v", out)
		}
		p.MustFind(c.ID, deposit.Credited)
		if out := p.take(raw); out.Result != feed.Known || out.Settled {
			t.Errorf("the same again gave %+v", out)
		}
		// First heard of by mail.
		w := p.MustActivate(storetest.Claim("b", "607312345022", 75_00), deposit.Waiting)
		if out := p.take(sign(t, "hdfcbank.net", "s1", letter("607312345022", "75.00", "partner@shop.example, "+business))); out.Result != feed.New || !out.Settled {
			t.Errorf("a new one gave %+v", out)
		}
		p.MustFind(w.ID, deposit.Credited)
		if credit := p.MustCredit("till", "607312345022"); credit.Trust != feed.Confirmed || credit.Amount != 75_00 {
			t.Errorf("kept as %+v", credit)
		}
		// It contradicts the bank's own word: a person looks.
		if out := p.take(sign(t, "hdfcbank.net", "s1", letter(utr, "2,500.00", business))); out.Result != feed.Refused {
			t.Errorf("another amount gave %+v", out)
		}
		// One that is old brings an old credit.
		old := strings.NewReplacer("14-03-26", "14-01-26", now.Format(time.RFC1123Z), now.AddDate(0, -2, 0).Format(time.RFC1123Z)).
			Replace(letter("607312345023", "75.00", business))
		if out := p.take(sign(t, "hdfcbank.net", "s1", old)); out.Result != feed.New {
			t.Errorf("an old one gave %+v", out)
		}
		p.MustActivate(storetest.Claim("old", "607312345023", 75_00), deposit.Pending, deposit.CreditTooOld)
		p.MustVerify()
	})
}

// TestForgedMail: a message that is not proven the bank's to this business is
// kept for a person, and counts for nothing.
func TestForgedMail(t *testing.T) {
	t.Parallel()
	p := openPostRoom(t, storetest.SQLite)
	const utr = "607312345031"
	c := p.MustActivate(storetest.Claim("a", utr, 75_00), deposit.Waiting)
	good := letter(utr, "75.00", business)
	signed := sign(t, "hdfcbank.net", "s1", good)
	insert := func(raw, line string) string { return line + "\r\n" + raw }
	html := strings.Replace(good, "Content-Type: text/plain; charset=utf-8\r\n\r\n", "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n", 1) +
		"--b\r\nContent-Type: text/html\r\n\r\n<p>" + alertText("7310", utr, "7500.00") + "</p>\r\n--b--\r\n"
	for name, tt := range map[string]struct {
		raw  string
		want feed.Result
	}{
		"unsigned":                        {good, feed.Refused},
		"signed by another domain":        {sign(t, "evil.example", "s1", good), feed.Refused},
		"another bank's":                  {sign(t, "sbi.co.in", "s1", strings.ReplaceAll(good, "hdfcbank.net", "sbi.co.in")), feed.Refused},
		"from a look-alike":               {sign(t, "evil.example", "s1", strings.ReplaceAll(good, "hdfcbank.net", "evil.example")), feed.Refused},
		"the bank's name before another":  {sign(t, "evil.example", "s1", strings.ReplaceAll(good, "HDFC Bank InstaAlerts <alerts@hdfcbank.net>", `"alerts@hdfcbank.net" <a@evil.example>`)), feed.Refused},
		"another amount":                  {strings.Replace(signed, "Rs.75.00", "Rs.75000.00", 1), feed.Refused},
		"another UTR":                     {strings.Replace(signed, "reference number is "+utr, "reference number is 607312345032", 1), feed.Refused},
		"a line more":                     {signed + alertText("7310", "607312345033", "900.00") + "\r\n", feed.NotCredit},
		"to another business":             {sign(t, "hdfcbank.net", "s1", letter(utr, "75.00", "thief@example.com")), feed.Refused},
		"To is not signed":                {sign(t, "hdfcbank.net", "s1", good, "From", "Subject", "Date"), feed.Refused},
		"Date is not signed":              {sign(t, "hdfcbank.net", "s1", good, "From", "To", "Subject"), feed.Refused},
		"a key that is gone":              {sign(t, "hdfcbank.net", "gone", good), feed.Refused},
		"a second sender":                 {insert(signed, "From: HDFC Bank <alerts@hdfcbank.net>"), ""},
		"a result that anybody can write": {insert(good, "Authentication-Results: mx.shop.example; dkim=pass header.d=hdfcbank.net"), feed.Refused},
		"an answer to a letter":           {sign(t, "hdfcbank.net", "s1", strings.Replace(good, "Subject:", "In-Reply-To: <1@shop.example>\r\nSubject:", 1)), feed.Refused},
		"another account":                 {sign(t, "hdfcbank.net", "s1", strings.Replace(good, "**7310", "**7311", 1)), feed.NotCredit},
		"texts that differ":               {sign(t, "hdfcbank.net", "s1", html), feed.Unread},
		"somebody's letter":               {"From: a@b.example\r\nTo: x@y.example\r\nSubject: hello\r\nDate: " + now.Format(time.RFC1123Z) + "\r\n\r\nSee you at eight.\r\n", feed.NotCredit},
	} {
		if tt.want == "" {
			report, err := p.reader.ReadMail(t.Context(), &p.feed, &p.wallet, []byte(tt.raw))
			var bad *intake.BodyError
			if err == nil && report.Items[0].Credit != nil || err != nil && !errors.As(err, &bad) {
				t.Errorf("%s: %+v, %v", name, report, err)
			}
			continue
		}
		if out := p.take(tt.raw); out.Result != tt.want || out.CreditID != 0 || out.Why == "" {
			t.Errorf("%s: %+v, want %s", name, out, tt.want)
		}
	}
	p.MustFind(c.ID, deposit.Waiting)
	if r := p.MustVerify(); r.Credits != 0 {
		t.Errorf("%d credits were made", r.Credits)
	}
	// What nobody can check now comes again.
	if _, err := p.reader.ReadMail(t.Context(), &p.feed, &p.wallet, []byte(sign(t, "hdfcbank.net", "slow", good))); !errors.Is(err, intake.ErrTemporary) {
		t.Errorf("a name server that is down gives %v", err)
	}
	// A feed that knows no recipients believes nobody.
	p.feed.Recipients = nil
	if out := p.take(signed); out.Result != feed.Refused {
		t.Errorf("without recipients: %+v", out)
	}
	p.feed.Recipients = []string{"accounts@shop.example"}
	if out := p.take(signed); out.Result != feed.New || !out.Settled {
		t.Errorf("the genuine one gave %+v", out)
	}
}
