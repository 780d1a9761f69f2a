package segpull

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/image"
)

// assemble creates the output from the blobs, which are all verified.
func (j *job) assemble(ctx context.Context) error {
	switch {
	case j.out.path == "":
		return nil
	case j.layout != nil:
		if err := j.checkConfig(); err != nil {
			return err
		}
		if err := j.layout.Finish(j.store.Part()); err != nil {
			return err
		}
		return j.out.irreplaceable(j.store.PromotePart(j.out.path, j.layout.Size()))
	case j.out.path == stdout:
		return j.stream(ctx)
	case j.out.format == archive.OCI:
		return archive.WriteDir(ctx, j.out.work, j.image, j)
	}
	f, err := j.store.Create()
	if err != nil {
		return err
	}
	defer f.Close()
	err = archive.Write(ctx, f, j.image, j.out.format, j)
	if err == nil {
		err = j.out.irreplaceable(j.store.Promote(f, j.out.path))
	}
	if err != nil {
		return errors.Join(err, j.store.Discard())
	}
	return nil
}

// stream writes the archive to Stdout. If nothing reads from Stdout, a write does not
// end with ctx, so stream does not wait for it; it ends when the store is closed.
func (j *job) stream(ctx context.Context) error {
	written := make(chan error, 1)
	go func() { written <- archive.Write(ctx, j.call.opts.Stdout, j.image, j.out.format, j) }()
	select {
	case err := <-written:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// checkConfig returns an error if docker load would refuse the image.
func (j *job) checkConfig() error {
	if j.out.format != archive.DockerArchive {
		return nil
	}
	config, err := j.config()
	if err != nil {
		return err
	}
	return archive.CheckConfig(j.image, config)
}

// checkPlatform warns if the config gives another platform than the index, or than
// resolve assumed.
func (j *job) checkPlatform() error {
	if j.image.IsIndex() {
		return nil
	}
	config, err := j.config()
	if err != nil {
		return err
	}
	resolved := j.image.Platform
	p, ok := image.ConfigPlatform(config)
	if ok && (p.OS != resolved.OS || p.Architecture != resolved.Architecture) {
		j.image.Platform = p
		j.warnOfPlatform(resolved)
	}
	return nil
}

// config reads the image's config, whose size image.Resolve has bounded.
func (j *job) config() ([]byte, error) {
	section, err := j.Blob(j.image.Config.Digest)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(section)
}

// Blob returns a verified blob for the archive.
func (j *job) Blob(d digest.Digest) (*io.SectionReader, error) {
	for i, b := range j.blobs {
		if b.Digest == d {
			return j.section(i), nil
		}
	}
	return nil, fmt.Errorf("blob %s is not part of the image", d)
}
