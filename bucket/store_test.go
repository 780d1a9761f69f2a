package bucket_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/bucket"
	"github.com/segpull/segpull/internal/buckettest"
)

const (
	mib = 1 << 20
	// enough is a time that no test on any machine exceeds.
	enough = time.Minute
)

// warnings are what a store has said.
type warnings struct {
	mu  sync.Mutex
	all []string
}

func (w *warnings) add(message string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, message)
}

func (w *warnings) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.all, "\n")
}

func (w *warnings) count(part string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.all {
		if strings.Contains(m, part) {
			n++
		}
	}
	return n
}

func open(t *testing.T, url string, lease time.Duration) (*bucket.Store, *warnings) {
	t.Helper()
	w := &warnings{}
	s, err := bucket.Open(bucket.Options{URL: url, Lease: lease, Warn: w.add})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(0) })
	return s, w
}

// blob is a blob in a file, as in a cache.
type blob struct {
	ocispec.Descriptor
	bytes []byte
	path  string
}

func newBlob(t *testing.T, size int) blob {
	t.Helper()
	b := blob{bytes: make([]byte, size), path: filepath.Join(t.TempDir(), "blob")}
	for i := range b.bytes {
		b.bytes[i] = byte(rand.Uint32())
	}
	b.Descriptor = ocispec.Descriptor{Digest: digest.FromBytes(b.bytes), Size: int64(size)}
	if err := os.WriteFile(b.path, b.bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b blob) open(context.Context) (*os.File, error) { return os.Open(b.path) }
func (b blob) key() string                            { return "team/sha256/" + b.Digest.Encoded() }

func put(t *testing.T, s *bucket.Store, b blob) {
	t.Helper()
	turn := s.Begin(t.Context(), b.Descriptor, 0)
	turn.Put(b.open)
	s.Flush(t.Context())
}

// TestABlobIsPutOnceAndReadByRanges puts blobs of one part and of several, with nothing under
// their names but all of them.
func TestABlobIsPutOnceAndReadByRanges(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"empty": 0, "small": 1000, "one part": 8 * mib, "several parts": 20*mib + 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := buckettest.Start(t, 0)
			s, warned := open(t, server.URL("team"), 0)
			b := newBlob(t, size)
			put(t, s, b)
			if !bytes.Equal(server.Get(t, b.key()), b.bytes) {
				t.Fatal("the object has other bytes")
			}
			if left := server.Keys(t, "team/claims/"); len(left) > 0 {
				t.Errorf("claims are left: %q", left)
			}
			turn := s.Begin(t.Context(), b.Descriptor, 0)
			defer turn.End()
			if !turn.Found() || turn.Busy() {
				t.Error("it was not found")
			}
			before := len(server.Requests())
			turn.Put(b.open)
			s.Flush(t.Context())
			if asked := server.Requests()[before:]; len(asked) > 0 {
				t.Errorf("it was put again: %q", asked)
			}
			for _, r := range [][2]int64{{0, b.Size}, {b.Size / 3, b.Size / 2}, {0, b.Size / 2}, {max(b.Size-1, 0), b.Size}} {
				if r[0] == r[1] && size > 0 {
					continue
				}
				body, from, to, err := s.Open(t.Context(), "", b.Descriptor, r[0], r[1])
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(body)
				body.Close()
				if err != nil || from != r[0] || to != r[1] || !bytes.Equal(got, b.bytes[from:to]) {
					t.Errorf("range %v: %d bytes at [%d, %d), %v", r, len(got), from, to, err)
				}
			}
			if warned.String() != "" {
				t.Error(warned)
			}
		})
	}
}

// TestClaims lets several stores begin the same blob at once: one fetches it, and the others
// find it.
func TestClaims(t *testing.T) {
	t.Parallel()
	server, b := buckettest.Start(t, 0), newBlob(t, 1000)
	var fetched, found atomic.Int64
	var servers sync.WaitGroup
	for range 6 {
		s, _ := open(t, server.URL("team"), 0)
		servers.Go(func() {
			turn := s.Begin(t.Context(), b.Descriptor, enough)
			switch {
			case turn.Found():
				found.Add(1)
				turn.End()
			case turn.Busy():
				t.Error("it waited for a minute")
			default:
				fetched.Add(1)
				time.Sleep(time.Second)
				turn.Put(b.open)
			}
		})
	}
	servers.Wait()
	if fetched.Load() != 1 || found.Load() != 5 {
		t.Errorf("%d fetched it, %d found it", fetched.Load(), found.Load())
	}
}

