package main

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cheggaaa/pb/v3"
	"github.com/spf13/cobra"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/sources"
)

// mirrorsHelp is written by hand, like help.
//
//go:embed mirrors.txt
var mirrorsHelp string

const (
	seeMirrorsHelp = "; run 'segpull mirrors --help'"
	// testImage is what sources are asked for if the user names no image: it is small, and
	// mirrors of Docker Hub have it.
	testImage = "alpine"
)

// mirrorsCommand returns the command that shows the sources, with its verb test.
func (a *app) mirrorsCommand() *cobra.Command {
	cmd := a.mirrorsVerb("mirrors", "docker.io", a.listMirrors)
	test := a.mirrorsVerb("test", testImage, a.testMirrors)
	test.Flags().StringVar(&a.platform, "platform", "", "")
	cmd.AddCommand(test)
	return cmd
}

// mirrorsVerb returns a command with one argument, or otherwise.
func (a *app) mirrorsVerb(name, otherwise string, run func(ctx context.Context, opts segpull.MirrorsOptions, image string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: name,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes one image, and %q is another%s%s", name, args[1], seeMirrorsHelp, alsoAnImage("mirrors"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			a.set, a.progress = cmd.Flags(), "none"
			opts, err := a.mirrorsOptions(cmd.Context())
			if err != nil {
				return err
			}
			return run(cmd.Context(), opts, append(args, otherwise)[0])
		},
	}
	a.defineMirrors(cmd.Flags())
	cmd.Flags().BoolVar(&a.json, "json", false, "")
	cmd.Flags().StringVar(&a.config, "config", "", "")
	return cmd
}

// mirrorsOptions returns what the flags and the configuration say.
func (a *app) mirrorsOptions(ctx context.Context) (segpull.MirrorsOptions, error) {
	config, err := a.load()
	if err != nil {
		return segpull.MirrorsOptions{}, usagef("%v", err)
	}
	inherit(a.set, "authfile", &a.authfile, config.Authfile)
	inherit(a.set, "platform", &a.platform, config.Platform)
	if err := a.findMirrors(ctx, &config); err != nil {
		return segpull.MirrorsOptions{}, err
	}
	notes := observer(a.notices())
	a.tellDoubts(notes)
	return segpull.MirrorsOptions{
		Mirrors: a.mirrors, Config: config, Authfile: a.authfile, Platform: a.platform, Observer: notes,
	}, nil
}

// observer shows events as they come.
type observer notices

// Observe implements segpull.Observer.
func (o observer) Observe(e segpull.Event) { notices(o).show(time.Now(), e) }

// listMirrors prints the sources for an image or a registry.
func (a *app) listMirrors(_ context.Context, opts segpull.MirrorsOptions, name string) error {
	list, err := segpull.Mirrors(opts, name)
	if err != nil {
		return err
	}
	return a.print(map[string]any{"sources": list}, mirrorsText(list))
}

// mirrorsText has two lines for each source: its address, and where it is configured.
func mirrorsText(list []segpull.MirrorInfo) string {
	var b strings.Builder
	for i, m := range list {
		fmt.Fprintf(&b, "%2d  %s", i+1, m.URL)
		if hasName(m) {
			fmt.Fprintf(&b, " (%s)", m.Name)
		}
		fmt.Fprintf(&b, "\n    %s\n", placeText(m))
	}
	return b.String()
}

// hasName reports whether a source has a name beside its address.
func hasName(m segpull.MirrorInfo) bool {
	_, address, _ := strings.Cut(m.URL, "://")
	return m.Name != address
}

// placeText says where a source is configured, and how far it is trusted.
func placeText(m segpull.MirrorInfo) string {
	text := map[string]string{"flag": say("named by --mirror"), "config": say("configuration"), "registry": say("the registry itself")}[m.From]
	text = cmp.Or(text, m.From)
	switch {
	case m.File == "" && m.Key != "":
		text += say(", by %s", m.Key)
	case m.Line > 0:
		text += fmt.Sprintf(", %s:%d", m.File, m.Line)
	case m.Key != "":
		text += say(", %s in %s", m.Key, m.File)
	case m.File != "":
		text += ", " + m.File
	}
	if !m.Tags {
		text += say("; resolves no tags")
	}
	return text
}

// testMirrors asks the sources for an image.
func (a *app) testMirrors(ctx context.Context, opts segpull.MirrorsOptions, name string) error {
	list, err := segpull.TestMirrors(ctx, opts, name)
	if list == nil {
		return err
	}
	text := testText(list)
	if lines := worthWriting(list, registryOf(name)); lines != "" {
		text += say("\nWorth writing to the configuration, the fastest first:\n\n# %s\n%s", cmp.Or(a.config, sources.ConfigPath()), lines)
	}
	if printErr := a.print(map[string]any{"sources": list}, text); printErr != nil {
		return printErr
	}
	return err
}

// registryOf returns the registry of an image that segpull.TestMirrors has accepted.
func registryOf(name string) string {
	ref, _ := image.ParseReference(name)
	return ref.Registry
}

// testRow is a row of the table: 79 cells.
func testRow(source, tls, login, ranges, latency, rate, tag string) string {
	cells := []string{pad(source, 25), pad(tls, 10), pad(login, 8), pad(ranges, 6), padLeft(latency, 7), padLeft(rate, 10), tag}
	return strings.Join(cells, " ") + "\n"
}

