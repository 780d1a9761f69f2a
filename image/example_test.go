package image_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/registrytest"
)

func ExampleParseReference() {
	for _, name := range []string{"ubuntu", "ghcr.io/team/app:1", "localhost:5000/app"} {
		ref, err := image.ParseReference(name)
		if err != nil {
			panic(err)
		}
		fmt.Println(ref, ref.Registry, ref.Familiar())
	}
	_, err := image.ParseReference("https://ghcr.io/team/app")
	fmt.Println(err)
	// Output:
	// docker.io/library/ubuntu:latest docker.io ubuntu:latest
	// ghcr.io/team/app:1 ghcr.io ghcr.io/team/app:1
	// localhost:5000/app:latest localhost:5000 localhost:5000/app:latest
	// image reference "https://ghcr.io/team/app": leave out the scheme, write [HOST/]NAME[:TAG][@sha256:DIGEST]
}

func ExampleParseName() {
	ref, err := image.ParseReference("ghcr.io/team/app:1")
	if err != nil {
		panic(err)
	}
	fmt.Println(image.ParseName("local/app", ref))
	// Output: docker.io/local/app:1 <nil>
}

func ExampleWithoutUser() {
	fmt.Println(image.WithoutUser("https://me:secret@host.example/app:1"))
	// Output: https://…@host.example/app:1
}

func ExampleReference_FileName() {
	ref, err := image.ParseReference("ghcr.io/team/app:1")
	if err != nil {
		panic(err)
	}
	fmt.Println(ref.FileName(image.Platform{OS: "linux", Architecture: "amd64"}))
	fmt.Println(ref.FileName(image.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}))
	// Output:
	// ghcr.io_team_app_1_linux_amd64
	// ghcr.io_team_app_1_linux_arm_v6
}

func ExampleParsePlatform() {
	fmt.Println(image.ParsePlatform("linux/x86_64"))
	fmt.Println(image.ParsePlatform("linux/arm"))
	fmt.Println(image.ParsePlatform("linux/arm64/v8"))
	// Output:
	// linux/amd64 <nil>
	// linux/arm/v7 <nil>
	// linux/arm64 <nil>
}

func ExampleConfigPlatform() {
	fmt.Println(image.ConfigPlatform([]byte(`{"os":"linux","architecture":"arm","variant":"v6"}`)))
	// Output: linux/arm/v6 true
}

func ExampleRefers() {
	layer := digest.FromString("layer")
	body := fmt.Appendf(nil, `{"config":{"digest":%q,"size":2},"layers":[{"digest":%q,"size":5}]}`, digest.FromString("{}"), layer)
	mediaType, refers, err := image.Refers(body, "text/plain")
	fmt.Println(mediaType, len(refers), refers[0].Digest == layer, err)
	// Output: application/vnd.oci.image.manifest.v1+json 2 true <nil>
}

func ExampleInline() {
	content := []byte("{}")
	d := ocispec.Descriptor{Digest: digest.FromBytes(content), Size: 2, Data: content}
	data, ok := image.Inline(d)
	fmt.Printf("%s %v\n", data, ok)
	// Output: {} true
}

// memory is a Fetcher that has one index and the manifests and configs that it
// leads to. sources.Set fetches them from registries.
type memory struct {
	index registrytest.Image
}

func (m memory) Fetch(_ context.Context, _ image.Reference, want ocispec.Descriptor) (ocispec.Descriptor, []byte, error) {
	if want.Digest == "" {
		return read(m.index.Manifest)
	}
	for _, img := range m.index.Images {
		if img.Manifest.Digest == want.Digest {
			return read(img.Manifest)
		}
	}
	return ocispec.Descriptor{}, nil, errors.New("not found")
}

func (m memory) Blob(_ context.Context, _ image.Reference, b ocispec.Descriptor) ([]byte, error) {
	for _, img := range m.index.Images {
		if img.Config.Digest == b.Digest {
			_, body, err := read(img.Config)
			return body, err
		}
	}
	return nil, errors.New("not found")
}

func (m memory) Reject(image.Reference, error) (string, bool) { return "", false }

func read(b registrytest.Blob) (ocispec.Descriptor, []byte, error) {
	body := make([]byte, b.Size)
	_, err := b.ReadAt(body, 0)
	return b.Descriptor, body, err
}

func ExampleResolve() {
	ref, err := image.ParseReference("registry.example/team/app:1")
	if err != nil {
		panic(err)
	}
	index := registrytest.NewIndex(
		registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/amd64"}),
		registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/arm/v6"}),
	)
	img, err := image.Resolve(context.Background(), memory{index}, ref, image.Platform{OS: "linux", Architecture: "arm", Variant: "v7"})
	if err != nil {
		panic(err)
	}
	fmt.Println(img.Platform, img.Manifest.Digest == index.Images[1].Manifest.Digest, len(img.Blobs()))

	_, err = image.Resolve(context.Background(), memory{index}, ref, image.Platform{OS: "linux", Architecture: "s390x"})
	if e, ok := errors.AsType[*image.PlatformError](err); ok {
		fmt.Println(e.Wanted, "is not one of", e.Available)
	}
	// Output:
	// linux/arm/v6 true 2
	// linux/s390x is not one of [linux/amd64 linux/arm/v6]
}

// The platform of a manifest that no index lists is in its config.
func ExampleReadPlatform() {
	ref, err := image.ParseReference("registry.example/team/app:1")
	if err != nil {
		panic(err)
	}
	made := registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/arm64"})
	f := memory{registrytest.Image{Manifest: made.Manifest, Images: []registrytest.Image{made}}}
	img, err := image.Resolve(context.Background(), f, ref, image.Platform{OS: "linux", Architecture: "amd64"})
	if err != nil {
		panic(err)
	}
	fmt.Println(img.Platform, img.Assumed)
	img, err = image.ReadPlatform(context.Background(), f, img)
	fmt.Println(img.Platform, img.Assumed, err)
	// Output:
	// linux/amd64 true
	// linux/arm64 false <nil>
}

// A slash at the end makes the name a prefix.
func ExampleParseTarget() {
	ref, err := image.ParseReference("ubuntu:22.04")
	if err != nil {
		panic(err)
	}
	for _, to := range []string{"harbor.example/mirror/", "harbor.example/team/ubuntu", "localhost:5000/u:1"} {
		target, err := image.ParseTarget(to, ref)
		fmt.Println(target, err)
	}
	// Output:
	// harbor.example/mirror/library/ubuntu:22.04 <nil>
	// harbor.example/team/ubuntu:22.04 <nil>
	// localhost:5000/u:1 <nil>
}

// An index with all that it lists; a registry takes the manifests in this order.
func ExampleResolveAll() {
	ref, err := image.ParseReference("registry.example/team/app:1")
	if err != nil {
		panic(err)
	}
	index := registrytest.NewIndex(
		registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/amd64"}),
		registrytest.NewImage(registrytest.ImageOptions{Seed: 2, Platform: "linux/arm64"}),
	)
	img, err := image.ResolveAll(context.Background(), memory{index}, ref)
	if err != nil {
		panic(err)
	}
	manifests := img.Manifests()
	fmt.Println(img.Platform, len(manifests), manifests[2].Digest == index.Manifest.Digest, len(img.Blobs()))
	// Output: all 3 true 4
}
