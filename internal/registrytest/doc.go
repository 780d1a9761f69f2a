// Package registrytest is a registry that misbehaves on demand, for tests and
// benchmarks.
//
//	reg := registrytest.New()
//	img := registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{8 << 20}, Seed: 1})
//	reg.Push("library/ubuntu", "22.04", img)
//	url := reg.Start(t)
//
//	slow := reg.Mirror() // the same content, with its own troubles
//	slow.Throttle(512 << 10)
//	slow.Misbehave(registrytest.CutAfter(2<<20), registrytest.Status(503).Sometimes(0.05))
//
// A [Server] is an http.Handler: it goes into httptest.NewServer,
// httptest.NewTLSServer or an http.Server of one's own. It serves a [Content],
// which several servers may share. Blobs are generated while they are read, so
// images of many GiB cost no memory; the same options always give the same
// bytes.
//
// A request passes through the server's faults, the first of them nearest to
// the client, to the registry; the answer passes back through them to the
// throttle, which also counts what really goes out:
//
//	client ⇄ throttle and Stats ⇄ Fault ⇄ … ⇄ Fault ⇄ registry
//
// A [Fault] is middleware with a condition. Its constructor says what goes
// wrong, its methods when: CutAfter(1<<20).Times(3).Of(layer.Digest). [Wrap]
// makes one of any handler.
//
// What is guaranteed: without faults, a registry as the distribution
// specification has it, with ranges; bodies at the throttle's rate within one
// per cent, without bursts; every wait ends when the client leaves or the
// server is killed; all methods are safe for concurrent use.
package registrytest