// TestAClaimIsTakenOver when its owner does not renew it any more, by the clock of S3.
func TestAClaimIsTakenOver(t *testing.T) {
	t.Parallel()
	for name, skew := range map[string]time.Duration{"clocks agree": 0, "S3 is ahead": time.Hour, "S3 is behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, b := buckettest.Start(t, skew), newBlob(t, 1000)
			server.Put(t, "team/claims/"+b.Digest.Encoded(), []byte("of one that was killed"))
			s, _ := open(t, server.URL("team"), 0)
			first := s.Begin(t.Context(), b.Descriptor, 0)
			if !first.Busy() {
				t.Error("it did not look at the claim")
			}
			first.End()
			server.Advance(bucket.DefaultLease + 2*time.Second)
			turn := s.Begin(t.Context(), b.Descriptor, enough)
			defer turn.End()
			if turn.Busy() || turn.Found() || s.Stats().Takeovers != 1 {
				t.Errorf("busy: %t, %+v", turn.Busy(), s.Stats())
			}
		})
	}
}

// TestAClaimLasts as long as its turn, and no longer.
func TestAClaimLasts(t *testing.T) {
	t.Parallel()
	const lease = 3 * time.Second // the times of S3 are whole seconds
	server, b := buckettest.Start(t, 0), newBlob(t, 1000)
	one, _ := open(t, server.URL("team"), lease)
	two, _ := open(t, server.URL("team"), lease)
	turn := one.Begin(t.Context(), b.Descriptor, 0)
	if other := two.Begin(t.Context(), b.Descriptor, 5*lease/3); !other.Busy() {
		t.Error("another took it over")
	}
	turn.End()
	if other := two.Begin(t.Context(), b.Descriptor, enough); other.Busy() || two.Stats().Takeovers > 0 {
		t.Error("the claim was not ended")
	}
}

// TestAClaimEndsAfterItsRenewal when the turn ends during a slow renewal.
func TestAClaimEndsAfterItsRenewal(t *testing.T) {
	t.Parallel()
	const lease = 4 * time.Second
	server, b := buckettest.Start(t, 0), newBlob(t, 1000)
	s, _ := open(t, server.URL("team"), lease)
	turn := s.Begin(t.Context(), b.Descriptor, 0)
	renewing := make(chan struct{}, 1)
	server.Misbehave(buckettest.Fault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		renewing <- struct{}{}
		next.ServeHTTP(w, r)
		time.Sleep(lease / 3)
	}).On("/claims/", http.MethodPut))
	<-renewing
	time.Sleep(lease / 4)
	ended := time.Now()
	turn.End()
	for len(server.Keys(t, "team/claims/")) > 0 {
		if time.Since(ended) > lease {
			t.Fatal("the claim was not ended")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestABusyTurnFindsTheBlob that another process puts later.
func TestABusyTurnFindsTheBlob(t *testing.T) {
	t.Parallel()
	server, b := buckettest.Start(t, 0), newBlob(t, 1000)
	one, _ := open(t, server.URL("team"), 0)
	two, _ := open(t, server.URL("team"), 0)
	turn := one.Begin(t.Context(), b.Descriptor, 0)
	other := two.Begin(t.Context(), b.Descriptor, 0)
	defer other.End()
	found := make(chan bool)
	other.OnFound(func() { close(found) })
	select {
	case <-found:
		t.Error("it was found before it was there")
	case <-time.After(time.Second):
	}
	turn.Put(b.open)
	select {
	case <-found:
	case <-time.After(enough):
		t.Error("it was not found")
	}
	before := len(server.Requests())
	other.Put(b.open) // it has fetched the blob as well
	two.Flush(t.Context())
	for _, r := range server.Requests()[before:] {
		if strings.HasPrefix(r, "PUT") {
			t.Errorf("it was put twice: %s", r)
		}
	}
}

// TestFaults shows that a bucket that fails delays little, is left alone for a while, and is
// reported once.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault   buckettest.Fault
		found   bool   // a blob that is there, at first
		says    string // once
		asked   int    // requests at the most, of ten turns at once
		leftOut bool   // it is not asked any more for reads
	}{
		"it is down":               {fault: buckettest.Cut(), says: "look: ", asked: 2, leftOut: true},
		"it hangs":                 {fault: buckettest.Hang(), says: "context deadline exceeded", asked: 1, leftOut: true},
		"it is overloaded":         {fault: buckettest.Answer(503, "SlowDown"), says: "503 Service Unavailable", asked: 1, leftOut: true},
		"credentials have expired": {fault: buckettest.Answer(400, "ExpiredToken"), says: "AWS_ACCESS_KEY_ID", asked: 1, leftOut: true},
		"it refuses":               {fault: buckettest.Answer(403, "AccessDenied"), says: "AWS_ACCESS_KEY_ID", asked: 1, leftOut: true},
		"there is no bucket":       {fault: buckettest.Answer(404, "NoSuchBucket").On("", "GET PUT POST"), says: "create the bucket", asked: 40},
		"it takes nothing":         {fault: buckettest.Answer(403, "AccessDenied").On("", "PUT POST"), says: "blobs are not put there", asked: 21},
		"it is full":               {fault: buckettest.Answer(507, "XMinioStorageFull").On("", "PUT POST"), says: "not put there for 5m0s", asked: 21},
		"it has no conditions":     {fault: buckettest.Answer(501, "NotImplemented").On("claims", "PUT"), says: "has no conditional requests", asked: 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := buckettest.Start(t, 0)
			s, warned := open(t, server.URL("team"), 0)
			there := newBlob(t, 100)
			put(t, s, there)
			server.Misbehave(tc.fault)
			before := len(server.Requests())
			for range 10 {
				began := time.Now()
				b := newBlob(t, 100)
				turn := s.Begin(t.Context(), b.Descriptor, enough)
				if turn.Found() || turn.Busy() {
					t.Error("a blob that is not there was found")
				}
				turn.Put(b.open)
				s.Flush(t.Context())
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
			}
			if asked := server.Requests()[before:]; len(asked) > tc.asked {
				t.Errorf("requests: %q", asked)
			}
			turn := s.Begin(t.Context(), there.Descriptor, 0)
			if turn.Found() == tc.leftOut {
				t.Errorf("a blob that is there is found: %t", turn.Found())
			}
			turn.End()
			if n := warned.count(tc.says); n != 1 || strings.Contains(warned.String(), buckettest.Secret) {
				t.Errorf("it says %d times %q: %s", n, tc.says, warned)
			}
			if tc.leftOut && s.Stats().Errors == 0 {
				t.Error("no error is counted")
			}
		})
	}
}

