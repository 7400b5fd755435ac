#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Tokens instead of a password (http_server.auth_type = jwt): which are taken, and what each of them may ask for.

  B61   bad keys and bad tokens        B67   one answer, whatever is wrong        B81   every route, with every scope
"""

import json
import os
import sys
import tempfile
import time

from api_client import Api, arguments, run

import tokens

FOLDER = tempfile.mkdtemp(prefix="smq-api-jwt-")
KEYS = 'jwt { public.keyfile = "%s/jwt-rsa.pub, %s/jwt-ec.pub" }' % (FOLDER, FOLDER)
CONF = ["http_server { auth_type = jwt, %s }" % KEYS]
PUBLIC = {"/health/live", "/health/ready"}


def claims(seconds=3600, **more):
    return {"iss": "jwt-rsa.pub", "exp": time.time() + seconds, **more}


class Bearer(Api):
    def __init__(self, broker, token=None):
        super().__init__(broker.http_port)
        self.headers = {} if token is None else {"Authorization": b"Bearer " + token}


def answer(broker, token=None, header=None, path="/api/v4/brokers"):
    """The status, the code, the message and the challenge."""
    api = Bearer(broker, token)
    if header is not None:
        api.headers = {"Authorization": header}
    reply, text = api.raw("GET", path)
    api.close()
    body = json.loads(text)
    return reply.status, body["code"], body.get("message"), reply.getheader("WWW-Authenticate")


def test_tokens(broker, _api, _scale):
    """Like NanoMQ's: RS256, and exp counts with 200 seconds of tolerance."""
    for token in (tokens.rs256(claims(), FOLDER), tokens.es256(claims(), FOLDER), tokens.rs256(claims(-100), FOLDER),
                  tokens.rs256(claims(bodyEncode=0), FOLDER), tokens.rs256(claims(more="x" * 4000), FOLDER)):
        assert answer(broker, token)[:2] == (200, 0)
        assert answer(broker, header=b"bearer   " + token)[:2] == (200, 0)


def test_no_token(broker, _api, _scale):
    for header in (None, "Basic YWRtaW46cHVibGlj", "Bearer", "Bearer ", "Token x"):
        status, code, _message, challenge = answer(broker, header=header)
        assert (status, code, challenge) == (401, 104, 'Bearer realm="ShardMQ"'), header


def test_bad_tokens(broker, _api, _scale):
    with open(os.path.join(FOLDER, "jwt-rsa.pub"), "rb") as file:
        public = file.read()
    good = tokens.rs256(claims(), FOLDER)
    assert answer(broker, tokens.rs256(claims(-300), FOLDER))[:3] == (401, 116, "the token has expired")
    bad = [tokens.message({"alg": "none"}, claims()) + b".", tokens.hs256(claims(), public), good[:-4], b"password",
           tokens.rs256(claims(), FOLDER, "jwt-weak.key"), tokens.es256(claims(), FOLDER, header={"alg": "RS256"}),
           tokens.rs256({"iss": "x"}, FOLDER), tokens.rs256(claims(aud="web"), FOLDER), tokens.rs256(claims(nbf=time.time() + 999), FOLDER),
           tokens.rs256(claims(bodyEncode=1), FOLDER)]
    told = set()
    for token in bad:
        told.add(answer(broker, token))
        broker.stop()  # or the address is slowed down
        broker.__init__(broker.executable, broker.shards, broker.conf, broker.time_scale)
        broker.start()
    assert told == {(401, 103, "this token is not taken", 'Bearer realm="ShardMQ"')}, told


def test_guessing_is_slowed_down(broker, _api, _scale):
    for _ in range(5):
        assert answer(broker, tokens.rs256(claims(), FOLDER, "jwt-weak.key"))[0] == 401
    assert answer(broker, tokens.rs256(claims(), FOLDER))[0] == 429
    log = "\n".join(broker.log)
    assert "http: the token's signature is wrong from 127.0.0.1" in log and "eyJ" not in log, log


def test_expired_is_no_guess(broker, _api, _scale):
    for _ in range(10):
        assert answer(broker, tokens.rs256(claims(-300), FOLDER))[:2] == (401, 116)
    assert answer(broker, tokens.rs256(claims(), FOLDER))[0] == 200


