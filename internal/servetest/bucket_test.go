package servetest

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/buckettest"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// behind is an option of servers: a bucket behind the cache.
func behind(s3 *buckettest.Server) func(*segpull.ServerOptions) {
	return func(o *segpull.ServerOptions) {
		noRace(o)
		o.Config.Cache = s3.URL("team")
	}
}

// another starts a server with a cache of its own before the same mirrors.
func (f *fixture) another(t *testing.T, edit func(*segpull.ServerOptions)) *fixture {
	t.Helper()
	other := *f
	other.dir = t.TempDir()
	other.restart(t, edit)
	return &other
}

// pullImage gets the manifest and all blobs of the image, as engines do: all at once.
func (f *fixture) pullImage(t *testing.T) {
	t.Helper()
	f.learn(t)
	var blobs sync.WaitGroup
	for _, b := range append(slices.Clone(f.img.Layers), f.img.Config) {
		blobs.Go(func() {
			if a := f.get(t, blobPath(b)); !bytes.Equal(a.body, b.Bytes()) {
				t.Errorf("%d bytes of blob %s of %d, %v", len(a.body), b.Digest, b.Size, a.err)
			}
		})
	}
	blobs.Wait()
	f.untilKept(t)
}

// untilPut waits until the bucket has all blobs of the image.
func (f *fixture) untilPut(t *testing.T, s3 *buckettest.Server) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		there := s3.Keys(t, "team/sha256/")
		missing := slices.DeleteFunc(append(slices.Clone(f.img.Layers), f.img.Config, f.img.Manifest), func(b registrytest.Blob) bool {
			return slices.Contains(there, "team/sha256/"+b.Digest.Encoded())
		})
		if len(missing) == 0 {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("the bucket lacks %d blobs, and the log says\n%s", len(missing), f.log)
		}
	}
}

// Two servers miss the same blobs at once: they fetch each once. A third one that starts
// later asks the mirrors for no blob and no manifest, also if they are down, except for the
// tag. It runs alone: a bucket has 3 s for an answer, which beside the other tests of this
// package, on few processors and with -race, may be too little.
func TestServersShareABucket(t *testing.T) {
	s3 := buckettest.Start(t, 0)
	one := start(t, 2, pulltest.ImageOf(1, 10*mib, 3*mib, mib), behind(s3))
	two := one.another(t, behind(s3))
	for _, m := range one.Servers {
		m.Throttle(4 * mib)
	}
	var pulls sync.WaitGroup
	for _, f := range []*fixture{one, two} {
		pulls.Go(func() { f.pullImage(t) })
	}
	pulls.Wait()
	need := pulltest.BlobsOf(one.img)
	t.Logf("two servers: the mirrors sent %d bytes of %d (%.3f), the bucket %d", one.Served(), need, float64(one.Served())/float64(need), s3.Sent())
	if sent := one.Served(); float64(sent) > 1.5*float64(need) { // alone, each would fetch all: 2
		t.Errorf("the mirrors sent %d bytes of %d", sent, need)
	}
	one.untilPut(t, s3)

	one.UntilIdle(t)
	before := one.Served()
	three := one.another(t, behind(s3))
	three.pullImage(t)
	if sent := one.Served() - before; sent > 0 {
		t.Errorf("the mirrors sent %d bytes to the third server", sent)
	}
	one.die()
	four := one.another(t, behind(s3))
	m := four.img.Manifest
	if a := four.get(t, path+"/manifests/"+m.Digest.String()+ns); !bytes.Equal(a.body, m.Bytes()) || a.header.Get("Content-Type") != m.MediaType {
		t.Errorf("without mirrors: %d, %v", a.status, a.header)
	}
	for _, b := range four.img.Layers {
		if a := four.get(t, blobPath(b)); !bytes.Equal(a.body, b.Bytes()) {
			t.Errorf("without mirrors: %d bytes", len(a.body))
		}
	}
	if metrics := three.metrics(t); !strings.Contains(metrics, "segpull_bucket_hits_total 5\n") || !strings.Contains(metrics, "segpull_bucket_errors_total 0\n") {
		t.Error(metrics)
	}
	for _, f := range []*fixture{one, two, three} {
		if strings.Contains(f.log.String(), "s3://") {
			t.Error(f.log)
		}
	}
}

