package sources

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// located turns the decoder's errors into FILE:LINE:COLUMN lines.
func located(path string, err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var all []error
		for _, e := range strict.Errors {
			line, column := e.Position()
			all = append(all, fmt.Errorf("%s:%d:%d: unknown key %s; known are %s",
				path, line, column, strings.Join(e.Key(), "."), knownKeys(e.Key())))
		}
		return errors.Join(all...)
	}
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := e.Position()
		return fmt.Errorf("%s:%d:%d: %s", path, line, column, inTOML(e))
	}
	return fmt.Errorf("%s: %w", path, err)
}

// knownKeys lists the keys of the table that contains key.
func knownKeys(key toml.Key) string {
	_, table := field(key[:len(key)-1])
	var keys []string
	for f := range table.Fields() {
		if k := f.Tag.Get("toml"); k != "" && k != "-" {
			keys = append(keys, k)
		}
	}
	return strings.Join(keys, ", ")
}

// inTOML returns the message of a decoder's error without the Go types that
// it names for a value of the wrong type.
func inTOML(e *toml.DecodeError) string {
	message := strings.TrimPrefix(e.Error(), "toml: ")
	if !strings.HasPrefix(message, "cannot decode ") && !strings.HasPrefix(message, "cannot store ") {
		return message
	}
	key, t := field(e.Key())
	return fmt.Sprintf("%s: expected %s", strings.Join(key, "."), expected[t])
}

// expected says what a value of a type is in TOML.
var expected = map[reflect.Type]string{
	reflect.TypeFor[string]():            "a string",
	reflect.TypeFor[[]string]():          "a list of strings",
	reflect.TypeFor[Paths]():             "a string or a list of strings",
	reflect.TypeFor[bool]():              "true or false",
	reflect.TypeFor[*bool]():             "true or false",
	reflect.TypeFor[int]():               "a whole number",
	reflect.TypeFor[Size]():              `a size such as "4MiB"`,
	reflect.TypeFor[Rate]():              `a rate such as "2M"`,
	reflect.TypeFor[Timetable]():         `a rate such as "2M"`,
	reflect.TypeFor[Duration]():          `a time such as "90s"`,
	reflect.TypeFor[*Duration]():         `a time such as "90s"`,
	reflect.TypeFor[[]netip.Prefix]():    `a list of networks such as "10.0.0.0/8"`,
	reflect.TypeFor[map[string]string](): "a table of strings",
	reflect.TypeFor[map[string]Mirror](): "tables named [mirror.NAME]",
	reflect.TypeFor[Mirror]():            "a table",
	reflect.TypeFor[Serve]():             "a table",
}

// field follows a key into Config, as far as there are tables, and returns
// that much of the key, and the type there.
func field(key toml.Key) (toml.Key, reflect.Type) {
	t := reflect.TypeFor[Config]()
	for i, k := range key {
		next := below(t, k)
		if next == nil {
			return key[:i], t
		}
		t = next
	}
	return key, t
}

// below returns the type of a key in a table of type t, nil where t is not a table.
func below(t reflect.Type, key string) reflect.Type {
	switch t.Kind() {
	case reflect.Map:
		return t.Elem()
	case reflect.Struct:
		for f := range t.Fields() {
			if f.Tag.Get("toml") == key {
				return f.Type
			}
		}
	}
	return nil
}
