#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Files in the repository that are made from tables must be what the tables give now.
# Usage: ci/generated.sh <path to shardmq>
set -euo pipefail
cd "$(dirname "$0")/.."
shardmq=${1:?usage: ci/generated.sh <path to shardmq>}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

status=0
same() { # file made-now command
    if ! diff -u "$1" "$2" >"$work/diff"; then
        head -n 20 "$work/diff"
        echo "$1 is stale; make it with: $3"
        status=1
    fi
}

python3 ci/generate_mqtt_h.py --check || status=1
"$shardmq" start --dump-config --defaults >"$work/shardmq.conf"
same conf/shardmq.conf "$work/shardmq.conf" "shardmq start --dump-config --defaults > conf/shardmq.conf"
"$shardmq" start --openapi >"$work/openapi.json"
same api/openapi.json "$work/openapi.json" "shardmq start --openapi > api/openapi.json"
"$shardmq" man --letters >"$work/letters.md"
same bench/letters.md "$work/letters.md" "shardmq man --letters > bench/letters.md"
exit $status
