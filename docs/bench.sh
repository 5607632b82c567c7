#!/usr/bin/env bash
# Makes the figures of docs/bench.md, between its markers, in about four minutes:
#
#     cargo build --release && docs/bench.sh [path to tcpecho] > figures && docs/bench.sh --insert figures
#
# Needs two processors and nobody else on them. What is not installed is left out, and said so.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

if [ "${1:-}" = --insert ]; then
    awk -v figures="$2" '
        /<!-- figures -->/ { print; while ((getline line < figures) > 0) print line; skip = 1; next }
        /<!-- end of figures -->/ { skip = 0 }
        !skip { print }' "$here/bench.md" > "$here/bench.md.new"
    mv "$here/bench.md.new" "$here/bench.md"
    exit
fi

program=${1:-$here/../target/release/tcpecho}
seconds=${SECONDS_EACH:-1}
seconds_long=${seconds%%.*}; seconds_long=$((seconds_long > 0 ? seconds_long : 1))
rounds=${ROUNDS:-3}
work=$(mktemp -d)
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT

say() { echo "bench.sh: $*" >&2; }
# The number after "name": in a JSON result.
field() { grep -m1 "\"$2\"" "$1" | sed 's/.*: *\([0-9.e+-]*\).*/\1/'; }
# One run, whose throughput goes into that file; one that failed is told and not counted.
run() {
    local into=$1
    shift
    if "$program" bench "$@" -d "$seconds" -q --json > "$work/run.json"; then
        field "$work/run.json" throughput_per_s >> "$work/$into"
    else
        say "bench $* ended with $?"
    fi
}
middle() { sort -g | awk '{ all[NR] = $1 } END { if (NR == 0) print 0; else print (NR % 2) ? all[(NR + 1) / 2] : (all[NR / 2] + all[NR / 2 + 1]) / 2 }'; }

echo
echo "Made on $(date -u +%Y-%m-%d), Linux $(uname -r), $(nproc) processors ($(grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //')),"
echo "load $(cut -d' ' -f1 /proc/loadavg) before it began, by \`docs/bench.sh\`."

# --- an independent generator on the same server -------------------------------------------------
if command -v redis-benchmark > /dev/null; then
    say "redis-benchmark and tcpecho bench in turn"
    taskset -c 0 "$program" serve -l 127.0.0.1:0 --engine epoll --log off > "$work/ready" &
    pids+=($!)
    until grep -q listening "$work/ready"; do
        kill -0 "${pids[0]}" 2> /dev/null || { say "the server did not start"; exit 1; }
        sleep 0.05
    done
    port=$(sed -n '1s/.*:\([0-9]*\) .*/\1/p' "$work/ready")
    echo
    echo "### Against redis-benchmark"
    echo
    echo "The same server (epoll engine), $((rounds + 1)) rounds in turn, medians. redis-benchmark's \`ping_mbulk\` sends 14 bytes, and an echo of"
    echo "them is a reply it understands; both with 50 connections, one or 16 messages under way on each."
    echo
    echo "| under way | redis-benchmark, messages/s | tcpecho bench, messages/s | ratio | tcpecho bench --no-check | ratio to checked |"
    echo "|---|---|---|---|---|---|"
    for depth in 1 16; do
        : > "$work/redis" ; : > "$work/ours" ; : > "$work/blind"
        count=$((seconds_long * (depth == 1 ? 60000 : 800000)))
        for _ in $(seq $((rounds + 1))); do
            taskset -c 1 redis-benchmark -p "$port" -t ping_mbulk -c 50 -P "$depth" -n "$count" -q 2> /dev/null |
                tr '\r' '\n' | sed -n 's/.*: \([0-9.]*\) requests per second.*/\1/p' | tail -1 >> "$work/redis" || true
            for check in "" --no-check; do
                # shellcheck disable=SC2086
                run "$([ -z "$check" ] && echo ours || echo blind)" "127.0.0.1:$port" --cpu 1 -t 1 -c 50 -s 14 --depth "$depth" $check
            done
        done
        redis=$(middle < "$work/redis") ours=$(middle < "$work/ours") blind=$(middle < "$work/blind")
        awk -v d="$depth" -v r="$redis" -v o="$ours" -v b="$blind" \
            'BEGIN { printf "| %d | %d | %d | %.2f | %d | %.3f |\n", d, r, o, r ? o / r : 0, b, o ? b / o : 0 }'
    done
    kill "${pids[0]}"; wait "${pids[0]}" 2> /dev/null || true; pids=()
