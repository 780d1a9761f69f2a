package quirktest

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// fewRanges is for stores that do not serve ranges: once that is known they
// are asked for whole blobs.
func fewRanges(faults ...registrytest.Fault) quirk {
	q := quirky(faults...)
	q.img = pulltest.ImageOf(1, 8*mib, 50*kib) // 32 segments
	q.asked = func(t *testing.T, seen registrytest.Stats) {
		t.Helper()
		if n := count(seen, ranged); n < 1 || n > 10 {
			t.Errorf("%d requests had a Range", n)
		}
		if n := count(seen, isBlob); n > 25 {
			t.Errorf("%d requests for 3 blobs", n)
		}
	}
	return q
}

func TestRangesThatAreRefused(t *testing.T) {
	t.Parallel()
	rows := map[string]quirk{}
	for _, status := range []int{400, 403, 416, 501} {
		rows[fmt.Sprintf("%d (registry.k8s.io#333, buzz#4079)", status)] = fewRanges(registrytest.RangeRefused(status))
		rows[fmt.Sprintf("%d inside (registry.k8s.io#333)", status)] = fewRanges(registrytest.RangeRefusedInside(status))
	}
	playQuirks(t, rows)
}

func TestAnswersToRanges(t *testing.T) {
	t.Parallel()
	partly := func(faults ...registrytest.Fault) quirk {
		q := quirky(faults...)
		q.asked = func(t *testing.T, seen registrytest.Stats) {
			whole := func(r registrytest.Request) bool { return isBlob(r) && r.Range == "" && r.Bytes > mib }
			if n, most := count(seen, ranged), count(seen, whole); n < 2 || most > 0 {
				t.Errorf("%d requests had a Range, and %d were for all of the large blob", n, most)
			}
		}
		return q
	}
	playQuirks(t, map[string]quirk{
		"206 of less (cpp-httplib#1862)":              partly(registrytest.ClipRange(100 * kib)),
		"206 without Content-Range (express-range#1)": fewRanges(registrytest.Header("Content-Range", "")),
		"206 with another total":                      fewRanges(registrytest.WrongTotal(7)),
		"206 as multipart (RFC 9110, 15.3.7.2)":       fewRanges(registrytest.MultipartRanges()),
		"200 with Content-Range":                      partly(registrytest.RangeAs200()),
	})
}

func TestASmallBlobIsAskedForWithoutRange(t *testing.T) {
	t.Parallel()
	q := quirk{img: pulltest.ImageOf(1, 100*kib, 50*kib)}
	q.asked = func(t *testing.T, seen registrytest.Stats) {
		if n := count(seen, ranged); n > 0 {
			t.Errorf("%d requests had a Range", n)
		}
		for _, r := range seen.Log {
			if got := r.Header["Accept"]; r.Kind == registrytest.KindManifest && len(got) != 1 {
				t.Errorf("Accept: %q", got)
			}
		}
	}
	q.play(t)
}

// TestEncodings pulls from web servers that label what they serve by its name,
// and through proxies that compress bodies.
func TestEncodings(t *testing.T) {
	t.Parallel()
	const manifests = registrytest.KindManifest
	tar := registrytest.NewImage(registrytest.ImageOptions{
		Seed: 1, Layers: []int64{mib / 2}, Compression: registrytest.Uncompressed, Platform: "linux/amd64",
	})
	small := pulltest.ImageOf(1, mib/2, 50*kib) // the mirror compresses it for each range
	index := registrytest.NewIndex(pulltest.ImageOf(1, 100*kib))
	rows := map[string]quirk{}
	for _, label := range []string{"gzip", "x-gzip", "deflate", "zstd", "aws-chunked"} {
		rows[label+" alone (moby#17595, moby#27642)"] = quirky(registrytest.Encoded(label, false))
		rows[label+" of manifests alone (docker-registry#369)"] = quirk{img: index, faults: []registrytest.Fault{registrytest.Encoded(label, false).On(manifests)}}
		rows[label+" in truth"] = quirk{img: small, faults: []registrytest.Fault{registrytest.Encoded(label, true)}}
		rows[label+" in truth, of manifests (docker-registry#369)"] = quirk{img: index, faults: []registrytest.Fault{registrytest.Encoded(label, true).On(manifests)}}
		rows[label+" in truth, of a tar"] = quirk{img: tar, faults: []registrytest.Fault{registrytest.Encoded(label, true)}}
		rows[label+" alone, of a tar"] = quirk{img: tar, faults: []registrytest.Fault{registrytest.Encoded(label, false)}}
	}
	for _, label := range []string{"br", "utf-8", "identity", "gzip, br", " "} {
		rows[fmt.Sprintf("%q alone", label)] = quirky(registrytest.Encoded(label, false).On(manifests, registrytest.KindBlob))
	}
	playQuirks(t, rows)
}

