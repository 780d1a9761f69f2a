package registrytest

import "time"

// PullThroughCache answers 200 to ranges of a blob until it holds it, which is
// when it has sent it whole once (distribution/distribution#4667).
func PullThroughCache() Fault { return IgnoreRange().UntilServed() }

// HarborProxy is a PullThroughCache that knows nothing of a blob when asked by
// HEAD, until it holds it (goharbor/harbor#22609, #23875).
func HarborProxy() Fault { return All(PullThroughCache(), HeadMissing().UntilServed()) }

// Daocloud has the limits of DaoCloud's notice of June 2024: 10 requests at a
// time and 20 a minute, and 1 s for each MiB of a blob before the first byte.
func Daocloud() Fault {
	return All(MaxConcurrent(10), Budget(20, time.Minute).On(KindManifest, KindBlob), FirstByteDelay(time.Second))
}

// Spool is a proxy that fetches and scans a whole blob before it passes on the
// first byte, headers included, for each request again. Stats says how often it
// was asked.
func Spool(d time.Duration) Fault { return Latency(d).On(KindBlob, KindCDN) }
