// Package lang puts into Chinese what segpull prints for people.
//
// The library is written in English and does not know this package. The command looks up
// the formats of its own words with [Language.Format], and gives finished texts of the
// library, which are errors and warnings, to [Language.Text]. That finds the formats that
// a text was made from by what they have between their placeholders, and the formats
// that the text in a placeholder was made from, as fmt.Errorf wraps errors. What it does
// not find stays English.
//
// The catalogues are files beside this one. A test compares them with the source: each
// message has its Chinese, with the same placeholders.
package lang
