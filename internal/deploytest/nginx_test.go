package deploytest

import (
	"os"
	"strings"
	"testing"
)

func TestNginx(t *testing.T) {
	config, err := os.ReadFile("../../deploy/nginx/segpull.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, origins := range [][]string{{"127.0.0.1:1"}, {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"}} {
		got, err := Nginx(string(config), "127.0.0.1:5", origins)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range origins {
			if strings.Count(got, "    server "+o+" max_fails=3 fail_timeout=10s;\n") != 1 {
				t.Errorf("%s is not once in\n%s", o, got)
			}
		}
		if strings.Contains(got, "server 10.0.0.1") || strings.Count(got, "listen 127.0.0.1:5;") != 1 || !strings.Contains(got, "keepalive 64;") {
			t.Errorf("not adapted:\n%s", got)
		}
	}
	for _, wrong := range []string{
		"", strings.Replace(string(config), "listen 5050;", "listen 80;", 1), strings.ReplaceAll(string(config), "server 10.0.0.1", "server 10.1.1.1"),
	} {
		if _, err := Nginx(wrong, "127.0.0.1:5", nil); err == nil {
			t.Errorf("accepted:\n%s", wrong)
		}
	}
}
