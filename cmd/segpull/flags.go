package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/sources"
)

// flags has the flags of the command line. A flag that is not given gets its value
// from the configuration file, or else its default.
type flags struct {
	set *pflag.FlagSet

	inputs      []string
	mirrors     []string
	mirrorsFrom []string
	output      string
	format      string
	platform    string
	all         bool
	name        string
	engine      string
	to          string
	limitRate   sources.Timetable
	connections int
	segmentSize sources.Size
	giveUpAfter sources.Duration
	noRace      bool
	progress    string
	authfile    string
	cacheDir    string
	cacheSize   sources.Size
	olderThan   sources.Duration
	report      string
	config      string
	quiet       bool
	verbose     bool

	cacheOnly bool   // the command is cache add
	server    string // of cache add

	json bool // of inspect and the verbs of the cache

	environment string   // $SEGPULL_CACHE
	lang        string   // --lang or $SEGPULL_LANG
	configured  bool     // the configuration file has been read
	doubts      []string // warnings about the above
}

var progressForms = []string{"auto", "bar", "plain", "json", "none"}

// define binds the flags. help.txt describes them.
func (f *flags) define(set *pflag.FlagSet) {
	f.set = set
	set.SortFlags = false
	f.defineImage(set)
	f.defineFetch(set)
	set.StringVar(&f.name, "name", "", "")
	set.StringVar(&f.engine, "load", "", "")
	set.Lookup("load").NoOptDefVal = "auto"
	set.StringVar(&f.to, "to", "", "")
	set.StringVar(&f.report, "report", "", "")
}

// defineFetch binds the flags that pulls and cache add share: which images, how to fetch
// them, and what to print.
func (f *flags) defineFetch(set *pflag.FlagSet) {
	set.StringArrayVarP(&f.inputs, "input", "i", nil, "")
	set.BoolVar(&f.all, "all-platforms", false, "")
	set.TextVar(&f.limitRate, "limit-rate", sources.Timetable{}, "")
	set.IntVar(&f.connections, "connections", 0, "")
	set.TextVar(&f.segmentSize, "segment-size", sources.Size(0), "")
	set.BoolVar(&f.noRace, "no-race", false, "")
	set.Var(newWord(&f.progress, "auto", progressSynonyms), "progress", "")
	f.defineCache(set)
	f.defineCacheSize(set)
	set.BoolVarP(&f.quiet, "quiet", "q", false, "")
	set.BoolVarP(&f.verbose, "verbose", "v", false, "")
}

// defineImage binds the flags that pulls and inspect share: which image, from where, and
// to where.
func (f *flags) defineImage(set *pflag.FlagSet) {
	f.defineMirrors(set)
	set.StringVarP(&f.output, "output", "o", "", "")
	set.VarP(newWord(&f.format, "", formatSynonyms), "format", "f", "")
	set.StringVar(&f.platform, "platform", "", "")
	set.TextVar(&f.giveUpAfter, "give-up-after", sources.Duration{}, "")
}

// defineMirrors binds the flags that say which sources to use.
func (f *flags) defineMirrors(set *pflag.FlagSet) {
	set.StringArrayVarP(&f.mirrors, "mirror", "m", nil, "")
	set.StringArrayVar(&f.mirrorsFrom, "mirrors-from", nil, "")
	set.StringVar(&f.authfile, "authfile", "", "")
}

// findMirrors gives the configuration the mirrors of container engines, unless the command
// line names all sources.
func (f *flags) findMirrors(ctx context.Context, config *sources.Config) (err error) {
	switch {
	case len(f.mirrors) > 0 && len(f.mirrorsFrom) > 0:
		return usagef("mirror and mirrors-from exclude each other: --mirror names exactly the sources to use")
	case len(f.mirrors) > 0:
		return nil
	}
	if len(f.mirrorsFrom) == 0 {
		f.mirrorsFrom = config.MirrorsFrom
	}
	if config.Engines, err = sources.FindEngines(ctx, f.mirrorsFrom, systemRoot); err != nil {
		return usagef("%v", err)
	}
	return nil
}

// systemRoot is where the files of the system's container engines are. Tests change it.
var systemRoot = ""

// defineCache binds the flags that pulls and the verbs of the cache share.
func (f *flags) defineCache(set *pflag.FlagSet) {
	set.StringVar(&f.cacheDir, "cache-dir", "", "")
	set.StringVar(&f.config, "config", "", "")
}

func (f *flags) defineCacheSize(set *pflag.FlagSet) {
	set.TextVar(&f.cacheSize, "cache-size", sources.Size(0), "")
}

