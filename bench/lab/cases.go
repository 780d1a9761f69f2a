package lab

import (
	"slices"
	"time"

	rt "github.com/segpull/segpull/internal/registrytest"
)

const (
	kib  = 1 << 10
	mib  = 1 << 20
	mbit = 1e6 / 8 // bytes a second
)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// bulk is the default image: 96 MiB in four layers.
var bulk = []int64{64 * mib, 20 * mib, 8 * mib, 4 * mib}

// tasks are the cases with goals, in the order in which they run.
var tasks = []Case{
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
		Goal: Goal{Efficiency: 0.95, Waste: 0.02},
	},
	{
		Name: "corrupt", About: "three uneven mirrors, of which the slowest sends some wrong bytes", Layers: bulk,
		Mirrors: []Mirror{
			{Name: "corrupt", Rate: 2 * mib, RTT: ms(60), Faults: fault(rt.Flip(5*mib, 5*mib+100))},
			{Name: "middle", Rate: 4 * mib, RTT: ms(40)},
			{Name: "fast", Rate: 6 * mib, RTT: ms(20)},
		},
		Goal: Goal{Efficiency: 0.85, Waste: 1},
	},
	{
		Name: "fast-corrupt", About: "a correct mirror, and one twice as fast whose bytes are wrong from the first MiB of each blob on", Layers: bulk,
		Mirrors: []Mirror{
			{Name: "corrupt", Rate: 6 * mib, RTT: ms(20), Useless: true, Faults: fault(rt.Flip(mib, 64*mib))},
			{Name: "correct", Rate: 3 * mib, RTT: ms(40)},
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
		Goal:       Goal{Efficiency: 1 / 1.2, Waste: 0.10}, // HTTP's headers are 7 % of it
	},
	{
		Name: "far-small", About: "a small image at 200 ms, real TCP", Layers: tiny, TCP: true,
		RoundTrips: 3, // SYN, manifest, blobs
		Mirrors:    []Mirror{{Name: "far", Rate: 100 * mbit, RTT: ms(200)}},
		Goal:       Goal{Rivals: archivers, Share: 0.70},
	},
	{
		Name: "far-small-tls", About: "the same over TLS 1.3, with a token service", Layers: tiny, TCP: true, Secure: true,
		RoundTrips: 8, // SYN, TLS, challenge; SYN, TLS, token; manifest, blobs
		Mirrors:    []Mirror{{Name: "far", Rate: 100 * mbit, RTT: ms(200)}},
		Goal:       Goal{Rivals: archivers, Share: 0.75},
	},
	{
		Name: "three-far", About: "70 MB from 3, 5 and 9 MiB/s at 60, 40 and 25 ms", Layers: seventy, Mirrors: threeFar,
		Goal: Goal{Efficiency: 0.97, Waste: 0.02},
	},
	{
		Name: "tcp-three-far", About: "the same over real TCP", TCP: true, Layers: seventy, Mirrors: threeFar, RoundTrips: firstBlob,
		Goal: Goal{Efficiency: 0.92, Waste: 0.02}, // headers of TCP and IP are 4 % of the rates
	},
	{
		Name: "rationed", About: "30 requests a minute, 10 at once, then 429 with Retry-After; 300 ms to the first byte, 4 MiB/s, real TCP",
		TCP: true, Layers: sixLayers, Mirrors: rationed(false), RoundTrips: firstBlob,
		Goal: Goal{Efficiency: 0.75, Waste: 0.02, Refused: 4},
	},
	{
		Name: "rationed-headers", About: "the same, with RateLimit headers instead of Retry-After",
		TCP: true, Layers: sixLayers, Mirrors: rationed(true), RoundTrips: firstBlob,
		Goal: Goal{Efficiency: 0.75, Waste: 0.02, Refused: 4},
	},
	{
		Name: "rationed-layers", About: "as rationed, with 24 layers of 1 MiB, so that the requests are the limit",
		TCP: true, Layers: slices.Repeat([]int64{mib}, 24), Mirrors: rationed(false),
		Goal: Goal{Efficiency: 0.75, Waste: 0.02, Refused: 4},
	},
	{
		Name: "tcp-lossy", About: "150 ms, 1 % loss, 32 Mbit/s, real TCP", TCP: true, Layers: []int64{24 * mib, 6 * mib, 2 * mib},
		Mirrors: []Mirror{{Name: "far", Rate: 32 * mbit, RTT: ms(150), Loss: 0.01}},
		Goal:    Goal{Waste: 0.05, Rivals: []string{"aria2c"}, Share: 0.67},
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
}

var (
	threeUneven = []Mirror{
		{Name: "slow", Rate: 2 * mib, RTT: ms(60)},
		{Name: "middle", Rate: 4 * mib, RTT: ms(40)},
		{Name: "fast", Rate: 6 * mib, RTT: ms(20)},
	}
	smallLayers = []int64{8 * kib, 8 * kib, 8 * kib, 8 * kib, 8 * kib, 8 * kib, 8 * kib, 8 * kib, 8 * kib, 8 * kib}
	tcpBulk     = []int64{28 * mib, 8 * mib, 4 * mib}
	tiny        = []int64{1200 * kib, 120 * kib, 40 * kib, 8 * kib} // 1.4 MB
	seventy     = []int64{40e6, 20e6, 8e6, 2e6}
	sixLayers   = []int64{28 * mib, 16 * mib, 8 * mib, 4 * mib, 2 * mib, 2 * mib}
	threeFar    = []Mirror{
		{Name: "slow", Rate: 3 * mib, RTT: ms(60)},
		{Name: "middle", Rate: 5 * mib, RTT: ms(40)},
		{Name: "fast", Rate: 9 * mib, RTT: ms(25)},
	}
	// archivers are the fastest other tools that pull an image from one registry.
	archivers = []string{"crane", "regctl"}
)

// rationed is one mirror that answers 30 requests a minute, each after 300 ms.
func rationed(headers bool) []Mirror {
	return []Mirror{{
		Name: "rationed", Rate: 4 * mib, RTT: ms(40), Faults: fault(rt.Latency(ms(260))),
		Ration: Ration{Burst: 10, PerMinute: 30, Headers: headers},
	}}
}

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