// A server claimed a blob and was killed: another one takes the claim over.
func TestAClaimOfAKilledServer(t *testing.T) {
	t.Parallel()
	s3 := buckettest.Start(t, 0)
	f := start(t, 1, pulltest.ImageOf(1, mib), behind(s3))
	layer := f.img.Layers[0]
	s3.Put(t, "team/claims/"+layer.Digest.Encoded(), []byte("killed"))
	s3.Advance(time.Minute)
	began := time.Now()
	f.pullImage(t)
	if !strings.Contains(f.metrics(t), "segpull_bucket_takeovers_total 1\n") {
		t.Errorf("not taken over after %v", time.Since(began))
	}
	f.untilPut(t, s3)
}

// Whatever the bucket does, pulls go on from the mirrors, and clients have their headers at
// once.
func TestABucketThatFails(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault buckettest.Fault
		empty bool // the bucket has nothing yet
		log   string
	}{
		"down":                      {buckettest.Cut(), false, "segpull goes on without it"},
		"hangs":                     {buckettest.Hang(), false, "segpull goes on without it"},
		"hangs when a blob is read": {buckettest.Hang().On("sha256", "GET"), false, ""},
		"cuts what is read":         {buckettest.CutAfter(300*kib).On("sha256", "GET"), false, ""},
		"slow":                      {buckettest.Slow(8*kib).On("sha256", "GET"), false, ""},
		"full":                      {buckettest.Answer(507, "XMinioStorageFull").On("", "PUT", "POST"), true, "not put there"},
		"credentials have expired":  {buckettest.Answer(403, "ExpiredToken"), false, "AWS_ACCESS_KEY_ID"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s3 := buckettest.Start(t, 0)
			f := start(t, 2, pulltest.ImageOf(1, 4*mib), behind(s3))
			if !tc.empty {
				f.pullImage(t)
				f.untilPut(t, s3)
			}
			other := f.another(t, behind(s3))
			s3.Misbehave(tc.fault)
			began := time.Now()
			if tc.empty {
				other.learn(t)
			}
			resp := other.open(t, "GET", blobPath(f.img.Layers[0]))
			resp.Body.Close()
			if took := time.Since(began); took > 2*atOnce {
				t.Errorf("the headers took %v", took)
			}
			other.pullImage(t)
			t.Logf("it took %v", time.Since(began))
			if took := time.Since(began); took > soonEnough {
				t.Errorf("it took %v", took)
			}
			// One message for what is read, and one for what is put.
			if log := other.log.String(); !strings.Contains(log, tc.log) || strings.Count(log, "AWS_ACCESS_KEY_ID") > 2 || strings.Contains(log, buckettest.Secret) {
				t.Error(log)
			}
		})
	}
}

// The bucket sends wrong bytes: no client completes them, the log says so once, and the
// object is replaced.
func TestABucketWithWrongBytes(t *testing.T) {
	t.Parallel()
	s3 := buckettest.Start(t, 0)
	f := start(t, 2, pulltest.ImageOf(1, 2*mib), behind(s3))
	f.learn(t)
	layer := f.img.Layers[0]
	key := "team/sha256/" + layer.Digest.Encoded()
	wrong := slices.Clone(layer.Bytes())
	wrong[mib] ^= 1
	s3.Put(t, key, wrong)
	first := f.do(t, "GET", blobPath(layer))
	if right := bytes.Equal(first.body, layer.Bytes()); right != (first.err == nil) {
		t.Errorf("right: %t, %v", right, first.err)
	}
	if a := f.get(t, blobPath(layer)); !bytes.Equal(a.body, layer.Bytes()) {
		t.Error("wrong bytes")
	}
	for !bytes.Equal(s3.Get(t, key), layer.Bytes()) && t.Context().Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	if log := f.log.String(); strings.Count(log, "wrong bytes") != 1 || !strings.Contains(log, "s3://blobs/team returned wrong bytes") {
		t.Error(log)
	}
}
