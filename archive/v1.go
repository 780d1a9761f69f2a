package archive

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
)

// v1Layer is a layer as a separate image: Docker before version 1.10 had no other layers.
type v1Layer struct {
	id     string // hexadecimal, also the layer's directory
	json   []byte
	diffID digest.Digest
}

func (l v1Layer) path() string { return l.id + "/layer.tar" }

// v1Config is the config of every layer but the top one (moby/moby image/v1, type V1Image, left empty).
const v1Config = `{"created":"1970-01-01T00:00:00Z","container_config":{"Hostname":"","Domainname":"","User":"",` +
	`"AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,` +
	`"Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null}}`

type object map[string]json.RawMessage

// v1Layers derives the documents and IDs of the layers from the config. For a config that Docker made, they
// are the same as those of docker save.
func v1Layers(config imageConfig) ([]v1Layer, error) {
	var top, lower object
	if err := json.Unmarshal(config.raw, &top); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(v1Config), &lower); err != nil {
		return nil, err
	}
	maps.DeleteFunc(top, func(key string, _ json.RawMessage) bool {
		return strings.EqualFold(key, "history") || strings.EqualFold(key, "rootfs") // Windows tools write rootfS
	})
	layers := make([]v1Layer, len(config.diffIDs))
	chain := identity.ChainIDs(slices.Clone(config.diffIDs))
	parent := digest.Digest("")
	for i, diffID := range config.diffIDs {
		doc := lower
		if i == len(layers)-1 {
			doc = top
		}
		id := v1ID(doc, chain[i], parent)
		layers[i] = v1Layer{id: id.Encoded(), json: v1JSON(doc, id, parent, top["os"]), diffID: diffID}
		parent = id
	}
	return layers, nil
}

// v1ID returns the ID that Docker gives to a layer (moby/moby image/v1, CreateID): a digest of the document,
// the chain ID and the parent.
func v1ID(doc object, chainID, parent digest.Digest) digest.Digest {
	doc = maps.Clone(doc)
	doc["layer_id"] = encode(chainID)
	if parent != "" {
		doc["parent"] = encode(parent)
	}
	return digest.FromBytes(encode(doc))
}

func v1JSON(doc object, id, parent digest.Digest, os json.RawMessage) []byte {
	doc = maps.Clone(doc)
	doc["id"] = encode(id.Encoded())
	if parent != "" {
		doc["parent"] = encode(parent.Encoded())
	}
	if os != nil {
		doc["os"] = os
	}
	return encode(doc)
}
