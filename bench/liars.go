package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	rt "github.com/segpull/segpull/internal/registrytest"
)

// lie is a way to serve wrong bytes in the place of an image's.
type lie struct {
	name  string
	about string
	of    func(img, other rt.Image) []rt.Fault
}

// lies from those that show at once to those that no stream shows. other is an
// image with layers of the same sizes.
var lies = []lie{
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

var oneBit = rt.Rewrite(func(p []byte, _ int64) { p[len(p)/2] ^= 0x10 })

func largest(img rt.Image) int64 { return img.Layers[0].Size }

// impostors serves the first few layers of other in the place of those of img.
func impostors(img, other rt.Image, n int) (faults []rt.Fault) {
	for i, l := range img.Layers[:n] {
		faults = append(faults, rt.Impostor(other.Layers[i]).Of(l.Digest))
	}
	return faults
}

// liarShapes are the images, by the sizes of their layers, the largest first.
var liarShapes = []struct {
	name   string
	layers []int64
}{
	{"6 × 6 MiB", slices.Repeat([]int64{6 * mib}, 6)},
	{"3 × 12 MiB", slices.Repeat([]int64{12 * mib}, 3)},
	{"32 + 8 + 2 + 1", []int64{32 * mib, 8 * mib, 2 * mib, mib}},
	{"40 MiB", []int64{40 * mib}},
}

// liars prints what it costs that one of two mirrors lies, as a multiple of the
// bytes needed.
func liars(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("liars", flag.ContinueOnError)
	if err := parse(flags, args); err != nil {
		return err
	}
	chosen, err := chooseLies(flags.Args())
	if err != nil {
		return err
	}
	return withRunner(ctx, func(r *runner) error {
		fmt.Print(liarsHead())
		for _, l := range chosen {
			cells := []string{l.about}
			for _, shape := range liarShapes {
				cell, err := r.costOf(ctx, l, shape.layers)
				if err != nil {
					return err
				}
				cells = append(cells, cell)
			}
			fmt.Printf("| %s |\n", strings.Join(cells, " | "))
		}
		return nil
	})
}

func liarsHead() string {
	var b strings.Builder
	b.WriteString("Bytes served by both mirrors, as a multiple of those needed: with mirrors of the same speed, the liar named last / first;\n" +
		"with a liar four times as fast, named last / first.\n\n| the liar sends |")
	for _, shape := range liarShapes {
		fmt.Fprintf(&b, " %s |", shape.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(liarShapes)) + "\n")
	return b.String()
}

func chooseLies(names []string) (chosen []lie, err error) {
	if len(names) == 0 {
		return lies, nil
	}
	for _, name := range names {
		k := slices.IndexFunc(lies, func(l lie) bool { return l.name == name })
		if k < 0 {
			return nil, usageError{fmt.Sprintf("no lie %q; there are %s", name, strings.Join(lieNames(), ", "))}
		}
		chosen = append(chosen, lies[k])
	}
	return chosen, nil
}

func lieNames() (names []string) {
	for _, l := range lies {
		names = append(names, l.name)
	}
	return names
}

// costOf is what a lie costs, one figure for each pair of rates, and for who is
// named first. What the links leave of the machine is enough for four at once.
func (r *runner) costOf(ctx context.Context, l lie, layers []int64) (string, error) {
	img, other := imageOf(layers, 1), imageOf(layers, 2)
	faults := func() []rt.Fault { return l.of(img, other) }
	if _, err := r.push(ctx, Case{Layers: layers}); err != nil {
		return "", err
	}
	var figures [4]string
	group, ctx := errgroup.WithContext(ctx)
	for i, rates := range [][2]int64{{10 * mib, 10 * mib}, {3 * mib, 12 * mib}} {
		honest := Mirror{Name: "honest", Rate: rates[0], RTT: ms(20)}
		liar := Mirror{Name: "liar", Rate: rates[1], RTT: ms(20), Useless: true, Faults: faults}
		for k, mirrors := range [][]Mirror{{honest, liar}, {liar, honest}} {
			group.Go(func() error {
				run, err := r.run(ctx, Case{Name: l.name, Layers: layers, Mirrors: mirrors}, tools[0])
				if err == nil && run.failed() {
					err = fmt.Errorf("%s: %s", l.about, run.Error)
				}
				figures[2*i+k] = fmt.Sprintf("%.2f", 1+run.waste())
				return err
			})
		}
	}
	err := group.Wait()
	return fmt.Sprintf("%s/%s, %s/%s", figures[0], figures[1], figures[2], figures[3]), err
}
