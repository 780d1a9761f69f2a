package hostconf

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// header is the header of a table in a TOML file: [a.b] or [[a.b]].
type header struct {
	key  []string
	line int
}

// is reports whether the header's key is this one.
func (h header) is(key ...string) bool { return slices.Equal(h.key, key) }

// headers returns the headers of the tables in the order of the file. Inline tables and
// dotted keys have none.
func headers(data []byte) (found []header) {
	var p unstable.Parser
	p.Reset(data)
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.Table && e.Kind != unstable.ArrayTable {
			continue
		}
		h := header{}
		for key := e.Key(); key.Next(); {
			node := key.Node()
			h.key = append(h.key, string(node.Data))
			if h.line == 0 {
				h.line = p.Shape(node.Raw).Start.Line
			}
		}
		found = append(found, h)
	}
	return found
}

// unmarshal decodes TOML, without the keys that into does not have. The error has the
// line of the mistake.
func unmarshal(data []byte, into any) error {
	err := toml.Unmarshal(data, into)
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := e.Position()
		return fmt.Errorf("line %d: %s", line, plainly(e))
	}
	return err
}

// plainly returns the message of a decoder's error without the Go types in it.
func plainly(e *toml.DecodeError) string {
	message := strings.TrimPrefix(e.Error(), "toml: ")
	if strings.HasPrefix(message, "cannot decode ") || strings.HasPrefix(message, "cannot store ") {
		return strings.Join(e.Key(), ".") + " has the wrong type"
	}
	return message
}
