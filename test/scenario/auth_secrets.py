#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""No password, token or key that a client or an operator shows is in a log line, an answer, a metric or a $SYS message, and
none is left in the memory of a broker that has nothing to do: a core file tells nobody. (B90, B92)

What stands in clear text in the configuration has to stay in memory: the file's text, and the API's own password.
"""

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import tokens  # noqa: E402
from auth import API, KINDS, Who, ask_all_shards, listeners  # noqa: E402
from doors import run  # noqa: E402
from memory import NotAllowed, find_in_memory  # noqa: E402
from mqs import wire  # noqa: E402

API_PASSWORD = "api-password-%s"  # of the configuration
SECRETS = {  # each with something that shows where it came from
    "right": "right-password-of-a-client", "wrong": "wrong-password-of-a-client", "open": "password-nobody-asked-for",
    "api-wrong": "wrong-password-of-an-operator", "api-new": "new-password-of-an-operator", "bearer": "bearer-token-of-an-operator",
    "key": "password-of-a-private-key",
}


def conf(folder):
    tokens.make_keys(folder)
    return [*listeners(folder), API, "log.level = trace", "auth.slow_down.delay = 0s", "log.to = [console, file]", 'log.dir = "%s"' % folder, 'log.file = "broker.log"',
            'auth.jwt.secret_file = "%s/jwt.secret"' % folder, 'auth.jwt.public_key = "%s/jwt-ec.pub"' % folder]


def claims(**more):
    return {"sub": "u1", "exp": time.time() + 3600, **more}


def parts_of(token):
    """Pieces of it by which it is told, and of which each is too much."""
    _header, claim, signature = token.split(b".")
    return [claim[:48], signature[:32]]


def use_clients(broker, folder):
    """Every kind of client with every kind of secret; what must not be found afterwards."""
    shown = []
    for kind in KINDS:
        for version in (wire.V311, wire.V5):
            good, slow = tokens.hs256(claims(jti=os.urandom(8).hex())), tokens.es256(claims(jti=os.urandom(8).hex()), folder)
            bad = tokens.hs256(claims(jti=os.urandom(8).hex()), b"x" * 32)
            for token in (good, slow, bad):
                for name in range(4):  # with homes on several shards
                    client = Who(broker, kind, folder, "c%d" % name, username="u", password=token, version=version)
                    assert (client.rc == 0) == (token is not bad), (kind, client.connack)
                    if client.rc == 0:
                        client.subscribe("$SYS/#", "a")
                        client.publish("a", b"payload")
                        client.ping(client.deadline)
                    client.close()
                shown += parts_of(token)
            for name, secret in (("right", SECRETS["right"]), ("wrong", SECRETS["wrong"])):
                Who(broker, kind, folder, "c-" + name, username="nobody", password=secret, version=version).close()
    return shown + [SECRETS["right"].encode(), SECRETS["wrong"].encode()]


def use_malformed(broker):
    """A CONNECT whose end is missing, wrong, or only comes later."""
    secret = b"password-in-half-a-connect"
    whole = wire.frame(0x10, wire.connect(wire.V5, {"id": b"half", "username": b"u", "password": secret}))
    for data in (whole[:-3], whole[:5] + b"X" + whole[6:], whole + b"\xff" * 40, b"\x10" + whole[1:].replace(b"MQTT", b"MQTX")):
        with socket.create_connection(("127.0.0.1", broker.ports["tcp"][0])) as sock:
            for i in range(0, len(data), 7):
                sock.sendall(data[i:i + 7])
            sock.settimeout(0.2)
            try:
                while sock.recv(1 << 16):
                    pass
            except (TimeoutError, ConnectionResetError):
                pass
    return [secret]


def ask(broker, method, path, body=None, authorization=None):
    if authorization is None:
        authorization = b"Basic " + base64.b64encode(b"admin:public")
    connection = http.client.HTTPConnection("127.0.0.1", broker.ports["http"][0], timeout=20)
    connection.request(method, path, None if body is None else json.dumps(body), {"Authorization": authorization})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, text


def use_api(broker):
    """Everything that the API answers, and what it was shown."""
    heard, shown = [], []
    for account in ("admin:" + SECRETS["api-wrong"], SECRETS["api-wrong"] + ":public"):
        encoded = base64.b64encode(account.encode())
        status, text = ask(broker, "GET", "/api/v4/brokers", authorization=b"Basic " + encoded)
        assert status == 401, status
        heard.append(text)
        shown += [SECRETS["api-wrong"].encode(), encoded[-24:]]
    status, text = ask(broker, "GET", "/api/v4/brokers", authorization=b"Bearer " + SECRETS["bearer"].encode())
    heard.append(text)
    shown.append(SECRETS["bearer"].encode())
    for path in ("configuration", "configuration/http_server", "configuration/auth", "reload", "clients", "metrics", "prometheus", "nodes",
                 "shards", "openapi.json", "subscriptions"):
        status, text = ask(broker, "GET", "/api/v4/" + path)
        assert status == 200, (path, status)
        heard.append(text)
    for number in (2, 4, 5, 11):
        heard.append(ask(broker, "POST", "/api/v1", {"req": number, "seq": 1})[1])
    for path in ("/metrics", "/health/ready"):
        heard.append(ask(broker, "GET", path)[1])
    return heard, shown


def change_password(broker):
    """A new password of the API, set over the API and taken back."""
    for password in (SECRETS["api-new"], "public"):
        status, text = ask(broker, "POST", "/api/v4/configuration/http_server", {"data": {"http_server": {"password": password}}},
                           b"Basic " + base64.b64encode(b"admin:" + (b"public" if password != "public" else SECRETS["api-new"].encode())))
        assert status == 200 and SECRETS["api-new"].encode() not in text, (status, text)


def absent(secrets, texts):
    for secret in secrets:
        for where, text in texts.items():
            assert secret not in text, "%r is in %s: %r" % (secret, where, text[max(0, text.index(secret) - 100):][:200])


def read_log(broker, folder):
    with open(os.path.join(folder, "broker.log"), "rb") as log:
        return {"the console": "\n".join(broker.log).encode(), "the log file": log.read()}


def listen_to_sys(broker, folder):
    client = Who(broker, "tcp", folder, "sys", password=tokens.hs256(claims()))
    client.subscribe("$SYS/#")
    Who(broker, "tcp", folder, "event", password=tokens.hs256(claims())).close()
    deadline = time.monotonic() + 10
    heard = []
    while len(heard) < 30:
        assert time.monotonic() < deadline
        heard.append(client.wait("PUBLISH")["raw"])
    client.close()
    return b"\n".join(heard)


def test_nobody_hears_a_secret(broker, folder, _deadline_s):
    shown = use_clients(broker, folder) + use_malformed(broker)
    heard, shown_to_api = use_api(broker)
    change_password(broker)
    broker.control("reload")
    dumps = [subprocess.run([broker.executable, "start", option, "--conf", broker.conf_path], capture_output=True, check=False).stdout
             for option in ("--dump-config", "--check-config", "--list-options")]
    texts = {**read_log(broker, folder), "an answer of the API": b"\n".join(heard), "--dump-config and its like": b"\n".join(dumps),
             "$SYS": listen_to_sys(broker, folder), "the control socket": json.dumps(broker.control("stats")).encode()}
    absent([*shown, *shown_to_api, SECRETS["api-new"].encode(), tokens.SECRET, tokens.encode(tokens.SECRET)], texts)


def test_no_secret_is_left_in_memory(broker, folder, deadline_s):
    """What was shown is gone when the clients are, whatever became of them."""
    shown = use_clients(broker, folder) + use_malformed(broker) + use_api(broker)[1]
    ask_all_shards(broker)
    deadline = time.monotonic() + deadline_s
    while broker.counters()["connection_open"] > 0:
        assert time.monotonic() < deadline
    try:
        found = find_in_memory(broker.process.pid, shown)
    except NotAllowed as error:
        print("skipped: %s" % error)
        return
    assert not found, "\n".join("%r: %d times, as at %s" % (word, len(places), places[0]) for word, places in found.items())
    # and that the search finds what is there: the text of the configuration
    assert find_in_memory(broker.process.pid, [b"auth.jwt.secret_file"])


TESTS = [test_nobody_hears_a_secret, test_no_secret_is_left_in_memory]

if __name__ == "__main__":
    sys.exit(run(TESTS, conf))
