package deploytest

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	// listen and server are the lines of deploy/nginx/segpull.conf that users correct.
	listen = regexp.MustCompile(`(?m)^ *listen 5050;$`)
	server = regexp.MustCompile(`(?m)^( *)server 10\.0\.0\.1\d:5050 (.*;)\n`)
)

// Nginx returns the configuration config, which is that in deploy/nginx/segpull.conf or
// a variant, for an nginx that listens on an address, before these origins. All
// addresses are host:port. The result belongs into nginx's http block.
func Nginx(config, address string, origins []string) (string, error) {
	if n := len(listen.FindAllString(config, -1)); n != 1 {
		return "", fmt.Errorf("the configuration of nginx has %d lines `listen 5050;`, want one", n)
	}
	config = listen.ReplaceAllString(config, "    listen "+address+";")
	lines := server.FindAllStringSubmatchIndex(config, -1)
	if len(lines) == 0 {
		return "", fmt.Errorf("the configuration of nginx has no lines `server 10.0.0.1N:5050 …;`")
	}
	indent, options := config[lines[0][2]:lines[0][3]], config[lines[0][4]:lines[0][5]]
	var all strings.Builder
	for _, o := range origins {
		fmt.Fprintf(&all, "%sserver %s %s\n", indent, o, options)
	}
	return config[:lines[0][0]] + all.String() + config[lines[len(lines)-1][1]:], nil
}
