// Segpull pulls container images from several mirrors at the same time into
// archives that docker load reads.
//
// help.txt is its manual. The command reads flags and the configuration file,
// calls [segpull.Pull], and shows its events: the pull sends them to a feed, which
// never blocks, and one goroutine gives them to the views: bars, plain lines or
// JSON on standard error, results on standard output.
//
// # Output
//
// Standard output has only results, one line for each image when it is complete:
// the digest that the reference names, a space, and the archive's path; with --load
// or --to, the digest of the manifest and the image's name in the engine or registry. With
// --output - it has the archive instead. Standard error has the rest; an error is
// one line that begins with "segpull: ". The default name of an archive has the
// platform that the image really has. --name changes the name in the archive, not
// that of the file.
//
// What people read is English or Chinese, by --lang, $SEGPULL_LANG, the configuration or
// the locale. Results, JSON and the server's log are the same in both.
//
// # Exit codes
//
//	0    done
//	1    another error; standard output was closed
//	2    usage: flags, configuration, an invalid reference
//	3    no such image or platform
//	4    credentials
//	5    wrong bytes or sizes, and no mirror had the right ones
//	6    the network or a server failed; the same command continues from there
//	7    the same command would fail in the same way; the message says what to change
//	130  interrupted by INT or TERM; the same command continues from there
//
// The first INT or TERM ends the pull, the second the process.
//
// # Events
//
// With --progress json, standard error has one JSON object per line, as soon as
// the command has read the flags and the configuration. Each has "event", one of
// the names below, and "time", an RFC 3339 time in UTC with milliseconds.
// Sizes are in bytes, rates in bytes a second, durations in seconds with up to
// three decimals. Lists are never null. Fields may be added. The fields are those
// of the types of package segpull, whose tags name them.
//
// waiting: no source has answered for 2 s which image a reference names.
//
//	reference  as in resolved
//	sources    list of the names of those that were asked and are silent
//
// resolved: a reference was resolved; once per image, before its blobs.
//
//	reference  as given, e.g. "ubuntu:22.04"
//	digest     of the index or manifest that the reference names
//	platform   that the image really has, e.g. "linux/amd64"
//	source     the source that resolved the tag; "" for an image named by digest
//	path       where the archive will be; "-" is standard output, "" none
//	size       of all blobs, each digest once
//	blobs      list of {digest, size}
//
// progress: the progress of an image, about five times a second; the last one
// has done equal to total. A slow reader misses some.
//
//	reference          as in resolved
//	done               bytes on disk, resumed ones included
//	total              size of all blobs
//	resumed            bytes that were there before this run
//	rate               over the last seconds
//	remaining_seconds  at this rate; null when unknown
//	blobs              list of {digest, size, done, verified}; verified is how
//	                   much SHA-256 has seen
//	sources            list of {name, bytes, rate, connections, state}; bytes
//	                   are those served in this run; state is one of active,
//	                   waiting, cooling, probing, off
//
// sending: how much of an image an engine or a registry has got; when it begins, about
// five times a second, and at the end.
//
//	reference  as in resolved
//	to         the engine, such as "docker", or the name in the registry
//	done       bytes, also of what the registry had before; 0 until the end for podman, which reads them itself
//	total      about as many as it gets
//	rate       since it began
//
// stalled: no source has sent a byte for 10 s; once until the next byte.
//
//	reference       as in resolved
//	silent_seconds  since the last byte
//	reasons         list of lines, one for each source in use
//
// warning: something that the user should know, with what to do.
//
//	message  one line
//
// trouble: a request failed and is tried again or elsewhere; with --verbose.
//
//	source   the mirror
//	message  one line
//
// request: a request for bytes of a blob has ended; with --verbose.
//
//	source            the mirror
//	digest            of the blob
//	start, end        the bytes that it asked for, without the one at end
//	bytes             that came
//	waited_seconds    until the answer began, or until it failed
//	duration_seconds  of the whole request
//	error             one line; "" also if segpull ended it, because others were
//	                  faster
//
// corrupt: a source was proved to serve wrong bytes, and is not used any more.
//
//	source  the mirror
//	proof   one line, with the digest of the blob
//
// finished: an archive is complete and in its place.
//
//	reference, digest, path, platform, size  as in resolved
//	delivered         list of {to, name, digest}: the engine, the registry or the server that
//	                  has the image, its name there, and the digest that names it
//	image_id          digest of the config, which docker lists as the image's id
//	fetched           bytes of blobs that were served in this run, without a
//	                  config that was read for its platform
//	fetched_twice     of these, bytes that the image did not need: they were there
//	                  already, or were fetched again later
//	resumed           bytes that were there before this run, or that another one
//	                  fetched into the cache
//	up_to_date        the archive was there already, whole and right, and was
//	                  not changed
//	duration_seconds  of this image's pull
//	sources           list of {name, bytes}: the bytes of each source
//	corrupt           list of the names of sources that served wrong bytes
//
// failed: an image of a list failed; segpull goes on with the others.
//
//	reference  as in resolved, or as given if it is invalid
//	message    one line
//	class      "usage", "not found", "credentials", "mismatch", "network",
//	           "permanent", or "" for other errors
//
// error: the command failed; always the last.
//
//	message    one line
//	exit_code  that of the process
package main
