#!/usr/bin/env bash
# Runs five programs against every row of the gallery and writes docs/gallery-clients.md to stdout.
# Usage: docs/gallery-clients.sh [TCPECHO] > docs/gallery-clients.md
set -euo pipefail
tcpecho=$(command -v "${1:-tcpecho}")
work=$(mktemp -d)
trap 'kill "$server" 2> /dev/null || true; rm -r "$work"' EXIT
mkfifo "$work/ready"
"$tcpecho" serve --gallery --json --seed 1 -l 127.0.0.1:0 > "$work/ready" 2> "$work/log" &
server=$!
read -r ready < "$work/ready"
mapfile -t ports < <(grep -o '"port":[0-9]*' <<< "$ready" | cut -d: -f2)
mapfile -t names < <(grep -o '"name":"[^"]*"' <<< "$ready" | cut -d'"' -f4)
mapfile -t endings < <(grep -o '"ending":"[^"]*"' <<< "$ready" | cut -d'"' -f4)

titles=("tcpecho connect" "ncat" "nc (OpenBSD)" "socat" "curl telnet" "curl http")
# Each has 12 bytes and the end of its input on stdin, and a waiting limit of 3 seconds where it has such an option.
client() {
    case $1 in
    0) "$tcpecho" connect --timeout 3s --connect-timeout 3s 127.0.0.1 "$2" ;;
    1) ncat -w 3s 127.0.0.1 "$2" ;;
    2) nc.openbsd -N -w 3 127.0.0.1 "$2" ;;
    3) socat -t 3 -T 3 - "TCP:127.0.0.1:$2,connect-timeout=3" ;;
    4) curl -sS --max-time 3 "telnet://127.0.0.1:$2" ;;
    5) curl -sS --max-time 3 "http://127.0.0.1:$2/" ;;
    esac
}
export -f client
export tcpecho

# One line: exit status, seconds, bytes on stdout, first line on stderr.
run() {
    local out=$work/$1-$2 begin status=0 took said
    begin=$(date +%s%N)
    printf 'hello, world' | timeout 10 bash -c 'client "$@"' - "$1" "${ports[$2]}" > "$out.out" 2> "$out.err" || status=$?
    took=$((($(date +%s%N) - begin) / 100000000))
    if [ "$1" = 0 ]; then
        # Its cause is in the line that begins with "means".
        said=$(grep -m 1 means: "$out.err" || true)
        said="$(head -n 1 "$out.err" | sed 's/^tcpecho: //')${said:+: ${said#*means: }}"
    else
        said=$(tr -d '\r' < "$out.err" | head -n 1)
    fi
    said=$(cut -c 1-90 <<< "$said" | sed 's/127\.0\.0\.1[: ]\(port \)\{0,1\}[0-9]*/HOST/g; s/[|]/\\|/g; s/</\&lt;/g; s/.*socat\[[0-9]*\] //')
    printf '%s, %d.%d s, %s B' "$status" $((took / 10)) $((took % 10)) "$(stat -c %s "$out.out")" > "$out.cell"
    [ -z "$said" ] || printf ': %s' "$said" >> "$out.cell"
}

# backlog-full drops each SYN, so its clients do not disturb each other; the rows are separate servers.
for client in "${!titles[@]}"; do
    for row in "${!ports[@]}"; do
        run "$client" "$row" &
        [ "$(jobs -rp | wc -l)" -lt 9 ] || wait -n
    done
done
for job in $(jobs -rp); do
    [ "$job" = "$server" ] || wait "$job" || true
done

cat << 'END'
# Clients against the gallery

What five programs do in each row of [the gallery](gallery.md): exit status, time, bytes on stdout, and the first line on
stderr. Each had the 12 bytes `hello, world` and the end of its input on stdin, and a waiting limit of 3 seconds where the
program has one (that of ncat is only for connecting). `timeout` ended those that took 10 seconds (exit status 124).
`curl http` sends a GET request instead. The script docs/gallery-clients.sh has the command lines and writes this page.

A client is right if it exits with 0 exactly where the ending is `finished`. Where an answer is cut, changed or never comes,
a program that copies bytes cannot know it, and exits with 0.

END
printf '| fault | ending |'
printf ' %s |' "${titles[@]}"
printf '\n|---|---|'
printf -- '---|%.0s' "${titles[@]}"
printf '\n'
for row in "${!ports[@]}"; do
    printf '| `%s` | %s |' "${names[$row]}" "${endings[$row]}"
    for client in "${!titles[@]}"; do
        printf ' %s |' "$(cat "$work/$client-$row.cell")"
    done
    printf '\n'
done
