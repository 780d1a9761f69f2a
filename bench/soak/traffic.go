package soak

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/segpull/segpull/internal/registrytest"
)

// checkSecrets looks for secrets in everything that segpull writes.
func (c *checker) checkSecrets(p result) {
	c.checkText("standard output", p.stdout)
	c.checkText("standard error", p.stderr)
	for _, path := range append(partFiles(c.dir, "state"), filepath.Join(c.dir, "segpull", memoryName)) {
		if text, err := os.ReadFile(path); err == nil {
			c.checkText(path, text)
		}
	}
}

func (c *checker) checkText(where string, text []byte) {
	secrets := []string{"signature="}
	for _, m := range c.mirrors {
		secrets = append(secrets, m.secrets()...)
	}
	for _, secret := range secrets {
		if bytes.Contains(text, []byte(secret)) {
			c.failf("%q is in %s", secret, where)
		}
	}
}

// checkTraffic checks all requests of the round: who got which secret, and how
// many bytes the mirrors served. openAtKills is how many responses the kills
// broke off.
func (c *checker) checkTraffic(site *site, openAtKills int) {
	site.logs(func(of *mirror, cdn bool, log []registrytest.Request) {
		for _, m := range c.mirrors {
			if (m != of || cdn) && anyContains(log, m.secrets()) {
				c.failf("a secret of %s went to %s", m.name, of.name)
			}
		}
	})
	served, broken := site.traffic()
	if allowed := c.allowed(broken, openAtKills); served > allowed {
		c.failf("%s were served, %s more than allowed", inMiB(served), inMiB(served-allowed))
	}
}

// allowed is the most bytes that the mirrors may have to serve: 5 % are for
// ranges that are fetched twice, 128 KiB for each response that is broken off,
// 1 MiB for each response that was open at a kill. Mirrors that ignore ranges,
// corrupt mirrors and damage cost the image once more.
func (c *checker) allowed(broken, openAtKills int) int64 {
	need := c.image.size()
	allowed := need*int64(max(c.pulled, 1))*105/100 + int64(broken)*128*kib + int64(openAtKills)*mib + mib
	for _, m := range c.mirrors {
		if m.whole {
			allowed += int64(len(c.attempts)) * need
		}
		if m.role == corrupt {
			allowed += int64(len(c.attempts)) * need
		}
	}
	for _, a := range c.attempts {
		if len(a.damages) > 0 {
			allowed += need
		}
		allowed += int64(len(a.others)) * need
	}
	return allowed
}

// anyContains reports whether a request contains one of the secrets.
func anyContains(log []registrytest.Request, secrets []string) bool {
	return slices.ContainsFunc(secrets, func(secret string) bool {
		return slices.ContainsFunc(log, func(r registrytest.Request) bool { return contains(r, secret) })
	})
}

func contains(r registrytest.Request, secret string) bool {
	for _, values := range r.Header {
		for _, v := range values {
			if strings.Contains(v, secret) {
				return true
			}
		}
	}
	return strings.Contains(r.Query, secret)
}
