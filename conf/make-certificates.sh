#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Makes certificates for a trial: an authority, a server's certificate and a client's, each with its key.
#
#   make-certificates.sh FOLDER [SERVER NAME OR ADDRESS ...]
#
# The server's certificate is for the names and addresses given, or for localhost, 127.0.0.1 and ::1. What is
# in the folder already is kept: run it again with other names after removing server.pem, and the authority
# that clients trust stays the same. For production ask a real authority, or keep ca.key somewhere else.
set -euo pipefail
umask 077

[ $# -ge 1 ] || { printf 'usage: %s FOLDER [SERVER NAME OR ADDRESS ...]\n' "$0" >&2; exit 2; }
command -v openssl >/dev/null || { printf '%s: install openssl\n' "$0" >&2; exit 1; }
folder=$1
shift
[ $# -gt 0 ] || set -- localhost 127.0.0.1 ::1
mkdir -p "$folder"
cd "$folder"

names=
for name in "$@"; do
    case $name in
    *[!0-9.]*:* | *:*) names+=",IP:$name" ;;
    *[!0-9.]*) names+=",DNS:$name" ;;
    *) names+=",IP:$name" ;;
    esac
done

run() { # openssl says much when all is well
    local output
    output=$(openssl "$@" 2>&1) || { printf '%s\n' "$output" >&2; exit 1; }
}

new_key() { run genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

if [ ! -e ca.pem ]; then
    new_key ca.key
    run req -x509 -new -key ca.key -sha256 -days 3650 -subj "/CN=ShardMQ trial authority" -out ca.pem \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"
fi

issue() { # name, subject, what it is for, more extensions
    [ ! -e "$1.pem" ] || return 0
    new_key "$1.key"
    run req -new -key "$1.key" -subj "$2" -out "$1.csr"
    printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=%s\n%s' \
        "$3" "${4:-}" >"$1.ext"
    run x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -sha256 -days 825 \
        -extfile "$1.ext" -out "$1.pem"
    rm -f "$1.csr" "$1.ext"
}

issue server "/CN=$1" serverAuth "subjectAltName=${names#,}"
issue client "/CN=trial-client" clientAuth
printf '%s\n' "ca.pem, server.pem, server.key, client.pem and client.key are in $folder"