else
    echo; echo "redis-benchmark is not installed: not compared."
fi

# --- what checking costs where it costs most ------------------------------------------------------
say "--no-check with bulk"
: > "$work/checked"; : > "$work/blind"
for _ in $(seq $((rounds + 1))); do
    run checked -W stream -c 2
    run blind -W stream -c 2 --no-check
done
echo
awk -v c="$(middle < "$work/checked")" -v b="$(middle < "$work/blind")" \
    'BEGIN { printf "Bulk is where comparing every byte costs most: `-W stream -c 2` moves %d MB/s each way checked, %d MB/s with `--no-check` (%.2f times).\n", c, b, c ? b / c : 0 }'

# --- the drivers of the generator -----------------------------------------------------------------
say "the drivers"
: > "$work/epoll"; : > "$work/uring"
for _ in $(seq $((rounds + 1))); do
    for driver in epoll uring; do
        run "$driver" -e epoll --driver "$driver"
    done
done
echo
awk -v e="$(middle < "$work/epoll")" -v u="$(middle < "$work/uring")" \
    'BEGIN { printf "The generator itself, rr with 50 connections: %d messages/s with `--driver epoll`, %d with `--driver uring` (%.2f times).\n", e, u, e ? u / e : 0 }'

# --- our engines beside others, one interleaved run for each workload ------------------------------
against=()
if command -v cargo > /dev/null && CARGO_TARGET_DIR="$work/tokio" cargo build -q --release --manifest-path "$here/programs/tokio-echo/Cargo.toml" 2> "$work/tokio.log"; then
    against+=(--against "tokio=exec $work/tokio/release/tokio-echo {port}")
else
    echo; echo "The tokio server could not be built: left out."
fi
if command -v socat > /dev/null; then
    against+=(--against 'socat=exec socat TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,backlog=1024,nodelay PIPE')
else
    echo; echo "socat is not installed: left out."
fi
if command -v ncat > /dev/null; then
    against+=(--against 'ncat=exec ncat -k -l 127.0.0.1 {port} --max-conns 1000 -e /bin/cat')
else
    echo; echo "ncat is not installed: left out."
fi
if xinetd=$(command -v xinetd || ls /usr/sbin/xinetd 2> /dev/null); then
    cat > "$work/xinetd.sh" <<EOF
cat > $work/xinetd.conf <<CONF
service echo
{
    type = INTERNAL UNLISTED
    id = echo-stream
    socket_type = stream
    protocol = tcp
    port = \$1
    bind = 127.0.0.1
    user = $(id -un)
    wait = no
    instances = 2000
    per_source = UNLIMITED
    cps = 100000 1
    disable = no
}
CONF
exec $xinetd -dontfork -f $work/xinetd.conf -pidfile $work/xinetd.pid -filelog /dev/null
EOF
    against+=(--against "xinetd=exec sh $work/xinetd.sh {port}")
else
    echo; echo "xinetd is not installed: left out."
fi

compare() {
    say "$1"
    shift
    local shown="$*"
    echo
    echo "\`\`\`console"
    echo "\$ tcpecho bench $shown --engines all --against ... -d ${seconds}s --rounds $rounds"
    "$program" bench "$@" --engines all "${against[@]}" -d "$seconds" --rounds "$rounds" -q --grace 500ms --timeout 5s || true
    echo "\`\`\`"
}
echo
echo "### Our engines beside others"
compare "requests and responses" -c 50
compare "connect, one request, close" -W crr -c 20
compare "bulk" -W stream -c 8
echo
