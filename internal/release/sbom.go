package main

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

// A document of SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3), with the fields used here.
type spdxDocument struct {
	SPDXVersion       string             `json:"spdxVersion"`
	DataLicense       string             `json:"dataLicense"`
	SPDXID            string             `json:"SPDXID"`
	Name              string             `json:"name"`
	DocumentNamespace string             `json:"documentNamespace"`
	CreationInfo      spdxCreation       `json:"creationInfo"`
	Packages          []spdxPackage      `json:"packages"`
	Relationships     []spdxRelationship `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	SPDXID           string          `json:"SPDXID"`
	Name             string          `json:"name"`
	VersionInfo      string          `json:"versionInfo"`
	DownloadLocation string          `json:"downloadLocation"`
	FilesAnalyzed    bool            `json:"filesAnalyzed"`
	SourceInfo       string          `json:"sourceInfo,omitempty"` // the checksum in go.sum
	ExternalRefs     []spdxReference `json:"externalRefs"`
}

type spdxReference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

// sbom lists the modules in a binary, and Go's standard library.
func sbom(name string, info *debug.BuildInfo, created time.Time) ([]byte, error) {
	const program = "SPDXRef-Package-0"
	d := spdxDocument{
		SPDXVersion:       "SPDX-2.3",
		DataLicense:       "CC0-1.0",
		SPDXID:            "SPDXRef-DOCUMENT",
		Name:              name,
		DocumentNamespace: "https://github.com/segpull/segpull/sbom/" + name,
		CreationInfo:      spdxCreation{created.UTC().Format(time.RFC3339), []string{"Tool: github.com/segpull/segpull/internal/release"}},
		Relationships:     []spdxRelationship{{"SPDXRef-DOCUMENT", "DESCRIBES", program}},
	}
	library := &debug.Module{Path: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go")}
	for i, m := range append([]*debug.Module{&info.Main, library}, info.Deps...) {
		p := spdxPackage{
			SPDXID: fmt.Sprintf("SPDXRef-Package-%d", i), Name: m.Path, VersionInfo: m.Version, DownloadLocation: "NOASSERTION",
			ExternalRefs: []spdxReference{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + m.Path + "@" + m.Version}},
		}
		if m.Sum != "" {
			p.SourceInfo = "go.sum: " + m.Sum
		}
		d.Packages = append(d.Packages, p)
		if i > 0 {
			d.Relationships = append(d.Relationships, spdxRelationship{program, "DEPENDS_ON", p.SPDXID})
		}
	}
	return json.MarshalIndent(d, "", "  ")
}