func TestBlobsOfAnotherSize(t *testing.T) {
	t.Parallel()
	good := pulltest.ImageOf(1, 300*kib)
	size := good.Layers[0].Size
	sizes := func(got, want int64) []string {
		return []string{fmt.Sprintf("the blob has %d bytes", got), fmt.Sprintf("the manifest %d", want), "--mirror"}
	}
	of := func(img registrytest.Image, words []string, faults ...registrytest.Fault) quirk {
		for i := range faults {
			faults[i] = faults[i].Of(img.Layers[0].Digest)
		}
		return quirk{img: img, faults: faults, code: segpull.ErrMismatch, words: words}
	}
	claiming := func(claimed int64) registrytest.Image {
		return registrytest.NewImage(registrytest.ImageOptions{
			Seed: 1, Layers: []int64{300 * kib}, Platform: "linux/amd64",
			EditManifest: func(m *ocispec.Manifest) { m.Layers[0].Size = claimed },
		})
	}
	unsatisfiable := registrytest.All(registrytest.Header("Content-Range", "bytes */0"), registrytest.Status(http.StatusRequestedRangeNotSatisfiable))
	chunked := registrytest.NoContentLength()
	playQuirks(t, map[string]quirk{
		"longer, chunked": {img: good, faults: []registrytest.Fault{chunked, registrytest.WrongSize(1000).Of(good.Layers[0].Digest)}},
		"more than the manifest says, chunked": {
			img: claiming(size - 5), faults: []registrytest.Fault{chunked},
			code: segpull.ErrMismatch, words: []string{"digest mismatch", "--mirror"}, warns: []string{"tries once more"},
		},
		"longer":                    of(good, sizes(size+1000, size), registrytest.WrongSize(1000)),
		"shorter":                   of(good, sizes(size-1000, size), registrytest.WrongSize(-1000)),
		"shorter, chunked":          of(good, sizes(size-1000, size), chunked, registrytest.WrongSize(-1000)),
		"empty":                     of(good, sizes(0, size), registrytest.EmptyBlob()),
		"416 to ranges, else empty": of(good, sizes(0, size), registrytest.Unsatisfiable()),
		"416 to all":                of(good, sizes(0, size), unsatisfiable),
		"less than the manifest says (skopeo#1054, buildkit#2568)": of(claiming(size+5), sizes(size, size+5)),
		"more than the manifest says (skopeo#1054, buildkit#2568)": of(claiming(size-5), sizes(size, size-5)),
	})
}

// TestASpooledBlobIsAskedForOnce pulls through a proxy that fetches and scans a
// whole blob before it sends the first byte. A client that asks again starts
// that again.
func TestASpooledBlobIsAskedForOnce(t *testing.T) {
	t.Parallel()
	q := quirk{img: pulltest.ImageOf(1, 200*kib), faults: []registrytest.Fault{registrytest.Spool(5 * time.Second)}}
	layer := q.img.Layers[0].Digest.String()
	q.asked = func(t *testing.T, seen registrytest.Stats) {
		if n := count(seen, func(r registrytest.Request) bool { return r.Reference == layer }); n != 1 {
			t.Errorf("the layer was asked for %d times", n)
		}
	}
	q.faults[0] = q.faults[0].Of(q.img.Layers[0].Digest)
	q.play(t)
}
