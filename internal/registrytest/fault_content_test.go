package registrytest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
)

// The ways to answer a range wrongly, or rightly but otherwise than hoped.
func TestRangeFaults(t *testing.T) {
	b := RandomBlob(1, 10_000)
	whole := b.Bytes()
	none := func(int64, int64, int64) string { return "" }
	tests := map[string]struct {
		fault        Fault
		status       int
		body         []byte
		contentRange string
	}{
		"ignored":           {IgnoreRange(), 200, whole, ""},
		"shifted":           {ShiftRange(50), 206, whole[150:250], "bytes 150-249/10000"},
		"clipped":           {ClipRange(30), 206, whole[100:130], "bytes 100-129/10000"},
		"clipped not":       {ClipRange(300), 206, whole[100:200], "bytes 100-199/10000"},
		"without the unit":  {NexusContentRange(), 206, whole[100:200], "100-199/10000"},
		"without header":    {ContentRange(none), 206, whole[100:200], ""},
		"of unknown length": {NoContentLength(), 206, whole[100:200], "bytes 100-199/10000"},
		"other header":      {Header("Content-Range", "bytes 0-0/1"), 206, whole[100:200], "bytes 0-0/1"},
		"not satisfiable":   {Status(416), 416, nil, ""},
		"refused":           {RangeRefused(501), 501, nil, ""},
		"refused inside":    {RangeRefusedInside(403), 403, nil, ""},
		"wrong total":       {WrongTotal(7), 206, whole[100:200], "bytes 100-199/10007"},
		"total too small":   {WrongTotal(-7), 206, whole[100:200], "bytes 100-199/9993"},
		"status 200":        {RangeAs200(), 200, whole[100:200], "bytes 100-199/10000"},
		"longer blob":       {WrongSize(50), 206, whole[100:200], "bytes 100-199/10050"},
		"shorter blob":      {WrongSize(-9850), 206, whole[100:150], "bytes 100-149/150"},
		"empty blob":        {EmptyBlob(), 200, []byte{}, ""},
		"unsatisfiable":     {Unsatisfiable(), 416, nil, "bytes */0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			reg, address := serveBlob(t, b)
			reg.Misbehave(tt.fault)
			a := get(t, address, "Range: bytes=100-199")
			if tt.body == nil {
				tt.body = a.Body
			}
			wantBody(t, a, tt.status, tt.body)
			if got := a.Header.Get("Content-Range"); got != tt.contentRange {
				t.Errorf("Content-Range is %q, want %q", got, tt.contentRange)
			}
		})
	}
}

// Each fault changes the bytes it should, whatever range they are asked in.
func TestBodyFaults(t *testing.T) {
	b := RandomBlob(1, 100_000)
	other := RandomBlob(2, 99_000)
	tests := map[string]struct {
		fault Fault
		want  func(p []byte)
	}{
		"flip": {Flip(1000, 1010), func(p []byte) {
			for i := 1000; i < 1010; i++ {
				p[i] ^= 0xff
			}
		}},
		"flip all": {Flip(0, math.MaxInt64), func(p []byte) {
			for i := range p {
				p[i] ^= 0xff
			}
		}},
		"garbage": {Garbage(40_000, 60_000), func(p []byte) {
			_, _ = newNoise(0x6a5ba6e).ReadAt(p[40_000:60_000], 40_000)
		}},
		"impostor": {Impostor(other), func(p []byte) {
			clear(p[copy(p, other.Bytes()):])
		}},
		"rewrite": {Rewrite(func(p []byte, offset int64) {
			if offset <= 500 && 500 < offset+int64(len(p)) {
				p[500-offset] = 0
			}
		}), func(p []byte) { p[500] = 0 }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want := b.Bytes()
			tt.want(want)
			reg, address := serveBlob(t, b)
			reg.Misbehave(tt.fault)
			wantBody(t, get(t, address), 200, want)
			wantBody(t, get(t, address, "Range: bytes=499-1005"), 206, want[499:1006])
			wantBody(t, get(t, address, "Range: bytes=50000-"), 206, want[50_000:])
			if bytes.Equal(want, b.Bytes()) {
				t.Error("nothing was changed")
			}
		})
	}
}

