package staff

import (
	"fmt"
	"slices"
)

// Role is what a user is to the installation, or to one merchant.
type Role string

// Roles. The first four are of the whole installation, the others of one
// merchant.
const (
	Owner             Role = "owner"
	Operator          Role = "operator"
	Reviewer          Role = "reviewer"
	Viewer            Role = "viewer"
	MerchantAdmin     Role = "merchant-admin"
	MerchantDeveloper Role = "merchant-developer"
	MerchantViewer    Role = "merchant-viewer"
)

// Roles lists every role, the mightiest first.
func Roles() []Role {
	return []Role{Owner, Operator, Reviewer, Viewer, MerchantAdmin, MerchantDeveloper, MerchantViewer}
}

// OfMerchant reports whether the role is limited to a merchant.
func (r Role) OfMerchant() bool {
	return r == MerchantAdmin || r == MerchantDeveloper || r == MerchantViewer
}

// Permission is one thing that a role may do.
type Permission string

// Permissions. What a role may do with one merchant's things it may do with
// those of that merchant alone; see [User.May].
const (
	// SeePayments: deposits, credits, withdrawals, postbacks and balances.
	SeePayments Permission = "payments.see"
	// Review: approve, reject and bind what waits for a person.
	Review Permission = "claims.review"
	// RunPayouts: approve, reject and settle withdrawals.
	RunPayouts Permission = "payouts.run"
	// RunPostbacks: send again, pause, test.
	RunPostbacks Permission = "postbacks.run"
	// SeeWorks: wallets, methods, feeds, and how they are.
	SeeWorks Permission = "works.see"
	// RunWorks: switch wallets and methods, upload statements, answer feeds.
	RunWorks Permission = "works.run"
	// SeeMerchant: a merchant's settings, without secrets.
	SeeMerchant Permission = "merchant.see"
	// EditMerchant: addresses, look, payment links.
	EditMerchant Permission = "merchant.edit"
	// MerchantKeys: make and rotate a merchant's keys.
	MerchantKeys Permission = "merchant.keys"
	// SeeAudit: the audit log.
	SeeAudit Permission = "audit.see"
	// ManageUsers: invite, change and remove users.
	ManageUsers Permission = "users.manage"
	// ManageSettings: what concerns the whole installation.
	ManageSettings Permission = "settings.manage"
)

// Permissions lists every permission.
func Permissions() []Permission {
	return []Permission{
		SeePayments, Review, RunPayouts, RunPostbacks, SeeWorks, RunWorks,
		SeeMerchant, EditMerchant, MerchantKeys, SeeAudit, ManageUsers, ManageSettings,
	}
}

// Permissions lists what a role may do.
func (r Role) Permissions() []Permission {
	switch r {
	case Owner:
		return Permissions()
	case Operator:
		return []Permission{SeePayments, Review, RunPayouts, RunPostbacks, SeeWorks, RunWorks, SeeMerchant, EditMerchant, SeeAudit}
	case Reviewer:
		return []Permission{SeePayments, Review, SeeWorks, SeeMerchant}
	case Viewer:
		return []Permission{SeePayments, SeeWorks, SeeMerchant}
	case MerchantAdmin:
		return []Permission{SeePayments, RunPostbacks, SeeMerchant, EditMerchant, MerchantKeys}
	case MerchantDeveloper:
		return []Permission{SeePayments, RunPostbacks, SeeMerchant, MerchantKeys}
	case MerchantViewer:
		return []Permission{SeePayments, SeeMerchant}
	default:
		return nil
	}
}

// Grant gives a user a role.
type Grant struct {
	Role     Role   `json:"role"`
	Merchant string `json:"merchant,omitempty"` // of the merchants' roles alone
}

// ParseGrant reads a role and the merchant it is for. It fails on a role there
// is not, a merchant's role without a merchant and any other with one; whether
// there is such a merchant the caller knows.
func ParseGrant(role, merchant string) (Grant, error) {
	r := Role(role)
	switch {
	case !slices.Contains(Roles(), r):
		return Grant{}, fmt.Errorf("there is no role %q: give one of %v", role, Roles())
	case r.OfMerchant() && merchant == "":
		return Grant{}, fmt.Errorf("%s is a role for one merchant: name the merchant", role)
	case !r.OfMerchant() && merchant != "":
		return Grant{}, fmt.Errorf("%s is a role for the whole installation: name no merchant", role)
	}
	return Grant{r, merchant}, nil
}

// String writes a grant as the audit log and the command line say it.
func (g Grant) String() string {
	if g.Merchant == "" {
		return string(g.Role)
	}
	return string(g.Role) + ":" + g.Merchant
}

// May reports whether the user may do something with what is a merchant's; an
// empty merchant stands for the whole installation. A role of the installation
// holds for every merchant, a merchant's role for that one alone.
func (u *User) May(p Permission, merchant string) bool {
	for _, g := range u.Grants {
		if (!g.Role.OfMerchant() || g.Merchant == merchant && merchant != "") && slices.Contains(g.Role.Permissions(), p) {
			return true
		}
	}
	return false
}

// Merchants lists the merchants for which the user has a permission; all where
// it is had for the whole installation.
func (u *User) Merchants(p Permission) (merchants []string, all bool) {
	if u.May(p, "") {
		return nil, true
	}
	for _, g := range u.Grants {
		if g.Role.OfMerchant() && slices.Contains(g.Role.Permissions(), p) {
			merchants = append(merchants, g.Merchant)
		}
	}
	slices.Sort(merchants)
	return slices.Compact(merchants), false
}