// TestItIsUsedAgain after a failure.
func TestItIsUsedAgain(t *testing.T) {
	t.Parallel()
	server, b := buckettest.Start(t, 0), newBlob(t, 100)
	s, warned := open(t, server.URL("team"), 0)
	put(t, s, b)
	server.Misbehave(buckettest.Cut())
	s.Begin(t.Context(), b.Descriptor, 0).End()
	server.Misbehave(nil)
	for until := time.Now().Add(enough); ; time.Sleep(50 * time.Millisecond) {
		turn := s.Begin(t.Context(), b.Descriptor, 0)
		turn.End()
		if turn.Found() {
			break
		}
		if time.Now().After(until) {
			t.Fatal("it is not used again")
		}
	}
	if warned.count("answers again") != 1 {
		t.Error(warned)
	}
}

// TestNoPartOfABlobAppears under its name, whatever ends a put.
func TestNoPartOfABlobAppears(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault buckettest.Fault
		size  int
		spoil bool // the file in the cache is not as it was verified
	}{
		"a part fails":            {buckettest.Cut().On("sha256", "PUT"), 20 * mib, false},
		"the last request fails":  {buckettest.Answer(500, "InternalError").On("sha256", "POST"), 20 * mib, false},
		"it was damaged":          {nil, 1000, true},
		"a large one was damaged": {nil, 20 * mib, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, b := buckettest.Start(t, 0), newBlob(t, tc.size)
			s, warned := open(t, server.URL("team"), 0)
			if tc.spoil {
				b.bytes[tc.size-1] ^= 1
				if err := os.WriteFile(b.path, b.bytes, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			server.Misbehave(tc.fault)
			put(t, s, b)
			if keys := server.Keys(t, ""); len(keys) > 0 {
				t.Errorf("objects %q", keys)
			}
			if s.Stats().FailedPuts != 1 || warned.String() == "" {
				t.Errorf("%+v, %s", s.Stats(), warned)
			}
			if damaged := warned.count("another digest"); tc.spoil != (damaged == 1) || tc.spoil && s.Stats().Errors > 0 {
				t.Errorf("%+v, %s", s.Stats(), warned)
			}
		})
	}
}

// TestCloseCutsAPut that does not end within the grace.
func TestCloseCutsAPut(t *testing.T) {
	t.Parallel()
	server, b := buckettest.Start(t, 0), newBlob(t, 1000)
	s, _ := open(t, server.URL("team"), 0)
	turn := s.Begin(t.Context(), b.Descriptor, 0)
	server.Misbehave(buckettest.Hang().On("sha256", "PUT"))
	turn.Put(b.open)
	began := time.Now()
	s.Close(100 * time.Millisecond)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("Close took %v", took)
	}
	if keys := server.Keys(t, ""); len(keys) > 0 {
		t.Errorf("objects %q", keys)
	}
	s.Begin(t.Context(), b.Descriptor, 0).Put(b.open) // does nothing
}