// testText is a table in 80 columns, with a verdict below each row.
func testText(list []segpull.MirrorCheck) string {
	var b strings.Builder
	b.WriteString(testRow(say("SOURCE"), "TLS", say("LOGIN"), say("RANGES"), say("LATENCY"), say("RATE"), say("TAG")))
	for _, m := range list {
		b.WriteString(testRow(fitEnd(m.Name, 25), cellIf(m.Reachable, say(m.TLS)), cellIf(m.Reachable, say(m.Auth)),
			rangesText(m.Ranges), latencyText(m.Latency), rateText(m.Rate), tagText(m)))
		b.WriteString(wrap("  ", verdict(m)))
	}
	return b.String()
}

const unknownCell = "-"

func cellIf(known bool, text string) string {
	if !known {
		return unknownCell
	}
	return text
}

func rangesText(ranges *bool) string {
	switch {
	case ranges == nil:
		return unknownCell
	case *ranges:
		return say("yes")
	}
	return say("no")
}

func latencyText(seconds *float64) string {
	if seconds == nil {
		return unknownCell
	}
	return durationText(time.Duration(*seconds * float64(time.Second)))
}

func rateText(rate *float64) string {
	if rate == nil {
		return unknownCell
	}
	return bytesText(int64(*rate)) + "/s"
}

func tagText(m segpull.MirrorCheck) string {
	switch {
	case m.Digest == "":
		return unknownCell
	case m.Agrees:
		return say("agrees")
	}
	return say("differs")
}

// verdict says in a sentence whether to use a source.
func verdict(m segpull.MirrorCheck) string {
	var notes []string
	note := func(applies bool, text string) {
		if applies {
			notes = append(notes, text)
		}
	}
	word := say("good")
	switch {
	case !m.Reachable:
		word = say("unreachable: %s", translated(m.Error))
	case !m.Usable:
		word = say("not usable: %s", translated(m.Error))
	case m.Ranges != nil && !*m.Ranges:
		word = say("usable for whole layers only: it serves no ranges")
	case m.Rate == nil:
		word = say("usable, but slow: no byte of a layer came in time")
	}
	note(m.Usable && !m.Tags, say("by digest only: it resolves no tags"))
	note(m.Digest != "" && !m.Agrees, say("it resolves the tag to another image, %s", shortDigest(m.Digest)))
	note(m.Usable && m.TLS == "unverified", say("its certificate is not checked"))
	if l := m.Limits; l != nil {
		limit := say("%d of %s left", l.Remaining, plural(l.Limit, "%d request", "%d requests"))
		if l.Period > 0 {
			limit += say(" for %s", durationText(time.Duration(l.Period*float64(time.Second))))
		}
		notes = append(notes, limit)
	}
	text := oneLine(strings.Join(append([]string{word}, notes...), "; "))
	return wholeDigest.ReplaceAllStringFunc(text, shortDigest)
}

// wholeDigest matches a digest, which has about as many cells as a line of the table.
var wholeDigest = regexp.MustCompile("sha256:[0-9a-f]{64}")

// unbroken matches what wrap keeps together: a word and the space after it, or a wide
// character and the punctuation after it.
var unbroken = regexp.MustCompile(`[^\s\p{Han}]+\s*|\p{Han}[，；：、。）]*\s*`)

// wrap breaks text into lines of at most 80 columns that begin with an indent.
func wrap(indent, text string) string {
	var b strings.Builder
	line := indent
	for _, part := range unbroken.FindAllString(text, -1) {
		if pb.CellCount(line+strings.TrimRight(part, " ")) >= 80 && line != indent {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = indent
		}
		line += part
	}
	return b.String() + strings.TrimRight(line, " ") + "\n"
}

// worthWriting returns lines for the configuration file that name the mirrors which a pull
// can use, the fastest first. Their order decides which one resolves a tag, so those that
// disagree are left out.
func worthWriting(list []segpull.MirrorCheck, registry string) string {
	var good []segpull.MirrorCheck
	for _, m := range list {
		if m.Usable && m.Agrees && m.From != "registry" {
			good = append(good, m)
		}
	}
	rate := func(m segpull.MirrorCheck) float64 {
		if m.Rate == nil {
			return 0
		}
		return *m.Rate
	}
	slices.SortStableFunc(good, func(a, b segpull.MirrorCheck) int { return cmp.Compare(rate(b), rate(a)) })
	var names, tables []string
	for _, m := range good {
		name, table := configured(m, registry)
		names, tables = append(names, fmt.Sprintf("%q", name)), append(tables, table)
	}
	if len(names) == 0 {
		return ""
	}
	line := fmt.Sprintf("mirrors = [%s]\n", strings.Join(names, ", "))
	if len(line) > 80 {
		line = fmt.Sprintf("mirrors = [\n  %s,\n]\n", strings.Join(names, ",\n  "))
	}
	return line + strings.Join(tables, "")
}

// configured returns the name of a mirror for the configuration file, and the table that it
// needs there, or "".
func configured(m segpull.MirrorCheck, registry string) (name, table string) {
	plain := m.Tags && !m.NS && m.TLS != "unverified" && registry == "docker.io"
	switch {
	case hasName(m.MirrorInfo): // a preset, or a table that exists
		return m.Name, ""
	case plain:
		return m.URL, ""
	}
	name = strings.NewReplacer(".", "-", ":", "-", "/", "-", "[", "", "]", "").Replace(m.Name)
	var b strings.Builder
	fmt.Fprintf(&b, "\n[mirror.%s]\nurl = %q\nregistries = [%q]\n", name, m.URL, registry)
	if !m.Tags {
		b.WriteString("tags = false\n")
	}
	if m.NS {
		b.WriteString("ns = true\n")
	}
	if m.TLS == "unverified" {
		b.WriteString("tls-verify = false\n")
	}
	return name, b.String()
}
