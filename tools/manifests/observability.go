package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// alerts reads rules as Prometheus does ("promtool check rules"), and holds
// their metrics to docs/metrics.md.
func alerts(path string) error {
	groups, problems := rulefmt.ParseFile(path, false, model.UTF8Validation)
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	known, err := documented(path)
	if err != nil {
		return err
	}
	var errs []error
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			errs = append(errs, known.check(rule.Alert, rule.Expr))
			if rule.Annotations["summary"] == "" || rule.Annotations["what_to_do"] == "" {
				errs = append(errs, fmt.Errorf("%s does not say what to do", rule.Alert))
			}
		}
	}
	return errors.Join(errs...)
}

// dashboard holds the expressions of a Grafana dashboard to docs/metrics.md.
func dashboard(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var board struct {
		Panels []struct {
			ID      int
			Type    string
			Title   string
			Targets []struct{ Expr string }
			GridPos struct{ X, Y, W, H int }
		}
	}
	if err := json.Unmarshal(data, &board); err != nil {
		return err
	}
	known, err := documented(path)
	if err != nil {
		return err
	}
	var errs []error
	ids, places := make(map[int]bool), make(map[string]bool)
	for _, p := range board.Panels {
		place := fmt.Sprint(p.GridPos.X, ",", p.GridPos.Y)
		if ids[p.ID] || places[place] || p.GridPos.X+p.GridPos.W > 24 {
			errs = append(errs, fmt.Errorf("panel %q stands where another does, or has its number", p.Title))
		}
		ids[p.ID], places[place] = true, true
		if p.Type != "row" && len(p.Targets) == 0 {
			errs = append(errs, fmt.Errorf("panel %q shows nothing", p.Title))
		}
		for _, target := range p.Targets {
			// Grafana puts the time between two points in its place.
			errs = append(errs, known.check(p.Title, strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")))
		}
	}
	// What is counted and shown nowhere is forgotten.
	for name := range known {
		if !strings.Contains(string(data), name) && strings.HasPrefix(name, "milaan_") &&
			name != "milaan_rates_age_seconds" && name != "milaan_payout_strangers_total" {
			errs = append(errs, fmt.Errorf("%s is on no panel", name))
		}
	}
	return errors.Join(errs...)
}

// metrics are the documented names, with their kind.
type metrics map[string]string

// documented reads docs/metrics.md, which a test holds to the program.
func documented(path string) (metrics, error) {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(path), "../../docs/metrics.md"))
	if err != nil {
		return nil, err
	}
	known := metrics{ // of Prometheus, Go and the process
		"up": "gauge", "go_goroutines": "gauge", "process_start_time_seconds": "gauge", "process_open_fds": "gauge",
		"process_max_fds": "gauge", "process_cpu_seconds_total": "counter", "process_resident_memory_bytes": "gauge",
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(milaan_[a-z_]+)` \\| ([a-z]+) \\|").FindAllSubmatch(text, -1) {
		known[string(row[1])] = string(row[2])
	}
	return known, nil
}

// check parses an expression and looks its metrics up.
func (m metrics) check(where, text string) error {
	expr, err := parser.ParseExpr(text)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	var errs []error
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		name := selector.Name
		if m[name] == "histogram" {
			errs = append(errs, fmt.Errorf("%s: %s is a histogram, and has no value of its own", where, name))
			return nil
		}
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, cut := strings.CutSuffix(name, suffix); cut && m[base] == "histogram" {
				return nil
			}
		}
		if m[name] == "" {
			errs = append(errs, fmt.Errorf("%s: docs/metrics.md does not list %s", where, name))
		}
		return nil
	})
	return errors.Join(errs...)
}
