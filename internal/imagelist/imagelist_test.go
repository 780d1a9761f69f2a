package imagelist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// write writes a file into a directory that ends with the test.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// describe returns a line for each image: line, reference, platform, and error.
func describe(images []Image, path string) string {
	var b strings.Builder
	for _, i := range images {
		fmt.Fprint(&b, strings.TrimPrefix(i.Place, path), " ", i.Reference)
		if i.Platform != "" {
			fmt.Fprint(&b, " ", i.Platform)
		}
		if i.Err != nil {
			fmt.Fprint(&b, " ! ", strings.TrimPrefix(i.Err.Error(), path))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestRead(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"lines": {
			"\ufeff# what we need\r\nubuntu:22.04\r\n\n  ghcr.io/a/b@sha256:" + strings.Repeat("0", 64) + " # pinned\nalpine\t#edge\n",
			":2 ubuntu:22.04\n:4 ghcr.io/a/b@sha256:" + strings.Repeat("0", 64) + "\n:5 alpine\n",
		},
		"an image twice, in two ways": {"ubuntu\ndocker.io/library/ubuntu:latest\n", ":1 ubuntu\n"},
		"invalid names": {
			"ubuntu\nUPPER\na b\n$(REGISTRY)/app:1\n{{ .Values.image }}\n",
			":1 ubuntu\n" +
				":2 UPPER ! :2: image reference \"UPPER\": invalid reference format: repository name (library/UPPER) must be lowercase; write [HOST/]NAME[:TAG][@sha256:DIGEST]\n" +
				":3 a b ! :3: it has more than one word: write one image in each line\n" +
				":4 $(REGISTRY)/app:1 ! :4: \"$(REGISTRY)/app:1\" is an unrendered template: render it first, as with helm template, kustomize build or envsubst\n" +
				":5 {{ .Values.image }} ! :5: \"{{ .Values.image }}\" is an unrendered template: render it first, as with helm template, kustomize build or envsubst\n",
		},
		"Kubernetes": {
			`apiVersion: v1
kind: Pod
spec:
  initContainers:
  - image: busybox
  containers:
  - {name: a, image: "nginx:1"}
  - name: without an image
  - name: again
    image: nginx:1
  volumes:
  - name: model
    image: {reference: registry.example/model:1}
  - configMap: {image: not-this}
---
# nothing
---
apiVersion: batch/v1
kind: CronJob
spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: cron:2}]}}}}}
status: {containerStatuses: [{image: not-this-either}]}
`,
			":5 busybox\n:7 nginx:1\n:13 registry.example/model:1\n:20 cron:2\n",
		},
		"a list in JSON": {
			`{"kind": "List", "items": [
	{"metadata": {"annotations": {"face": "\ud83d\ude00 \\ud83d"}}, "spec": {"template": {"spec": {"containers": [{"image": "a:1"}],
	"ephemeralContainers": [{"image": "b:\u0032"}]}}}}]}`,
			":2 a:1\n:3 b:2\n",
		},
		"anchors": {
			"a: &a\n  containers: &c\n  - image: x:1\nb: *a\nspec:\n  containers: *c\n",
			":3 x:1\n",
		},
		"a template that is still YAML": {
			"kind: Pod\nspec:\n  containers:\n  - image: \"{{ .Values.image }}\"\n  - image: app:$(TAG)\n",
			":4 {{ .Values.image }} ! :4: \"{{ .Values.image }}\" is an unrendered template: render it first, as with helm template, kustomize build or envsubst\n" +
				":5 app:$(TAG) ! :5: \"app:$(TAG)\" is an unrendered template: render it first, as with helm template, kustomize build or envsubst\n",
		},
		"Compose": {
			`services:
  web:
    image: web:${TAG:-1}
    platform: linux/arm64
  again:
    image: docker.io/library/web:1
    platform: linux/aarch64
  amd:
    image: web:1
  built:
    build: .
  made:
    image: made:1
    pull_policy: build
  tool:
    profiles: [tools]
    image: tool:1
  models:
    build: .
    volumes:
    - {type: image, source: "model:1", target: /model}
  wrong:
    image: UPPER
    networks: [elsewhere]
  unset:
    image: app:$UNSET
`,
			":3 web:1 linux/arm64\n:9 web:1\n:21 model:1\n:23 UPPER ! :23: image reference \"UPPER\": invalid reference format: repository name (library/UPPER) must be lowercase; write [HOST/]NAME[:TAG][@sha256:DIGEST]\n" +
				":26 app: ! :26: image reference \"app:\": invalid reference format; write [HOST/]NAME[:TAG][@sha256:DIGEST]; the file has \"app:$UNSET\": set its variables in the environment or in .env\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "list", c.text)
			images, err := Read(t.Context(), nil, []string{path}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(images, path); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

// A Compose file has the variables of .env and of the environment, other files, and
// profiles.
func TestComposeReadsWhatTheFileRefersTo(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		".env":         "TAG=9\nCOMPOSE_PROFILES=tools\n",
		"compose.yaml": "include: [more.yaml]\nservices:\n  web:\n    extends: {file: base.yaml, service: base}\n  tool: {profiles: [tools], image: \"${COMPOSE_PROJECT_NAME}/tool:$REV\"}\n",
		"base.yaml":    "services:\n  base: {image: \"base:${TAG}\", env_file: missing.env}\n",
		"more.yaml":    "services:\n  more: {image: more:1}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("REV", "7")
	t.Setenv("COMPOSE_PROJECT_NAME", "mine")
	path := filepath.Join(dir, "compose.yaml")
	images, err := Read(t.Context(), nil, []string{path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = " more:1\n:4 base:9\n:5 mine/tool:7\n"
	if got := describe(images, path); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestReadSeveralFiles(t *testing.T) {
	path := write(t, "list", "b\nc\n")
	images, err := Read(t.Context(), nil, []string{"-", path}, strings.NewReader("a\nb\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := describe(images, path), "-:1 a\n-:2 b\n:2 c\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// What the command line names counts, too.
func TestReadLeavesOutWhatIsKnown(t *testing.T) {
	images, err := Read(t.Context(), []string{"a", "not:a:name"}, []string{"-"}, strings.NewReader("docker.io/library/a:latest\nb\n"))
	if err != nil || describe(images, "-") != ":2 b\n" {
		t.Errorf("%s, %v", describe(images, "-"), err)
	}
}

// Nobody has to end standard input before an interruption works.
func TestReadEndsWithItsContext(t *testing.T) {
	never, end := io.Pipe()
	defer end.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := Read(ctx, nil, []string{"-"}, never); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestReadRefusesAFile(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":              {"", ": it names no image: "},
		"only comments":      {"# a\n\n", ": it names no image: "},
		"no image in it":     {"kind: Service\nspec: {ports: []}\n", ": it names no image: "},
		"an empty object":    {"{}", ": it names no image: "},
		"a template":         {"{{- if .Values.on }}\nkind: Pod\nspec: {{ toYaml .Values.spec }}\n{{- end }}\n", ":1: unrendered template: "},
		"one that is YAML":   {"image:\n  tag: {{ .Values.tag }}\n", ":2: unrendered template: "},
		"bad YAML":           {"kind: Pod\nspec: [\n", ":2: neither YAML nor JSON: "},
		"a tar file":         {"ubuntu\x00\n", ": it is no text in UTF-8"},
		"a bad Compose file": {"services:\n  web: {imag: x}\n", ": "},
		"too long":           {strings.Repeat("#", maxFile+1), ": it has more than 16 MiB"},
		"too many":           {numbered(maxImages + 1), ":10001: more than 10000 images"},
		"extends itself":     {"services:\n  a: {extends: a}\n", ": "},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "list", c.text)
			images, err := Read(t.Context(), nil, []string{path}, nil)
			if err == nil || !strings.HasPrefix(err.Error(), path+c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%d images, %v", len(images), err)
			}
		})
	}
	if _, err := Read(t.Context(), nil, []string{filepath.Join(t.TempDir(), "missing")}, nil); err == nil {
		t.Error("a missing file was read")
	}
}

func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "image:%d\n", i)
	}
	return b.String()
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"ubuntu:22.04 # x\n", "{{ .x }}\nkind: Pod\n", "services:\n  a: {image: \"b:${C:-1}\"}\n",
		"kind: List\nitems:\n- spec: {containers: [{image: a}], volumes: [{image: {reference: b}}]}\n",
		"a: &a {containers: [*a]}\n", `{"containers":[{"image":"\ud83d\u0061"}]}`, "---\n...\n---\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		images, err := Read(context.Background(), nil, []string{"-"}, strings.NewReader(text))
		if err == nil && len(images) == 0 {
			t.Error("no image, and no error")
		}
		for _, i := range images {
			if !strings.HasPrefix(i.Place, "-") || i.Err != nil && !strings.HasPrefix(i.Err.Error(), i.Place) {
				t.Errorf("%+v", i)
			}
		}
	})
}
