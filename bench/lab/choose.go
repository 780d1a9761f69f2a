package lab

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Groups of cases that Cases takes as names.
const (
	Goals    = "goals"    // every case with a goal
	Networks = "networks" // weak networks and real servers; needs root
	Mirrors  = "mirrors"  // mirrors that misbehave, on loopback
)

// Local is the case of a pull from this machine's own registry.
const Local = "local"

// misbehaving are the cases of the group Mirrors, besides local.
var misbehaving = []string{"uneven-3", "dying", "stalling", "capped", "two-connections", "filling", "budget", "corrupt"}

// Cases returns the cases of these names, groups or patterns, as in tcp-*, in
// that order. It fails if one of them selects none.
func Cases(names ...string) (chosen []Case, err error) {
	for _, name := range names {
		found := cases(name)
		if len(found) == 0 {
			return nil, fmt.Errorf("no case %q; there are %s, and the groups %s, %s, %s",
				name, strings.Join(caseNames(), ", "), Goals, Networks, Mirrors)
		}
		chosen = append(chosen, found...)
	}
	return chosen, nil
}

func cases(name string) []Case {
	switch name {
	case Goals:
		return slices.DeleteFunc(allCases(), func(c Case) bool { return c.Goal.None() })
	case Networks:
		return slices.Concat(networks, cases("cdn"), cases(Local))
	case Mirrors:
		return slices.DeleteFunc(allCases(), func(c Case) bool {
			return c.Name != Local && !slices.Contains(misbehaving, c.Name)
		})
	}
	return slices.DeleteFunc(allCases(), func(c Case) bool {
		matches, _ := path.Match(name, c.Name) // an invalid pattern matches nothing
		return !matches
	})
}

func allCases() []Case { return slices.Concat(tasks, networks, []Case{local}) }

func caseNames() (names []string) {
	for _, c := range allCases() {
		names = append(names, c.Name)
	}
	return names
}
