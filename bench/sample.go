package main

import "time"

// sampleEvery is how often the bytes that came are looked at.
const sampleEvery = 100 * time.Millisecond

// sample is how many bytes had come, from each mirror and in all, at a moment
// after the start.
type sample struct {
	at      time.Duration
	mirrors []int64 // as the servers have written them; nil for real servers
	user    int64   // as the user's host has received them
}

// sampler looks at a site until it is stopped.
type sampler struct {
	stop chan struct{}
	done chan []sample
}

func startSampler(s *site) sampler {
	sm := sampler{make(chan struct{}), make(chan []sample)}
	start := time.Now()
	go func() {
		ticker := time.NewTicker(sampleEvery)
		defer ticker.Stop()
		samples := []sample{s.sample(0)}
		for {
			select {
			case <-ticker.C:
				samples = append(samples, s.sample(time.Since(start)))
			case <-sm.stop:
				sm.done <- append(samples, s.sample(time.Since(start)))
				return
			}
		}
	}()
	return sm
}

func (sm sampler) end() []sample {
	close(sm.stop)
	return <-sm.done
}

func (s *site) sample(at time.Duration) sample {
	now := sample{at: at}
	for _, m := range s.mirrors {
		if m.reg != nil {
			now.mirrors = append(now.mirrors, m.reg.Stats().Bytes)
			now.user += now.mirrors[len(now.mirrors)-1]
		}
	}
	if host, ok := s.user.(interface{ Received() int64 }); ok {
		now.user = host.Received()
	}
	return now
}

// fullestWindow is the most bytes that came to the user within a window of
// time.
func fullestWindow(samples []sample, window time.Duration) (most int64) {
	first := 0
	for last := range samples {
		for samples[last].at-samples[first].at > window+sampleEvery/2 {
			first++
		}
		most = max(most, samples[last].user-samples[first].user)
	}
	return most
}

// receivedBy is how many bytes had come to the user by a moment.
func receivedBy(samples []sample, at time.Duration) (bytes int64) {
	for _, s := range samples {
		if s.at > at+sampleEvery/2 {
			break
		}
		bytes = s.user
	}
	return bytes
}
