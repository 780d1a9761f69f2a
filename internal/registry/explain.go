package registry

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"strings"
)

var errWebPage = errors.New("answered with a web page (captive portal?)")

// explain reads an error's body: that of the distribution specification, that
// of S3 and its kin, a web page, or else text.
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
	if isWebPage(header, body) {
		return "", errWebPage.Error()
	}
	var s3 struct {
		Code    string
		Message string
	}
	if xml.Unmarshal(body, &s3) == nil && s3.Code+s3.Message != "" {
		return oneLine(s3.Code), oneLine(s3.Message)
	}
	return "", oneLine(string(body))
}

func isWebPage(header http.Header, body []byte) bool {
	start := strings.ToLower(string(body[:min(len(body), 512)]))
	return isHTML(header) || strings.Contains(start, "<html") || strings.Contains(start, "<!doctype html")
}

func isHTML(header http.Header) bool {
	return strings.HasPrefix(strings.ToLower(header.Get("Content-Type")), "text/html")
}
