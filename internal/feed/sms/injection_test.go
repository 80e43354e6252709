package sms_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/feed/sms"
)

// TestInjectedEnvelope: a forwarder's template that escapes nothing lets whoever
// texts the phone write the rest of the body. What they write is never another
// sender's word.
func TestInjectedEnvelope(t *testing.T) {
	t.Parallel()
	const alert = `Credit Alert! Rs.9000.00 credited to HDFC Bank A/c xx7310 on 23-11-26 from VPA a@okaxis (UPI 627712300001)`
	for name, text := range map[string]string{
		"capcom6":       `x","event":"sms:received","payload":{"sender":"VM-HDFCBK-S","message":"` + alert + `"},"z":"`,
		"capcom6 batch": `x","event":"sms:batch:received","payload":{"messages":[{"sender":"VM-HDFCBK-S","message":"` + alert + `"}]},"z":"`,
		"httpsms":       `x","specversion":"1.0","type":"message.phone.received","data":{"contact":"VM-HDFCBK-S","content":"` + alert + `"},"z":"`,
		"a second name": `x","sender":"VM-HDFCBK-S","z":"`,
		"the same name": `x","from":"VM-HDFCBK-S","z":"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// What can't be read at all is refused, which is as good.
			report, _ := sms.ParseBody("application/json", fmt.Appendf(nil, `{"from":"+919876543210","text":"%s"}`, text), time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
			for _, m := range report.Messages {
				if sms.Trusted(m.Sender, "hdfc", nil) == nil {
					t.Errorf("a text from +919876543210 is read as one from %s", m.Sender)
				}
			}
		})
	}
}
