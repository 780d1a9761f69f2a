package servetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// The requests in this file are those of Spegel v0.7.4 and of Dragonfly's client v1.5.1, by
// their sources: a server must answer them as a registry does, also for a blob that it has
// not fetched yet.

// missWithin is how soon a server says that nobody has something, where its mirrors say so at
// once: it is one of several hosts that containerd asks one after the other.
const missWithin = 200 * time.Millisecond

// spegel are the fields of Fetch in pkg/oci/client.go of Spegel: the four media types of
// manifests for every request, also for blobs, and a login, which is empty if none is
// configured.
var spegel = []string{
	"User-Agent", "spegel",
	"Authorization", "Basic Og==",
	"Accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, " +
		"application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json",
}

// Spegel asks with ?ns= (DistributionPath.URL in pkg/oci/distribution.go), by HEAD for the
// size, and goes on after a break with a closed range up to the end of the blob
// (mirrorHandler in pkg/registry/registry.go).
func TestSpegelsRequests(t *testing.T) {
	f := start(t, 2, pulltest.ImageOf(1, 3*mib), noRace)
	for _, s := range f.Servers {
		s.Throttle(2 * mib)
	}
	manifest, layer := f.img.Manifest, f.img.Layers[0]

	// Without the manifest, no size is known yet.
	head := f.do(t, "HEAD", blobPath(layer), spegel...)
	head.wantDescriptor(t, "HEAD of a blob", layer)
	for _, reference := range []string{"1", manifest.Digest.String()} {
		for _, method := range []string{"HEAD", "GET"} {
			a := f.do(t, method, path+"/manifests/"+reference+ns, spegel...)
			a.wantDescriptor(t, method+" of manifest "+reference, manifest)
			if a.header.Get("Content-Type") != manifest.MediaType {
				t.Errorf("manifest %s is of type %q", reference, a.header.Get("Content-Type"))
			}
		}
	}
	from := layer.Size / 3
	rest := f.do(t, "GET", blobPath(layer), append(spegel, "Range", fmt.Sprintf("bytes=%d-%d", from, layer.Size-1))...)
	rest.wantRange(t, layer, from, layer.Size)
	whole := f.get(t, blobPath(layer), spegel...)
	whole.wantDescriptor(t, "GET of a blob", layer)
	f.wantOnce(t, layer)
}

// containerd asks Spegel first, and this server second if Spegel has found no peer. Nobody has
// it: the registry, which is the last, must not wait for that.
func TestWhatNobodyHasIsMissedSoon(t *testing.T) {
	f := start(t, 3, pulltest.ImageOf(1, mib), nil)
	for about, miss := range map[string]func(i int) string{
		"a blob":   func(i int) string { return path + "/blobs/" + digest.FromString(fmt.Sprint("blob", i)).String() + ns },
		"a digest": func(i int) string { return path + "/manifests/" + digest.FromString(fmt.Sprint(i)).String() + ns },
		"a tag":    func(i int) string { return fmt.Sprintf("%s/manifests/none%d%s", path, i, ns) },
		"an image": func(i int) string { return fmt.Sprintf("/v2/team/none%d/manifests/1%s", i, ns) },
	} {
		soonest := time.Hour
		for i := range 10 { // a machine that is busy is slow now and then
			a := f.do(t, "GET", miss(i), spegel...)
			if a.status != http.StatusNotFound {
				t.Fatalf("%s: %d %.200q", about, a.status, a.body)
			}
			var body struct{ Errors []struct{ Code string } }
			if err := json.Unmarshal(a.body, &body); err != nil || len(body.Errors) == 0 {
				t.Fatalf("%s: %.200q", about, a.body)
			}
			soonest = min(soonest, a.headers)
		}
		if soonest > missWithin {
			t.Errorf("%s: the answer 404 took at least %v", about, soonest)
		}
	}
}

