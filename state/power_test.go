package state

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/segpull/segpull/segment"
)

// Simulation of a loss of power. The model is a page cache above a disk that has its
// own cache (as in ALICE, OSDI 2014, a file system in writeback mode, the weakest mode
// of Linux):
//
//   - Bytes that were written before the last Sync are on the disk.
//   - Of the later writes, each sector of 512 bytes may have reached the disk at any
//     time or never, in any order of writes, of other sectors, and of the other file.
//     So a sector has its content after any of the writes since the Sync, or a mixture
//     of two of them: a sector that is being written when the power fails may be torn.
//   - The length of a file is one of its lengths since the Sync. If the file became
//     longer but its bytes did not arrive, they are zeros, or earlier bytes of the
//     disk: garbage.
//
// A layer under the file system that drops writes (dm-flakey, LazyFS) would need root,
// and would show only the order that the kernel chose; a simulation shows any order. It
// assumes that fsync works. It finds the writes by comparing the files after each
// operation, so the code under test needs no hook.
const sector = 512

// disk is the set of contents that a file may have after a loss of power.
type disk struct {
	versions [][]byte // after each operation since the Sync; the first is on the disk
}

func (d *disk) write(data []byte) { d.versions = append(d.versions, data) }
func (d *disk) sync()             { d.versions = d.versions[len(d.versions)-1:] }

// fail returns one content after a loss of power.
func (d *disk) fail(rng *rand.Rand) []byte {
	after := make([]byte, len(pick(rng, d.versions)))
	for at := 0; at < len(after); at += sector {
		part := after[at:min(at+sector, len(after))]
		d.land(rng, part, at)
		if rng.IntN(4) == 0 { // torn
			d.land(rng, part[:rng.IntN(len(part)+1)], at)
		}
	}
	return after
}

// land fills p, which is at an offset of the file, with one version of it.
func (d *disk) land(rng *rand.Rand, p []byte, at int) {
	version := pick(rng, d.versions)
	n := copy(p, version[min(at, len(version)):])
	lost := p[n:]
	clear(lost)
	if len(lost) > 0 && rng.IntN(2) == 0 {
		copy(lost, random(len(lost), rng.Uint64()))
	}
}

func pick[T any](rng *rand.Rand, of []T) T { return of[rng.IntN(len(of))] }

// powered is a Store whose power can fail.
type powered struct {
	*Store
	t         *testing.T
	path      string
	part, log disk
	durable   segment.Set // bytes that must survive a loss of power
}

var powerSources = []string{"0", "1", "2"}

func powerOn(t *testing.T, path string, size int64) *powered {
	s, err := Open(context.Background(), path, []Placement{{"sha256:a", size, 100}}, powerSources)
	must(t, err)
	p := &powered{Store: s, t: t, path: path}
	if s.Blob(0).Done() == 0 {
		p.log.write(nil) // nothing is lost with the records, so Open does not wait for the disk
	}
	p.observe()
	return p
}

// survives records that all bytes that are recorded now must survive a loss of power.
func (p *powered) survives() {
	p.durable = segment.Set{}
	for _, run := range p.Blob(0).Runs() {
		p.durable.Add(run.Range)
	}
}

func (p *powered) file(name string) string { return filepath.Join(Dir(p.path), name) }

// observe records what an operation wrote.
func (p *powered) observe() {
	for name, d := range map[string]*disk{p.header.Part: &p.part, sidecarName: &p.log} {
		data, err := os.ReadFile(p.file(name))
		must(p.t, err)
		d.write(data)
	}
}

func (p *powered) sync() {
	must(p.t, p.Sync())
	p.part.sync()
	p.log.sync()
	p.survives()
}

// touch records that an operation changes the records in r.
func (p *powered) touch(r segment.Range) {
	b := p.Blob(0)
	i, j := b.records.overlapping(r)
	for _, h := range b.records[i:j] {
		p.durable.Remove(h.Range)
	}
}