def requests(broker):
    """One request of every route: method, path, whether it changes something."""
    api = Bearer(broker, tokens.rs256(claims(), FOLDER))
    document = api.ask("GET", "/api/v4/openapi.json")[1]
    api.close()
    assert {"basic": []} in document["security"] and {"bearer": []} in document["security"]
    for path, item in document["paths"].items():
        for method in item:
            yield method.upper(), path.replace("{", "").replace("}", ""), method != "get"


def status_of(broker, token, method, path, body):
    api = Bearer(broker, token)
    reply, text = api.raw(method, path, body)
    api.close()
    return reply.status, text


def test_scopes_of_every_route(broker, _api, _scale):
    """What a token does not allow is refused before its body is looked at, and changes nothing."""
    scopes = {"read": tokens.rs256(claims(scope="openid read"), FOLDER), "write": tokens.rs256(claims(scope=["write"]), FOLDER),
              "other": tokens.rs256(claims(scope="openid profile readx writes"), FOLDER), "none": tokens.rs256(claims(scope=""), FOLDER),
              "odd": tokens.rs256(claims(scope={"read": True}), FOLDER), "absent": tokens.rs256(claims(), FOLDER)}
    count = 0
    for method, path, writes in requests(broker):
        envelope = path in ("/api/v1", "/api/v4") and method == "POST"
        allowed = {"write", "absent"} | ({"read"} if not writes or envelope else set())
        for name, token in scopes.items():
            # a body that no route takes: whoever may ask is told so, and nothing happens
            body = '{"req":7777,"seq":1}' if envelope else None if method in ("GET", "DELETE") else "[[]]"
            if path in PUBLIC or (method == "DELETE" and name in allowed):
                continue
            status, text = status_of(broker, token, method, path, body)
            assert (status != 403) == (name in allowed), (method, path, name, status, text)
            assert status != 401, (method, path, name, text)
            count += 1
    assert count > 200, count
    for number, writes in ((2, False), (4, False), (5, False), (11, False), (13, False), (10, True), (12, True)):
        for name, allowed in (("read", not writes), ("other", False)):
            status, text = status_of(broker, scopes[name], "POST", "/api/v1", json.dumps({"req": number, "seq": 1, "action": "stop", "data": {}}
                                                                                        if writes else {"req": number, "seq": 1}))
            assert (status != 403) == allowed, (number, name, status, text)
    for path in PUBLIC:
        assert status_of(broker, None, "GET", path, None)[0] == 200
    assert broker.alive()


def test_bad_keys(broker, _api, _scale):
    """The keys that were good stay in force."""
    for files, why in (("%s/absent" % FOLDER, "No such file"), ("%s/jwt-weak.pub" % FOLDER, "too weak"),
                       ("%s/jwt-rsa.key" % FOLDER, "private key"), ("", "needs http_server.jwt.public.keyfile")):
        broker.write_conf(['http_server { auth_type = jwt, jwt { public.keyfile = "%s" } }' % files])
        reply = broker.control("reload")
        assert not reply["ok"] and why in reply["error"] and "http_server.jwt.public.keyfile" in reply["error"], reply
        assert answer(broker, tokens.rs256(claims(), FOLDER))[0] == 200
    broker.write_conf(['http_server { auth_type = jwt, jwt { public.keyfile = "%s/jwt-ec.pub", issuer = me, audience = "api" } }' % FOLDER])
    assert broker.control("reload")["ok"]
    assert answer(broker, tokens.es256({**claims(), "iss": "me", "aud": "api"}, FOLDER))[0] == 200
    assert answer(broker, tokens.es256({**claims(), "iss": "me"}, FOLDER))[0] == 401
    assert answer(broker, tokens.rs256({**claims(), "iss": "me", "aud": "api"}, FOLDER))[0] == 401


if __name__ == "__main__":
    OPTIONS, TESTS = arguments(globals())
    tokens.make_keys(FOLDER)
    FAILED = run(TESTS, OPTIONS, CONF, shard_counts=(1,))
    for name in os.listdir(FOLDER):
        os.unlink(os.path.join(FOLDER, name))
    os.rmdir(FOLDER)
    sys.exit(1 if FAILED else 0)
