# SPDX-License-Identifier: MIT
"""JSON Web Tokens for the tests, good and bad: HS256 by hand, RS256 and ES256 signed by the openssl program."""

import base64
import hashlib
import hmac
import json
import os
import subprocess

SECRET = b"0123456789abcdef0123456789abcdef"


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def message(header, claims):
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    return b".".join(encode(part) for part in parts)


def with_signature(signed, signature):
    return signed + b"." + encode(signature)


def hs256(claims, secret=SECRET, header=None):
    signed = message(header or {"alg": "HS256", "typ": "JWT"}, claims)
    return with_signature(signed, hmac.new(secret, signed, hashlib.sha256).digest())


def _openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, check=True, capture_output=True).stdout


def make_keys(folder):
    """jwt-rsa.key, jwt-ec.key, jwt-other.key (EC), their public parts (.pub), jwt-weak.pub of 1024 bits, and the secret, jwt.secret."""
    paths = {name: os.path.join(folder, "jwt-%s.key" % name) for name in ("rsa", "ec", "other", "weak")}
    _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", paths["rsa"])
    _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024", "-out", paths["weak"])
    for name in ("ec", "other"):
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", paths[name])
    for name, path in paths.items():
        _openssl("pkey", "-in", path, "-pubout", "-out", os.path.join(folder, "jwt-%s.pub" % name))
    with open(os.path.join(folder, "jwt.secret"), "wb") as out:
        out.write(SECRET + b"\n")


def rs256(claims, folder, key="jwt-rsa.key", header=None):
    signed = message(header or {"alg": "RS256", "typ": "JWT"}, claims)
    return with_signature(signed, _openssl("dgst", "-sha256", "-sign", os.path.join(folder, key), data=signed))


def es256(claims, folder, key="jwt-ec.key", header=None):
    signed = message(header or {"alg": "ES256", "typ": "JWT"}, claims)
    pair = _openssl("dgst", "-sha256", "-sign", os.path.join(folder, key), data=signed)
    return with_signature(signed, b"".join(_integers(pair)))


def _integers(der):
    """The two integers of a SEQUENCE, 32 bytes each."""
    at = 2
    for _ in range(2):
        size = der[at + 1]
        yield int.from_bytes(der[at + 2:at + 2 + size], "big").to_bytes(32, "big")
        at += 2 + size
