// Package serve measures what `segpull serve` has to reach, beside its peers:
// docker-registry, also as a pull-through cache, and nginx.
//
//	Measure ─→ lab.Turns, lab.Through ─→ transfer: mirrors ─→ serve ─→ crane, docker
//	       └─→ lab.ServeSegpull, …    ─→ cached, first-byte: serve or a peer ─→ curl, 200 clients
//	                                  ├→ many-blobs: serve with 10,000 blobs, and with 100 ─→ one client
//	                                  └→ clients: mirrors ─→ serve or docker-registry ─→ 8 clients
//
// Peers take turns with segpull in the same run, so that other load on the machine
// affects all of them. A row of Markdown has the median and, in parentheses, the
// least and the greatest. Peers that are not installed have a row that says so.
package serve