func TestErrorsAreNotRewritten(t *testing.T) {
	reg, address := serveBlob(t, RandomBlob(1, 10))
	reg.Misbehave(Flip(0, math.MaxInt64), Status(503))
	if a := get(t, address); !bytes.Contains(a.Body, []byte(`"errors"`)) {
		t.Errorf("body is %q", a.Body)
	}
}

func TestRangeRefusalsSpareTheRest(t *testing.T) {
	b := RandomBlob(1, 10_000)
	reg, address := serveBlob(t, b)
	reg.Misbehave(RangeRefused(416))
	wantBody(t, get(t, address), 200, b.Bytes())
	if a := get(t, address, "Range: bytes=0-"); a.Status != 416 {
		t.Errorf("a range of all has status %d, want 416", a.Status)
	}
	reg.Misbehave(RangeRefusedInside(416))
	wantBody(t, get(t, address), 200, b.Bytes())
	wantBody(t, get(t, address, "Range: bytes=0-9"), 206, b.Bytes()[:10])
}

func TestMultipartRangesHaveOnePart(t *testing.T) {
	b := RandomBlob(1, 10_000)
	reg, address := serveBlob(t, b)
	reg.Misbehave(MultipartRanges())
	a := get(t, address, "Range: bytes=100-199")
	kind, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if a.Status != 206 || err != nil || kind != "multipart/byteranges" || a.Header.Get("Content-Range") != "" {
		t.Fatalf("got %d, %v", a.Status, a.Header)
	}
	parts := multipart.NewReader(bytes.NewReader(a.Body), params["boundary"])
	part, err := parts.NextPart()
	if err != nil || part.Header.Get("Content-Range") != "bytes 100-199/10000" {
		t.Fatalf("the part is %v, %v", part, err)
	}
	if got, err := io.ReadAll(part); err != nil || !bytes.Equal(got, b.Bytes()[100:200]) {
		t.Errorf("the part has %d bytes, %v", len(got), err)
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("after the part comes %v, want the end", err)
	}
	wantBody(t, get(t, address), 200, b.Bytes())
}

func TestBlobsOfAnotherSize(t *testing.T) {
	b := RandomBlob(1, 10_000)
	reg, address := serveBlob(t, b)
	reg.Misbehave(WrongSize(-10))
	wantBody(t, get(t, address), 200, b.Bytes()[:9_990])
	reg.Misbehave(WrongSize(10))
	if a := get(t, address); a.Status != 200 || len(a.Body) != 10_010 || !bytes.HasPrefix(a.Body, b.Bytes()) {
		t.Errorf("got %d, %d bytes", a.Status, len(a.Body))
	}
	for name, fault := range map[string]Fault{"empty": EmptyBlob(), "unsatisfiable": Unsatisfiable()} {
		reg.Misbehave(fault)
		if a := get(t, address); a.Status != 200 || a.Header.Get("Content-Length") != "0" {
			t.Errorf("%s: got %d, %v", name, a.Status, a.Header)
		}
	}
}

func TestGzipEncodingComesUnasked(t *testing.T) {
	b := RandomBlob(1, 10_000)
	reg, address := serveBlob(t, b)
	reg.Misbehave(GzipEncoding())
	a := get(t, address, "Accept-Encoding: identity")
	if a.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("headers are %v", a.Header)
	}
	unzip, err := gzip.NewReader(bytes.NewReader(a.Body))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(unzip); err != nil || !bytes.Equal(got, b.Bytes()) {
		t.Errorf("unpacked %d bytes, %v", len(got), err)
	}
}

