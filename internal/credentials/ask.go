package credentials

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// mostSpellings is how often a helper is asked for one host.
const mostSpellings = 2

// askHelper returns the login that the helper of a host stores. It reports a
// helper that fails. It returns an error only when ctx ends: its cause.
func (s *Store) askHelper(ctx context.Context, path string, c contents, host, repository string) (Login, error) {
	name := c.helper(host, repository)
	if name == "" {
		return Login{}, nil
	}
	if !plainName(name) {
		s.warn(fmt.Sprintf("%s names the credential helper %q, which is not a plain file name, so segpull does not run it; correct the file", path, oneLine(name)))
		return Login{}, nil
	}
	program := "docker-credential-" + name
	for _, server := range c.servers(host, repository) {
		login, err := s.helpers.ask(ctx, program, server)
		if ctx.Err() != nil {
			return Login{}, context.Cause(ctx)
		}
		if err != nil {
			s.reportHelper(path, program, err)
			return Login{}, nil
		}
		if !login.Empty() {
			login.From = fmt.Sprintf("%s (named in %s)", describe(program), path)
			return login, nil
		}
	}
	return Login{}, nil
}

// reportHelper warns of a helper that failed, unless it is one that has been
// reported and is not asked again.
func (s *Store) reportHelper(path, program string, err error) {
	if f, ok := errors.AsType[*failure](err); ok {
		s.warn(fmt.Sprintf("%s, which %s names, %s; %s", describe(program), path, f.what, f.advice))
	}
}

func describe(program string) string { return "credential helper " + program }

// helper returns the name of the helper for a host, or "" for none. An empty
// name in credHelpers exempts a host from the credsStore, as it does for
// docker.
func (c contents) helper(host, repository string) string {
	if keys := matching(c.CredHelpers, host, repository); len(keys) > 0 {
		return c.CredHelpers[keys[0]]
	}
	return c.CredsStore
}

// plainName reports whether the name of a helper leads to no other directory
// and can be printed.
func plainName(name string) bool {
	return !strings.ContainsAny(name, `/\:`) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

// servers returns the spellings of a host under which a helper may store its
// login, likeliest first. The file's own keys are among them: docker login
// leaves an empty entry behind for each host that a helper keeps.
func (c contents) servers(host, repository string) []string {
	servers := []string{host}
	if Canonical(host) == dockerHub {
		servers[0] = dockerHubServer
	}
	servers = append(servers, matching(c.CredHelpers, host, repository)...)
	servers = append(servers, matching(c.Auths, host, repository)...)
	if Canonical(host) != dockerHub {
		servers = append(servers, otherPort(host))
	}
	var each []string
	for _, server := range servers {
		if !slices.Contains(each, server) {
			each = append(each, server)
		}
	}
	return each[:min(len(each), mostSpellings)]
}

// otherPort adds the port 443 to a host without a port, and removes it from one
// that has it. It leaves a host with another port as it is.
func otherPort(host string) string {
	if without, found := strings.CutSuffix(host, ":443"); found {
		return without
	}
	if strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']') {
		return host
	}
	return host + ":443"
}
