package archive

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
)

// tempPrefix marks files that are not complete yet. Their names are fixed, so that a later run replaces what
// a crash has left.
const tempPrefix = ".segpull-"

// WriteDir writes an image as an OCI image layout into the directory dir. It creates
// a directory that does not exist, and adds the image to a layout that does: it
// keeps the blobs that are complete and right, and replaces the image with the same
// name in index.json. A directory that is neither empty nor a layout is an error.
//
// Each file appears complete or not at all, through a crash as well, and index.json
// is the last. The caller makes sure that no other process writes there.
func WriteDir(ctx context.Context, dir string, img image.Image, blobs Blobs) error {
	if err := img.Validate(); err != nil {
		return err
	}
	content := img.Blobs()
	for _, m := range img.Inner {
		content = append(content, m.Descriptor)
	}
	return WriteTree(ctx, dir, img.ArchiveName(), img.Manifest, content, withManifests{img, blobs})
}

// WriteTree adds an image of any number of platforms to the layout in dir, as
// [WriteDir] does. root is its manifest or its index, and blobs has that too. content
// is what to write beside it: other manifests, configs, layers. The digests must be
// well-formed SHA-256. Without a tag in name, the image has no name in the layout.
func WriteTree(ctx context.Context, dir string, name image.Reference, root ocispec.Descriptor, content []ocispec.Descriptor, blobs Blobs) error {
	f, err := openDir(dir)
	if err != nil {
		return err
	}
	defer f.root.Close()
	if err := f.add(ctx, indexEntry(root, name), append(slices.Clip(content), root), blobs); err != nil {
		return fmt.Errorf("directory %s: %w", dir, err)
	}
	return nil
}

// LinkDir makes dir an OCI image layout of one image whose blobs are symbolic links to
// files elsewhere, which path returns: a program can read the image without a second copy
// of it. It replaces what is in dir, a directory that belongs to the caller.
func LinkDir(dir string, img image.Image, path func(d digest.Digest) string) error {
	if err := img.Validate(); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, blobsDir), 0o700); err != nil {
		return err
	}
	for _, b := range img.Blobs() {
		target, err := filepath.Abs(path(b.Digest))
		if err == nil {
			err = os.Symlink(target, filepath.Join(dir, blobPath(b.Digest)))
		}
		if err != nil {
			return err
		}
	}
	files := map[string][]byte{ocispec.ImageLayoutFile: ociLayout(), ocispec.ImageIndexFile: ociIndex(img)}
	for _, m := range img.Manifests() {
		files[blobPath(m.Digest)] = m.Bytes
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// withManifests has an image's manifests beside its blobs.
type withManifests struct {
	image image.Image
	blobs Blobs
}

// Blob implements Blobs.
func (w withManifests) Blob(d digest.Digest) (*io.SectionReader, error) {
	for _, m := range w.image.Manifests() {
		if m.Digest == d {
			return io.NewSectionReader(bytes.NewReader(m.Bytes), 0, m.Size), nil
		}
	}
	return w.blobs.Blob(d)
}

// CheckDir returns an error if [WriteDir] could not add an image to a directory that
// exists: it is neither empty nor an OCI image layout, its index.json is invalid, or
// it is not writable. CheckDir does not change the directory.
func CheckDir(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	f := layoutDir{root}
	_, err = f.check()
	if err == nil {
		_, err = f.merge(ocispec.Descriptor{})
	}
	if err == nil {
		err = f.checkWritable()
	}
	if err != nil {
		return fmt.Errorf("directory %s: %w", dir, err)
	}
	return nil
}

// layoutDir is an OCI image layout. All access is by os.Root, so that no link in it leads out of it.
type layoutDir struct {
	root *os.Root
}

// OpenBlob opens a blob of the OCI layout in a directory for reading from its
// start, after it has read all of it to check its digest. The error says why the
// directory has no such blob, or is the cause of ctx.
func OpenBlob(ctx context.Context, dir string, b ocispec.Descriptor) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	file, err := layoutDir{root}.open(b)
	if err != nil {
		return nil, err
	}
	right, err := isBlob(ctx, file, b)
	if right && err == nil {
		return file, nil
	}
	file.Close()
	return nil, cmp.Or(err, fmt.Errorf("%s is not blob %s", file.Name(), b.Digest))
}

func openDir(dir string) (layoutDir, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return layoutDir{}, err
	}
	if err := syncDir(os.Open(filepath.Dir(dir))); err != nil {
		return layoutDir{}, err
	}
	root, err := os.OpenRoot(dir)
	return layoutDir{root}, err
}

func (f layoutDir) add(ctx context.Context, entry ocispec.Descriptor, content []ocispec.Descriptor, blobs Blobs) error {
	if err := f.claim(); err != nil {
		return err
	}
	index, err := f.merge(entry)
	if err != nil {
		return err
	}
	if err := f.root.MkdirAll(blobsDir, 0o777); err != nil {
		return err
	}
	if err := f.sync(ocispec.ImageBlobsDir); err != nil {
		return err
	}
	for _, b := range content {
		if err := f.putBlob(ctx, b, blobs); err != nil {
			return err
		}
	}
	return f.putBytes(ocispec.ImageIndexFile, index)
}

