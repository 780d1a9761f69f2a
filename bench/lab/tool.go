package lab

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/registrytest"
)

// Tool is a program that can fetch an image, or its blobs.
type Tool struct {
	Name     string
	Settings string // in words, for the tables
	program  string // name in PATH, or a path; "": segpull, as it was built
	archive  bool   // it writes archiveName, whose digests are checked
	command  func(job) (*exec.Cmd, error)
	service  func(context.Context, job, program.Place) (service, error) // nil: none
}

// Segpull is the name of the tool that the others are compared with.
const Segpull = "segpull"

// Before is the name of the other segpull that this one is compared with.
const Before = "before"

// Other is another build of segpull: the program at a path.
func Other(path string) (Tool, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Tool{}, err
	}
	if _, err := exec.LookPath(path); err != nil {
		return Tool{}, err
	}
	t := tools[0]
	t.Name, t.program = Before, path
	return t, nil
}

// allTools selects every tool.
const allTools = "all"

// tools are segpull and its peers, in the order of the tables.
var tools = []Tool{
	{Name: Segpull, Settings: "all mirrors, defaults", archive: true, command: segpullCommand},
	{
		Name: "aria2c", Settings: "all mirrors' blob URLs, -x16 -s16×mirrors -k1M --lowest-speed-limit=10K",
		program: "aria2c", command: aria2Command,
	},
	{
		Name: "curl", Settings: "best mirror, -Z --parallel-max 16 --retry 100 --retry-delay 1 --retry-all-errors -C -",
		program: "curl", command: curlCommand,
	},
	{Name: "crane", Settings: "best mirror, pull --format=oci", program: "crane", command: craneCommand},
	{Name: "skopeo", Settings: "best mirror, copy --retry-times 5 to docker-archive", program: "skopeo", command: skopeoCommand},
	{Name: "regctl", Settings: "best mirror, image export", program: "regctl", command: regctlCommand},
	{
		Name: "docker", Settings: "pull, all mirrors as registry-mirrors, best first, 10 downloads at once; with dockerd, unpacking",
		program: "docker", command: dockerCommand, service: dockerService,
	},
}

// Tools returns the tools of these names, in that order; all selects every one.
func Tools(names ...string) (chosen []Tool, err error) {
	for _, name := range names {
		if name == allTools {
			chosen = append(chosen, tools...)
			continue
		}
		k := slices.IndexFunc(tools, func(t Tool) bool { return t.Name == name })
		if k < 0 {
			return nil, fmt.Errorf("no tool %q; there are %s", name, strings.Join(toolNames(), ", "))
		}
		chosen = append(chosen, tools[k])
	}
	return chosen, nil
}

func toolNames() (names []string) {
	for _, t := range tools {
		names = append(names, t.Name)
	}
	return names
}

// Installed reports whether the tool's program is in PATH, or is segpull.
func (t Tool) Installed() bool {
	_, err := t.find("")
	return err == nil
}

// find returns the path of a tool's program.
func (t Tool) find(segpull string) (string, error) {
	if t.program == "" {
		return segpull, nil
	}
	return exec.LookPath(t.program)
}

// Version is what the program prints about itself, up to the first number; ""
// for segpull.
func (t Tool) Version() string {
	if t.program == "" {
		return ""
	}
	return version(t.program)
}

func version(path string) string {
	for _, flag := range []string{"--version", "version"} {
		out, err := exec.Command(path, flag).Output()
		if err != nil {
			continue
		}
		words := strings.Fields(string(out))
		for i, word := range words {
			if number := strings.TrimPrefix(word, "v"); number != "" && number[0] >= '0' && number[0] <= '9' {
				return strings.TrimRight(strings.Join(words[:i+1], " "), ",")
			}
		}
	}
	return "unknown"
}

// With returns the tool with more arguments at the end of its command line.
func (t Tool) With(args ...string) Tool {
	command := t.command
	t.command = func(j job) (*exec.Cmd, error) {
		cmd, err := command(j)
		if err == nil {
			cmd.Args = append(cmd.Args, args...)
		}
		return cmd, err
	}
	return t
}

// job is what a tool has to do: fetch the image from the mirrors into an empty
// directory.
type job struct {
	program string
	segpull string // path of the program
	image   *image
	mirrors []server
	dir     string
	ca      string // file with the certificate authority of the mirrors' CDNs; "": none
}

// environment contains the bench's certificate authority where Go's programs
// and curl look for it.
func (j job) environment() []string {
	env := program.Environment(j.dir)
	if j.ca != "" {
		env = append(env, "SSL_CERT_FILE="+j.ca, "CURL_CA_BUNDLE="+j.ca)
	}
	return env
}

// service is what a tool needs running beside it.
type service struct {
	pid     int // its time and memory count as the tool's; 0: none
	stop    func()
	instead []server // from which the tool pulls; nil: from the mirrors
}

// start starts what the tool needs beside it.
func (t Tool) start(ctx context.Context, j job, at program.Place) (service, error) {
	if t.service == nil {
		return service{stop: func() {}}, nil
	}
	return t.service(ctx, j, at)
}

// best is the mirror with the highest rate.
func (j job) best() server {
	best := j.mirrors[0]
	for _, m := range j.mirrors {
		if !m.Useless && (best.Useless || m.Rate > best.Rate) {
			best = m
		}
	}
	return best
}

func (m server) host() string {
	_, host, _ := strings.Cut(m.url, "://")
	return host
}

func (m server) secure() bool { return strings.HasPrefix(m.url, "https:") }

func (m server) reference() string { return m.host() + "/" + repository + ":" + tag }

func (m server) blobURL(b registrytest.Blob) string {
	return fmt.Sprintf("%s/v2/%s/blobs/%s", m.url, repository, b.Digest)
}
