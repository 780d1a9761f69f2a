package imagelist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/segpull/segpull/image"
)

const (
	maxFile   = 16 << 20 // bytes; the pods of a large cluster have a few MiB
	maxImages = 10000
)

// Image is an image that a file names.
type Image struct {
	Reference string // as the file has it, without a password
	Platform  string // of a Compose service, as OS/ARCH[/VARIANT]; "" otherwise
	Place     string // FILE:LINE, or FILE if the line is unknown
	Err       error  // why it cannot be pulled, with the place; nil otherwise
}

// Read returns the images of several files, in order, and each only once for a platform;
// it leaves out those in known. "-" is stdin. The error is the cause of ctx, or that of a
// file: it cannot be read, is invalid, or names no image. It then begins with FILE or
// FILE:LINE. When ctx ends, Read leaves a goroutine behind that reads from stdin or a pipe.
func Read(ctx context.Context, known, files []string, stdin io.Reader) ([]Image, error) {
	l := list{seen: make(map[[2]string]bool)}
	for _, name := range known {
		if full, err := check(name, ""); err == nil {
			l.seen[full] = true
		}
	}
	for _, name := range files {
		body, err := readContext(ctx, name, stdin)
		if err != nil {
			return nil, err
		}
		l.file, l.named = name, false
		if err := l.parse(ctx, body); err != nil {
			return nil, err
		}
		if before, _, template := bytes.Cut(body, []byte("{{")); !l.named && template {
			return nil, l.unrendered(before)
		}
		if !l.named {
			return nil, fmt.Errorf("%s: it names no image: write one in each line, or give a Compose file or Kubernetes manifests", name)
		}
	}
	return l.images, nil
}

// readContext is read until ctx ends: a pipe or a terminal may never end.
func readContext(ctx context.Context, name string, stdin io.Reader) ([]byte, error) {
	type content struct {
		body []byte
		err  error
	}
	done := make(chan content, 1)
	go func() {
		body, err := read(name, stdin)
		done <- content{body, err}
	}()
	select {
	case c := <-done:
		return c.body, c.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func read(name string, stdin io.Reader) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		stdin = f
	}
	body, err := io.ReadAll(io.LimitReader(stdin, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case len(body) > maxFile:
		return nil, fmt.Errorf("%s: it has more than %d MiB: a list of images is smaller", name, maxFile>>20)
	}
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")) // a byte order mark
	if !utf8.Valid(body) || bytes.IndexByte(body, 0) >= 0 {
		return nil, fmt.Errorf("%s: it is no text in UTF-8, so no list of images", name)
	}
	return body, nil
}

// list collects the images of files.
type list struct {
	file   string // that is read now
	named  bool   // it named an image
	images []Image
	seen   map[[2]string]bool // reference and platform
}

func (l *list) parse(ctx context.Context, body []byte) error {
	if !structured(body) {
		return l.lines(body)
	}
	documents, err := l.documents(body)
	if err != nil {
		return err
	}
	if services := composeServices(documents); services != nil {
		return l.compose(ctx, body, services)
	}
	w := walker{list: l}
	for _, d := range documents {
		if err := w.visit(d); err != nil {
			return err
		}
	}
	return nil
}

// key matches the first line of a mapping in YAML: a key with a colon before a space or
// the end. In the name of an image, something else follows the colon.
var key = regexp.MustCompile(`^["']?[\w./-]+["']?:(\s|$)`)

// structured reports whether the first line that says something is YAML or JSON. A
// line that only has a template's order does not.
func structured(body []byte) bool {
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' || bytes.HasPrefix(line, []byte("{{")) {
			continue
		}
		return bytes.ContainsAny(line[:1], "{[%") || bytes.HasPrefix(line, []byte("---")) ||
			bytes.HasPrefix(line, []byte("- ")) || key.Match(line)
	}
	return false
}

// comment matches a comment with the space before it.
var comment = regexp.MustCompile(`(^|\s)#.*`)

func (l *list) lines(body []byte) error {
	n := 0
	for line := range strings.Lines(string(body)) {
		n++
		if name := strings.TrimSpace(comment.ReplaceAllString(line, "")); name != "" {
			if err := l.add(name, "", n); err != nil {
				return err
			}
		}
	}
	return nil
}

// place returns where the file names something; line 0 is unknown.
func (l *list) place(line int) string {
	if line == 0 {
		return l.file
	}
	return fmt.Sprintf("%s:%d", l.file, line)
}

// add adds an image. The error says that there are too many.
func (l *list) add(name, platform string, line int) error {
	l.named = true
	if len(l.images) == maxImages {
		return fmt.Errorf("%s: more than %d images: use several lists", l.place(line), maxImages)
	}
	i := Image{Reference: image.WithoutUser(name), Platform: platform, Place: l.place(line)}
	full, err := check(name, platform)
	if err != nil {
		i.Err = fmt.Errorf("%s: %w", i.Place, err)
	} else if l.seen[full] {
		return nil
	} else {
		l.seen[full] = true
	}
	l.images = append(l.images, i)
	return nil
}

// check returns the full reference and the platform, without other ways to write them.
func check(name, platform string) (full [2]string, err error) {
	if strings.Contains(name, "{{") || strings.Contains(name, "$") { // no name has either
		return full, fmt.Errorf("%q is an unrendered template: render it first, as with helm template, kustomize build or envsubst", image.WithoutUser(name))
	}
	if len(strings.Fields(name)) > 1 {
		return full, errors.New("it has more than one word: write one image in each line")
	}
	ref, err := image.ParseReference(name)
	if err != nil {
		return full, err
	}
	if platform == "" {
		return [2]string{ref.String()}, nil
	}
	p, err := image.ParsePlatform(platform)
	return [2]string{ref.String(), p.String()}, err
}
