// Package limits measures the promises of the project, compared with what the machine
// allows: speed and memory at full speed, the use of several mirrors, a limited
// rate, and the program's own size and start.
//
//	Measure ─→ lab.Run, lab.Floors, program.Measure ─→ a row of Markdown each
package limits
