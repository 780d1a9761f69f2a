// Package registrytest is a registry that misbehaves on demand, for tests and
// benchmarks.
//
//	reg := registrytest.New()
//	img := registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{8 << 20}, Seed: 1})
//	reg.Push("library/ubuntu", "22.04", img)
//	url := reg.Start(t)
//
//	slow := reg.Mirror() // the same content, with its own faults
//	slow.Throttle(512 << 10)
//	slow.Misbehave(registrytest.CutAfter(2<<20), registrytest.Status(503).Sometimes(0.05))
//
// A [Server] is an http.Handler for httptest.NewServer, httptest.NewTLSServer or any
// http.Server. It serves a [Content], which several servers may share. Blobs are
// generated while they are read, so images of many GiB need no memory; the same
// options always give the same bytes.
//
// A request passes the server's faults, the first of them nearest to the client, and
// reaches the registry. The answer passes them in reverse, and then the throttle, which
// also counts the bytes that are really sent:
//
//	client ⇄ throttle and Stats ⇄ Fault ⇄ … ⇄ Fault ⇄ registry
//
// A [Fault] is middleware with a condition. Its constructor says what it does, and its
// methods say when: CutAfter(1<<20).Times(3).Of(layer.Digest). [Wrap] makes a fault of
// any handler.
//
// Guarantees: without faults, the server does what the distribution specification
// requires, and serves ranges; bodies have the throttle's rate within one per cent,
// without bursts; every wait ends when the client leaves or the server is killed; all
// methods are safe for concurrent use.
package registrytest
