package main

import (
	"time"

	"github.com/segpull/segpull/bench/weaknet"
	rt "github.com/segpull/segpull/internal/registrytest"
)

const (
	kib  = 1 << 10
	mib  = 1 << 20
	mbit = 1e6 / 8 // bytes a second
)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// bulk is the image where nothing speaks for another: 96 MiB in four layers.
var bulk = []int64{64 * mib, 20 * mib, 8 * mib, 4 * mib}

// cases in the order in which they run.
var cases = []Case{
	{
		Name: "uneven-2", About: "two uneven mirrors", Layers: bulk,
		Mirrors: []Mirror{
			{Name: "fast", Rate: 8 * mib, RTT: ms(20)},
			{Name: "slow", Rate: 2 * mib, RTT: ms(60)},
		},
		Goal: Goal{Efficiency: 0.97, Waste: 0.02},
	},
	{
		Name: "uneven-3", About: "three uneven mirrors", Layers: bulk, Mirrors: threeUneven,
		Goal: Goal{Efficiency: 0.97, Waste: 0.02},
	},
	{
		Name: "uneven-4", About: "four uneven mirrors", Layers: bulk,
		Mirrors: []Mirror{
			{Name: "a", Rate: 4 * mib, RTT: ms(20)},
			{Name: "b", Rate: 3 * mib, RTT: ms(30)},
			{Name: "c", Rate: 2 * mib, RTT: ms(40)},
			{Name: "d", Rate: 512 * kib, RTT: ms(60)},
		},
		Goal: Goal{Efficiency: 0.97, Waste: 0.02},
	},
	{
		Name: "dying", About: "connections die after 1.5 to 2 MiB, 5 % of requests are answered 503", Layers: bulk,
		Mirrors: withFaults(threeUneven, func() []rt.Fault {
			return []rt.Fault{rt.CutBetween(3*mib/2, 2*mib), rt.Status(503).Sometimes(0.05)}
		}),
		Goal: Goal{Efficiency: 0.93, Waste: 0.02},
	},
	{
		Name: "stalling", About: "one good mirror, one that stalls, one that trickles", Layers: []int64{40 * mib, 16 * mib, 8 * mib},
		Mirrors: []Mirror{
			{Name: "good", Rate: 4 * mib, RTT: ms(40)},
			{Name: "stalls", Rate: 4 * mib, RTT: ms(40), Useless: true, Faults: fault(rt.StallAfter(64 * kib))},
			{Name: "trickles", Rate: 4 * mib, RTT: ms(40), Useless: true, Faults: fault(rt.Trickle(2 * kib))},
		},
		Goal: Goal{Efficiency: 0.93, Waste: 0.05},
	},
	{
		Name: "capped", About: "512 KiB/s for each connection, 10 MiB/s for all", Layers: bulk,
		Mirrors: []Mirror{{Name: "capped", Rate: 10 * mib, RTT: ms(40), Connection: 512 * kib}},
		Goal:    Goal{Efficiency: 0.85, Waste: 0.02},
	},
	{
		Name: "two-connections", About: "429 beyond two connections", Layers: []int64{40 * mib, 16 * mib, 8 * mib},
		Mirrors: []Mirror{{Name: "strict", Rate: 6 * mib, RTT: ms(40), Faults: fault(rt.MaxConcurrent(2))}},
		Goal:    Goal{Efficiency: 0.90, Waste: 0.02, Refused: 10},
	},
	{
		Name: "budget", About: "beside a good mirror one with 20 requests a minute and 1 s per MiB asked for", Layers: bulk,
		Mirrors: []Mirror{
			{Name: "good", Rate: 4 * mib, RTT: ms(40)},
			{Name: "budget", Rate: 4 * mib, RTT: ms(40), Useless: true, Faults: fault(rt.Daocloud())},
		},
		Goal: Goal{Efficiency: 0.97, Waste: 0.02},
	},
	{
		Name: "filling", About: "beside a good mirror a cache that answers 200 to ranges until it holds the blob", Layers: bulk,
		Mirrors: []Mirror{
			{Name: "good", Rate: 4 * mib, RTT: ms(40)},
			{Name: "cache", Rate: 4 * mib, RTT: ms(40), Faults: fault(rt.PullThroughCache())},
		},
		Goal: Goal{Efficiency: 0.90, Waste: 0.10},
	},
	{
		Name: "liar", About: "three uneven mirrors, of which the slowest sends some wrong bytes", Layers: bulk,
		Mirrors: []Mirror{
			{Name: "liar", Rate: 2 * mib, RTT: ms(60), Faults: fault(rt.Flip(5*mib, 5*mib+100))},
			{Name: "middle", Rate: 4 * mib, RTT: ms(40)},
			{Name: "fast", Rate: 6 * mib, RTT: ms(20)},
		},
		Goal: Goal{Efficiency: 0.85, Waste: 1},
	},
	{
		Name: "fast-liar", About: "an honest mirror, and one twice as fast whose bytes are wrong from the first MiB of each blob on", Layers: bulk,
		Mirrors: []Mirror{
			{Name: "liar", Rate: 6 * mib, RTT: ms(20), Useless: true, Faults: fault(rt.Flip(mib, 64*mib))},
			{Name: "honest", Rate: 3 * mib, RTT: ms(40)},
		},
		Goal: Goal{Efficiency: 0.85, Waste: 0.6},
	},
	{
		Name: "small-layers", About: "ten layers of 8 KiB at 200 ms", Layers: smallLayers, RoundTrips: 2, // manifest; blobs
		Mirrors: []Mirror{{Name: "far", Rate: 4 * mib, RTT: ms(200)}},
		Goal:    Goal{Efficiency: 1 / 1.2, Waste: 0.02},
	},
	{
		Name: "tcp-small-layers", About: "the same over real TCP", Layers: smallLayers, TCP: true,
		RoundTrips: 4, // SYN, manifest; SYN of further connections, blobs
		Mirrors:    []Mirror{{Name: "far", Rate: 20 * mbit, RTT: ms(200)}},
		Goal:       Goal{Efficiency: 1 / 1.2, Waste: 0.02},
	},
	{
		Name: "tcp-lossy", About: "150 ms, 1 % loss, 32 Mbit/s, real TCP", TCP: true, Layers: []int64{24 * mib, 6 * mib, 2 * mib},
		Mirrors: []Mirror{{Name: "far", Rate: 32 * mbit, RTT: ms(150), Loss: 0.01}},
		Goal:    Goal{Waste: 0.05, Beats: 1.5},
	},
	{
		Name: "tcp-uneven", About: "20 Mbit/s 60 ms + 10/100 + 4/150, real TCP", TCP: true, Layers: tcpBulk, RoundTrips: firstBlob,
		Mirrors: tcpUneven(Mirror{Name: "third", Rate: 4 * mbit, RTT: ms(150)}),
		Goal:    Goal{Efficiency: 0.90, Waste: 0.05},
	},
	{
		Name: "tcp-one-slow", About: "the same, the third at 0.5 Mbit/s", TCP: true, Layers: tcpBulk, RoundTrips: firstBlob,
		Mirrors: tcpUneven(Mirror{Name: "third", Rate: mbit / 2, RTT: ms(150)}),
		Goal:    Goal{Efficiency: 0.90, Waste: 0.05},
	},
	{
		Name: "tcp-one-hangs", About: "the same, the third at 4 Mbit/s hangs after 3 s", TCP: true, Layers: tcpBulk, RoundTrips: firstBlob,
		Mirrors: tcpUneven(Mirror{Name: "third", Rate: 4 * mbit, RTT: ms(150), HangsAfter: 3 * time.Second}),
		Goal:    Goal{Efficiency: 0.90, Waste: 0.05},
	},
	{
		Name: "tcp-loss-3", About: "3 × 20 Mbit/s 60 ms with 0.5 % loss, real TCP", TCP: true, Layers: tcpBulk, RoundTrips: firstBlob,
		Mirrors: []Mirror{
			{Name: "a", Rate: 20 * mbit, RTT: ms(60), Loss: 0.005},
			{Name: "b", Rate: 20 * mbit, RTT: ms(60), Loss: 0.005},
			{Name: "c", Rate: 20 * mbit, RTT: ms(60), Loss: 0.005},
		},
		Goal: Goal{Efficiency: 0.85, Waste: 0.05},
	},
	{
		Name: "cdn", About: "three real registries that redirect to nginx with TLS, real TCP", TCP: true, Layers: tcpBulk, Server: cdn,
		Mirrors: tcpUneven(Mirror{Name: "third", Rate: 4 * mbit, RTT: ms(150)}),
		Goal:    Goal{Efficiency: 0.85},
	},
	{
		Name: "local", About: "1 GiB from one real registry, no throttling", Server: dockerRegistry,
		Layers:  []int64{256 * mib, 256 * mib, 256 * mib, 256 * mib},
		Mirrors: []Mirror{{Name: "registry"}},
	},
}

