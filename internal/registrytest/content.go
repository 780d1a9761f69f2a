package registrytest

import (
	"sync"

	"github.com/opencontainers/go-digest"
)

// Content has repositories with tags, manifests and blobs. Several servers may share it.
// It is safe for concurrent use.
type Content struct {
	mu           sync.RWMutex
	repositories map[string]repository
}

type repository struct {
	tags      map[string]digest.Digest
	manifests map[digest.Digest]Blob
	blobs     map[digest.Digest]Blob
}

// Push adds an image, or an index and all its images. Without a tag, they have only
// digests.
func (c *Content) Push(repository, tag string, img Image) {
	for _, child := range img.Images {
		c.Push(repository, "", child)
	}
	if img.Config.ReaderAt != nil {
		c.AddBlob(repository, img.Config)
	}
	for _, layer := range img.Layers {
		c.AddBlob(repository, layer)
	}
	c.AddManifest(repository, tag, img.Manifest)
}

// AddManifest adds any bytes as a manifest, under a tag unless it is "".
func (c *Content) AddManifest(repository, tag string, manifest Blob) {
	c.mu.Lock()
	defer c.mu.Unlock()
	repo := c.repository(repository)
	repo.manifests[manifest.Digest] = manifest
	if tag != "" {
		repo.tags[tag] = manifest.Digest
	}
}

// AddBlob adds a blob.
func (c *Content) AddBlob(repository string, b Blob) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.repository(repository).blobs[b.Digest] = b
}

func (c *Content) repository(name string) repository {
	repo, ok := c.repositories[name]
	if !ok {
		repo = repository{map[string]digest.Digest{}, map[digest.Digest]Blob{}, map[digest.Digest]Blob{}}
		if c.repositories == nil {
			c.repositories = map[string]repository{}
		}
		c.repositories[name] = repo
	}
	return repo
}

func (c *Content) has(name string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, ok := c.repositories[name]
	return ok
}

// manifest finds a manifest by tag or digest.
func (c *Content) manifest(name, reference string) (Blob, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	repo := c.repositories[name]
	d, tagged := repo.tags[reference]
	if !tagged {
		d = digest.Digest(reference)
	}
	b, ok := repo.manifests[d]
	return b, ok
}

func (c *Content) blob(name string, d digest.Digest) (Blob, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	b, ok := c.repositories[name].blobs[d]
	return b, ok
}

// anywhere finds a blob in any repository: a CDN knows no names.
func (c *Content) anywhere(d digest.Digest) (Blob, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, repo := range c.repositories {
		if b, ok := repo.blobs[d]; ok {
			return b, true
		}
	}
	return Blob{}, false
}