// fail simulates a loss of power: it gives the files contents that the disk may have.
func (p *powered) fail(rng *rand.Rand) {
	must(p.t, p.Close())
	part, log := p.part.fail(rng), p.log.fail(rng)
	must(p.t, os.WriteFile(p.file(p.header.Part), part, 0o600))
	must(p.t, os.WriteFile(p.file(sidecarName), log, 0o600))
	switch rng.IntN(4) { // and the result of a partial Open
	case 0:
		must(p.t, os.WriteFile(p.file(freshName), log[:rng.IntN(len(log)+1)], 0o600))
	case 1:
		must(p.t, os.WriteFile(p.file("part2"), part[:rng.IntN(len(part)+1)], 0o600))
	}
}

// step does a random operation.
func (p *powered) step(rng *rand.Rand, served [][]byte) {
	b, size := p.Blob(0), p.Blob(0).Size()
	r := segment.Range{Start: rng.Int64N(size)}
	r.End = min(size, r.Start+1+rng.Int64N(2000))
	source := rng.IntN(len(served))
	data := served[source][r.Start:r.End]
	switch rng.IntN(10) {
	default:
		must(p.t, b.Write(r.Start, data, source))
	case 0, 1:
		p.touch(r)
		must(p.t, b.Replace(r.Start, data, source))
	case 2:
		p.touch(r)
		must(p.t, b.Forget(r))
	case 3:
		p.sync()
	}
	p.observe()
}

// After any loss of power, each recorded byte is one that its recorded source served,
// and no byte is lost that was synced and not changed afterwards. The Store continues
// from there, and loses power again.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	lost := 0
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		size := 1000 + rng.Int64N(20_000)
		served := [][]byte{random(int(size), 20), random(int(size), 21), random(int(size), 22)}
		path := filepath.Join(t.TempDir(), fmt.Sprint(seed))
		p := powerOn(t, path, size)
		for range 12 {
			if rng.IntN(4) > 0 {
				p.sync()
			}
			for range rng.IntN(20) {
				p.step(rng, served)
			}
			had, durable := p.Blob(0).Done(), slices.Clone(p.durable.Ranges())
			p.fail(rng)
			p = powerOn(t, path, size)
			checkServed(t, p.Blob(0), func(source string) []byte { return served[source[0]-'0'] })
			for _, missing := range p.Blob(0).Missing() {
				for _, r := range durable {
					if gone := missing.Intersect(r); !gone.Empty() {
						t.Errorf("seed %d: bytes %v were synced, and are lost", seed, gone)
					}
				}
			}
			lost += int(had - p.Blob(0).Done())
			p.survives()
		}
		must(t, p.Close())
	}
	if lost <= 0 {
		t.Error("no failure cost anything: the simulation is too kind")
	}
}

// This tests the simulation: without checksums, the Store would fail the test above,
// since the disk has wrong bytes where the log has records.
func TestPowerLossLeavesWrongBytes(t *testing.T) {
	t.Parallel()
	wrong := 0
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 2))
		truth := random(4000, seed)
		p := powerOn(t, filepath.Join(t.TempDir(), "x"), 4000)
		p.sync()
		for off := int64(0); off < 4000; off += 400 {
			must(t, p.Write(0, off, truth[off:off+400], 0))
			p.observe()
		}
		p.fail(rng)
		p = powerOn(t, p.path, 4000)
		onDisk := make([]byte, 4000)
		p.Blob(0).Section().ReadAt(onDisk, 0) // may return fewer bytes
		for _, run := range p.Blob(0).Runs() {
			if !bytes.Equal(onDisk[run.Start:run.End], truth[run.Start:run.End]) {
				wrong++
			}
		}
		must(t, p.Close())
	}
	if wrong < 10 {
		t.Errorf("only %d of 20 failures left a record of wrong bytes", wrong)
	}
}
