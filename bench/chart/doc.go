// Package chart draws the bench's pictures as SVG, readable on light and dark
// backgrounds: the colours follow prefers-color-scheme.
//
// Three kinds of picture are structs with an SVG method: Bars compares values,
// Lanes shows requests over time, Area stacks rates over time. The same data
// gives the same bytes.
package chart
