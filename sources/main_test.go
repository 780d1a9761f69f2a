package sources

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/segpull/segpull/internal/testmain"
)

// TestMain hides the files of the user from the tests.
func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "sources")
	if err != nil {
		panic(err)
	}
	os.Setenv("HOME", home)
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"} {
		os.Unsetenv(name)
	}
	testmain.Main(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(home)
		os.Exit(code)
	}))
}
