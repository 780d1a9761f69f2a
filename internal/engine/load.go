package engine

import (
	"context"
	"io"
	"path/filepath"
	"strings"
)

// Image is what an engine is told of an image, besides its bytes.
type Image struct {
	Name       string // in full, such as docker.io/library/ubuntu:22.04; "" for an image without a tag
	Repository string // without a tag: docker.io/library/ubuntu
	Digest     string // of its manifest
	ID         string // digest of its config
	Platform   string // OS/ARCH[/VARIANT]
}

// NameOf returns the name that the engine has for an image after Load or LoadDir.
func (e Engine) NameOf(img Image) string {
	switch {
	case img.Name != "":
		return img.Name
	case e.kind.program == "ctr":
		return img.Repository + "@" + img.Digest
	}
	return img.ID
}

// Load gives the engine an archive as docker save writes it, or with an OCI layout. write
// writes it to the standard input of the engine's command. The error has what the
// command printed, or is that of write, or the cause of ctx.
func (e Engine) Load(ctx context.Context, img Image, write func(io.Writer) error) error {
	return e.run(ctx, call{args: e.kind.load(img), write: write})
}

// LoadDir gives podman the only image of the OCI layout in a directory, whose last
// element has to be the name of an image: podman reads the blobs where they are, and
// finds no Docker manifest by its tag, so it takes the directory's name for that of the
// image. LoadDir then gives it the right one.
func (e Engine) LoadDir(ctx context.Context, img Image, dir string) error {
	parent, name := filepath.Split(dir)
	if err := e.run(ctx, call{args: []string{"pull", "--quiet", "oci:" + name}, dir: parent}); err != nil {
		return err
	}
	id := strings.TrimPrefix(img.ID, "sha256:")
	if img.Name != "" {
		if err := e.run(ctx, call{args: []string{"tag", id, img.Name}}); err != nil {
			return err
		}
	}
	return e.run(ctx, call{args: []string{"untag", id, "localhost/" + name + ":latest"}})
}
