package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/registrytest"
)

// Tool is a program that can fetch an image, or its blobs.
type Tool struct {
	Name     string
	Settings string // in words, for the tables
	program  string // to look for in PATH
	command  func(job) (*exec.Cmd, error)
	service  func(context.Context, job, program.Place) (service, error) // nil: none
}

// job is what a tool is to do: fetch the image from the mirrors into a folder
// that exists and is empty.
type job struct {
	program    string
	repository string
	tag        string
	image      registrytest.Image
	mirrors    []running
	dir        string
	ca         string // path of the certificate authority that the mirrors' CDNs have; "": none
}

const (
	benchRepository = "library/bench"
	benchTag        = "1"
)

// tools are segpull and its peers, in the order of the tables.
var tools = []Tool{
	{Name: "segpull", Settings: "all mirrors, defaults", command: segpullCommand},
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

// toolsNamed returns the tools of these names, in that order.
func toolsNamed(names ...string) (with []Tool) {
	for _, name := range names {
		for _, t := range tools {
			if t.Name == name {
				with = append(with, t)
			}
		}
	}
	return with
}

// find returns the path of a tool's program, or an error if it is not
// installed.
func (t Tool) find(segpull string) (string, error) {
	if t.program == "" {
		return segpull, nil
	}
	return exec.LookPath(t.program)
}

// environment has the bench's certificate authority where Go's programs and
// curl look for it, and none of the user's own settings.
func (j job) environment() []string {
	env := program.Environment(j.dir)
	if j.ca != "" {
		env = append(env, "SSL_CERT_FILE="+j.ca, "CURL_CA_BUNDLE="+j.ca)
	}
	return env
}

// serve starts what the tool needs beside it.
func (t Tool) serve(ctx context.Context, j job, at program.Place) (service, error) {
	if t.service == nil {
		return service{stop: func() {}}, nil
	}
	return t.service(ctx, j, at)
}

func (j job) blobs() []registrytest.Blob {
	return append([]registrytest.Blob{j.image.Config}, j.image.Layers...)
}

// size is the number of bytes that have to be fetched.
func imageSize(image registrytest.Image) (size int64) {
	for _, b := range (job{image: image}).blobs() {
		size += b.Size
	}
	return size
}

// best is the mirror that gives the most by itself.
func (j job) best() running {
	best := j.mirrors[0]
	for _, m := range j.mirrors {
		if !m.Useless && (best.Useless || m.Rate > best.Rate) {
			best = m
		}
	}
	return best
}

func (m running) host() string { return strings.TrimPrefix(m.url, "http://") }

func (m running) reference(j job) string {
	return fmt.Sprintf("%s/%s:%s", m.host(), j.repository, j.tag)
}

func (m running) blobURL(j job, b registrytest.Blob) string {
	return fmt.Sprintf("%s/v2/%s/blobs/%s", m.url, j.repository, b.Digest)
}

func segpullCommand(j job) (*exec.Cmd, error) {
	args := []string{"-v", "--progress", "plain", "-o", filepath.Join(j.dir, "image.tar")}
	for _, m := range j.mirrors {
		args = append(args, "-m", m.url)
	}
	return exec.Command(j.program, append(args, j.repository+":"+j.tag)...), nil
}

func aria2Command(j job) (*exec.Cmd, error) {
	var input strings.Builder
	for _, b := range j.blobs() {
		urls := make([]string, len(j.mirrors))
		for i, m := range j.mirrors {
			urls[i] = m.blobURL(j, b)
		}
		fmt.Fprintf(&input, "%s\n\tout=%s\n\tchecksum=sha-256=%s\n", strings.Join(urls, "\t"), b.Digest.Encoded(), b.Digest.Encoded())
	}
	cmd := exec.Command(j.program, "--no-conf", "--input-file=-", "--dir="+j.dir,
		"--max-connection-per-server=16", fmt.Sprintf("--split=%d", 16*len(j.mirrors)), "--min-split-size=1M",
		"--lowest-speed-limit=10K", "--max-tries=0", "--retry-wait=1", "--timeout=10", "--connect-timeout=10",
		"--max-file-not-found=5", "--file-allocation=none", "--summary-interval=0", "--console-log-level=error")
	if j.ca != "" {
		cmd.Args = append(cmd.Args, "--ca-certificate="+j.ca)
	}
	cmd.Stdin = strings.NewReader(input.String())
	return cmd, nil
}

func curlCommand(j job) (*exec.Cmd, error) {
	args := []string{
		"--no-progress-meter", "--show-error", "--fail", "--location",
		"--parallel", "--parallel-max", "16", "--retry", "100", "--retry-delay", "1", "--retry-all-errors", "--continue-at", "-",
	}
	for _, b := range j.blobs() {
		args = append(args, "--output", filepath.Join(j.dir, b.Digest.Encoded()), j.best().blobURL(j, b))
	}
	return exec.Command(j.program, args...), nil
}

func craneCommand(j job) (*exec.Cmd, error) {
	return exec.Command(j.program, "pull", "--insecure", "--format=oci", j.best().reference(j), filepath.Join(j.dir, "image")), nil
}

func skopeoCommand(j job) (*exec.Cmd, error) {
	return exec.Command(j.program, "--insecure-policy", "copy", "--quiet", "--retry-times", "5", "--src-tls-verify=false",
		"docker://"+j.best().reference(j), "docker-archive:"+filepath.Join(j.dir, "image.tar")+":bench:1"), nil
}

func regctlCommand(j job) (*exec.Cmd, error) {
	return exec.Command(j.program, "--host", "reg="+j.best().host()+",tls=disabled", "--verbosity", "error",
		"image", "export", j.best().reference(j), filepath.Join(j.dir, "image.tar")), nil
}
