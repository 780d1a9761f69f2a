#!/usr/bin/env bash
# Draws docs/run.svg: what `go run ./bench demo` shows on a terminal of 80
# columns, in the middle of the pull and at its end. Needs tmux.
set -euo pipefail
cd "$(dirname "$0")/.."

tmp=$(mktemp -d)
tmux() { command tmux -S "$tmp/tmux" -f /dev/null "$@"; }
trap 'tmux kill-server; rm -rf "$tmp"' EXIT

# shows TEXT FILE waits for a text on the screen, and takes a picture of it.
shows() {
	for ((i = 0; i < 1200; i++)); do
		tmux capture-pane -p -e >"$2"
		if grep -q -- "$1" "$2"; then return; fi
		sleep 0.5
	done
	echo "no '$1' on the screen" >&2
	return 1
}

LC_ALL=C.UTF-8 tmux new-session -d -x 80 -y 30 'go run ./bench demo; sleep 600'
shows 'demo:latest .*5[0-9]% of' "$tmp/middle"
shows 'right digests' "$tmp/end"

# The end begins where the two pictures part.
awk -v middle="$tmp/middle" -v end="$tmp/end" '
# text makes XML of a line. Each has at most one run of bold or yellow, the only
# styles (SGR 1 and 33) that segpull uses; tmux ends it by several codes.
function text(line,    styled) {
	gsub(/&/, "\\&amp;", line); gsub(/</, "\\&lt;", line); gsub(/>/, "\\&gt;", line)
	styled = sub(/\033\[1m/, "<tspan class=\"bold\">", line) || sub(/\033\[33m/, "<tspan class=\"warning\">", line)
	if (styled && !sub(/\033\[[0-9;]*m/, "</tspan>", line)) line = line "</tspan>"
	gsub(/\033\[[0-9;]*m/, "", line)
	return line
}
function show(line) { body = body sprintf("<text x=\"16\" y=\"%d\">%s</text>\n", 12 + 18 * ++rows, text(line)) }
BEGIN {
	while ((getline line < middle) > 0) { before[++n] = line; if (line != "") last = n }
	while ((getline line < end) > 0) { after[++m] = line; if (line != "") final = m }
	for (i = 1; i <= last; i++) show(before[i])
	rows++
	for (same = 1; before[same] == after[same]; same++);
	for (i = same; i <= final; i++) show(after[i])
	height = 30 + 18 * rows
	print "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"708\" height=\"" height "\" viewBox=\"0 0 708 " height "\" role=\"img\" xml:space=\"preserve\">"
	print "<title>segpull pulls from three mirrors, of which one stops</title>"
	print "<style>"
	print "rect { fill: #f6f8fa; stroke: #d1d9e0 }"
	print "text { fill: #1f2328; font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, \"DejaVu Sans Mono\", monospace }"
	print ".bold { font-weight: bold } .warning { fill: #9a6700 }"
	print "@media (prefers-color-scheme: dark) { rect { fill: #151b23; stroke: #3d444d } text { fill: #e6edf3 } .warning { fill: #d29922 } }"
	print "</style>"
	print "<rect x=\"0.5\" y=\"0.5\" width=\"707\" height=\"" height - 1 "\" rx=\"6\"/>"
	printf "%s</svg>\n", body
}' >docs/run.svg
