package window

import (
	"html/template"
	"strings"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/upi"
)

// app is a link that opens a UPI app on the payer's phone. Name is empty where
// the phone chooses which.
type app struct {
	Name string
	URL  template.URL
}

// appsFor are the links that open UPI apps with a payment filled in. There are
// none to a personal VPA: NPCI's circulars OC-76A and OC-76C disallow intent
// payments to those, and apps refuse them; only wallets that the operator
// declared to be merchant VPAs have them.
func appsFor(wallet *directory.Wallet, link upi.Link) ([]app, error) {
	if !wallet.MerchantVPA {
		return nil, nil
	}
	if err := link.Validate(); err != nil {
		return nil, err
	}
	generic := link.String()
	query := strings.TrimPrefix(generic, "upi://pay")
	// html/template knows no such schemes. These are ours, and upi.Link escapes
	// what follows them.
	return []app{
		{"", template.URL(generic)},                           //nolint:gosec // see above
		{"Google Pay", template.URL("tez://upi/pay" + query)}, //nolint:gosec // see above
		{"PhonePe", template.URL("phonepe://pay" + query)},    //nolint:gosec // see above
		{"Paytm", template.URL("paytmmp://pay" + query)},      //nolint:gosec // see above
	}, nil
}
