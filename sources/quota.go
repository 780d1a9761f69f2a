package sources

import (
	"context"
	"time"

	"github.com/segpull/segpull/internal/registry"
)

// Quota is what a mirror says of its budget of requests in an answer.
type Quota struct {
	Left  int           // requests that it answers now
	Most  int           // requests that it answers in a period
	Every time.Duration // the period, divided by Most; 0: unknown
	Reset time.Duration // until there are more; 0: unknown
}

// WithQuota returns a context for [Source.Open] that calls take for each answer of
// the mirror that has a Quota (the fields RateLimit and RateLimit-Remaining), before
// Open returns.
func WithQuota(ctx context.Context, take func(Quota)) context.Context {
	return registry.WithQuota(ctx, func(q registry.Quota) { take(Quota(q)) })
}
