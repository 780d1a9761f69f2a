#!/bin/sh
# Compares segpull with curl on your network: the rate that curl gets from each of
# your mirrors alone, and the rate of one pull from all of them at once.
# Needs segpull and curl, nothing else. Fetches the image once and up to ten
# seconds of its largest layer from each mirror. LIMIT, bytes a second, holds
# for segpull's mirrors together, and for each mirror that curl has alone.
#
#   bench/scripts/weak-network.sh [-l LIMIT] IMAGE MIRROR_URL...
#   bench/scripts/weak-network.sh -l 2M ubuntu:22.04 https://docker.m.daocloud.io https://registry-1.docker.io
set -eu

fail() {
  echo "${0##*/}: $1" >&2
  sed -n '8s/^# */usage: /p' "$0" >&2
  exit 2
}

# bytes prints a limit without its unit: those of curl are not segpull's.
bytes() {
  awk -v s="$1" 'BEGIN {
    if (s !~ /^[0-9]+(\.[0-9]+)?([KMGkmg](iB|B)?)?$/) exit 1
    unit = s
    gsub(/[0-9.]/, "", unit)
    n = s + 0
    for (p = index("KMG", toupper(substr(unit, 1, 1))) * (unit != ""); p > 0; p--) n *= unit ~ /^.B$/ ? 1000 : 1024
    if (n < 1) exit 1
    printf "%.0f", n
  }'
}

limit=
while getopts l: flag; do
  case $flag in
    l) limit=$(bytes "$OPTARG") || fail "-l $OPTARG: expected bytes a second, such as 500K or 2M" ;;
    *) fail "unknown option, or one without its value" ;;
  esac
done
shift $((OPTIND - 1))
[ $# -ge 2 ] || fail "expected an image and its mirrors"
image=$1
shift

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# repository prints the image's name below the registry: library/ubuntu.
repository() {
  name=${image%%@*}
  case ${name##*/} in *:*) name=${name%:*} ;; esac
  case $name in
    *.*/* | *:*/* | localhost/*) name=${name#*/} ;;
    */*) ;;
    *) name=library/$name ;;
  esac
  echo "$name"
}

# authorization prints the header that a mirror wants for a URL, if any: an
# anonymous token from where its challenge points.
authorization() {
  challenge=$(curl -sSI --max-time 10 "$1" | tr -d '\r' | sed -n 's/^[Ww][Ww][Ww]-[Aa]uthenticate: Bearer //p')
  [ -n "$challenge" ] || return 0
  field() { echo "$challenge" | sed -n "s/.*$1=\"\([^\"]*\)\".*/\1/p"; }
  curl -sS --max-time 10 -G "$(field realm)" \
    --data-urlencode "service=$(field service)" --data-urlencode "scope=repository:$(repository):pull" |
    sed -n 's/.*"\(access_\)\{0,1\}token" *: *"\([^"]*\)".*/Authorization: Bearer \2/p'
}

# alone prints the bytes a second that curl gets from a mirror.
alone() {
  url=$1/v2/$(repository)/blobs/$2
  header=$(authorization "$url") || header=
  curl -sS --location --max-time 10 --output /dev/null ${limit:+--limit-rate "$limit"} \
    ${header:+--header "$header"} --write-out '%{http_code} %{speed_download}' "$url" 2>"$work/curl" || true
}

echo "segpull, all mirrors:"
for mirror; do set -- "$@" -m "$mirror"; shift; done
segpull "$@" --progress json ${limit:+--limit-rate "$limit"} -o "$work/image.tar" "$image" 2>"$work/events" >"$work/out" || {
  code=$?
  grep -o '"message":"[^"]*"' "$work/events" | tail -1 >&2
  exit $code
}
size=$(sed -n 's/.*"event":"finished".*"size":\([0-9]*\).*/\1/p' "$work/events")
seconds=$(sed -n 's/.*"event":"finished".*"duration_seconds":\([0-9.]*\).*/\1/p' "$work/events")
awk -v b="$size" -v s="$seconds" 'BEGIN { printf "  %.1f MiB in %.1f s: %.0f KiB/s\n", b/1048576, s, b/s/1024 }'

echo "curl, the largest layer for ten seconds, from each alone:"
largest=$(grep '"event":"resolved"' "$work/events" | grep -o '"digest":"sha256:[0-9a-f]*","size":[0-9]*' |
  sed 's/"digest":"\(.*\)","size":\(.*\)/\2 \1/' | sort -n | tail -1 | cut -d' ' -f2)
sum=0
for mirror; do
  [ "$mirror" = -m ] && continue
  # shellcheck disable=SC2046 # two words on purpose
  set -- $(alone "${mirror%/}" "$largest")
  case ${1:-000} in
    200) sum=$(awk -v a="$sum" -v b="$2" 'BEGIN { print a+b }')
         awk -v m="$mirror" -v b="$2" 'BEGIN { printf "  %-40s %8.0f KiB/s\n", m, b/1024 }' ;;
    *) printf '  %-40s failed: status %s %s\n' "$mirror" "${1:-000}" "$(tail -1 "$work/curl")" ;;
  esac
done
# What curl got from all may be more than the limit lets segpull have.
awk -v b="$size" -v s="$seconds" -v sum="$sum" -v limit="${limit:-0}" 'BEGIN {
  if (sum <= 0) exit
  if (limit > 0 && limit < sum) printf "segpull got %.2f of the limit, which is less than the sum of what curl got.\n", b/s/limit
  else printf "segpull got %.2f of the sum of what curl got.\n", b/s/sum
}'
