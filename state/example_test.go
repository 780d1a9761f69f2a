package state_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/state"
)

// A download that is interrupted continues from what the Store recorded.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	output := filepath.Join(dir, "app.tar")
	blobs := []state.Placement{{Digest: "sha256:…", Size: 10, Offset: 0}}
	sources := []string{"mirror.example"}

	first, err := state.Open(context.Background(), output, blobs, sources)
	if err != nil {
		panic(err)
	}
	if err := first.Write(0, 4, []byte("efgh"), 0); err != nil {
		panic(err)
	}
	if err := first.Sync(); err != nil {
		panic(err)
	}
	first.Close() // the download is interrupted

	s, err := state.Open(context.Background(), output, blobs, sources)
	if err != nil {
		panic(err)
	}
	defer s.Close()
	blob := s.Blob(0)
	fmt.Println(blob.Done(), blob.Missing())
	printRuns(blob)
	for off, part := range map[int64]string{0: "abcd", 8: "ij"} {
		if err := blob.Write(off, []byte(part), 0); err != nil {
			panic(err)
		}
	}
	buf := make([]byte, state.MaxRecord)
	n, err := blob.Read(0, buf)
	fmt.Printf("%s %v\n", buf[:n], err)

	// The part file becomes the output, and the directory goes.
	if err := s.PromotePart(output, 10); err != nil {
		panic(err)
	}
	if err := s.Remove(); err != nil {
		panic(err)
	}
	text, err := os.ReadFile(output)
	fmt.Printf("%s %v\n", text, err)
	// Output:
	// 4 [[0,4) [8,10)]
	// [4,8) mirror.example
	// abcd <nil>
	// abcdefghij <nil>
}

func printRuns(blob *state.Blob) {
	for _, run := range blob.Runs() {
		fmt.Println(run.Range, run.Source)
	}
}

// A file of Create replaces the output in one step.
func ExampleStore_Promote() {
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	output := filepath.Join(dir, "app.tar")
	fmt.Println(state.Replaceable(output))

	s, err := state.Open(context.Background(), output, nil, nil)
	if err != nil {
		panic(err)
	}
	defer s.Close()
	f, err := s.Create()
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if _, err := f.WriteString("another form of the image"); err != nil {
		panic(err)
	}
	if err := s.Promote(f, output); err != nil {
		panic(err)
	}
	text, err := os.ReadFile(output)
	fmt.Printf("%s %v\n", text, err)
	// Output:
	// true
	// another form of the image <nil>
}

// Another process can read a blob while it arrives.
func ExampleFollow() {
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "app.tar")
	s, err := state.Open(context.Background(), path, []state.Placement{{Digest: "sha256:…", Size: 10}}, []string{"mirror.example"})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	f := state.Follow(path, "sha256:…", 10)
	defer f.Close()
	buf := make([]byte, state.MaxRecord)
	for _, text := range []string{"abcde", "fghij"} {
		off := s.Blob(0).Done()
		if err := s.Write(0, off, []byte(text), 0); err != nil {
			panic(err)
		}
		n, err := f.Read(off, buf)
		fmt.Printf("%s %v\n", buf[:n], err)
	}
	// Output:
	// abcde <nil>
	// fghij <nil>
}

// Bytes that turn out to be wrong are replaced, or forgotten and fetched again.
func ExampleBlob_Replace() {
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s, err := state.Open(context.Background(), filepath.Join(dir, "app.tar"),
		[]state.Placement{{Digest: "sha256:…", Size: 10}}, []string{"corrupt.example", "right.example"})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	blob := s.Blob(0)
	if err := blob.Write(0, []byte("abcdefghij"), 0); err != nil {
		panic(err)
	}
	if err := blob.Replace(2, []byte("CD"), 1); err != nil {
		panic(err)
	}
	printRuns(blob)
	if err := blob.Forget(segment.Range{Start: 4, End: 10}); err != nil {
		panic(err)
	}
	fmt.Println(blob.Missing())
	// Output:
	// [0,2) corrupt.example
	// [2,4) right.example
	// [4,10) corrupt.example
	// [[4,10)]
}
