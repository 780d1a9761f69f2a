package lab

import "time"

// sampleInterval is the time between two samples.
const sampleInterval = 100 * time.Millisecond

// Sample is how many bytes had come at a moment after the start.
type Sample struct {
	At      time.Duration
	Mirrors []int64 // as the servers have written them; nil for real servers
	User    int64   // on the wire; on loopback, which has no links, as the servers have written them
}

// sampler takes samples of a site until its end.
type sampler struct {
	stop chan struct{}
	done chan []Sample
}

func startSampler(s *site) sampler {
	sm := sampler{make(chan struct{}), make(chan []Sample)}
	go func() { sm.done <- sm.collect(s) }()
	return sm
}

func (sm sampler) collect(s *site) []Sample {
	start := time.Now()
	ticker := time.NewTicker(sampleInterval)
	defer ticker.Stop()
	samples := []Sample{s.sample(0)}
	for {
		select {
		case <-ticker.C:
			samples = append(samples, s.sample(time.Since(start)))
		case <-sm.stop:
			return append(samples, s.sample(time.Since(start)))
		}
	}
}

func (sm sampler) end() []Sample {
	close(sm.stop)
	return <-sm.done
}

func (s *site) sample(at time.Duration) Sample {
	now := Sample{At: at}
	for _, m := range s.mirrors {
		if m.reg != nil {
			bytes := m.reg.Stats().Bytes
			now.Mirrors = append(now.Mirrors, bytes)
			now.User += bytes
		}
	}
	if s.network != nil {
		now.User = s.network.Host(0).Received().Payload
	}
	return now
}

// FullestWindow is the most bytes that came to the user within any window of
// this length.
func (r Run) FullestWindow(window time.Duration) (most int64) {
	first := 0
	for last := range r.Samples {
		for r.Samples[last].At-r.Samples[first].At > window+sampleInterval/2 {
			first++
		}
		most = max(most, r.Samples[last].User-r.Samples[first].User)
	}
	return most
}

// ReceivedBy is how many bytes had come to the user by a moment.
func (r Run) ReceivedBy(at time.Duration) (bytes int64) {
	for _, s := range r.Samples {
		if s.At > at+sampleInterval/2 {
			break
		}
		bytes = s.User
	}
	return bytes
}
