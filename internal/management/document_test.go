package management_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/access"
)

// TestDocumentIsCurrent keeps docs/openapi.json what the program serves; run it
// with MILAAN_TEST_UPDATE=1 to write it anew.
func TestDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	const path = "../../docs/openapi.json"
	o := mustOpenOffice(t)
	status, served := o.ask(request{path: "/v3/openapi.json"})
	if status != http.StatusOK || served != string(o.door.Document()) {
		t.Errorf("served with %d", status)
	}
	kept, err := os.ReadFile(path)
	if err == nil && bytes.Equal(kept, o.door.Document()) {
		return
	}
	if os.Getenv("MILAAN_TEST_UPDATE") == "" {
		t.Fatalf("docs/openapi.json is not what the program serves: run this test with MILAAN_TEST_UPDATE=1 (%v)", err)
	}
	if err := os.WriteFile(path, o.door.Document(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDocumentIsWhole holds the document to what a reader, or a generator of
// clients, needs.
func TestDocumentIsWhole(t *testing.T) {
	t.Parallel()
	text := string(mustOpenOffice(t).door.Document())
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]map[string]any
		Webhooks   map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("it is OpenAPI %s", doc.OpenAPI)
	}
	for _, found := range regexp.MustCompile(`#/components/schemas/([^"]+)`).FindAllStringSubmatch(text, -1) {
		if doc.Components.Schemas[found[1]] == nil {
			t.Errorf("schema %s is missing", found[1])
		}
	}
	for _, path := range []string{
		"/api/v1/transaction/create/{wallet_type}", "/api/v1/transaction/activate", "/api/v1/transaction/status", "/api/v1/payment-systems/available",
		"/v2/withdrawal/create", "/v2/withdrawal/status", "/v2/balance",
	} {
		if doc.Paths[path] == nil {
			t.Errorf("the legacy protocol's %s is missing", path)
		}
	}
	if doc.Webhooks["deposit"] == nil {
		t.Error("the postback is missing")
	}
	var ids []string
	for path, item := range doc.Paths {
		for method, op := range item {
			id, _ := op["operationId"].(string)
			if id == "" || op["summary"] == "" || op["tags"] == nil || slices.Contains(ids, id) {
				t.Errorf("%s %s has the id %q", method, path, id)
			}
			ids = append(ids, id)
			unsafe := method != "get" && strings.HasPrefix(path, "/v3/")
			if parameters, err := json.Marshal(op["parameters"]); err != nil || strings.Contains(string(parameters), "Idempotency-Key") != unsafe {
				t.Errorf("%s %s: %s, %v", method, path, parameters, err)
			}
		}
	}
}

// TestScopesAreDocumented: docs/api.md names every scope.
func TestScopesAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range access.Scopes("") {
		if !strings.Contains(string(text), "`"+string(scope)+"`") {
			t.Errorf("docs/api.md lacks the scope %s", scope)
		}
	}
}

// TestPageNeedsNothing: the page runs no script, loads nothing from anywhere, and
// its own style is what its policy lets through.
func TestPageNeedsNothing(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	res := o.send(request{path: "/v3/docs"})
	_ = res.Body.Close()
	_, page := o.ask(request{path: "/v3/docs"})
	policy := res.Header.Get("Content-Security-Policy")
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(page)
	if style == nil {
		t.Fatal("the page has no style")
	}
	sum := sha256.Sum256([]byte(style[1]))
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, base64.StdEncoding.EncodeToString(sum[:])) || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %s", policy)
	}
	for _, bad := range []string{"<script", "javascript:", " style=", " src=", "<link", "<img", "ZgotmplZ"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	ids := make(map[string]bool)
	for _, found := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if ids[found[1]] {
			t.Errorf("id %s is there twice", found[1])
		}
		ids[found[1]] = true
	}
	for _, found := range regexp.MustCompile(` href="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if name, ok := strings.CutPrefix(found[1], "#"); found[1] != "/v3/openapi.json" && (!ok || !ids[name]) {
			t.Errorf("a link leads to %s", found[1])
		}
	}
	if !ids["list-deposits"] || !ids["legacy-activate"] || !ids["problem-not-found"] {
		t.Error("the page lacks operations or problems")
	}
}