var (
	threeUneven = []Mirror{
		{Name: "slow", Rate: 2 * mib, RTT: ms(60)},
		{Name: "middle", Rate: 4 * mib, RTT: ms(40)},
		{Name: "fast", Rate: 6 * mib, RTT: ms(20)},
	}
	smallLayers = []int64{8 * kib, 8 * kib, 8 * kib, 8 * kib, 8 * kib, 8 * kib, 8 * kib, 8 * kib, 8 * kib, 8 * kib}
	tcpBulk     = []int64{28 * mib, 8 * mib, 4 * mib}
)

// firstBlob is the round trips until a blob begins to flow over plain HTTP:
// SYN, manifest, blob.
const firstBlob = 3

func tcpUneven(third Mirror) []Mirror {
	return []Mirror{
		{Name: "first", Rate: 20 * mbit, RTT: ms(60)},
		{Name: "second", Rate: 10 * mbit, RTT: ms(100)},
		third,
	}
}

func fault(f rt.Fault) func() []rt.Fault { return func() []rt.Fault { return []rt.Fault{f} } }

func withFaults(mirrors []Mirror, faults func() []rt.Fault) []Mirror {
	with := make([]Mirror, len(mirrors))
	for i, m := range mirrors {
		m.Faults = faults
		with[i] = m
	}
	return with
}

