package archive

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
)

// imageConfigs are the media types of configs that Docker pulls as images; the last three come from old
// clients and registries (moby/moby distribution/pull_v2.go, issues 22378 and 32395).
var imageConfigs = []string{
	ocispec.MediaTypeImageConfig,
	"application/vnd.docker.container.image.v1+json",
	"application/octet-stream",
	"text/html",
	"",
}

// checkLoadable refuses artifacts, such as Helm charts, for formats that hold only images.
func checkLoadable(img image.Image) error {
	if img.IsIndex() {
		return fmt.Errorf("%s is an index of several platforms: choose the format oci or oci-archive", img.Reference)
	}
	if slices.Contains(imageConfigs, img.Config.MediaType) {
		return nil
	}
	return fmt.Errorf("%s is not a container image: its config has media type %.100q; choose the format oci or oci-archive",
		img.Reference, img.Config.MediaType)
}

// imageConfig is a config as far as an archive depends on it.
type imageConfig struct {
	raw     []byte
	diffIDs []digest.Digest
}

// CheckConfig returns an error if docker load would refuse an image with this
// config: it has to be JSON that names as many diff IDs as the manifest has layers.
// [Write] calls it itself. Callers of [Plan] call it when they have the config.
func CheckConfig(img image.Image, config []byte) error {
	_, err := parseConfig(img, config)
	return err
}

func parseConfig(img image.Image, raw []byte) (imageConfig, error) {
	var config struct {
		RootFS struct {
			DiffIDs []digest.Digest `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return imageConfig{}, fmt.Errorf("config %s: %w", img.Config.Digest, err)
	}
	ids := config.RootFS.DiffIDs
	if len(ids) != len(img.Layers) {
		return imageConfig{}, fmt.Errorf("config %s has %d diff IDs but its manifest has %d layers, so docker load would refuse it; choose the format oci or oci-archive",
			img.Config.Digest, len(ids), len(img.Layers))
	}
	return imageConfig{raw: raw, diffIDs: ids}, nil
}

func readConfig(img image.Image, blobs Blobs) (imageConfig, error) {
	raw, err := ReadConfig(img, blobs)
	if err != nil {
		return imageConfig{}, err
	}
	return parseConfig(img, raw)
}

// ReadConfig returns the config of an image, of at most image.MaxConfigSize if
// [image.Resolve] found the image. The error is that of blobs or of reading, or says that
// the blob has another size than the manifest names.
func ReadConfig(img image.Image, blobs Blobs) ([]byte, error) {
	r, err := open(blobs, img.Config)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, r.Size())
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, fmt.Errorf("config %s: %w", img.Config.Digest, err)
	}
	return raw, nil
}
