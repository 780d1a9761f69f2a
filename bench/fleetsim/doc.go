// Package fleetsim computes how many nodes pull images through a few origins, far
// beyond what one machine can run. Nothing in it is measured.
//
//	Fleet ─→ Run ─→ Result: bytes of each origin and of the mirrors, when blobs began, when pulls ended
//	  └───→ Bound: the least time that any way of sending the bytes could need
//
//	                ┌─ origin 0 ─┐
//	mirrors ─ line ─┤     …      ├─ front ─┬─ link ─ node 0
//	                └─ origin n ─┘         └─ link ─ node 1 ─ uplink ─ (with Peers: other nodes)
//
// # What is modelled
//
// A blob travels in pieces, of which a connection has at most two of the largest on their
// way. Each line, front and link sends the pieces in the order in which they come, each for
// its bytes divided by the rate. So connections that share a line get equal shares of it.
//
// A pull asks for the tag, then for its blobs, some at a time, and leaves out those that
// the node has. A blob has one owner among the origins, by its number, as behind nginx.
// An origin that lacks a blob fetches it once for all nodes, over one line that stands
// for all mirrors together, and keeps it until its disk is full; the blob that was asked
// for least recently goes first. It asks the mirrors for a tag again after TagTTL.
//
// # What is not
//
// Processors, memory, disks' speed, TCP, losses, failures, and mirrors that differ. No
// request is refused, and nothing is fetched twice to save time. Peers do not send parts of
// blobs that they do not have whole, as those of Dragonfly do. The front reads from origins
// and sends to nodes, but has one rate.
package fleetsim