// inherit reads the configuration file, and takes from it the values of flags that the
// command line does not have. Pull uses the file's mirrors.
func (f *flags) inherit() (sources.Config, error) {
	config, err := f.load()
	if err != nil {
		return config, usagef("%v", err)
	}
	if f.engine == "" && f.to == "" && !f.cacheOnly {
		inherit(f.set, "output", &f.output, config.Output)
	}
	inherit(f.set, "format", &f.format, cmp.Or(formatSynonyms[config.Format], config.Format))
	if !f.all {
		inherit(f.set, "platform", &f.platform, config.Platform)
	}
	inherit(f.set, "limit-rate", &f.limitRate, config.LimitRate)
	inherit(f.set, "connections", &f.connections, config.Connections)
	inherit(f.set, "segment-size", &f.segmentSize, config.SegmentSize)
	inherit(f.set, "give-up-after", &f.giveUpAfter, config.GiveUpAfter)
	inherit(f.set, "no-race", &f.noRace, config.NoRace)
	inherit(f.set, "progress", &f.progress, cmp.Or(progressSynonyms[config.Progress], config.Progress))
	inherit(f.set, "authfile", &f.authfile, config.Authfile)
	f.inheritCache(config)
	// -q or -v on the command line has precedence over both in the file.
	if !f.set.Changed("quiet") && !f.set.Changed("verbose") {
		f.quiet, f.verbose = config.Quiet, config.Verbose
	}
	f.doubts = append(f.doubts, tinyLimits(f.limitRate, config)...)
	return config, f.check()
}

// inheritCache takes the place and the size of the cache from the environment and the
// configuration, if the command line does not have them.
func (f *flags) inheritCache(config sources.Config) {
	inherit(f.set, "cache-dir", &f.cacheDir, cmp.Or(f.environment, config.CacheDir))
	inherit(f.set, "cache-size", &f.cacheSize, config.CacheSize)
}

// load reads the configuration file. A file that the user did not name may belong to
// another user, as after su or sudo; then the flags may be enough.
func (f *flags) load() (sources.Config, error) {
	if f.set.Changed("config") && f.config == "" {
		return sources.Config{}, errors.New("--config needs a file name")
	}
	config, err := sources.LoadConfig(f.config)
	f.configured = true
	if err == nil {
		err = f.inheritLanguage(config)
	}
	if f.config == "" && errors.Is(err, fs.ErrPermission) {
		f.doubts = append(f.doubts, fmt.Sprintf("%v; segpull continues without it: make it readable, or give another with --config", err))
		return sources.Config{}, nil
	}
	return config, err
}

func inherit[T comparable](set *pflag.FlagSet, name string, value *T, configured T) {
	var unset T
	if !set.Changed(name) && configured != unset {
		*value = configured
	}
}

// checkLoad refuses --load without "=", whose value would be pulled as an image.
func (f *flags) checkLoad(refs []string) error {
	if f.engine == "auto" {
		for _, ref := range refs {
			if slices.Contains(segpull.Engines(), ref) {
				return usagef("--load needs = before the engine: --load=%[1]s; an image that is called %[1]s is written library/%[1]s or %[1]s:latest", ref)
			}
		}
	}
	return nil
}

// formatForEngine reports whether the engine gets the image in the format of --format.
func (f *flags) formatForEngine() bool {
	return f.engine != "" && (f.format == "docker-archive" || f.format == "legacy")
}

// check refuses what the library cannot check itself.
func (f *flags) check() error {
	switch {
	case f.set.Changed("load") && f.engine == "":
		return usagef("--load= needs an engine: %s", strings.Join(segpull.Engines(), ", "))
	case f.set.Changed("to") && f.to == "":
		return usagef("--to needs a registry: REGISTRY/NAME[:TAG] or REGISTRY/[PREFIX/]")
	case f.set.Changed("name") && f.name == "":
		return usagef("--name needs a name for the image, such as NAME[:TAG]")
	case f.set.Changed("format") && f.output == "" && (f.to != "" || f.engine != "") && !f.formatForEngine():
		return usagef("format %s is for a file, which --load and --to replace: leave out --format, or give --output as well", f.format)
	case f.set.Changed("report") && (f.report == "" || f.report == "-"):
		return usagef("--report needs a file, such as report.html")
	case f.quiet && f.verbose:
		return usagef("quiet and verbose exclude each other; give one of them")
	case f.connections < 0:
		return usagef("connections must be 1 or more, or 0 for the default, not %d", f.connections)
	case !slices.Contains(progressForms, f.progress):
		return usagef("progress %q is unknown; use one of %s", f.progress, strings.Join(progressForms, ", "))
	}
	return nil
}

// tellDoubts shows the warnings about flags and configuration.
func (f *flags) tellDoubts(o segpull.Observer) {
	for _, doubt := range f.doubts {
		o.Observe(segpull.Warning{Message: doubt})
	}
}
