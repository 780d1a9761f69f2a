// Package pulltest has helpers for tests of pulls: mirrors with an image, pulls from
// them, recorded events, and checks of the results.
package pulltest

import (
	"io"
	"log"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/segpull/segpull/internal/testmain"
)

// Main is the TestMain of such tests, which mostly wait for slow mirrors. It hides the credentials, mirrors and proxies
// of the user who runs the tests, and what net/http logs of unsolicited answers.
func Main(m *testing.M) {
	log.SetOutput(io.Discard)
	home, err := os.MkdirTemp("", "segpull")
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"HOME", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"} {
		os.Setenv(name, home)
	}
	for _, name := range []string{"REGISTRY_AUTH_FILE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		os.Unsetenv(name)
	}
	testmain.Main(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(home)
		os.Exit(code)
	}))
}

const (
	kib = 1 << 10
	mib = 1 << 20

	// Repo is where Serve has the image, as tag 1.
	Repo = "team/app"
	// Ref names that image.
	Ref = "registry.example/team/app:1"
)