// TestAnObjectOfAnotherSize is not the blob, and is replaced by it.
func TestAnObjectOfAnotherSize(t *testing.T) {
	t.Parallel()
	server, b := buckettest.Start(t, 0), newBlob(t, 1000)
	s, _ := open(t, server.URL("team"), 0)
	server.Put(t, b.key(), b.bytes[:500])
	s.Begin(t.Context(), b.Descriptor, 0).End()
	if got := server.Get(t, b.key()); len(got) != 500 {
		t.Errorf("the object has %d bytes, and nobody had the blob", len(got))
	}
	put(t, s, b)
	if !bytes.Equal(server.Get(t, b.key()), b.bytes) {
		t.Error("it was not replaced")
	}
}

// TestWrongBytes of a blob are written over, or deleted.
func TestWrongBytes(t *testing.T) {
	t.Parallel()
	server := buckettest.Start(t, 0)
	s, _ := open(t, server.URL("team"), 0)
	one, two := newBlob(t, 1000), newBlob(t, 1000)
	for _, b := range []blob{one, two} {
		server.Put(t, b.key(), make([]byte, 1000))
		turn := s.Begin(t.Context(), b.Descriptor, 0)
		if !turn.Found() {
			t.Fatal("it is not found")
		}
		s.Wrong(b.Digest)
		if b.Digest == one.Digest {
			turn.Put(one.open)
		}
		turn.End()
	}
	s.Close(enough)
	if keys := server.Keys(t, ""); !slices.Equal(keys, []string{one.key()}) || !bytes.Equal(server.Get(t, one.key()), one.bytes) {
		t.Errorf("objects %q", keys)
	}
}

// TestSmallBlobs puts a manifest with its media type, and takes only the right bytes.
func TestSmallBlobs(t *testing.T) {
	t.Parallel()
	server := buckettest.Start(t, 0)
	s, warned := open(t, server.URL("team"), 0)
	body := []byte(`{"schemaVersion": 2}`)
	d := digest.FromBytes(body)
	if _, _, ok := s.Read(t.Context(), d, mib); ok {
		t.Error("a manifest that is not there")
	}
	s.PutSmall(ocispec.MediaTypeImageManifest, body)
	s.Flush(t.Context())
	mediaType, got, ok := s.Read(t.Context(), d, mib)
	if !ok || mediaType != ocispec.MediaTypeImageManifest || !bytes.Equal(got, body) {
		t.Errorf("%t, %s %q", ok, mediaType, got)
	}
	if _, _, ok := s.Read(t.Context(), d, 5); ok {
		t.Error("it is larger than the limit")
	}
	server.Put(t, "team/sha256/"+d.Encoded(), []byte("wrong"))
	if _, _, ok := s.Read(t.Context(), d, mib); ok || warned.count("wrong bytes") != 1 {
		t.Errorf("wrong bytes: %t, %s", ok, warned)
	}
	s.Close(enough)
	if keys := server.Keys(t, ""); len(keys) > 0 {
		t.Errorf("the wrong object is left: %q", keys)
	}
}

// TestAnswersToRanges refuses what is not what was asked for.
func TestAnswersToRanges(t *testing.T) {
	t.Parallel()
	server, b := buckettest.Start(t, 0), newBlob(t, 1000)
	s, _ := open(t, server.URL("team"), 0)
	put(t, s, b)
	wrongSize := b.Descriptor
	wrongSize.Size++
	for name, tc := range map[string]struct {
		blob  ocispec.Descriptor
		fault buckettest.Fault
	}{
		"another size": {wrongSize, nil},
		"all in place of a part": {b.Descriptor, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			r.Header.Del("Range")
			next.ServeHTTP(w, r)
		}},
	} {
		server.Misbehave(tc.fault)
		body, _, _, err := s.Open(t.Context(), "", tc.blob, 10, 20)
		if err == nil {
			body.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

// TestANilStore is no bucket.
func TestANilStore(t *testing.T) {
	t.Parallel()
	var s *bucket.Store
	b := newBlob(t, 10)
	turn := s.Begin(t.Context(), b.Descriptor, enough)
	if turn.Found() || turn.Busy() {
		t.Error("it has a blob")
	}
	turn.OnFound(func() { t.Error("it has a blob") })
	turn.Put(b.open)
	turn.End()
	if _, _, ok := s.Read(t.Context(), b.Digest, mib); ok || s.Putting() > 0 {
		t.Error("it has a manifest")
	}
	s.PutSmall("", b.bytes)
	s.Flush(t.Context())
	s.Close(0)
}

// TestAPutIntoABucketThatHangs ends soon, since a pull waits for it.
func TestAPutIntoABucketThatHangs(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small": 1000, "large": 20 * mib} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, b := buckettest.Start(t, 0), newBlob(t, size)
			s, _ := open(t, server.URL("team"), 0)
			turn := s.Begin(t.Context(), b.Descriptor, 0)
			server.Misbehave(buckettest.Hang())
			began := time.Now()
			turn.Put(b.open)
			s.Flush(t.Context())
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}
