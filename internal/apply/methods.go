package apply

import (
	"slices"

	"github.com/milaan/milaan/internal/directory"
)

// payoutMethod is what withdrawals go by (protocol, section 2). It is known
// without being declared and is no method that a payer could be shown.
const payoutMethod = "imps_ib"

// builtIn are the wallet types of the protocol, section 2. They need no
// declaration: naming one suffices.
var builtIn = []string{"upi_l", "upi_ib", "upi_hb", "upi_in", "upi_w", "upi_m"}

// newMethod is a method as it is where the file says no more than its type.
func newMethod(walletType string) directory.Method {
	m := directory.Method{Type: walletType, Name: map[string]string{"en": walletType}, Enabled: true}
	if slices.Contains(builtIn, walletType) {
		m.Name = map[string]string{"en": "UPI", "hi": "यूपीआई"}
	}
	return m
}
