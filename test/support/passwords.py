# SPDX-License-Identifier: MIT
"""Passwords as the password files of the tests have them, hashed apart from the broker."""

import base64
import hashlib
import os


def as_bytes(value):
    return value.encode() if isinstance(value, str) else value


def scrypt(password, cost=10):
    """A hash that takes a worker two milliseconds; with each step of the cost twice as long."""
    salt = os.urandom(16)
    key = hashlib.scrypt(as_bytes(password), salt=salt, n=1 << cost, r=8, p=1, dklen=32, maxmem=1 << 26)
    return "$scrypt$ln=%d,r=8,p=1$%s$%s" % (cost, base64.b64encode(salt).decode(), base64.b64encode(key).decode())


def pbkdf2(password):
    salt = os.urandom(12)
    key = hashlib.pbkdf2_hmac("sha512", as_bytes(password), salt, 101)
    return "$7$101$%s$%s" % (base64.b64encode(salt).decode(), base64.b64encode(key).decode())


def sha512(password):
    salt = os.urandom(12)
    return "$6$%s$%s" % (base64.b64encode(salt).decode(), base64.b64encode(hashlib.sha512(as_bytes(password) + salt).digest()).decode())


FORMS = {"scrypt": scrypt, "pbkdf2": pbkdf2, "sha512": sha512, "clear": str}


def write_file(path, users):
    """A password file: users by name, each with the text that stands behind the colon."""
    with open(path, "wb") as out:
        out.write(b"".join(b"%s:%s\n" % (as_bytes(name), as_bytes(text)) for name, text in users.items()))
