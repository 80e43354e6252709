// Command manifests checks what runs milaan in containers, without an engine:
// Kubernetes manifests against the API's own types, a compose file against
// compose's own loader, a Dockerfile against its builder's own parser; that each
// confines milaan and leaves it time to stop; and that alerts and dashboard are
// what Prometheus reads, about metrics that there are.
//
//	go -C tools run -modfile=release.mod ./manifests ../deploy/docker/compose.yaml …
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

func main() {
	failed := false
	for _, path := range os.Args[1:] {
		check := kubernetes
		switch filepath.Base(path) {
		case "compose.yaml":
			check = compose
		case "Dockerfile":
			check = dockerfile
		case "alerts.yaml":
			check = alerts
		case "dashboard.json":
			check = dashboard
		}
		if err := check(path); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

// leastStop is what a gateway may take to stop: stop_after for requests, and as
// long for postbacks.
const leastStop = 45 * time.Second

func kubernetes(path string) error {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, policyv1.AddToScheme, networkingv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	documents := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(data)))
	defer documents.Close()
	kinds := make(map[string]int)
	var settings string // of the gateways, which come before them in the file
	var errs []error
	for buffer := make([]byte, len(data)+1); ; {
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		// Anchors are YAML's, not Kubernetes': kubectl resolves them so, too.
		text, err := yaml.YAMLToJSONStrict(buffer[:n])
		if err != nil {
			return err
		}
		object, kind, err := decoder.Decode(text, nil, nil)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		kinds[kind.Kind]++
		switch object := object.(type) {
		case *corev1.ConfigMap:
			settings = object.Data["milaan.toml"]
		case *appsv1.Deployment:
			errs = append(errs, deployment(object, settings))
		}
	}
	for _, kind := range []string{"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "ConfigMap", "ServiceAccount", "Ingress"} {
		if kinds[kind] != 1 {
			errs = append(errs, fmt.Errorf("there are %d of kind %s", kinds[kind], kind))
		}
	}
	if kinds["Secret"] > 0 {
		errs = append(errs, errors.New("a secret is made by hand, not kept in a manifest"))
	}
	return errors.Join(errs...)
}

// drainDelay finds how long a gateway serves on after it was told to stop.
var drainDelay = regexp.MustCompile(`(?m)^drain_delay = "(\w+)"$`)

// deployment checks the gateways, which have these settings.
func deployment(d *appsv1.Deployment, settings string) error {
	var errs []error
	must := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	pod := d.Spec.Template.Spec
	must(d.Spec.Replicas != nil && *d.Spec.Replicas >= 2, "one gateway alone is no service")
	must(len(pod.Containers) == 1, "one container is one too few or too many")
	c := pod.Containers[0]
	for name, probe := range map[string]*corev1.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
		must(probe != nil && probe.HTTPGet != nil && probe.HTTPGet.Port.String() == "admin", name+" is not asked of the admin listener")
	}
	must(c.LivenessProbe.HTTPGet.Path == "/healthz" && c.ReadinessProbe.HTTPGet.Path == "/readyz", "a database that is away must not restart gateways")
	var wait time.Duration
	if m := drainDelay.FindStringSubmatch(settings); m != nil {
		wait, _ = time.ParseDuration(m[1]) // what is none is 0
	}
	must(wait > 0, "requests still come while the pod is told to stop: set drain_delay")
	must(pod.TerminationGracePeriodSeconds != nil && time.Duration(*pod.TerminationGracePeriodSeconds)*time.Second >= wait+leastStop, "it is killed before it stopped")
	must(*pod.SecurityContext.RunAsNonRoot && pod.SecurityContext.SeccompProfile != nil, "the pod is not confined")
	must(*c.SecurityContext.ReadOnlyRootFilesystem && !*c.SecurityContext.AllowPrivilegeEscalation && len(c.SecurityContext.Capabilities.Drop) == 1, "the container is not confined")
	return errors.Join(errs...)
}

func compose(path string) error {
	options, err := cli.NewProjectOptions([]string{path}, cli.WithInterpolation(true))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	s, err := project.GetService("milaan")
	if err != nil {
		return err
	}
	switch {
	case !s.ReadOnly || s.User != "65532:65532" || len(s.CapDrop) != 1:
		return errors.New("milaan is not confined")
	case s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) < leastStop:
		return errors.New("milaan is killed before it stopped")
	case s.DependsOn["database"].Condition != "service_healthy":
		return errors.New("milaan starts before its database")
	}
	for name := range s.Environment {
		if name == "MILAAN_SECRET_KEY" || name == "MILAAN_DATABASE_URL" {
			return fmt.Errorf("%s shows in the environment", name)
		}
	}
	return nil
}

func dockerfile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	result, err := parser.Parse(file)
	if err != nil {
		return err
	}
	var errs []error
	warn := &linter.Config{Warn: func(rule, _, _, message string, _ []parser.Range) {
		errs = append(errs, fmt.Errorf("%s: %s", rule, message))
	}}
	stages, _, err := instructions.Parse(result.AST, linter.New(warn))
	if err != nil {
		return err
	}
	found := make(map[string]bool)
	for _, command := range stages[len(stages)-1].Commands {
		found[command.Name()] = true
		if user, ok := command.(*instructions.UserCommand); ok && user.User != "65532:65532" {
			errs = append(errs, fmt.Errorf("it runs as %s", user.User))
		}
	}
	for _, name := range []string{"USER", "HEALTHCHECK", "ENTRYPOINT", "VOLUME", "STOPSIGNAL"} {
		if !found[name] {
			errs = append(errs, fmt.Errorf("there is no %s", name))
		}
	}
	return errors.Join(errs...)
}
