package registry

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"strings"

	"github.com/segpull/segpull/internal/readable"
)

// explain reads an error's body: that of the distribution specification, that
// of S3 and similar stores, or else its readable text.
func explain(header http.Header, body []byte) (code, message string) {
	var spec struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &spec) == nil && len(spec.Errors) > 0 {
		return oneLine(spec.Errors[0].Code), oneLine(spec.Errors[0].Message)
	}
	var s3 struct {
		Code    string
		Message string
	}
	if !isWebPage(header, body) && xml.Unmarshal(body, &s3) == nil && s3.Code+s3.Message != "" {
		return oneLine(s3.Code), oneLine(s3.Message)
	}
	return "", readableText(body)
}

// readableText returns the text of the body of an answer, in
// one line of at most 300 characters. URLs are cut down to their hosts.
func readableText(body []byte) string { return oneLine(readable.Text(body)) }

func isWebPage(header http.Header, body []byte) bool {
	return isHTML(header) && !json.Valid(body) || readable.IsPage(body)
}

func isHTML(header http.Header) bool {
	return strings.HasPrefix(strings.ToLower(header.Get("Content-Type")), "text/html")
}

// webPage is the error of an answer that should have been a blob.
func webPage(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes)) // a cut-off one says enough
	return permanent("answered with a web page: " + readableText(body))
}
