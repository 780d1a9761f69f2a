// Package report presents the runs of a lab: as lines, tables, pictures, and as
// a comparison with a baseline.
//
//	[]lab.Run ─→ Summarize ─→ []Summary ─→ Results ─→ results.md, results.json, time.svg
//	     │                        └──────→ Baseline ─→ Compare
//	     ├─→ Line                 one line for each run, with the goals that it misses
//	     ├─→ Races                segpull's time as a share of that of others in the same turns
//	     └─→ WriteTimeline        timeline.svg, throughput.svg
//
// Times are medians with the least and the greatest. Runs that failed do not
// count in them unless all failed; the number of failures is always shown.
package report
