// Package chart draws the bench's pictures as SVG, readable on light and dark
// backgrounds: the colours follow prefers-color-scheme.
//
// Three kinds of picture, each a struct with an SVG method: Bars compares,
// Lanes shows what happened when, Area adds up over time. The same data gives
// the same bytes.
package chart
