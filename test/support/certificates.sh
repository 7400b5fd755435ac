#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# certificates.sh FOLDER: every certificate that the tests need, good and bad, made now. The repository holds no key.
#
#   ca, server (localhost, 127.0.0.1, ::1), client      as conf/make-certificates.sh makes them
#   second.pem        a server certificate for second.test
#   rsa.pem           a server certificate with an RSA key of 2048 bits, for localhost; p384.pem one on that curve
#   locked.key        server.key, encrypted with "secret"
#   revoked.pem       a client that crl.pem revokes
#   expired.pem       a client whose time is over; expired-server.pem a server for localhost, likewise
#   wrong-use.pem     a client with a certificate for servers
#   wrong-name.pem    a server certificate for elsewhere.test
#   other-ca.pem      another authority; stranger.pem a client of it; other-crl.pem an empty list of it
#   deep.pem          a client of sub-ca, an authority that ca made, and the certificate of sub-ca
#   sub-crl.pem       the (empty) list of sub-ca; sub-revoked.pem both lists, and ca's revokes sub-ca
#   named.pem         a client with a common name, and the alternative names DNS and e-mail
#   garbage.pem, empty.pem
set -euo pipefail

source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
"$source/conf/make-certificates.sh" "$1" >/dev/null
cd "$1"

run() {
    local output
    output=$(openssl "$@" 2>&1) || { printf '%s\n' "$output" >&2; exit 1; }
}
ec_key() { run genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }
certificate() { # authority, name, subject, extensions, how it is dated
    local authority=$1 name=$2 subject=$3 extensions=$4
    shift 4
    [ -e "$name.key" ] || ec_key "$name"
    run req -new -key "$name.key" -subj "$subject" -out "$name.csr"
    printf 'basicConstraints=critical,CA:FALSE\n%b\n' "$extensions" >"$name.ext"
    run x509 -req -in "$name.csr" -CA "$authority.pem" -CAkey "$authority.key" -CAcreateserial -sha256 \
        "$@" -extfile "$name.ext" -out "$name.pem"
    rm -f "$name.csr" "$name.ext"
}

run genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key
run genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.key
run pkey -in server.key -aes-256-cbc -passout pass:secret -out locked.key
server='extendedKeyUsage=serverAuth\nsubjectAltName='
certificate ca second /CN=second.test "${server}DNS:second.test" -days 30
certificate ca rsa /CN=localhost "${server}DNS:localhost,IP:127.0.0.1" -days 30
certificate ca p384 /CN=localhost "${server}DNS:localhost,IP:127.0.0.1" -days 30
certificate ca wrong-name /CN=elsewhere.test "${server}DNS:elsewhere.test" -days 30
certificate ca revoked /CN=revoked extendedKeyUsage=clientAuth -days 30
certificate ca wrong-use /CN=wrong-use extendedKeyUsage=serverAuth -days 30
certificate ca named "/O=Sensors/CN=sensor-7" \
    'extendedKeyUsage=clientAuth\nsubjectAltName=DNS:seven.test,email:seven@sensors.test' -days 30

ec_key other-ca
run req -x509 -new -key other-ca.key -sha256 -days 30 -subj "/CN=another authority" -out other-ca.pem
certificate other-ca stranger /CN=stranger extendedKeyUsage=clientAuth -days 30

ec_key sub-ca
run req -new -key sub-ca.key -subj "/CN=an authority in between" -out sub-ca.csr
printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n' >sub-ca.ext
run x509 -req -in sub-ca.csr -CA ca.pem -CAkey ca.key -CAcreateserial -sha256 -days 30 -extfile sub-ca.ext -out sub-ca.pem
certificate sub-ca deep /CN=deep extendedKeyUsage=clientAuth -days 30
cat sub-ca.pem >>deep.pem

# what needs a database: a past date, and the lists of revoked certificates
database() { # authority
    : >"$1.index"
    printf '01\n' >"$1.number"
    printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s.index\ncrlnumber=%s.number\nnew_certs_dir=.\nserial=%s.number2
default_md=sha256\ndefault_crl_days=30\ncertificate=%s.pem\nprivate_key=%s.key\npolicy=p\nx509_extensions=e\nunique_subject=no
[p]\ncommonName=supplied\n[e]\nextendedKeyUsage=clientAuth\n' "$1" "$1" "$1" "$1" "$1" >"$1.cnf"
    printf '1000\n' >"$1.number2"
}
database ca
database other-ca
database sub-ca
ec_key expired
ec_key expired-server
run req -new -key expired.key -subj /CN=expired -out expired.csr
run ca -batch -config ca.cnf -in expired.csr -out expired.pem -notext -startdate 20200101000000Z -enddate 20200201000000Z
run req -new -key expired-server.key -subj /CN=localhost -out expired-server.csr
sed -i 's/^extendedKeyUsage=.*/extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost,IP:127.0.0.1/' ca.cnf
run ca -batch -config ca.cnf -in expired-server.csr -out expired-server.pem -notext -startdate 20200101000000Z -enddate 20200201000000Z
run ca -batch -config ca.cnf -revoke revoked.pem
run ca -batch -config ca.cnf -gencrl -out crl.pem
run ca -batch -config other-ca.cnf -gencrl -out other-crl.pem
run ca -batch -config sub-ca.cnf -gencrl -out sub-crl.pem
run ca -batch -config ca.cnf -revoke sub-ca.pem
run ca -batch -config ca.cnf -gencrl -out sub-revoked.pem
cat sub-crl.pem >>sub-revoked.pem
rm -f ./*.csr ./*.ext ./*.cnf ./*.index* ./*.number* ./1000.pem

: >empty.pem
head -c 2000 ca.pem | tr 'A-Z' 'Z' >garbage.pem
