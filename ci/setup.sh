#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Installs what is missing to build (ci/setup.sh build) or to build and test (ci/setup.sh test).
# Debian 12, Debian 13 and Ubuntu 24.04. Does nothing, quickly, when everything is there.
set -euo pipefail

build_packages=(gcc g++ cmake ninja-build git pkg-config liburing-dev android-libboringssl-dev
    libcjson-dev libmimalloc-dev libxxhash-dev)
test_packages=(clang libcmocka-dev libbenchmark-dev mosquitto mosquitto-clients python3
    python3-paho-mqtt universal-ctags)

say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

wanted=("${build_packages[@]}")
case "${1:-build}" in
build) ;;
test)
    wanted+=("${test_packages[@]}")
    # any node with npm will do; the distribution's only when there is none
    command -v node >/dev/null && command -v npm >/dev/null || wanted+=(nodejs npm)
    ;;
*) fail "usage: ci/setup.sh [build|test]" ;;
esac

command -v dpkg-query >/dev/null ||
    fail "this script knows Debian and Ubuntu; elsewhere install by hand what README.md lists"

missing=()
for package in "${wanted[@]}"; do
    # a library may be installed under a name with a suffix (t64), which then provides the plain one
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
        missing+=("$package")
done
if [ "${#missing[@]}" -eq 0 ]; then
    exit 0
fi

say "installing ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
        fail "not root and no sudo: have somebody run: apt-get install ${missing[*]}"
    as_root=(sudo)
fi

# Debian starts a broker as soon as its package is installed. Only its program is wanted here: what this
# script brings in, it does not leave running.
stop_mosquitto=no
case " ${missing[*]} " in *" mosquitto "*) stop_mosquitto=yes ;; esac

export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q >/dev/null ||
    fail "apt-get update failed: are the package sources reachable?"
if ! "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" >/tmp/shardmq-setup.$$ 2>&1; then
    tail -n 5 /tmp/shardmq-setup.$$ >&2
    rm -f /tmp/shardmq-setup.$$
    fail "apt-get install failed (above). On Ubuntu the packages are in 'universe': add-apt-repository universe"
fi
rm -f /tmp/shardmq-setup.$$
if [ "$stop_mosquitto" = yes ] && [ -d /run/systemd/system ]; then
    say "stopping and disabling the mosquitto service that came with the package"
    "${as_root[@]}" systemctl disable --now mosquitto >/dev/null 2>&1 || true
fi
