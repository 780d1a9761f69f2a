package imagelist

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
	"go.yaml.in/yaml/v3"
)

// composeServices returns the services of a Compose file, or nil if the documents are
// something else.
func composeServices(documents []*yaml.Node) *yaml.Node {
	if len(documents) != 1 || len(documents[0].Content) != 1 {
		return nil
	}
	top := documents[0].Content[0]
	if field(top, "apiVersion") != nil {
		return nil
	}
	for _, key := range []string{"services", "include"} {
		if n := field(top, key); n != nil {
			return n
		}
	}
	return nil
}

// compose adds the images of a Compose file. nodes are its own services, which know
// their lines; others come from extends and include.
func (l *list) compose(ctx context.Context, body []byte, nodes *yaml.Node) error {
	project, err := load(ctx, l.file, body)
	if err != nil {
		return fmt.Errorf("%s: %s", l.place(0), oneLine(err))
	}
	services := slices.SortedFunc(maps.Values(project.Services), func(a, b types.ServiceConfig) int {
		return cmp.Or(cmp.Compare(lineOf(nodes, a.Name), lineOf(nodes, b.Name)), cmp.Compare(a.Name, b.Name))
	})
	for _, s := range services {
		if err := l.service(s, field(nodes, s.Name)); err != nil {
			return err
		}
	}
	return nil
}

// service adds the images of a service. node is where the file has it, or nil.
func (l *list) service(s types.ServiceConfig, node *yaml.Node) error {
	if s.Image != "" && s.PullPolicy != types.PullPolicyNever && s.PullPolicy != types.PullPolicyBuild {
		if err := l.add(s.Image, s.Platform, cmp.Or(lineOf(node, "image"), lineOf(node))); err != nil {
			return err
		}
		l.explainVariables(s.Image, node)
	}
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeImage {
			if err := l.add(v.Source, s.Platform, cmp.Or(lineOf(node, "volumes"), lineOf(node))); err != nil {
				return err
			}
		}
	}
	return nil
}

// explainVariables adds to the error of an image that was added last what the file has: a
// variable that is not set leaves a name that nobody wrote.
func (l *list) explainVariables(name string, node *yaml.Node) {
	last := &l.images[len(l.images)-1]
	if last.Reference != name || last.Err == nil || node == nil {
		return
	}
	if written := field(node, "image"); written != nil && strings.Contains(written.Value, "$") {
		last.Err = fmt.Errorf("%w; the file has %q: set its variables in the environment or in .env", last.Err, written.Value)
	}
}

// lineOf returns the line of the value at a path of keys: 0 if there is none.
func lineOf(n *yaml.Node, path ...string) int {
	if n != nil {
		n = get(n, path...)
	}
	if n == nil {
		return 0
	}
	return n.Line
}

// load loads a Compose file as docker compose does. The directory of the file, or else
// the current one, has .env and what the file refers to.
func load(ctx context.Context, file string, body []byte) (*types.Project, error) {
	logrus.SetOutput(io.Discard) // compose-go reports there what this package does not use
	dir := filepath.Dir(file)
	options, err := cli.NewProjectOptions(nil, cli.WithWorkingDirectory(dir), cli.WithOsEnv, cli.WithEnvFiles(), cli.WithDotEnv)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	return loader.LoadWithContext(ctx, types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: file, Content: body}},
		Environment: options.Environment,
	}, func(o *loader.Options) {
		o.SetProjectName(projectName(dir), false)
		o.Profiles = strings.FieldsFunc(options.Environment["COMPOSE_PROFILES"], func(r rune) bool { return r == ',' || r == ' ' })
		o.SkipConsistencyCheck = true // of networks, secrets and configs
		o.SkipResolveEnvironment, o.SkipResolveLabels = true, true
	})
}

// projectName is what COMPOSE_PROJECT_NAME is in a file that gives no name.
func projectName(dir string) string {
	if name := os.Getenv("COMPOSE_PROJECT_NAME"); name != "" {
		return name
	}
	if name := loader.NormalizeProjectName(filepath.Base(dir)); name != "" {
		return name
	}
	return "project"
}

// oneLine returns the text of an error with several lines in one.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
