package imagelist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// documents parses YAML, of which JSON is a part, except for the way in which JSON
// writes characters above U+FFFF: no image has any.
func (l *list) documents(body []byte) (documents []*yaml.Node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(withoutSurrogates(body)))
	for {
		var d yaml.Node
		err := decoder.Decode(&d)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, l.invalid(body, err)
		}
		documents = append(documents, &d)
	}
}

// escape matches an escaped character in JSON.
var escape = regexp.MustCompile(`\\(?:u[dD][89a-fA-F][0-9a-fA-F]{2}|.)`)

func withoutSurrogates(body []byte) []byte {
	if !bytes.Contains(bytes.ToLower(body), []byte(`\ud`)) {
		return body
	}
	return escape.ReplaceAllFunc(body, func(e []byte) []byte {
		if len(e) > 2 {
			return []byte("?")
		}
		return e
	})
}

var lineOfError = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

// invalid explains why a file is no YAML: the usual reason is that it is a template.
func (l *list) invalid(body []byte, err error) error {
	if before, _, ok := bytes.Cut(body, []byte("{{")); ok {
		return l.unrendered(before)
	}
	message, line := strings.TrimPrefix(err.Error(), "yaml: "), 0
	if m := lineOfError.FindStringSubmatch(err.Error()); m != nil {
		message = strings.TrimPrefix(err.Error(), m[0])
		line, _ = strconv.Atoi(m[1])
	}
	return fmt.Errorf("%s: neither YAML nor JSON: %s", l.place(line), message)
}

// unrendered is the error for a file that is a template, which begins behind before.
func (l *list) unrendered(before []byte) error {
	return fmt.Errorf("%s: unrendered template: render it first, as with helm template", l.place(1+bytes.Count(before, []byte("\n"))))
}

// walker finds the images of Kubernetes objects.
type walker struct {
	list *list
	seen map[*yaml.Node]bool // what an alias has led to
}

// visit adds the images in n, in the order of the file.
func (w *walker) visit(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		if w.seen[n.Alias] {
			return nil
		}
		if w.seen == nil {
			w.seen = make(map[*yaml.Node]bool)
		}
		w.seen[n.Alias] = true
		return w.visit(n.Alias)
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			if err := w.images(n.Content[i-1].Value, child); err != nil {
				return err
			}
		}
		if err := w.visit(child); err != nil {
			return err
		}
	}
	return nil
}

// images adds the images of a field's value, if it is a list of containers or volumes.
func (w *walker) images(field string, value *yaml.Node) error {
	var path []string
	switch field {
	case "containers", "initContainers", "ephemeralContainers":
		path = []string{"image"}
	case "volumes":
		path = []string{"image", "reference"}
	}
	value = target(value)
	if path == nil || value.Kind != yaml.SequenceNode {
		return nil
	}
	for _, item := range value.Content {
		if found := get(item, path...); found != nil && found.Kind == yaml.ScalarNode && found.Value != "" {
			if err := w.list.add(found.Value, "", found.Line); err != nil {
				return err
			}
		}
	}
	return nil
}

// target returns what an alias leads to, or n itself.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// get returns the value at a path of keys, or nil.
func get(n *yaml.Node, path ...string) *yaml.Node {
	for _, key := range path {
		if n = field(n, key); n == nil {
			return nil
		}
	}
	return n
}

func field(n *yaml.Node, key string) *yaml.Node {
	n = target(n)
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return target(n.Content[i+1])
		}
	}
	return nil
}
