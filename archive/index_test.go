package archive

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestMergeIndex(t *testing.T) {
	entry := func(digit, annotations string) string {
		return fmt.Sprintf(`{"digest":"sha256:%s","annotations":{%s}}`, strings.Repeat(digit, 64), annotations)
	}
	const (
		name = `"io.containerd.image.name":"%s","org.opencontainers.image.ref.name":"%s"`
		ref  = `"org.opencontainers.image.ref.name":"%s"`
	)
	ubuntu := entry("1", fmt.Sprintf(name, "docker.io/library/ubuntu:latest", "latest"))
	alpine := entry("2", fmt.Sprintf(name, "docker.io/library/alpine:latest", "latest"))
	alpineFull := entry("2", fmt.Sprintf(name, "docker.io/library/alpine:latest", "docker.io/library/alpine:latest"))
	newAlpine := entry("3", fmt.Sprintf(name, "docker.io/library/alpine:latest", "latest"))
	newAlpineFull := entry("3", fmt.Sprintf(name, "docker.io/library/alpine:latest", "docker.io/library/alpine:latest"))
	skopeos := entry("4", fmt.Sprintf(ref, "latest"))
	unnamed := entry("5", "")
	tests := []struct {
		name     string
		old, add string
		want     string
	}{
		{"into nothing", ``, ubuntu, ubuntu},
		{"into an empty list", `{"manifests":[]}`, ubuntu, ubuntu},
		{"into no list", `{"schemaVersion":2,"manifests":null}`, ubuntu, ubuntu},
		{"of the same name", `{"manifests":[` + alpine + `]}`, newAlpine, newAlpine},
		{"of the same ref name without a full name", `{"manifests":[` + skopeos + `]}`, ubuntu, ubuntu},
		{"of the same tag of another image", `{"manifests":[` + ubuntu + `]}`, alpine, ubuntu + "," + alpineFull},
		{"of that one again", `{"manifests":[` + ubuntu + `,` + alpineFull + `]}`, newAlpine, ubuntu + "," + newAlpineFull},
		{"by digest", `{"manifests":[` + ubuntu + `]}`, unnamed, ubuntu + "," + unnamed},
		{"by digest again", `{"manifests":[` + ubuntu + `,` + unnamed + `]}`, unnamed, ubuntu + "," + unnamed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var add ocispec.Descriptor
			must(json.Unmarshal([]byte(tt.add), &add))
			if len(add.Annotations) == 0 {
				add.Annotations = nil
			}
			got, err := mergeIndex([]byte(tt.old), add)
			if err != nil {
				t.Fatal(err)
			}
			if g, w := shape(got), shape([]byte(`{"manifests":[`+tt.want+`]}`)); g != w {
				t.Errorf("got  %s\nwant %s", g, w)
			}
		})
	}
}

// shape is what distinguishes the entries of an index.
func shape(index []byte) (s string) {
	var parsed ocispec.Index
	must(json.Unmarshal(index, &parsed))
	for _, m := range parsed.Manifests {
		s += fmt.Sprint(m.Digest[:8], m.Annotations, " ")
	}
	return s
}

func TestMergeIndexKeepsWhatItDoesNotKnow(t *testing.T) {
	const entry = `{"mediaType":"x/y","digest":"md5:1","size":12345678901234567890123,"future":[1,{"a":null}]}`
	const old = `{"schemaVersion":2,"annotations":{"a":"b"},"later":[0.10],"manifests":[` + entry + `]}`
	img, _ := newImage("a/b:1")
	got, err := mergeIndex([]byte(old), indexEntry(img.Manifest, img.ArchiveName()))
	must(err)
	for _, want := range []string{entry, `"annotations":{"a":"b"}`, `"later":[0.10]`, `"schemaVersion":2`} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
	if strings.Contains(string(got), `"mediaType":"application/vnd.oci.image.index`) {
		t.Error("the old index was given a field that it did not have")
	}
}

func FuzzMergeIndex(f *testing.F) {
	for _, s := range []string{
		``, `null`, `{}`, `{"manifests":null}`, `{"manifests":[null]}`, `{"schemaVersion":2,"manifests":[{"digest":"sha256:x"}]}`,
		`{"manifests":[{"annotations":{"org.opencontainers.image.ref.name":"1"}}]}`, `{"manifests":[{"annotations":{"a":1}}]}`,
	} {
		f.Add([]byte(s))
	}
	img, _ := newImage("a/b:1")
	f.Fuzz(func(t *testing.T, old []byte) {
		merged, err := mergeIndex(old, indexEntry(img.Manifest, img.ArchiveName()))
		if err != nil {
			return
		}
		again, err := mergeIndex(merged, indexEntry(img.Manifest, img.ArchiveName()))
		if err != nil || string(again) != string(merged) {
			t.Errorf("merged again, %s becomes %s, %v", merged, again, err)
		}
		if !strings.Contains(string(merged), img.Manifest.Digest.String()) {
			t.Errorf("the image is not in %s", merged)
		}
	})
}
