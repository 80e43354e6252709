package staff

import "errors"

// View is what a user looks for again and again in one of the console's lists,
// under a name of the user's own.
type View struct {
	List  string // which list
	Name  string // see [ParseName]; never empty
	Query string // as in its address
}

// MostViews is how many views of a list a user may have.
const MostViews = 30

// ErrManyViews means that a user has [MostViews] of a list already.
var ErrManyViews = errors.New("there are as many saved views as can be: remove one first")
