package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"time"
)

// archive returns an archive with files in a directory. The same files and time give the
// same bytes.
func (t target) archive(dir string, content files, modified time.Time) ([]byte, error) {
	if t.os() == "windows" {
		return zipped(dir, content, modified)
	}
	return tarred(dir, content, modified)
}

func tarred(dir string, content files, modified time.Time) ([]byte, error) {
	var b bytes.Buffer
	compressed, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is valid
	w := tar.NewWriter(compressed)
	for _, name := range content.names() {
		header := &tar.Header{Name: path.Join(dir, name), Mode: mode(name), Size: int64(len(content[name])), ModTime: modified, Format: tar.FormatPAX}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(content[name]); err != nil {
			return nil, err
		}
	}
	err := errors.Join(w.Close(), compressed.Close())
	return b.Bytes(), err
}

func zipped(dir string, content files, modified time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range content.names() {
		f, err := w.CreateHeader(&zip.FileHeader{Name: path.Join(dir, name), Method: zip.Deflate, Modified: modified.UTC()})
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(content[name]); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

func mode(name string) int64 {
	if name == "segpull" {
		return 0o755
	}
	return 0o644
}

// gzipped compresses a text as packages need it: without a name or a time.
func gzipped(text []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	_, _ = io.Copy(w, bytes.NewReader(text)) // to memory
	_ = w.Close()
	return b.Bytes()
}
