# SPDX-License-Identifier: MIT
"""The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), written apart from the one of the program."""

import base64
import hashlib
import hmac
import os
import stringprep
import unicodedata

METHOD = "SCRAM-SHA-256"


def attributes(message):
    return dict(part.split("=", 1) for part in message.decode().split(","))


def saslprep(text):
    """RFC 4013 with the tables of Unicode 3.2 that it names."""
    mapped = "".join(" " if stringprep.in_table_c12(c) else "" if stringprep.in_table_b1(c) else c for c in text)
    return unicodedata.ucd_3_2_0.normalize("NFKC", mapped)


class Scram:
    def __init__(self, user, password, header="n,,"):
        user, password = saslprep(user), saslprep(password)
        self.password, self.header = password.encode(), header
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.bare = "n=%s,r=%s" % (user.replace("=", "=3D").replace(",", "=2C"), self.nonce)
        self.signature = None
        self.derived = []  # what final() made of the password, of which any one is enough to log in or to find it out

    def first(self):
        return (self.header + self.bare).encode()

    def final(self, challenge):
        said = attributes(challenge)
        assert said["r"].startswith(self.nonce) and len(said["r"]) > len(self.nonce)
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(said["s"]), int(said["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = "c=%s,r=%s" % (base64.b64encode(self.header.encode()).decode(), said["r"])
        whole = ("%s,%s,%s" % (self.bare, challenge.decode(), without_proof)).encode()
        proof = hmac.digest(hashlib.sha256(client_key).digest(), whole, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, proof))
        self.derived = [salted, client_key, proof, base64.b64encode(proof)]
        self.signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), whole, "sha256")
        return ("%s,p=%s" % (without_proof, base64.b64encode(proof).decode())).encode()

    def is_server(self, message):
        """Whether the server has shown that it knows the password."""
        return message == b"v=" + base64.b64encode(self.signature)
