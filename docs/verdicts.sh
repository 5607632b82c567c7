#!/bin/bash
# Makes docs/verdicts.md: our own programs and well-known ones, put through `tcpecho lab test`.
#
#     docs/verdicts.sh
#
# What is not installed, cannot be built or cannot be fetched is left out, and the page says so. TCPECHO names the program to use; without it
# it is built. The programs of docs/programs are built in a directory that is removed at the end.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."

if [ -z "${TCPECHO:-}" ]; then
    cargo build --release --locked -p tcpecho-cli
    TCPECHO="${CARGO_TARGET_DIR:-$PWD/target}/release/tcpecho"
fi
tcpecho=$(realpath "$TCPECHO")
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
# Commands are shown as a reader would type them.
cp "$tcpecho" "$build/tcpecho"
cp docs/programs/client.py docs/programs/server.py "$build"
PATH="$build:$PATH"
cd "$build"

page=$build/verdicts.md
skipped=()

# verdict ROLE COMMAND TITLE: one table, or a line that says why there is none.
verdict() {
    local role=$1 command=$2 title=$3 program=${2%% *} status=0
    if ! command -v "$program" >/dev/null; then
        skipped+=("$title: $program is not installed")
        return
    fi
    echo "$title: $command" >&2
    tcpecho lab test "--$role" "$command" --family both --format json --jobs 16 >out.json 2>err || status=$?
    if [ "$status" -gt 1 ]; then
        skipped+=("$title: $(tail -n 1 err)")
        return
    fi
    cp out.json "table-$(printf %02d "$number")-$role.json"
    printf '%s\n' "$title" >"table-$(printf %02d "$number")-$role.title"
    number=$((number + 1))
}
number=1

compile() {
    gcc -O2 -Wall -Wextra "$@" || skipped+=("$2: does not compile here")
}
compile -o line-client "$here/programs/line-client.c"
compile -o fork-server "$here/programs/fork-server.c"
compile -DREAP -o fork-server-reap "$here/programs/fork-server.c"
if CARGO_TARGET_DIR="${TCPECHO_TOKIO_TARGET:-$build/tokio}" cargo build --quiet --release \
    --manifest-path "$here/programs/tokio-client/Cargo.toml" 2>tokio.err; then
    cp "${TCPECHO_TOKIO_TARGET:-tokio}/release/tokio-client" .
else
    skipped+=("tokio: $(tail -n 1 tokio.err)")
fi

verdict client 'tcpecho connect {host} {port}' 'tcpecho connect'
verdict client './line-client {host} {port}' 'the book'"'"'s blocking client'
verdict client 'ncat {host} {port}' 'ncat'
verdict client 'nc {host} {port}' 'OpenBSD nc'
verdict client 'nc -N {host} {port}' 'OpenBSD nc -N'
verdict client 'socat - TCP:{address}' 'socat'
verdict client 'curl -sSN telnet://{address}' 'curl, telnet'
if [ -x tokio-client ]; then
    verdict client './tokio-client {host} {port}' 'a tokio client'
fi
verdict client 'python3 client.py {host} {port}' 'Python'"'"'s socket module'
for engine in iterative fork thread epoll uring; do
    verdict server "tcpecho serve --engine $engine --port {port}" "tcpecho serve, $engine"
done
verdict server './fork-server {port}' 'the book'"'"'s fork server, no handler'
verdict server './fork-server-reap {port}' 'the book'"'"'s fork server, waitpid in a handler'
verdict server 'python3 server.py {port}' 'Python'"'"'s socketserver'
verdict server 'socat TCP6-LISTEN:{port},ipv6only=0,fork,reuseaddr EXEC:cat' 'socat'
verdict server 'ncat -lk --exec /bin/cat {any} {port}' 'ncat'

# What the whole set of scenarios takes, by the shell's own clock.
TIMEFORMAT='%R s of time, %U s + %S s of processor (user + system)'
{ time tcpecho lab run all --family both >scenarios.txt; } 2>time.txt || true

versions=$(
    uname -sr
    for program in ncat socat curl python3; do
        if command -v "$program" >/dev/null; then
            case $program in
            socat) socat -V | sed -n 's/^socat version \([^ ]*\).*/socat \1/p' ;;
            *) "$program" --version 2>&1 | head -n 1 | cut -d ' ' -f 1,2,3 ;;
            esac
        fi
    done | paste -sd ';' | sed 's/;/; /g'
)
python3 "$here/verdicts.py" "$(tail -n 1 scenarios.txt): $(tail -n 1 time.txt), $(nproc) processors" "$versions" \
    "${skipped[@]+"${skipped[@]}"}" >"$page"
cp "$page" "$here/verdicts.md"
