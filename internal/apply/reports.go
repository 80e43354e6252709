package apply

import (
	"slices"

	"github.com/milaan/milaan/internal/directory"
)

// mostRecipients is how many addresses a report goes to.
const mostRecipients = 20

// readReports reads whom a merchant's reports are mailed to.
func readReports(v value) directory.Reports {
	o := v.object("daily", "monthly")
	addresses := func(key string) (list []string) {
		at, ok := o.fields[key]
		if !ok {
			return nil
		}
		for _, item := range at.elements() {
			address := item.matching(checkEmail)
			switch {
			case address == "":
			case slices.Contains(list, address):
				item.wrong("stands here twice: remove one")
			case len(list) == mostRecipients:
				item.wrong("is one too many: a report goes to up to %d addresses, or to a mailing list", mostRecipients)
			default:
				list = append(list, address)
			}
		}
		return list
	}
	return directory.Reports{Daily: addresses("daily"), Monthly: addresses("monthly")}
}
