package console

import (
	"github.com/milaan/milaan/internal/deposit"
)

// overview is what the first page shows.
type overview struct {
	All      bool // of the whole installation
	Backlog  deposit.Backlog
	Merchant string // whose it is, where it is one's
	Others   []merchantLink
}

type merchantLink struct{ Name, Path string }

// overview shows what is not settled yet: of the installation, of a user's one
// merchant, or of the one that the address names.
func (d *Door) overview(v *visit) error {
	ids, all := v.merchants()
	one := v.PathValue("merchant")
	if one == "" && !all {
		one = ids[0]
	}
	backlog, err := d.Store.Backlog(v.Context(), one)
	if err != nil {
		return err
	}
	o := overview{All: one == "", Backlog: backlog}
	if one != "" {
		o.Merchant = d.merchantName(one)
	}
	for _, id := range ids {
		if id != one {
			o.Others = append(o.Others, merchantLink{d.merchantName(id), base + "/merchants/" + id})
		}
	}
	return v.show(page{Name: "overview", Wide: true, Body: o})
}
