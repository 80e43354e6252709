package deposit_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// checks is how many random sequences each property test makes where -rapid.checks
// does not say it: a sequence moves through a whole database, and six such tests
// of a hundred take minutes.
const checks = "40"

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", checks); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}