func TestContentLengthIsWrong(t *testing.T) {
	b := RandomBlob(1, 10_000)
	reg, address := serveBlob(t, b)
	reg.Misbehave(ContentLength(100))
	if a := get(t, address); !errors.Is(a.Err, io.ErrUnexpectedEOF) || len(a.Body) != 10_000 {
		t.Errorf("promised too much: %d bytes, %v", len(a.Body), a.Err)
	}
	reg.Misbehave(ContentLength(-100))
	if a := get(t, address); a.Err != nil || len(a.Body) != 9_900 {
		t.Errorf("promised too little: %d bytes, %v", len(a.Body), a.Err)
	}
}

func TestAnswersInTheRegistrysPlace(t *testing.T) {
	b := RandomBlob(1, 10)
	reg, address := serveBlob(t, b)
	tests := map[string]struct {
		fault        Fault
		status       int
		header, want string
		body         string // contained in it
	}{
		"401":         {Status(401), 401, "Content-Type", "application/json", `"UNAUTHORIZED"`},
		"403":         {Status(403), 403, "Content-Type", "application/json", `"DENIED"`},
		"404":         {Status(404), 404, "Content-Type", "application/json", `"BLOB_UNKNOWN"`},
		"429":         {RetryAfter(429, "880.092µs"), 429, "Retry-After", "880.092µs", `"TOOMANYREQUESTS"`},
		"portal":      {CaptivePortal(), 200, "Content-Type", "text/html; charset=utf-8", "<title>"},
		"elsewhere":   {RedirectTo("ftp://10.0.0.1/x"), 307, "Location", "ftp://10.0.0.1/x", ""},
		"in a circle": {RedirectLoop(), 307, "Location", blobPath(b), ""},
		"page":        {Page(403, "<h1>embargo</h1>"), 403, "Content-Type", "text/html; charset=utf-8", "<h1>embargo</h1>"},
		"JSON":        {JSONError(200, `{"code":7}`), 200, "Content-Type", "application/json", `{"code":7}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			reg.Misbehave(tt.fault)
			a := get(t, address)
			if a.Status != tt.status || a.Header.Get(tt.header) != tt.want || !strings.Contains(string(a.Body), tt.body) {
				t.Errorf("got %d, %v, %q", a.Status, a.Header, a.Body)
			}
		})
	}
}

func TestManifestFaultsSayManifest(t *testing.T) {
	reg := New()
	reg.Push(repo, "1", NewImage(ImageOptions{}))
	reg.Misbehave(Status(http.StatusNotFound).On(KindManifest))
	if a := get(t, reg.Start(t)+"/v2/"+repo+"/manifests/1"); !strings.Contains(string(a.Body), "MANIFEST_UNKNOWN") {
		t.Errorf("body is %s", a.Body)
	}
}

func TestManifestTypesOfAllKinds(t *testing.T) {
	img := NewImage(ImageOptions{})
	reg := New()
	reg.Push(repo, "1", img)
	address := reg.Start(t) + "/v2/" + repo + "/manifests/1"
	for _, want := range []string{"text/html", ""} {
		reg.Misbehave(ManifestType(want))
		a := get(t, address)
		wantBody(t, a, 200, img.Manifest.Bytes())
		if got := a.Header.Values("Content-Type"); strings.Join(got, "") != want {
			t.Errorf("Content-Type is %q, want %q", got, want)
		}
	}
}

func TestTagAnswersLeavesDigestsAlone(t *testing.T) {
	img := NewImage(ImageOptions{})
	reg := New()
	reg.Push(repo, "1", img)
	reg.Misbehave(TagAnswers(`{"code":403}`, "application/json"))
	address := reg.Start(t) + "/v2/" + repo + "/manifests/"
	a := get(t, address+"1")
	wantBody(t, a, 200, []byte(`{"code":403}`))
	if got := a.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %q", got)
	}
	if a := ask(t, newClient(t), http.MethodHead, address+"1"); a.Status != 200 || a.Header.Get("Content-Length") != "12" {
		t.Errorf("HEAD: got %d, %v", a.Status, a.Header)
	}
	wantBody(t, get(t, address+img.Manifest.Digest.String()), 200, img.Manifest.Bytes())
}
