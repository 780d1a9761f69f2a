// Package manual reads the help texts of the command, which are written by hand, and makes
// from them what else describes the command: its man page, and the descriptions that shells
// show with completions.
//
// A help text has paragraphs that begin at the left margin, and sections: a heading that
// ends in a colon, and indented lines. Descriptions of flags begin in column 28, in the line
// of the flag or in the next one.
package manual
