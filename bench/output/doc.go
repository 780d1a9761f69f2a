// Package output reads what a tool wrote, an archive or a directory, and checks
// its blobs.
//
//	path ─→ Read ─→ Files ─→ CheckBlobs
//
// It shares no code with what writes archives, so it does not share the
// mistakes either. Every byte of every file is hashed; only documents, such as
// manifests, stay in memory.
package output
