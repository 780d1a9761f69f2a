package lab

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// archiveName is the file that segpull writes in a job's directory.
const archiveName = "image.tar"

// errNoToken is for tools that fetch URLs.
var errNoToken = errors.New("it cannot ask for a token")

func segpullCommand(j job) (*exec.Cmd, error) {
	args := []string{"-v", "--progress", "plain", "-o", filepath.Join(j.dir, archiveName)}
	for _, m := range j.mirrors {
		args = append(args, "-m", m.url)
	}
	return exec.Command(j.program, append(args, repository+":"+tag)...), nil
}

func aria2Command(j job) (*exec.Cmd, error) {
	if j.best().secure() {
		return nil, errNoToken
	}
	var input strings.Builder
	for _, b := range j.image.blobs() {
		urls := make([]string, len(j.mirrors))
		for i, m := range j.mirrors {
			urls[i] = m.blobURL(b)
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
	if j.best().secure() {
		return nil, errNoToken
	}
	args := []string{
		"--no-progress-meter", "--show-error", "--fail", "--location",
		"--parallel", "--parallel-max", "16", "--retry", "100", "--retry-delay", "1", "--retry-all-errors", "--continue-at", "-",
	}
	for _, b := range j.image.blobs() {
		args = append(args, "--output", filepath.Join(j.dir, b.Digest.Encoded()), j.best().blobURL(b))
	}
	return exec.Command(j.program, args...), nil
}

func craneCommand(j job) (*exec.Cmd, error) {
	args := []string{"pull", "--format=oci"}
	if !j.best().secure() {
		args = append(args, "--insecure")
	}
	return exec.Command(j.program, append(args, j.best().reference(), filepath.Join(j.dir, "image"))...), nil
}

func skopeoCommand(j job) (*exec.Cmd, error) {
	return exec.Command(j.program, "--insecure-policy", "copy", "--quiet", "--retry-times", "5", fmt.Sprintf("--src-tls-verify=%t", j.best().secure()),
		"docker://"+j.best().reference(), "docker-archive:"+filepath.Join(j.dir, "image.tar")+":bench:1"), nil
}

func regctlCommand(j job) (*exec.Cmd, error) {
	tls := "disabled"
	if j.best().secure() {
		tls = "enabled"
	}
	return exec.Command(j.program, "--host", "reg="+j.best().host()+",tls="+tls, "--verbosity", "error",
		"image", "export", j.best().reference(), filepath.Join(j.dir, "image.tar")), nil
}
