package registry

import "strings"

// challenge is one way that a host offers to authenticate (RFC 9110, section
// 11.6.1). Names of schemes and parameters are in lower case.
type challenge struct {
	scheme string
	params map[string]string
}

// chooseChallenge returns the challenge to answer: the first Bearer challenge that
// names a token server, since that serves anonymous clients too, or else the first
// Basic challenge.
func chooseChallenge(lines []string) (challenge, bool) {
	var basic *challenge
	for _, c := range parseChallenges(lines) {
		switch {
		case c.scheme == "bearer" && c.params["realm"] != "":
			return c, true
		case c.scheme == "basic" && basic == nil:
			basic = &c
		}
	}
	if basic == nil {
		return challenge{}, false
	}
	return *basic, true
}

// parseChallenges reads the fields of WWW-Authenticate. A field may hold
// several challenges, and a challenge several parameters, both separated by
// commas. Values may be quoted or not. If a parameter occurs twice, the first
// counts.
func parseChallenges(lines []string) []challenge {
	var all []challenge
	for _, line := range lines {
		for _, part := range splitQuoted(line) {
			part = strings.TrimSpace(part)
			word, rest, _ := strings.Cut(part, " ")
			rest = strings.TrimSpace(rest)
			if word != "" && !strings.Contains(word, "=") && !strings.HasPrefix(rest, "=") {
				all = append(all, challenge{strings.ToLower(word), map[string]string{}})
				part = rest
			}
			if name, value, ok := strings.Cut(part, "="); ok && len(all) > 0 {
				all[len(all)-1].add(strings.TrimSpace(name), unquote(strings.TrimSpace(value)))
			}
		}
	}
	return all
}

func (c challenge) add(name, value string) {
	name = strings.ToLower(name)
	if _, given := c.params[name]; !given {
		c.params[name] = value
	}
}

// unquote reads a quoted string (RFC 9110, section 5.6.4), or returns a token
// unchanged.
func unquote(s string) string {
	s, quoted := strings.CutPrefix(s, `"`)
	if !quoted {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// splitQuoted splits line at commas outside of quotes.
func splitQuoted(line string) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			parts = append(parts, line[start:i])
			start = i + 1
		}
	}
	return append(parts, line[start:])
}
