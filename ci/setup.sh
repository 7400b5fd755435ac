#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Installs what is missing to build (ci/setup.sh build) or to build and test (ci/setup.sh test).
# Debian 12, Debian 13 and Ubuntu 24.04. Does nothing, quickly, when everything is there.
set -euo pipefail

build_packages=(gcc g++ cmake ninja-build liburing-dev android-libboringssl-dev libcjson-dev
    libmimalloc-dev libxxhash-dev libhttp-parser-dev libwslay-dev libunistring-dev)
test_packages=(git clang libcmocka-dev libbenchmark-dev mosquitto mosquitto-clients python3
    python3-paho-mqtt openssl curl chromium prometheus fail2ban man-db groff zsh
    iproute2)

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
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then wanted+=(nodejs npm); fi
    ;;
*) fail "usage: ci/setup.sh [build|test]" ;;
esac

command -v dpkg-query >/dev/null ||
    fail "this script knows Debian and Ubuntu; elsewhere install the equivalents of: ${wanted[*]}"

# dpkg-query fails when it does not know one of them: that is what is being asked
installed=" $({ dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null || true; } |
    sed -n 's/^installed //p' | tr '\n' ' ') "
missing=()
for package in "${wanted[@]}"; do
    case "$installed" in *" $package "*) ;; *) missing+=("$package") ;; esac
done
[ "${#missing[@]}" -gt 0 ] || exit 0

say "installing ${missing[*]}"
as_root=(env)
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
        fail "not root and no sudo: have somebody run: apt-get install ${missing[*]}"
    as_root=(sudo env)
fi
# no questions, and patience with another installation that is going on
as_root+=(DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1)
options=(-y -q --no-install-recommends -o DPkg::Lock::Timeout=300)

output=$(mktemp)
trap 'rm -f "$output"' EXIT
run() { # what to say when it fails, command
    local sentence=$1
    shift
    if ! "$@" </dev/null >"$output" 2>&1; then
        tail -n 8 "$output" >&2
        fail "$sentence"
    fi
}

run "apt-get update failed (above): are the package sources of this machine reachable?" \
    "${as_root[@]}" apt-get update -q
for package in "${missing[@]}"; do
    apt-cache show "$package" >/dev/null 2>&1 ||
        fail "this system has no package $package. On Ubuntu enable 'universe': sudo add-apt-repository universe"
done
run "apt-get install failed (above)" "${as_root[@]}" apt-get install "${options[@]}" "${missing[@]}"

# Debian starts a service as soon as its package is installed. The tests want the programs only: what this
# script brought in it does not leave running. A service that was there before is left alone.
for service in mosquitto prometheus fail2ban; do
    case " ${missing[*]} " in *" $service "*) ;; *) continue ;; esac
    [ -d /run/systemd/system ] || continue
    say "stopping and disabling the $service service that came with the package"
    "${as_root[@]}" systemctl disable --now "$service" >/dev/null 2>&1 ||
        say "that did not work: $service may be running"
done
say "done"
