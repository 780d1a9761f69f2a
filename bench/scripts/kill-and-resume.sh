#!/bin/sh
# Kills a pull repeatedly, without a warning, and shows that what had
# arrived is not fetched again. Needs segpull, nothing else.
#
#   bench/scripts/kill-and-resume.sh [-n KILLS] [-s SECONDS] IMAGE MIRROR...
#   bench/scripts/kill-and-resume.sh -n 5 -s 4 ubuntu:22.04 daocloud docker.io
set -eu

fail() {
  echo "${0##*/}: $1" >&2
  sed -n '5s/^# */usage: /p' "$0" >&2
  exit 2
}

kills=5
seconds=3
while getopts n:s: flag; do
  case $flag in
    n) kills=$OPTARG ;;
    s) seconds=$OPTARG ;;
    *) fail "unknown option, or one without its value" ;;
  esac
done
shift $((OPTIND - 1))
case $kills in '' | *[!0-9]*) fail "-n $kills: expected a whole number" ;; esac
case $seconds in
  *[!0-9.]* | *.*.*) fail "-s $seconds: expected seconds, such as 3 or 0.5" ;;
  *[1-9]*) ;;
  *) fail "-s $seconds: expected more than no time" ;;
esac
[ $# -ge 2 ] || fail "expected an image and its mirrors"
image=$1
shift
for mirror; do set -- "$@" -m "$mirror"; shift; done

work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# number prints a field of the last event that has it; of the image's, which
# come before those of its blobs.
number() { grep "\"$1\":" "$work/events" | tail -1 | grep -o "\"$1\":[0-9]*" | head -1 | cut -d: -f2; }

n=0
while [ "$n" -lt "$kills" ]; do
  n=$((n + 1))
  : >"$work/events" # the kill may come before any
  segpull "$@" --progress json -o "$work/image.tar" "$image" 2>"$work/events" >/dev/null &
  pid=$!
  sleep "$seconds"
  if ! kill -KILL "$pid" 2>/dev/null; then
    echo "ended before kill $n; give a smaller -s or a larger image"
    break
  fi
  wait "$pid" 2>/dev/null || true
  [ -n "$(number done)" ] || { echo "killed before anything arrived; give a larger -s"; continue; }
  echo "killed: $(number done) of $(number total) bytes on disk, $(number resumed) of them from runs before"
done
pid=
segpull "$@" --progress json -o "$work/image.tar" "$image" 2>"$work/events" >"$work/out" || {
  code=$?
  grep -o '"message":"[^"]*"' "$work/events" | tail -1 >&2
  exit $code
}
echo "finished: fetched $(number fetched) and resumed $(number resumed) of $(number size) bytes"
cat "$work/out"
