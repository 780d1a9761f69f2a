package registry

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Quota is what a host says of its budget of requests in the fields RateLimit and
// RateLimit-Policy, or RateLimit-Limit, RateLimit-Remaining and RateLimit-Reset
// (draft-ietf-httpapi-ratelimit-headers).
type Quota struct {
	Left  int           // requests that it answers now
	Most  int           // requests that it answers in a period
	Every time.Duration // the period, divided by Most; 0: unknown
	Reset time.Duration // until there are more; 0: unknown
}

// quotaKey is the key of a context's function that takes a Quota.
type quotaKey struct{}

// WithQuota returns a context for requests that calls take for each answer of the
// source's own host that has a Quota, before the request returns.
func WithQuota(ctx context.Context, take func(Quota)) context.Context {
	return context.WithValue(ctx, quotaKey{}, take)
}

// reportQuota calls the function that WithQuota put into ctx, if there is one.
func reportQuota(ctx context.Context, header http.Header) {
	take, _ := ctx.Value(quotaKey{}).(func(Quota))
	if take == nil {
		return
	}
	if q, ok := parseQuota(header, time.Now()); ok {
		take(q)
	}
}

// maxQuotaPeriod bounds the periods that a host can name.
const maxQuotaPeriod = 24 * time.Hour

// parseQuota reads the newer fields, or else the older ones. Of several policies, it
// takes the one that has the fewest requests left.
func parseQuota(header http.Header, now time.Time) (Quota, bool) {
	policies := rateItems(header.Values("RateLimit-Policy"))
	if q, ok := newerQuota(rateItems(header.Values("RateLimit")), policies); ok {
		return q, true
	}
	left := rateItems(header.Values("RateLimit-Remaining"))
	limits := rateItems(header.Values("RateLimit-Limit"))
	if len(left) == 0 || len(limits) == 0 {
		return Quota{}, false
	}
	most, okMost := rateNumber(limits[0].name)
	n, okLeft := rateNumber(left[0].name)
	if !okMost || !okLeft {
		return Quota{}, false
	}
	period := left[0].seconds("w")
	for _, item := range slices.Concat(limits, policies) {
		if item.name == limits[0].name && period == 0 {
			period = item.seconds("w")
		}
	}
	return newQuota(n, most, period, resetAfter(header.Get("RateLimit-Reset"), now)), true
}

// newerQuota reads items of RateLimit, such as "default";r=5;t=30, each with the
// policy of its name, such as "default";q=100;w=60. Drafts before 07 have one
// quota: limit=100, remaining=5, reset=30.
func newerQuota(items, policies []rateItem) (least Quota, found bool) {
	one := make(map[string]string)
	for _, item := range items {
		if key, value, ok := strings.Cut(item.name, "="); ok {
			one[strings.ToLower(key)] = value
		}
		n, ok := rateNumber(item.params["r"])
		if !ok {
			continue
		}
		var most int
		var period time.Duration
		for _, policy := range policies {
			if policy.name == item.name {
				most, _ = rateNumber(policy.params["q"])
				period = policy.seconds("w")
			}
		}
		if !found || n < least.Left {
			least, found = newQuota(n, most, period, item.seconds("t")), true
		}
	}
	if n, ok := rateNumber(one["remaining"]); ok && !found {
		most, _ := rateNumber(one["limit"])
		return newQuota(n, most, 0, rateSeconds(one["reset"])), true
	}
	return least, found
}

// newQuota derives the time for one request from the period or, without one, from
// the time until the requests that were made are allowed again.
func newQuota(left, most int, period, reset time.Duration) Quota {
	most = max(most, left)
	q := Quota{Left: left, Most: most, Reset: reset}
	switch {
	case period > 0 && most > 0:
		q.Every = period / time.Duration(most)
	case most > left:
		q.Every = reset / time.Duration(most-left)
	}
	return q
}

// resetAfter reads RateLimit-Reset: seconds or, as some hosts send, a Unix time.
func resetAfter(s string, now time.Time) time.Duration {
	n, ok := rateNumber(strings.TrimSpace(s))
	if ok && time.Duration(n)*time.Second > maxQuotaPeriod && n < math.MaxInt32 {
		return min(max(0, time.Unix(int64(n), 0).Sub(now)), maxQuotaPeriod)
	}
	return rateSeconds(strings.TrimSpace(s))
}

// rateItem is one item of a structured field: a name or a number, with parameters.
type rateItem struct {
	name   string
	params map[string]string
}

func (i rateItem) seconds(param string) time.Duration { return rateSeconds(i.params[param]) }

// rateItems splits fields at commas, and items at semicolons. The names of policies
// have none of these.
func rateItems(fields []string) (items []rateItem) {
	for text := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		name, rest, _ := strings.Cut(text, ";")
		item := rateItem{strings.Trim(strings.TrimSpace(name), `"`), make(map[string]string)}
		for param := range strings.SplitSeq(rest, ";") {
			key, value, _ := strings.Cut(strings.TrimSpace(param), "=")
			item.params[strings.ToLower(key)] = value
		}
		if item.name != "" {
			items = append(items, item)
		}
	}
	return items
}

func rateNumber(s string) (int, bool) {
	n, err := strconv.ParseInt(s, 10, 32)
	return int(n), err == nil && n >= 0
}

func rateSeconds(s string) time.Duration {
	n, _ := rateNumber(s)
	return min(time.Duration(n)*time.Second, maxQuotaPeriod)
}
