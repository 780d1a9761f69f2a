package sources

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/segpull/segpull/internal/registrytest"
)

// newTarget returns the target with a name and the lines that it warned of.
func newTarget(t *testing.T, cfg Config, name string) (target *Target, warned []string, err error) {
	t.Helper()
	target, err = NewTarget(cfg, NewLogins(os.DevNull, func(string) {}), name, func(line string) { warned = append(warned, line) })
	if err == nil {
		t.Cleanup(target.Close)
	}
	return target, warned, err
}

func TestATargetHasTheSettingsOfItsTable(t *testing.T) {
	s := registrytest.New()
	host := strings.TrimPrefix(s.Start(t), "http://")
	target, _, err := newTarget(t, Config{Mirror: map[string]Mirror{host: {Headers: map[string]string{"X-Token": "let me in"}}}}, host)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := target.Digest(t.Context(), "team/app", "1"); d != "" || err != nil {
		t.Errorf("a tag that is not there has the digest %q, %v", d, err)
	}
	if log := s.Stats().Log; log[len(log)-1].Header.Get("X-Token") != "let me in" {
		t.Errorf("it got the header %v", log[len(log)-1].Header)
	}
	if target.Registry() != host {
		t.Errorf("it is called %s", target.Registry())
	}
}

func TestTargetsThatAreNotUsable(t *testing.T) {
	no := false
	for name, cfg := range map[string]Config{
		"mirror":           {},
		"UPPER/a":          {},
		"registry.example": {Mirror: map[string]Mirror{"registry.example": {CA: Paths{"/does/not/exist"}}}},
	} {
		_, _, err := newTarget(t, cfg, name)
		if _, usage := errors.AsType[*UsageError](err); !usage {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, warned, err := newTarget(t, Config{Mirror: map[string]Mirror{"registry.example": {TLSVerify: &no}}}, "registry.example")
	if err != nil || len(warned) != 1 || !strings.Contains(warned[0], "gets what is pushed") {
		t.Errorf("without the check of its certificate: %q, %v", warned, err)
	}
}

func TestARefusedTargetSaysWhatToDo(t *testing.T) {
	s := registrytest.New()
	s.Misbehave(registrytest.Status(http.StatusUnauthorized).On())
	host := strings.TrimPrefix(s.Start(t), "http://")
	target, _, err := newTarget(t, Config{}, host)
	if err != nil {
		t.Fatal(err)
	}
	_, err = target.Has(t.Context(), "team/app", registrytest.NewBlob("", nil).Digest)
	if err == nil || !refused(err) || !strings.Contains(err.Error(), "pushing needs a login with write access: run docker login "+host) {
		t.Errorf("the error is %v", err)
	}
}