// profiles are the networks that users are on, by name: a user's own link, and
// three mirrors of different rates and distances. The slower the network, the
// smaller the image, since tools that use one mirror take minutes there.
var profiles = []Case{
	profile("home", "50 Mbit/s, mirrors at 40 to 70 ms", medium,
		weaknet.Link{Down: 50 * mbit, Up: 10 * mbit, Delay: ms(5)},
		Mirror{Rate: 40 * mbit, RTT: ms(30)}, Mirror{Rate: 20 * mbit, RTT: ms(40)}, Mirror{Rate: 8 * mbit, RTT: ms(60)}),
	profile("4g", "20 Mbit/s, 60 to 120 ms with jitter, 0.2 % loss", medium,
		weaknet.Link{Down: 20 * mbit, Up: 8 * mbit, Delay: ms(20), Jitter: ms(20), Loss: 0.002, Queue: ms(400)},
		Mirror{Rate: 20 * mbit, RTT: ms(20)}, Mirror{Rate: 10 * mbit, RTT: ms(40)}, Mirror{Rate: 4 * mbit, RTT: ms(80)}),
	profile("hotel", "6 Mbit/s, 60 to 130 ms with jitter, 2 % loss, some packets overtake", small,
		weaknet.Link{Down: 6 * mbit, Up: 1 * mbit, Delay: ms(15), Jitter: ms(40), Loss: 0.02, Reorder: 0.01, Queue: ms(500)},
		Mirror{Rate: 20 * mbit, RTT: ms(30)}, Mirror{Rate: 10 * mbit, RTT: ms(60)}, Mirror{Rate: 4 * mbit, RTT: ms(100)}),
	profile("satellite", "20 Mbit/s, 600 ms, 0.5 % loss", small,
		weaknet.Link{Down: 20 * mbit, Up: 3 * mbit, Delay: ms(280), Jitter: ms(20), Loss: 0.005, Queue: ms(300)},
		Mirror{Rate: 50 * mbit, RTT: ms(20)}, Mirror{Rate: 20 * mbit, RTT: ms(40)}, Mirror{Rate: 10 * mbit, RTT: ms(60)}),
	profile("cross-border", "200 ms, 1 to 3 % loss", small,
		weaknet.Link{Down: 50 * mbit, Up: 20 * mbit, Delay: ms(5)},
		Mirror{Rate: 20 * mbit, RTT: ms(190), Loss: 0.01}, Mirror{Rate: 10 * mbit, RTT: ms(190), Loss: 0.02}, Mirror{Rate: 4 * mbit, RTT: ms(190), Loss: 0.03}),
	profile("lan", "200 Mbit/s, 1 ms", bulk,
		weaknet.Link{Down: 200 * mbit, Up: 200 * mbit},
		Mirror{Rate: 100 * mbit, RTT: ms(1)}, Mirror{Rate: 100 * mbit, RTT: ms(1)}, Mirror{Rate: 50 * mbit, RTT: ms(1)}),
}

var (
	medium = []int64{16 * mib, 6 * mib, 2 * mib}
	small  = []int64{8 * mib, 3 * mib, mib}
)

func profile(name, about string, layers []int64, link weaknet.Link, first, second, third Mirror) Case {
	first.Name, second.Name, third.Name = "first", "second", "third"
	return Case{Name: name, About: about, TCP: true, Link: link, Layers: layers, Mirrors: []Mirror{first, second, third}}
}