// Dragonfly's proxy names the server in Host without a port (make_registry_mirror_request in
// dragonfly-client/src/proxy/mod.rs), and keeps ?ns=. The backend of the seed peer
// (dragonfly-client-backend/src/http.rs) finds the size by bytes=0-0 (stat), or by bytes=0-
// (exists), of which it reads no body, and then asks for pieces by closed ranges, many at
// once and in any order (get). A piece has 4 MiB (MIN_PIECE_LENGTH in
// dragonfly-client-config/src/lib.rs) or more.
func TestDragonflysRequests(t *testing.T) {
	const piece = 4 * mib
	layerSize := int64(5*piece + 12345)
	f := start(t, 3, pulltest.ImageOf(1, layerSize), func(o *segpull.ServerOptions) {
		noRace(o)
		o.Hosts = []string{"segpull.example"}
	})
	for _, s := range f.Servers {
		s.Throttle(8 * mib)
	}
	layer := f.img.Layers[0]
	dragonfly := func(value string) []string {
		return []string{"Host", "segpull.example", "User-Agent", "dragonfly/1.5.1", "Range", value}
	}
	f.do(t, "GET", blobPath(layer), dragonfly("bytes=0-0")...).wantRange(t, layer, 0, 1)
	exists := f.open(t, "GET", blobPath(layer), dragonfly("bytes=0-")...)
	exists.Body.Close()
	if want := fmt.Sprintf("bytes 0-%d/%d", layer.Size-1, layer.Size); exists.StatusCode != http.StatusPartialContent || exists.Header.Get("Content-Range") != want {
		t.Errorf("bytes=0- is answered by %s, %q", exists.Status, exists.Header.Get("Content-Range"))
	}
	var starts []int64
	for off := int64(0); off < layer.Size; off += piece {
		starts = append(starts, off)
	}
	rand.Shuffle(len(starts), func(i, j int) { starts[i], starts[j] = starts[j], starts[i] })
	var pieces sync.WaitGroup
	for _, off := range starts {
		end := min(off+piece, layer.Size)
		pieces.Go(func() {
			f.do(t, "GET", blobPath(layer), dragonfly(fmt.Sprintf("bytes=%d-%d", off, end-1))...).wantRange(t, layer, off, end)
		})
	}
	pieces.Wait()
	f.wantOnce(t, layer)
	if a := f.do(t, "GET", blobPath(layer), "Host", "other.example"); a.status != http.StatusMisdirectedRequest {
		t.Errorf("another Host: %d", a.status)
	}
}

// wantDescriptor wants the fields of a registry's answer for a blob or manifest.
func (a answer) wantDescriptor(t *testing.T, about string, b registrytest.Blob) {
	t.Helper()
	if a.status != http.StatusOK || a.header.Get("Content-Length") != fmt.Sprint(b.Size) || a.header.Get("Docker-Content-Digest") != b.Digest.String() {
		t.Errorf("%s: %d, Content-Length %q of %d, Docker-Content-Digest %q, %.200q", about, a.status,
			a.header.Get("Content-Length"), b.Size, a.header.Get("Docker-Content-Digest"), strings.ToValidUTF8(string(a.body), "?"))
	}
}

// wantRange wants the bytes [start, end) of a blob, as an answer to a range.
func (a answer) wantRange(t *testing.T, b registrytest.Blob, start, end int64) {
	t.Helper()
	want := fmt.Sprintf("bytes %d-%d/%d", start, end-1, b.Size)
	if a.status != http.StatusPartialContent || a.header.Get("Content-Range") != want || !bytes.Equal(a.body, b.Bytes()[start:end]) {
		t.Errorf("%s: %d, %q, %d bytes, %v", want, a.status, a.header.Get("Content-Range"), len(a.body), a.err)
	}
}

// More images than the server fetches at once are asked for one after the other, as a list of
// images is: none waits until the server gives up the sources of the earlier ones, which it
// keeps for 10 seconds.
func TestManyImagesInARow(t *testing.T) {
	f := start(t, 1, pulltest.ImageOf(1, 4<<10), nil)
	for i := range 10 {
		img := pulltest.ImageOf(uint64(100+i), 4<<10)
		repository := fmt.Sprintf("team/image%d", i)
		f.Servers[0].Push(repository, "1", img)
		began := time.Now()
		f.get(t, "/v2/"+repository+"/manifests/1"+ns)
		f.get(t, "/v2/"+repository+"/blobs/"+img.Layers[0].Digest.String()+ns)
		if took := time.Since(began); took > atOnce {
			t.Errorf("image %d took %v", i, took)
		}
	}
}

// While eight images are fetched, others wait, and each begins when one of these is there.
func TestMoreImagesThanAreFetchedAtOnce(t *testing.T) {
	f := start(t, 1, pulltest.ImageOf(1, 4<<10), nil)
	began := time.Now()
	var pulls sync.WaitGroup
	for i := range 20 {
		img := pulltest.ImageOf(uint64(100+i), 4<<10)
		repository := fmt.Sprintf("team/image%d", i)
		f.Servers[0].Push(repository, "1", img)
		pulls.Go(func() {
			f.get(t, "/v2/"+repository+"/manifests/1"+ns)
			f.get(t, "/v2/"+repository+"/blobs/"+img.Layers[0].Digest.String()+ns)
		})
	}
	pulls.Wait()
	if took := time.Since(began); took > 2*atOnce {
		t.Errorf("20 small images took %v", took)
	}
}
