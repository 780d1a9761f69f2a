package registrytest

import "time"

// PullThroughCache answers 200 to ranges of a blob until it has that blob: until it has
// sent it completely once (distribution/distribution#4667).
func PullThroughCache() Fault { return IgnoreRange().UntilServed() }

// HarborProxy is a PullThroughCache that answers 404 to HEAD until it has the blob
// (goharbor/harbor#22609, #23875).
func HarborProxy() Fault { return All(PullThroughCache(), HeadMissing().UntilServed()) }

// Daocloud has the limits of DaoCloud's notice of June 2024: 10 requests at the same
// time and 20 a minute, and 1 s for each MiB of a blob before the first byte.
func Daocloud() Fault {
	return All(MaxConcurrent(10), Budget(20, time.Minute).On(KindManifest, KindBlob), FirstByteDelay(time.Second))
}

// Spool is a proxy that, for each request, fetches and scans a whole blob before it
// sends the headers. Stats says how many requests it had.
func Spool(d time.Duration) Fault { return Latency(d).On(KindBlob, KindCDN) }
