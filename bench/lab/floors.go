package lab

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/internal/registrytest"
)

// Floors are the times that the machine needs for the parts of a pull.
type Floors struct {
	Hash time.Duration // SHA-256 of the layers, a core for each
	Copy time.Duration // copies of the layers' files into one file, and fsync
	Bare time.Duration // a GET for each layer, into SHA-256 and a file, and fsync
}

// Floors measures the floors of a case with a real server, once.
func (l *Lab) Floors(ctx context.Context, c Case) (f Floors, err error) {
	i, err := l.image(ctx, c)
	if err != nil {
		return f, err
	}
	f.Hash = hashTime(c.Layers)
	if f.Copy, err = copyTime(i, l.Dir); err != nil {
		return f, err
	}
	f.Bare, err = bareTime(ctx, c, i, l.Dir)
	return f, err
}

// hashTime is for bytes in memory, in as many streams as there are layers.
func hashTime(layers []int64) time.Duration {
	start := time.Now()
	var wg sync.WaitGroup
	for _, size := range layers {
		wg.Go(func() {
			buffer := make([]byte, mib)
			hash := sha256.New()
			for range size / mib {
				hash.Write(buffer)
			}
			hash.Sum(nil)
		})
	}
	wg.Wait()
	return time.Since(start)
}

// copyTime is for the image's layers, from the registry's files to one file.
func copyTime(i *image, dir string) (time.Duration, error) {
	out, err := os.CreateTemp(dir, "copy-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	start := time.Now()
	for _, layer := range i.Layers {
		if err := appendFile(out, i.stored(layer)); err != nil {
			return 0, err
		}
	}
	err = out.Sync()
	return time.Since(start), err
}

func appendFile(out io.Writer, path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(out, in)
	return err
}

func bareTime(ctx context.Context, c Case, i *image, dir string) (time.Duration, error) {
	s, err := setUp(c, i)
	if err != nil {
		return 0, err
	}
	defer s.close()
	start := time.Now()
	work, ctx := errgroup.WithContext(ctx)
	for _, layer := range i.Layers {
		work.Go(func() error { return bareFetch(ctx, s.mirrors[0].blobURL(layer), layer, dir) })
	}
	err = work.Wait()
	return time.Since(start), err
}

// bareFetch fetches a layer over one connection into SHA-256 and a file that it
// syncs.
func bareFetch(ctx context.Context, url string, layer registrytest.Blob, dir string) error {
	out, err := os.CreateTemp(dir, "bare-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	hash := sha256.New()
	if _, err := io.CopyBuffer(io.MultiWriter(hash, out), resp.Body, make([]byte, mib/4)); err != nil {
		return err
	}
	if got := digest.NewDigest(digest.SHA256, hash); got != layer.Digest {
		return fmt.Errorf("%s is %s", url, got)
	}
	return out.Sync()
}
