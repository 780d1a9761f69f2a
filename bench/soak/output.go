package soak

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/bench/output"
)

// checkOutput reads an output of any format to its end, and fails unless it is
// the image, complete and right in every byte.
func (i image) checkOutput(path, tag string) (format string, err error) {
	files, err := output.Read(path)
	if err != nil {
		return "", err
	}
	_, layout := files["oci-layout"]
	_, docker := files["manifest.json"]
	switch {
	case layout && docker:
		return "docker-archive", errors.Join(i.checkLayout(files), i.checkDocker(files, tag))
	case layout:
		return "oci", i.checkLayout(files)
	case docker:
		return "legacy", i.checkDocker(files, tag)
	}
	return "", fmt.Errorf("unknown format: %d files", len(files))
}

// checkLayout checks an OCI layout: an index that names the image, and exactly
// its blobs.
func (i image) checkLayout(files output.Files) error {
	var index ocispec.Index
	if err := json.Unmarshal(files["index.json"].Body, &index); err != nil {
		return fmt.Errorf("index.json: %w", err)
	}
	manifest := i.image.Manifest
	if len(index.Manifests) != 1 || index.Manifests[0].Digest != manifest.Digest || index.Manifests[0].Size != manifest.Size {
		return fmt.Errorf("index.json lists %v instead of %s", index.Manifests, manifest.Digest)
	}
	wanted := []string{manifest.Digest.String()}
	for _, b := range i.blobs() {
		wanted = append(wanted, b.Digest.String())
	}
	if found := len(files.Blobs()); found != len(wanted) {
		return fmt.Errorf("%d blobs instead of %d", found, len(wanted))
	}
	return files.CheckBlobs(wanted...)
}

// checkDocker checks what docker load reads: the config, and each layer, either
// compressed or decompressed.
func (i image) checkDocker(files output.Files, tag string) error {
	var manifests []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(files["manifest.json"].Body, &manifests); err != nil {
		return fmt.Errorf("manifest.json: %w", err)
	}
	if len(manifests) != 1 || strings.Join(manifests[0].RepoTags, " ") != tag || len(manifests[0].Layers) != len(i.layers) {
		return fmt.Errorf("manifest.json lists %+v", manifests)
	}
	if got := files[manifests[0].Config].Digest; got != i.image.Config.Digest.String() {
		return fmt.Errorf("the config is %q", got)
	}
	for n, name := range manifests[0].Layers {
		f := files[name]
		if f.Link != "" { // docker save repeats a layer by a link
			f = files[path.Join(path.Dir(name), f.Link)]
		}
		if got := digest.Digest(f.Digest); got != i.layers[n].Digest && got != i.diffIDs[n] {
			return fmt.Errorf("layer %d, %s, is %q", n, name, got)
		}
	}
	return nil
}
