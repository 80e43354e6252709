package deposit

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/money"
)

// Rule is an operator's own review rule, compiled.
type Rule struct {
	name    string
	program *vm.Program
}

// sum is an amount of money in a rule. It is not a number, so that the only
// things a rule can do with it are the comparisons below, in rupees and exact.
type sum struct{ paise money.Paise }

// ruleFacts is what a rule sees; docs/matching.md lists it.
type ruleFacts struct {
	Amount   sum        `expr:"amount"` // what the claim names
	Merchant string     `expr:"merchant"`
	Method   string     `expr:"method"`
	Label    string     `expr:"label"`
	CustomID string     `expr:"custom_id"`
	UTR      string     `expr:"utr"`
	Via      string     `expr:"via"`
	Credit   ruleCredit `expr:"credit"`
	History  rulePast   `expr:"history"`
}

type ruleCredit struct {
	Amount     sum    `expr:"amount"`
	Wallet     string `expr:"wallet"`
	Feed       string `expr:"feed"`
	PayerVPA   string `expr:"payer_vpa"`
	PayerName  string `expr:"payer_name"`
	Note       string `expr:"note"`
	Reference  string `expr:"reference"`
	AgeMinutes int    `expr:"age_minutes"` // from the bank's time to the claim
	Verified   bool   `expr:"verified"`
}

type rulePast struct {
	LabelFailures    int  `expr:"label_failures"`
	AddressFailures  int  `expr:"address_failures"`
	MerchantFailures int  `expr:"merchant_failures"`
	Rivals           int  `expr:"rivals"`
	Shown            bool `expr:"shown"` // the label was shown the credit's wallet
}

// CompileRules reads the rules. The error names the rule and says where its
// expression is wrong.
func CompileRules(rules []*directory.Rule) ([]Rule, error) {
	compiled := make([]Rule, 0, len(rules))
	for _, r := range rules {
		rule, err := compileRule(r)
		if err != nil {
			return nil, err
		}
		compiled = append(compiled, rule)
	}
	return compiled, nil
}

func compileRule(r *directory.Rule) (Rule, error) {
	// Without a clock: the same facts give the same decision at any time.
	options := append([]expr.Option{expr.Env(ruleFacts{}), expr.AsBool(), expr.DisableBuiltin("now")}, sumOperators...)
	program, err := expr.Compile(r.When, options...)
	if err != nil {
		return Rule{}, fmt.Errorf("rule %s: %w", r.Name, err)
	}
	uses := sumUses{}
	if root := program.Node(); root != nil {
		ast.Walk(&root, &uses)
	}
	if uses.stray {
		return Rule{}, fmt.Errorf("rule %s: an amount can only be compared with ==, !=, <, <=, > and >=, to rupees or to another amount", r.Name)
	}
	rule := Rule{name: r.Name, program: program}
	// A dry run finds what only shows when running: 0.001 rupees, say.
	if _, err := expr.Run(program, ruleFacts{}); err != nil {
		return Rule{}, fmt.Errorf("rule %s: %w", r.Name, err)
	}
	return rule, nil
}

func (r Rule) reason() Reason { return Reason(rulePrefix + r.name) }

func (r Rule) holds(c Case, credit *Credit) (bool, error) {
	shown := !notShown(ShownStrict, credit.Wallet, c.History.Shown)
	out, err := expr.Run(r.program, ruleFacts{
		Amount:   sum{c.Claim.Amount},
		Merchant: c.Claim.Merchant,
		Method:   c.Claim.Method,
		Label:    c.Claim.Label,
		CustomID: c.Claim.CustomID,
		UTR:      string(c.Claim.UTR),
		Via:      c.Claim.Via,
		Credit: ruleCredit{
			Amount:     sum{credit.Amount},
			Wallet:     credit.Wallet,
			Feed:       credit.Feed,
			PayerVPA:   credit.PayerVPA,
			PayerName:  credit.PayerName,
			Note:       credit.Note,
			Reference:  credit.Reference,
			AgeMinutes: int(c.Claim.CreatedAt.Sub(credit.At) / time.Minute),
			Verified:   credit.Trust >= feed.Confirmed,
		},
		History: rulePast{
			LabelFailures:    c.History.LabelFailures,
			AddressFailures:  c.History.AddressFailures,
			MerchantFailures: c.History.MerchantFailures,
			Rivals:           c.Rivals,
			Shown:            shown,
		},
	})
	if err != nil {
		return false, fmt.Errorf("rule %s: %w", r.name, err)
	}
	holds, ok := out.(bool)
	if !ok {
		return false, fmt.Errorf("rule %s gives %T, not true or false", r.name, out)
	}
	return holds, nil
}

// sumOperators teach expr to compare amounts with rupees as a person writes
// them (100000, 99.50) and with each other.
var sumOperators = func() []expr.Option {
	var options []expr.Option
	for _, op := range []struct {
		sign, name string
		holds      func(a, b money.Paise) bool
	}{
		{"==", "sumEqual", func(a, b money.Paise) bool { return a == b }},
		{"!=", "sumNotEqual", func(a, b money.Paise) bool { return a != b }},
		{"<", "sumLess", func(a, b money.Paise) bool { return a < b }},
		{"<=", "sumLessOrEqual", func(a, b money.Paise) bool { return a <= b }},
		{">", "sumMore", func(a, b money.Paise) bool { return a > b }},
		{">=", "sumMoreOrEqual", func(a, b money.Paise) bool { return a >= b }},
	} {
		compare := func(args ...any) (any, error) {
			a, err := paiseOf(args[0])
			if err != nil {
				return nil, err
			}
			b, err := paiseOf(args[1])
			if err != nil {
				return nil, err
			}
			return op.holds(a, b), nil
		}
		options = append(options,
			expr.Function(op.name, compare,
				new(func(sum, int) bool), new(func(int, sum) bool),
				new(func(sum, float64) bool), new(func(float64, sum) bool), //nolint:forbidigo // how expr types a literal
				new(func(sum, sum) bool)),
			expr.Operator(op.sign, op.name))
	}
	return options
}()

// sumUses finds an amount that stands where expr does not refuse it and would
// give a wrong answer: amount in [500, 99.50] is never true.
type sumUses struct{ stray bool }

// Visit looks at one node; comparisons of amounts have become calls by now.
func (u *sumUses) Visit(node *ast.Node) {
	isSum := func(n ast.Node) bool { return n.Type() == reflect.TypeFor[sum]() }
	switch n := (*node).(type) {
	case *ast.BinaryNode:
		u.stray = u.stray || isSum(n.Left) || isSum(n.Right)
	case *ast.ArrayNode:
		u.stray = u.stray || slices.ContainsFunc(n.Nodes, isSum)
	}
}

// paiseOf reads a side of a comparison. A literal with decimals reaches us as
// the nearest binary number; its shortest decimal text is what was written.
func paiseOf(v any) (money.Paise, error) {
	switch v := v.(type) {
	case sum:
		return v.paise, nil
	case int:
		return money.Parse(strconv.Itoa(v))
	case float64: //nolint:forbidigo // how expr types a literal
		return money.Parse(strconv.FormatFloat(v, 'f', -1, 64)) //nolint:forbidigo // and back to what was written
	default:
		return 0, fmt.Errorf("%v is no amount in rupees", v)
	}
}
