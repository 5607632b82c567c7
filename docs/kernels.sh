#!/bin/sh
# Prints what docs/kernels.md says of a kernel: of the one that it runs on.
#
#     docs/kernels.sh TCPECHO
#     .ci/vm --file TCPECHO docs/kernels.sh TCPECHO
#
# TCPECHO is the program's absolute path.
set -u
tcpecho=${1:?usage: docs/kernels.sh TCPECHO}

echo "kernel $(uname -r)"
for key in tcp_child_ehash_entries tcp_syn_linear_timeouts tcp_rto_min_us tcp_rto_max_ms tcp_tw_reuse_delay; do
    value=$(cat "/proc/sys/net/ipv4/$key" 2>/dev/null) || value=missing
    echo "net.ipv4.$key $value"
done
"$tcpecho" serve --engine list
"$tcpecho" lab doctor