// claim makes an empty directory an OCI layout, and refuses one that is neither.
func (f layoutDir) claim() error {
	empty, err := f.check()
	if err != nil || !empty {
		return err
	}
	return f.putBytes(ocispec.ImageLayoutFile, ociLayout())
}

// check refuses a directory that is neither empty nor an OCI layout.
func (f layoutDir) check() (empty bool, err error) {
	content, err := f.read(ocispec.ImageLayoutFile)
	if errors.Is(err, fs.ErrNotExist) {
		return true, f.checkEmpty()
	}
	if err != nil {
		return false, err
	}
	var layout ocispec.ImageLayout
	if err := json.Unmarshal(content, &layout); err != nil {
		return false, fmt.Errorf("%s: %w; repair it, or choose another directory", ocispec.ImageLayoutFile, err)
	}
	if layout.Version != ocispec.ImageLayoutVersion {
		return false, fmt.Errorf("the OCI layout in it has version %.20q, and segpull supports only %s: choose another directory", layout.Version, ocispec.ImageLayoutVersion)
	}
	return false, nil
}

// merge returns the directory's index.json with an image added to it.
func (f layoutDir) merge(add ocispec.Descriptor) ([]byte, error) {
	old, err := f.read(ocispec.ImageIndexFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	index, err := mergeIndex(old, add)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; repair it, or choose another directory", ocispec.ImageIndexFile, err)
	}
	return index, nil
}

// checkWritable checks that WriteDir can make files in the directories of a layout.
func (f layoutDir) checkWritable() error {
	for _, dir := range []string{".", blobsDir} {
		err := f.probe(path.Join(dir, tempPrefix+"probe"))
		if dir != "." && errors.Is(err, fs.ErrNotExist) {
			continue // it is to be made
		}
		if err != nil {
			return fmt.Errorf("cannot create a file in it: %w; correct its permissions, or choose another directory", err)
		}
	}
	return nil
}

// probe makes a file and removes it. Others may do so at the same time.
func (f layoutDir) probe(name string) error {
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = file.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := f.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (f layoutDir) checkEmpty() error {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) {
			return fmt.Errorf("it holds %q but is not an OCI layout; choose an empty directory, or one that does not exist", e.Name())
		}
	}
	return nil
}

// putBlob writes a blob, unless the directory has it, complete and right.
func (f layoutDir) putBlob(ctx context.Context, b ocispec.Descriptor, blobs Blobs) error {
	if has, err := f.has(ctx, b); has || err != nil {
		return err
	}
	r, err := open(blobs, b)
	if err != nil {
		return err
	}
	return f.put(blobPath(b.Digest), func(w *os.File) error { return copySection(ctx, w, r) })
}

func (f layoutDir) has(ctx context.Context, b ocispec.Descriptor) (bool, error) {
	file, err := f.open(b)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	return isBlob(ctx, file, b)
}

func (f layoutDir) open(b ocispec.Descriptor) (*os.File, error) {
	return f.root.Open(blobPath(b.Digest))
}

// isBlob reports whether a file is the blob, complete and right.
func isBlob(ctx context.Context, file *os.File, b ocispec.Descriptor) (bool, error) {
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() != b.Size {
		return false, err
	}
	sum := digest.SHA256.Digester()
	_, err := copyStream(ctx, sum.Hash(), io.NewSectionReader(file, 0, b.Size))
	return sum.Digest() == b.Digest, err
}

// read returns a small file.
func (f layoutDir) read(name string) ([]byte, error) {
	file, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, image.MaxManifestSize+1))
	if err == nil && len(content) > image.MaxManifestSize {
		err = fmt.Errorf("%s has more than %d bytes", name, image.MaxManifestSize)
	}
	return content, err
}

func (f layoutDir) putBytes(name string, content []byte) error {
	return f.put(name, func(w *os.File) error {
		_, err := io.Copy(w, bytes.NewReader(content))
		return err
	})
}

// put makes a file appear complete and durable, or not at all.
func (f layoutDir) put(name string, write func(*os.File) error) error {
	temp := path.Join(path.Dir(name), tempPrefix+path.Base(name))
	if err := f.root.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := f.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	err = write(file)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = f.root.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, f.root.Remove(temp))
	}
	return f.sync(path.Dir(name))
}

func (f layoutDir) sync(name string) error { return syncDir(f.root.Open(name)) }

// syncDir makes the names in an opened directory survive a crash. Windows does that itself.
func syncDir(dir *os.File, err error) error {
	if err != nil {
		return err
	}
	defer dir.Close()
	if runtime.GOOS == "windows" {
		return nil
	}
	return dir.Sync()
}
