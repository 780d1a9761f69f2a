package corrupt

import (
	"fmt"
	"slices"
	"strings"

	rt "github.com/segpull/segpull/internal/registrytest"
)

// Kind is a way to serve wrong bytes for an image.
type Kind struct {
	name   string
	about  string
	faults func(img, other rt.Image) []rt.Fault
}

const mib = 1 << 20

// kinds in order from those that show at once to those that no stream shows.
// other is an image with layers of the same sizes.
var kinds = []Kind{
	{"all", "wrong bytes only", func(img, _ rt.Image) []rt.Fault {
		return []rt.Fault{rt.Flip(0, largest(img))}
	}},
	{"half", "garbage beyond the first half of the largest layer", func(img, _ rt.Image) []rt.Fault {
		return []rt.Fault{rt.Garbage(largest(img)/2, largest(img))}
	}},
	{"part", "garbage in its second quarter", func(img, _ rt.Image) []rt.Fault {
		return []rt.Fault{rt.Garbage(largest(img)/4, largest(img)/2)}
	}},
	{"answers", "wrong bytes only, in 3 answers of 10", func(img, _ rt.Image) []rt.Fault {
		return []rt.Fault{rt.Flip(0, largest(img)).Sometimes(0.3)}
	}},
	{"layers", "another image's layers", func(img, other rt.Image) []rt.Fault {
		return impostors(img, other, len(img.Layers))
	}},
	{"layer", "another image's largest layer", func(img, other rt.Image) []rt.Fault {
		return impostors(img, other, 1)
	}},
	{"bits", "a wrong bit in each answer", func(rt.Image, rt.Image) []rt.Fault {
		return []rt.Fault{oneBit}
	}},
	{"few-bits", "a wrong bit in 3 answers of 10", func(rt.Image, rt.Image) []rt.Fault {
		return []rt.Fault{oneBit.Sometimes(0.3)}
	}},
	{"same-bits", "the same wrong bits always, one in each MiB", func(rt.Image, rt.Image) []rt.Fault {
		return []rt.Fault{rt.Rewrite(func(p []byte, offset int64) {
			for k := -offset & (mib - 1); k < int64(len(p)); k += mib {
				p[k] ^= 0x10
			}
		})}
	}},
}

// Kinds returns the kinds of these names, or all of them.
func Kinds(names ...string) (chosen []Kind, err error) {
	if len(names) == 0 {
		return kinds, nil
	}
	for _, name := range names {
		k := slices.IndexFunc(kinds, func(k Kind) bool { return k.name == name })
		if k < 0 {
			return nil, fmt.Errorf("no kind %q; there are %s", name, strings.Join(kindNames(), ", "))
		}
		chosen = append(chosen, kinds[k])
	}
	return chosen, nil
}

func kindNames() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

var oneBit = rt.Rewrite(func(p []byte, _ int64) { p[len(p)/2] ^= 0x10 })

func largest(img rt.Image) int64 { return img.Layers[0].Size }

// impostors serves the first layers of other instead of those of img.
func impostors(img, other rt.Image, n int) (faults []rt.Fault) {
	for i, l := range img.Layers[:n] {
		faults = append(faults, rt.Impostor(other.Layers[i]).Of(l.Digest))
	}
	return faults
}
