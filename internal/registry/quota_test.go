package registry

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

func TestParseQuota(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, tt := range []struct {
		name   string
		fields [][2]string
		want   Quota
		none   bool
	}{
		{name: "nothing", none: true},
		{name: "Docker Hub", fields: [][2]string{{"ratelimit-limit", "100;w=21600"}, {"ratelimit-remaining", "76;w=21600"}}, want: Quota{76, 100, 216 * time.Second, 0}},
		{name: "three fields", fields: [][2]string{{"RateLimit-Limit", "10"}, {"RateLimit-Remaining", "4"}, {"RateLimit-Reset", "12"}}, want: Quota{4, 10, 2 * time.Second, 12 * time.Second}},
		{name: "three fields and a policy", fields: [][2]string{{"RateLimit-Limit", "10"}, {"RateLimit-Policy", "10;w=20"}, {"RateLimit-Remaining", "0"}, {"RateLimit-Reset", "2"}}, want: Quota{0, 10, 2 * time.Second, 2 * time.Second}},
		{name: "a limit of several policies", fields: [][2]string{{"RateLimit-Limit", "100, 100;w=60, 1000;w=3600"}, {"RateLimit-Remaining", "9"}}, want: Quota{9, 100, 600 * time.Millisecond, 0}},
		{name: "a Unix time", fields: [][2]string{{"RateLimit-Limit", "60"}, {"RateLimit-Remaining", "30"}, {"RateLimit-Reset", "1800000030"}}, want: Quota{30, 60, time.Second, 30 * time.Second}},
		{name: "structured", fields: [][2]string{{"RateLimit-Policy", `"default";q=100;w=50`}, {"RateLimit", `"default";r=5;t=30`}}, want: Quota{5, 100, time.Second / 2, 30 * time.Second}},
		{name: "the fewest of several", fields: [][2]string{{"RateLimit-Policy", `"hour";q=1000;w=3600, "minute";q=60;w=60`}, {"RateLimit", `"hour";r=900;t=30, "minute";r=3;t=7`}}, want: Quota{3, 60, time.Second, 7 * time.Second}},
		{name: "structured without a policy", fields: [][2]string{{"RateLimit", `"default";r=5;t=30`}}, want: Quota{5, 5, 0, 30 * time.Second}},
		{name: "an early draft", fields: [][2]string{{"RateLimit", "limit=100, remaining=50, reset=25"}}, want: Quota{50, 100, time.Second / 2, 25 * time.Second}},
		{name: "not numbers", fields: [][2]string{{"RateLimit-Limit", "many"}, {"RateLimit-Remaining", "-1"}}, none: true},
		{name: "no remaining", fields: [][2]string{{"RateLimit-Limit", "100"}}, none: true},
		{name: "a week", fields: [][2]string{{"RateLimit", `"a";r=0;t=604800`}}, want: Quota{0, 0, 0, 24 * time.Hour}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := make(http.Header)
			for _, f := range tt.fields {
				header.Add(f[0], f[1])
			}
			got, ok := parseQuota(header, now)
			if ok == tt.none || got != tt.want {
				t.Errorf("parsed %+v, %v, want %+v", got, ok, tt.want)
			}
		})
	}
}

// TestWithQuota reports what the source's own host says, and nothing of the host
// that it redirects to.
func TestWithQuota(t *testing.T) {
	say := func(w http.ResponseWriter, left string) {
		w.Header().Set("RateLimit-Limit", "100;w=60")
		w.Header().Set("RateLimit-Remaining", left)
	}
	store, _ := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		say(w, "1")
		blobServer(w, req)
	})
	host, _ := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		say(w, "76")
		if req.Header.Get("Range") == "" {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		http.Redirect(w, req, store.URL, http.StatusTemporaryRedirect)
	})
	for name, end := range map[string]int64{"a redirect": 16, "a refusal": contentDescriptor().Size} {
		t.Run(name, func(t *testing.T) {
			c := client(t, host.URL)
			var got []Quota
			ctx := WithQuota(t.Context(), func(q Quota) { got = append(got, q) })
			if s, err := c.Blob(ctx, "library/ubuntu", contentDescriptor(), 0, end); err == nil {
				s.Body.Close()
			}
			if want := (Quota{Left: 76, Most: 100, Every: 600 * time.Millisecond}); !slices.Equal(got, []Quota{want}) {
				t.Errorf("reported %+v, want %+v", got, want)
			}
		})
	}
}
