package realtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v3"

	"github.com/segpull/segpull/internal/registrytest"
)

const deploy = "../../deploy/"

// document is a document of YAML, JSON or TOML.
type document map[string]any

// at returns what is at a path of keys; of a list it takes the first.
func (d document) at(t *testing.T, path ...string) any {
	t.Helper()
	var v any = map[string]any(d)
	for _, key := range path {
		if list, ok := v.([]any); ok {
			v = list[0]
		}
		object, _ := v.(map[string]any)
		if v = object[key]; v == nil {
			t.Fatalf("there is no %s of %s", key, strings.Join(path, "."))
		}
	}
	return v
}

// documents reads the documents of a file.
func documents(t *testing.T, path string) (all []document) {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	switch filepath.Ext(path) {
	case ".toml":
		var d document
		err = toml.Unmarshal(body, &d)
		all = append(all, d)
	case ".json":
		var d document
		err = json.Unmarshal(body, &d)
		all = append(all, d)
	case ".yaml":
		decoder := yaml.NewDecoder(bytes.NewReader(body))
		for err == nil {
			var d map[string]any
			if err = decoder.Decode(&d); err == nil {
				all = append(all, d)
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return all
}

// kind returns the object of a kind in a file of deploy/kubernetes.
func kind(t *testing.T, file, kind string) document {
	t.Helper()
	for _, d := range documents(t, deploy+"kubernetes/"+file) {
		if d["kind"] == kind {
			return d
		}
	}
	t.Fatalf("%s has no %s", file, kind)
	return nil
}

func TestDeployedFilesParse(t *testing.T) {
	for _, pattern := range []string{"*/*.yaml", "*/*.json", "*/*.toml"} {
		files, err := filepath.Glob(deploy + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			if len(documents(t, file)) == 0 {
				t.Errorf("%s is empty", file)
			}
		}
	}
	for _, d := range documents(t, deploy+"kubernetes/segpull.yaml") {
		if d["apiVersion"] == nil || d.at(t, "metadata", "name") != "segpull" {
			t.Errorf("an object without apiVersion, or of another name: %v", d)
		}
	}
}

// The server that the Deployment describes has the metrics of the alerts and the dashboard, and
// the job of the CronJob fetches its list.
func TestKubernetes(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{})
	first, _, _ := startMirrors(t, img)
	h, metrics := newHome(t), freeAddress(t)
	s := newServer(t, h, []string{first.url()}, "--metrics", metrics)

	serve := arguments(t, kind(t, "segpull.yaml", "Deployment"), "spec", "template", "spec", "containers", "args")
	for i, arg := range serve {
		serve[i] = strings.ReplaceAll(arg, "$(SEGPULL_SERVICE_HOST)", "10.96.0.1")
	}
	config, _ := kind(t, "segpull.yaml", "ConfigMap").at(t, "data").(map[string]any)
	path := write(t, h.settings, "config.toml", config["config.toml"].(string))
	h.pull(t, append(serve, "--config", path, "--print-config", "docker")...)

	list := write(t, h.dir, "images.txt", "docker.io/library/"+name)
	warm := arguments(t, kind(t, "warm.yaml", "CronJob"), "spec", "jobTemplate", "spec", "template", "spec", "containers", "args")
	for i, arg := range warm {
		arg = strings.Replace(arg, "http://segpull:5050", "http://"+s.address, 1)
		warm[i] = strings.Replace(arg, "/lists/images.txt", list, 1)
	}
	if got := h.pull(t, warm...).stdout; !strings.Contains(got, " "+name+"\n") {
		t.Errorf("the job of the CronJob printed %q", got)
	}

	served := get(t, "http://"+metrics+"/metrics")
	for _, file := range []string{"rules.yaml", "dashboard.json"} {
		body, err := os.ReadFile(deploy + "kubernetes/" + file)
		if err != nil {
			t.Fatal(err)
		}
		named := regexp.MustCompile(`\bsegpull_[a-z_]+`).FindAllString(string(body), -1)
		if len(named) < 5 {
			t.Errorf("%s names the metrics %v", file, named)
		}
		for _, metric := range named {
			if !strings.Contains(served, "# TYPE "+strings.TrimSuffix(metric, "_bucket")+" ") {
				t.Errorf("%s names %s, which the server does not have", file, metric)
			}
		}
	}
}

func arguments(t *testing.T, d document, path ...string) (args []string) {
	t.Helper()
	for _, arg := range d.at(t, path...).([]any) {
		args = append(args, arg.(string))
	}
	return args
}

// The init container writes hosts.toml, and keeps what was there; the second time there is
// nothing to keep.
func TestTheInitContainerKeepsWhatWasThere(t *testing.T) {
	nodes := kind(t, "nodes.yaml", "DaemonSet")
	script := arguments(t, nodes, "spec", "template", "spec", "initContainers", "args")[0]
	certs := t.TempDir()
	dir := filepath.Join(certs, "_default")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	old := `[host."http://old.example"]` + "\n"
	file := write(t, dir, "hosts.toml", strings.TrimSuffix(old, "\n"))
	for _, test := range []struct {
		env   []string
		hosts []string
	}{
		{[]string{"SEGPULL_SERVICE_HOST=10.96.0.1", "SPEGEL="}, []string{"http://10.96.0.1:5050"}},
		{[]string{"SEGPULL_SERVICE_HOST=fd00::1", "SPEGEL=http://127.0.0.1:30020"}, []string{"http://127.0.0.1:30020", "http://[fd00::1]:5050"}},
	} {
		cmd := exec.Command("sh", "-c", script)
		cmd.Env = append(os.Environ(), append(test.env, "CERTS="+certs)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		hosts := documents(t, file)[0].at(t, "host").(map[string]any)
		if len(hosts) != len(test.hosts) {
			t.Errorf("%v: the hosts are %v", test.env, hosts)
		}
		for _, host := range test.hosts {
			if hosts[host] == nil {
				t.Errorf("%v: the hosts are %v, without %s", test.env, hosts, host)
			}
		}
	}
	kept, err := filepath.Glob(file + ".before-segpull-*")
	if err != nil || len(kept) != 1 {
		t.Fatalf("copies of what was there: %v, %v", kept, err)
	}
	if body, err := os.ReadFile(kept[0]); err != nil || string(body) != old {
		t.Errorf("the copy has %q, %v", body, err)
	}
}
