package bucket_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/bucket"
)

// A process that misses a blob fetches it from elsewhere and puts it into the bucket, where
// the next one finds it.
func ExampleStore_Begin() {
	ctx := context.Background()
	memory := s3mem.New()
	if err := memory.CreateBucket("blobs"); err != nil {
		panic(err)
	}
	server := httptest.NewServer(gofakes3.New(memory).Server())
	defer server.Close()
	os.Setenv("AWS_ACCESS_KEY_ID", "key")
	os.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	store, err := bucket.Open(bucket.Options{URL: "s3://blobs/team?endpoint=" + server.URL})
	if err != nil {
		panic(err)
	}
	defer store.Close(time.Second)

	dir, err := os.MkdirTemp("", "segpull")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path, content := filepath.Join(dir, "blob"), []byte("from a mirror")
	blob := ocispec.Descriptor{Digest: digest.FromBytes(content), Size: int64(len(content))}
	turn := store.Begin(ctx, blob, time.Minute)
	fmt.Println("found:", turn.Found())
	if err := os.WriteFile(path, content, 0o600); err != nil {
		panic(err)
	}
	turn.Put(func(context.Context) (*os.File, error) { return os.Open(path) })
	turn.End()
	store.Flush(ctx)

	turn = store.Begin(ctx, blob, time.Minute)
	defer turn.End()
	fmt.Println("found:", turn.Found())
	body, start, end, err := store.Open(ctx, "", blob, 5, 13)
	if err != nil {
		panic(err)
	}
	defer body.Close()
	var got bytes.Buffer
	_, err = got.ReadFrom(body)
	fmt.Println(got.String(), start, end, err)
	// Output:
	// found: false
	// found: true
	// a mirror 5 13 <nil>
}
