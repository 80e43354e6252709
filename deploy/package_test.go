// Package deploy_test holds what is shipped to what it promises: that a release
// can be made again byte by byte, that the Debian package does under a real
// systemd what it says, and that the examples for containers are sound.
package deploy_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// everything says that the slow tests are asked for: both architectures, and a
// second build that starts from nothing.
func everything() bool { return os.Getenv("MILAAN_TEST_RELEASE") == "1" }

// release makes a release of the last commit and gives the folder it is in.
func release(t *testing.T, environment ...string) string {
	t.Helper()
	out := t.TempDir()
	archs := "amd64"
	if everything() {
		archs = "amd64,arm64"
	}
	command := exec.CommandContext(t.Context(), "../release", "--out", out, "--arch", archs)
	command.Env = append(os.Environ(), environment...)
	if report, err := command.CombinedOutput(); err != nil {
		t.Fatalf("./release: %v\n%s", err, report)
	}
	return out
}

// TestRelease makes a release twice, and installs what was made.
func TestRelease(t *testing.T) {
	if err := exec.CommandContext(t.Context(), "git", "rev-parse", "HEAD").Run(); err != nil {
		t.Skip("SKIPPED: a release is made of a commit, and this is no git repository")
	}
	first := release(t)
	t.Run("again", func(t *testing.T) {
		var nothing []string
		if everything() {
			nothing = []string{"GOCACHE=" + t.TempDir()}
		}
		same(t, first, release(t, nothing...))
	})
	t.Run("program", func(t *testing.T) { program(t, find(t, first, "milaan_*_linux_amd64")) })
	t.Run("bill of materials", func(t *testing.T) {
		bill, err := os.ReadFile(find(t, first, "milaan_*_linux_amd64.cdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{`"bomFormat": "CycloneDX"`, "modernc.org/sqlite@", "github.com/jackc/pgx/v5@", "pkg:golang/std@"} {
			if !bytes.Contains(bill, []byte(part)) {
				t.Errorf("the bill of materials does not have %s", part)
			}
		}
	})
	t.Run("package", func(t *testing.T) { install(t, find(t, first, "milaan_*_amd64.deb")) })
}

func find(t *testing.T, dir, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %d files, not one: %v", pattern, len(files), err)
	}
	return files[0]
}

// same compares two folders byte by byte.
func same(t *testing.T, first, second string) {
	t.Helper()
	files, err := os.ReadDir(first)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 4 {
		t.Errorf("a release has %d files", len(files))
	}
	for _, file := range files {
		a, err := os.ReadFile(filepath.Join(first, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(second, file.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was made only once", file.Name())
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s came out different the second time", file.Name())
		}
	}
}

// program checks that what was built needs nothing of where it runs and shows
// nothing of where it was built.
func program(t *testing.T, path string) {
	t.Helper()
	version, err := exec.CommandContext(t.Context(), path, "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(version), "milaan v") || strings.Contains(string(version), "dirty") {
		t.Errorf("it says of itself %q", version)
	}
	if linked, err := exec.CommandContext(t.Context(), "ldd", path).CombinedOutput(); err == nil {
		t.Errorf("it is not static: %s", linked)
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, trace := range []string{filepath.Dir(here), "/tmp/milaan-release"} {
		if bytes.Contains(binary, []byte(trace)) {
			t.Errorf("it shows the folder it was built in: %s", trace)
		}
	}
}

// install tries the package in a throw-away copy of this machine that systemd
// was booted in.
func install(t *testing.T, deb string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: booting a copy of this machine needs root")
	}
	for _, tool := range []string{"systemd-nspawn", "unshare", "dpkg", "curl", "man"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %s is not here: apt-get install systemd-container util-linux dpkg curl man-db", tool)
		}
	}
	report := filepath.Join(t.TempDir(), "report")
	command := exec.CommandContext(t.Context(), "unshare", "--mount", "testdata/boot.sh", deb, "testdata/inside.sh", report)
	out, err := command.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 77 {
		t.Skipf("SKIPPED: this machine can't boot a copy of itself:\n%s", out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(text), "\ndone\n") || strings.Contains(string(text), "\nnot ok ") {
		t.Errorf("the package does not do what it promises:\n%s", text)
	}
	t.Logf("%s", text)
}

// TestManifests checks what runs milaan in containers, as far as that goes
// without an engine, and what watches it: see tools/manifests.
func TestManifests(t *testing.T) {
	t.Parallel()
	files := []string{"kubernetes/milaan.yaml", "docker/compose.yaml", "docker/Dockerfile", "observability/alerts.yaml", "observability/dashboard.json"}
	args := []string{"-C", "../tools", "run", "-modfile=release.mod", "./manifests"}
	for _, file := range files {
		args = append(args, "../deploy/"+file)
	}
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
