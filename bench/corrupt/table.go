package corrupt

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/bench/lab"
	rt "github.com/segpull/segpull/internal/registrytest"
)

// images by the sizes of their layers, the largest first.
var images = []struct {
	name   string
	layers []int64
}{
	{"6 × 6 MiB", slices.Repeat([]int64{6 * mib}, 6)},
	{"3 × 12 MiB", slices.Repeat([]int64{12 * mib}, 3)},
	{"32 + 8 + 2 + 1", []int64{32 * mib, 8 * mib, 2 * mib, mib}},
	{"40 MiB", []int64{40 * mib}},
}

// WriteTable pulls the images with each kind of wrong bytes, and writes the
// costs as a table of Markdown.
func WriteTable(ctx context.Context, w io.Writer, l *lab.Lab, chosen []Kind) error {
	fmt.Fprint(w, header())
	for _, k := range chosen {
		cells := []string{k.about}
		for _, i := range images {
			cell, err := costs(ctx, l, k, i.layers)
			if err != nil {
				return err
			}
			cells = append(cells, cell)
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	return nil
}

func header() string {
	var b strings.Builder
	b.WriteString("Bytes served by both mirrors, as a multiple of those needed: with mirrors of the same speed, the corrupt one named last / first;\n" +
		"with a corrupt one that is four times as fast, named last / first.\n\n| the corrupt mirror sends |")
	for _, i := range images {
		fmt.Fprintf(&b, " %s |", i.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(images)) + "\n")
	return b.String()
}

// costs measures both pairs of rates with both orders of the mirrors. The four
// pulls run at the same time; their links leave enough of the machine idle.
func costs(ctx context.Context, l *lab.Lab, k Kind, layers []int64) (string, error) {
	var cells [4]string
	group, ctx := errgroup.WithContext(ctx)
	for n, c := range cases(k, layers) {
		group.Go(func() (err error) {
			cells[n], err = cost(ctx, l, c)
			return err
		})
	}
	err := group.Wait()
	return fmt.Sprintf("%s/%s, %s/%s", cells[0], cells[1], cells[2], cells[3]), err
}

func cases(k Kind, layers []int64) (all []lab.Case) {
	img := lab.Case{Layers: layers}.Image()
	other := rt.NewImage(rt.ImageOptions{Layers: layers, Seed: 2})
	for _, rates := range [][2]int64{{10 * mib, 10 * mib}, {3 * mib, 12 * mib}} {
		correct := lab.Mirror{Name: "correct", Rate: rates[0], RTT: 20 * time.Millisecond}
		corrupt := lab.Mirror{
			Name: "corrupt", Rate: rates[1], RTT: 20 * time.Millisecond, Useless: true,
			Faults: func() []rt.Fault { return k.faults(img, other) },
		}
		for _, mirrors := range [][]lab.Mirror{{correct, corrupt}, {corrupt, correct}} {
			all = append(all, lab.Case{Name: k.name, About: k.about, Layers: layers, Mirrors: mirrors})
		}
	}
	return all
}

func cost(ctx context.Context, l *lab.Lab, c lab.Case) (string, error) {
	tools, err := lab.Tools(lab.Segpull)
	if err != nil {
		return "", err
	}
	run, err := l.Run(ctx, c, tools[0])
	if err == nil && run.Failed() {
		err = fmt.Errorf("%s: %s", c.About, run.Error)
	}
	return fmt.Sprintf("%.2f", 1+run.Waste()), err
}
