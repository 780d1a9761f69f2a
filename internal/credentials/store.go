package credentials

import (
	"context"
	"fmt"
	"sync"
)

// Store finds logins. It is safe for use by several goroutines at the same
// time. New makes one.
type Store struct {
	// Warn receives what is wrong with a file or a helper, and what to do about
	// it, each message once and without secrets. It must be set before Find is
	// first called, is called by several goroutines at the same time, and may
	// be nil.
	Warn func(message string)

	files   []*file
	helpers *helpers

	mu     sync.Mutex
	warned map[string]bool
}

// New returns a Store of the file with the path authfile or, where that is "",
// of the files that the environment names; the package comment lists them. It
// reads the environment, and no file.
func New(authfile string) *Store {
	return &Store{
		files:   places(authfile),
		helpers: newHelpers(runProgram),
		warned:  make(map[string]bool),
	}
}

// Find returns the login for a repository ("team/app") of a host
// ("registry.example:5000"), or an empty one where nothing is stored. It
// returns an error only when ctx ends: its cause.
func (s *Store) Find(ctx context.Context, host, repository string) (Login, error) {
	for _, f := range s.files {
		if ctx.Err() != nil {
			return Login{}, context.Cause(ctx)
		}
		login, err := s.findIn(ctx, f, host, repository)
		if err != nil || !login.Empty() {
			return login, err
		}
	}
	return Login{}, nil
}

// Waiting returns "credential helper docker-credential-x" while one has not
// answered, else "". Of several it names the first by alphabet.
func (s *Store) Waiting() string {
	if program := s.helpers.running(); program != "" {
		return describe(program)
	}
	return ""
}

// findIn asks the helper that the file names for the host, and then the file's
// own entries.
func (s *Store) findIn(ctx context.Context, f *file, host, repository string) (Login, error) {
	c, err := f.load()
	if err != nil {
		s.warn(err.Error())
		return Login{}, nil
	}
	login, err := s.askHelper(ctx, f.path, c, host, repository)
	if err != nil || !login.Empty() {
		return login, err
	}
	return s.lookUp(f.path, c, host, repository), nil
}

// lookUp returns the login of the best entry that holds one.
func (s *Store) lookUp(path string, c contents, host, repository string) Login {
	for _, key := range matching(c.Auths, host, repository) {
		login, err := decodeEntry(c.Auths[key])
		if err != nil {
			s.warn(fmt.Sprintf("%s: the entry for %s is damaged: %v; correct the file, or run docker login %s", path, key, err, host))
			continue
		}
		if !login.Empty() {
			login.From = path
			return login
		}
	}
	return Login{}
}

// warn passes a message on if it is new.
func (s *Store) warn(message string) {
	s.mu.Lock()
	known := s.warned[message]
	s.warned[message] = true
	s.mu.Unlock()
	if !known && s.Warn != nil {
		s.Warn(message)
	}
}
