package credentials

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// mostFileBytes is how large a file of logins may be.
const mostFileBytes = 1 << 20

// file is one file of logins. It is read when it is first needed, and once.
type file struct {
	path   string
	advice string // what to do when it does not exist; "" where that is normal

	once     sync.Once
	contents contents
	fault    error // why there are no contents
}

// contents is what docker's config.json and podman's auth.json have in common,
// and what concerns logins in them.
type contents struct {
	// Auths holds the entries undecoded, so that a damaged one affects no other.
	Auths       map[string]json.RawMessage `json:"auths"`
	CredHelpers map[string]string          `json:"credHelpers"`
	CredsStore  string                     `json:"credsStore"`
}

// load returns the contents, or an error with the file's path and what to do,
// but no text of the file. A file that may be absent and is has no contents.
func (f *file) load() (contents, error) {
	f.once.Do(func() {
		f.contents, f.fault = f.read()
	})
	return f.contents, f.fault
}

func (f *file) read() (contents, error) {
	text, err := readRegular(f.path)
	if absent(err) {
		if f.advice == "" {
			return contents{}, nil
		}
		return contents{}, fmt.Errorf("%s does not exist, so segpull reads no login from it; %s", f.path, f.advice)
	}
	var c contents
	if err == nil {
		c, err = parse(text)
	}
	if err != nil {
		return contents{}, fmt.Errorf("%s: %w, so segpull reads no login from it; correct or remove the file, then run docker login", f.path, err)
	}
	return c, nil
}

// absent reports whether an error means that there is no such file. The path
// of one below /dev/null leads through a file.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// readRegular returns the text of a regular file. It opens anything else
// without waiting: O_NONBLOCK means nothing for regular files, and nothing at
// all on Windows. Its errors do not name the path.
func readRegular(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, withoutPath(err)
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, mostFileBytes+1))
	if err != nil {
		return nil, withoutPath(err)
	}
	if len(text) > mostFileBytes {
		return nil, errors.New("it is larger than 1 MiB")
	}
	return text, nil
}

func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// parse reads the JSON of a file. A byte order mark, and a file without any
// text, are normal. Its errors quote nothing of the text.
func parse(text []byte) (contents, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	var c contents
	if len(bytes.TrimSpace(text)) == 0 {
		return c, nil
	}
	err := json.Unmarshal(text, &c)
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return contents{}, fmt.Errorf("its JSON is broken in line %d", line(text, e.Offset))
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return contents{}, fmt.Errorf("its JSON holds a value of the wrong type in line %d", line(text, e.Offset))
	}
	if err != nil {
		return contents{}, errors.New("its JSON is broken")
	}
	return c, nil
}

// line returns the number of the line that holds the byte at an offset.
func line(text []byte, offset int64) int {
	return 1 + bytes.Count(text[:min(offset, int64(len(text)))], []byte("\n"))
}
