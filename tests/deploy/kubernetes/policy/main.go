// Command policy applies a MutatingAdmissionPolicy to a pod, with the API server's own code:
// `policy POLICY.yaml < pod.json > changed.json`.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"
)

// Largest cost of the expressions of one policy, in the API server's units.
const budget = 10_000_000

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	// The policy is the first document of its file.
	first, _, _ := strings.Cut(string(text), "\n---\n")
	var policy admissionregistration.MutatingAdmissionPolicy
	if err := yaml.UnmarshalStrict([]byte(first), &policy); err != nil {
		return err
	}
	pod := &core.Pod{}
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(input, pod); err != nil {
		return err
	}
	changed, err := apply(&policy, pod)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(changed)
}

func apply(policy *admissionregistration.MutatingAdmissionPolicy, pod *core.Pod) (runtime.Object, error) {
	scheme := runtime.NewScheme()
	if err := core.AddToScheme(scheme); err != nil {
		return nil, err
	}
	compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		return nil, err
	}
	kind := core.SchemeGroupVersion.WithKind("Pod")
	var object runtime.Object = pod
	matches, err := matches(compiler, policy, object, kind)
	if err != nil || !matches {
		return object, err
	}
	declared := cel.OptionalVariableDeclarations{HasAuthorizer: true, HasPatchTypes: true}
	for _, mutation := range policy.Spec.Mutations {
		condition := &patch.JSONPatchCondition{Expression: mutation.JSONPatch.Expression}
		evaluator := compiler.CompileMutatingEvaluator(condition, declared, environment.StoredExpressions)
		request := patch.Request{
			MatchedResource:     core.SchemeGroupVersion.WithResource("pods"),
			VersionedAttributes: attributes(object, kind),
			ObjectInterfaces:    admission.NewObjectInterfacesFromScheme(scheme),
		}
		object, err = patch.NewJSONPatcher(evaluator).Patch(context.Background(), request, budget)
		if err != nil {
			return nil, err
		}
	}
	return object, nil
}

func matches(
	compiler *cel.CompositedCompiler,
	policy *admissionregistration.MutatingAdmissionPolicy,
	object runtime.Object,
	kind schema.GroupVersionKind,
) (bool, error) {
	var conditions []cel.ExpressionAccessor
	for index := range policy.Spec.MatchConditions {
		conditions = append(conditions, (*matchconditions.MatchCondition)(&policy.Spec.MatchConditions[index]))
	}
	declared := cel.OptionalVariableDeclarations{HasAuthorizer: true}
	evaluator := compiler.CompileCondition(conditions, declared, environment.StoredExpressions)
	matcher := matchconditions.NewMatcher(evaluator, policy.Spec.FailurePolicy, "policy", "validate", policy.Name)
	result := matcher.Match(context.Background(), attributes(object, kind), nil, nil)
	return result.Matches, result.Error
}

func attributes(object runtime.Object, kind schema.GroupVersionKind) *admission.VersionedAttributes {
	resource := core.SchemeGroupVersion.WithResource("pods")
	return &admission.VersionedAttributes{
		Attributes: admission.NewAttributesRecord(
			object, nil, kind, "default", "app", resource, "", admission.Create, nil, false, nil,
		),
		VersionedKind:   kind,
		VersionedObject: object,
	}
}
