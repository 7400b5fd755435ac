#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""No password, token or key that a client or an operator shows is in a log line, an answer, a metric or a $SYS message, and
none is left in the memory of a broker that has nothing to do: a core file tells nobody. (B90, B92)

What stays in memory by its nature is told by no one, but not looked for there:
  - what stands in the configuration in clear text: the file's text, the API's own password, headers for a backend, and the
    passwords of a user list or of a line of the password file that is not hashed
  - the store's salts, stored keys and server keys of SCRAM: with these nobody can log in
"""

import base64
import http.client
import json
import os
import re
import secrets
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import tokens  # noqa: E402
from auth import API, KINDS, Who, ask_all_shards, listeners  # noqa: E402
from doors import run  # noqa: E402
from fake_backend import Backend  # noqa: E402
from memory import find_in_memory  # noqa: E402
from mqs import wire  # noqa: E402
from mqs.client import Closed  # noqa: E402
from passwords import pbkdf2, scrypt, sha512, write_file  # noqa: E402
from scram import METHOD, Scram  # noqa: E402

OLD_TLS = {"maximum_version": ssl.TLSVersion.TLSv1_2}
WAYS = [*((kind, {}) for kind in KINDS), ("ssl", OLD_TLS), ("wss", OLD_TLS)]
SUCCESS, CONTINUE, AGAIN, BAD_CREDENTIALS, UNAVAILABLE = 0x00, 0x18, 0x19, 0x86, 0x88

# Of the configuration; each with something that shows where it came from.
KNOWN = {name: "known-%s-%s" % (name, secrets.token_hex(8)) for name in (
    "api", "scrypt", "pbkdf2", "sha512", "scram", "keys", "clear", "listed", "header-form", "header-json", "header-query", "header-https")}
ACCENT = "-e\u0301"  # of the one whose form is another than what is typed
ADMIN = b"admin:" + KNOWN["api"].encode()
BACKEND, SAFE_BACKEND = Backend(), None

program = ""


class Shown(list):
    """What nobody may be told afterwards, nor find in memory."""

    def password(self, name):
        self.append(("shown-%s-%s" % (name, secrets.token_hex(8))).encode())
        return self[-1]

    def known(self, name):
        self.append(KNOWN[name].encode())
        return self[-1]

    def token(self, token):
        """Pieces of it by which it is told, and of which each is too much; and the signature as bytes."""
        _header, claim, signature = token.split(b".")
        self.extend((claim[:48], signature[:32], base64.urlsafe_b64decode(signature + b"==")[:32]))
        return token


# ---- the configuration ----

def write_users(folder):
    """Hashed in every way; one of them with keys for SCRAM, one with nothing else; and one as it is."""
    path = os.path.join(folder, "users")
    write_file(path, {"scrypt": scrypt(KNOWN["scrypt"], 10), "pbkdf2": pbkdf2(KNOWN["pbkdf2"]), "sha512": sha512(KNOWN["sha512"]),
                      "clear": KNOWN["clear"]})
    os.chmod(path, 0o600)
    for name, password in (("scram", KNOWN["scram"]), ("keys", KNOWN["keys"] + ACCENT)):
        subprocess.run([program, "passwd", "-b", "--cost", "10", "--scram-iterations", "4096", path, name, password], check=True,
                       capture_output=True)
    with open(path, encoding="utf-8") as users:
        text = re.sub(r"^keys:\S*?(?=\$scram-)", "keys:", users.read(), flags=re.MULTILINE)
    with open(path, "w", encoding="utf-8") as users:
        users.write(text)


def backend_lines(way, folder, timeout):
    """The backend is asked in that way: where the client's password stands, and a header that is nobody's business."""
    url = ("https" if way == "https" else "http", (SAFE_BACKEND if way == "https" else BACKEND).port)
    more = {"form": "", "json": ', content-type = "application/json"', "query": "", "https": ""}[way]
    lines = ['auth.http_auth.auth_req { url = "%s://127.0.0.1:%d/auth"' % url,
             'params = { clientid = "%c", username = "%u", password = "%P" }',
             'headers { authorization = "Bearer %s" %s }' % (KNOWN["header-" + way], more),
             "method = get" if way == "query" else "method = post"]
    if way == "https":
        lines.append('ssl.cacertfile = "%s/ca.pem"' % folder)
    return [", ".join(lines) + " }", 'auth.http_auth.allow_addresses = "127.0.0.1"', "auth.http_auth.timeout = %s" % timeout,
            "auth.http_auth.breaker_failures = 0"]


def lines_for(folder, way="form", api=API, timeout="60s"):
    return [*listeners(folder), api, 'http_server.password = "%s"' % KNOWN["api"], "log.level = trace", "auth.slow_down.delay = 0s",
            "log.to = [console, file]", 'log.dir = "%s"' % folder, 'log.file = "broker.log"',
            'auth.jwt.secret_file = "%s/jwt.secret"' % folder, 'auth.jwt.public_key = "%s/jwt-ec.pub"' % folder,
            'auth.password_file = "%s/users"' % folder, 'auth.password { listed = "%s" }' % KNOWN["listed"],
            *backend_lines(way, folder, timeout)]


def conf(folder):
    global SAFE_BACKEND
    if SAFE_BACKEND is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain("%s/server.pem" % folder, "%s/server.key" % folder)
        SAFE_BACKEND = Backend(context)
    tokens.make_keys(folder)
    write_users(folder)
    return lines_for(folder)


def reload(broker, lines):
    broker.write_conf(lines)
    answer = broker.control("reload")
    assert answer["ok"], answer
    return answer


# ---- those who show secrets ----

def claims(**more):
    return {"sub": "u1", "exp": time.time() + 3600, **more}


def knock(broker, way, folder, *arguments, **fields):
    """How a CONNECT is answered, by the listener of that way; whoever is let in says something, too."""
    kind, tls = way
    client = Who(broker, kind, folder, *arguments, tls=tls, **fields)
    if client.rc == 0:
        client.subscribe("$SYS/#", "a")
        client.publish("a", b"payload")
        client.ping(client.deadline)
    client.close()
    return client.rc


def show_tokens(broker, folder, shown, way):
    for version in (wire.V311, wire.V5):
        good, slow = (shown.token(token) for token in (tokens.hs256(claims(jti=os.urandom(8).hex())),
                                                       tokens.es256(claims(jti=os.urandom(8).hex()), folder)))
        bad = shown.token(tokens.hs256(claims(jti=os.urandom(8).hex()), b"x" * 32))
        for token in (good, slow, bad):
            for name in range(3):  # with homes on several shards
                rc = knock(broker, way, folder, "c%d" % name, username="u", password=token, version=version)
                assert (rc == 0) == (token is not bad), (way, rc)


def show_passwords(broker, folder, shown, way):
    """Right ones, which a worker verifies and which are known from then on; wrong ones; and one that comes in many pieces."""
    for name in ("scrypt", "pbkdf2", "sha512", "scram"):
        for version in (wire.V311, wire.V5):
            assert knock(broker, way, folder, "c", username=name, password=shown.known(name), version=version) == 0, (way, name)
            assert knock(broker, way, folder, "c", username=name, password=shown.password("wrong-" + name), version=version) != 0, way
    assert knock(broker, way, folder, "c", username="nobody", password=shown.password("nobody")) != 0
    assert knock(broker, way, folder, "c", username="keys", password=shown.known("keys") + ACCENT.encode()) == 0, way
    assert knock(broker, way, folder, "c", username="clear", password=KNOWN["clear"]) == 0
    assert knock(broker, way, folder, "c", username="listed", password=KNOWN["listed"]) == 0
    long = shown.password("long-begin") + b"l" * 40000 + shown.password("long-end")
    assert knock(broker, way, folder, "c", username="scrypt", password=long) != 0


class Exchange:
    """A client of SCRAM on a listener of any kind."""

    def __init__(self, broker, folder, shown, way, user, password):
        self.shown, self.scram = shown, Scram(user, password)
        self.client = Who(broker, way[0], folder, "scram", tls=way[1], waits=False, props=self.props(self.scram.first()))
        self.continues()

    def props(self, data):
        return [("authentication_method", METHOD), ("authentication_data", data)]

    def auth(self, reason, data):
        self.client.write(self.client.send("AUTH", wire.reason_packet(wire.V5, {"rc": reason}, self.props(data))), self.client.deadline)

    def continues(self):
        packet = self.client.receive(self.client.deadline)
        assert packet["type"] == "AUTH" and packet["rc"] == CONTINUE, packet
        self.challenge = packet.prop("authentication_data")[0]

    def prove(self):
        """Answers the challenge; the type and the reason of what comes then."""
        self.auth(CONTINUE, self.scram.final(self.challenge))
        self.shown += self.scram.derived
        packet = self.client.receive(self.client.deadline)
        return packet["type"], packet["rc"]

    def again(self, user, password):
        self.scram = Scram(user, password)
        self.auth(AGAIN, self.scram.first())
        self.continues()


def show_scram(broker, folder, shown, way):
    """Of these, nothing that a client derives and shows; the password itself nobody shows, nor its salted form."""
    shown.known("scram")
    for name in ("scram", "clear"):
        exchange = Exchange(broker, folder, shown, way, name, KNOWN[name])
        assert exchange.prove() == ("CONNACK", SUCCESS)
        exchange.again(name, KNOWN[name])
        assert exchange.prove() == ("AUTH", SUCCESS)
        exchange.again(name, "wrong")
        assert exchange.prove()[0] == "DISCONNECT"
        exchange.client.close()
        for password in ("wrong", KNOWN[name]):
            exchange = Exchange(broker, folder, shown, way, name, password)
            if password == "wrong":
                assert exchange.prove() == ("CONNACK", BAD_CREDENTIALS)
            exchange.client.close()  # or it breaks off


def show_to_backend(broker, folder, shown, way):
    """The backend decides, in every way that it may fail in as well."""
    assert knock(broker, way, folder, "c", username="allow", password=shown.password("backend-allow")) == 0
    assert knock(broker, way, folder, "c", username="deny", password=shown.password("backend-deny"), version=wire.V311) == 5
    if way[0] in ("tcp", "wss"):
        for name in ("redirect", "reset", "cut", "garbage", "huge", "json-ignore", "once", "trouble"):
            knock(broker, way, folder, "c", username=name, password=shown.password("backend-" + name))


def show_and_leave(broker, folder, shown, backend):
    """Clients that are gone before the backend answers, as it never does. What they show is in memory for that long: the
    search finds what there is."""
    backend.silent = True
    backend.forget()
    waiting = [Who(broker, kind, folder, "waits", username="allow", password=shown.password("leaves"), waits=False) for kind in KINDS]
    backend.wait_asked(len(waiting), waiting[0].deadline_s)
    held = find_in_memory(broker.process.pid, shown[-len(waiting):])
    for number, client in enumerate(waiting):
        client.reset() if number % 2 else client.close()
    backend.released.set()
    backend.silent = False
    deadline = time.monotonic() + waiting[0].deadline_s
    while broker.counters()["connection_open"] > 0:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    backend.released.clear()
    assert len(held) == len(waiting), "the search finds nothing of what is there: %s" % held


def show_to_backends(broker, folder, shown):
    for form in ("json", "query", "https", "form"):  # how a client came is the same to all of them
        reload(broker, lines_for(folder, form))
        for way in WAYS if form == "form" else (("tcp", {}), ("wss", OLD_TLS)):
            show_to_backend(broker, folder, shown, way)
    show_and_leave(broker, folder, shown, BACKEND)
    reload(broker, lines_for(folder, timeout="100ms"))
    assert knock(broker, WAYS[0], folder, "c", username="late", password=shown.password("backend-late")) == UNAVAILABLE
    reload(broker, lines_for(folder))


def show_malformed(broker, shown):
    """A CONNECT whose end is missing, wrong, or only comes later."""
    whole = wire.frame(0x10, wire.connect(wire.V5, {"id": b"half", "username": b"u", "password": shown.password("half")}))
    for data in (whole[:-3], whole[:5] + b"X" + whole[6:], whole + b"\xff" * 40, b"\x10" + whole[1:].replace(b"MQTT", b"MQTX")):
        with socket.create_connection(("127.0.0.1", broker.ports["tcp"][0])) as sock:
            for i in range(0, len(data), 7):
                sock.sendall(data[i:i + 7])
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(10)
            try:
                while sock.recv(1 << 16):
                    pass
            except ConnectionResetError:
                pass


def ask(broker, method, path, body=None, authorization=None):
    if authorization is None:
        authorization = b"Basic " + base64.b64encode(ADMIN)
    connection = http.client.HTTPConnection("127.0.0.1", broker.ports["http"][0], timeout=20)
    connection.request(method, path, None if body is None else json.dumps(body), {"Authorization": authorization})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, text


def show_to_api(broker, shown):
    """Everything that the API answers."""
    heard = []
    wrong = shown.password("operator")
    for account in (b"admin:" + wrong, wrong + b":" + KNOWN["api"].encode()):
        encoded = base64.b64encode(account)
        status, text = ask(broker, "GET", "/api/v4/brokers", authorization=b"Basic " + encoded)
        assert status == 401, status
        heard.append(text)
        shown.append(encoded[-24:])
    heard.append(ask(broker, "GET", "/api/v4/brokers", authorization=b"Bearer " + shown.password("bearer"))[1])
    for path in ("configuration", "configuration/http_server", "configuration/auth", "configuration/auth_http", "reload", "clients", "metrics",
                 "prometheus", "nodes", "shards", "openapi.json", "subscriptions"):
        status, text = ask(broker, "GET", "/api/v4/" + path)
        assert status == 200, (path, status)
        heard.append(text)
    for number in (2, 4, 5, 11):
        heard.append(ask(broker, "POST", "/api/v1", {"req": number, "seq": 1})[1])
    for path in ("/metrics", "/health/ready"):
        heard.append(ask(broker, "GET", path)[1])
    return heard


def show_tokens_to_api(broker, folder, shown):
    reload(broker, lines_for(folder, api="http_server { enable = true, port = 0, auth_type = jwt, "
                                         'jwt.public.keyfile = "%s/jwt-ec.pub" }' % folder))
    for key, expected in (("jwt-ec.key", 200), ("jwt-other.key", 401)):
        token = shown.token(tokens.es256(claims(jti=os.urandom(8).hex()), folder, key))
        status, text = ask(broker, "GET", "/api/v4/brokers", authorization=b"Bearer " + token)
        assert status == expected, (status, text)
    reload(broker, lines_for(folder))


def change_password(broker, new):
    """A new password of the API, set over the API and taken back."""
    old = KNOWN["api"].encode()
    for before, after in ((old, new), (new, old)):
        status, text = ask(broker, "POST", "/api/v4/configuration/http_server", {"data": {"http_server": {"password": after.decode()}}},
                           b"Basic " + base64.b64encode(b"admin:" + before))
        assert status == 200 and new not in text, (status, text)


def show_everything(broker, folder):
    """Once for each broker: what was shown, and what the API said."""
    if not hasattr(broker, "shown"):
        shown = Shown()
        for way in WAYS:
            for show in (show_tokens, show_passwords, show_scram):
                show(broker, folder, shown, way)
        show_to_backends(broker, folder, shown)
        show_malformed(broker, shown)
        show_tokens_to_api(broker, folder, shown)
        broker.heard, broker.shown = show_to_api(broker, shown), shown
    return broker.shown, broker.heard


# ---- what they leave ----

def absent(words, texts):
    for word in words:
        for where, text in texts.items():
            assert word not in text, "%r is in %s: %r" % (word, where, text[max(0, text.index(word) - 100):][:200])


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
    shown, heard = show_everything(broker, folder)
    new = Shown().password("new-password-of-the-api")
    change_password(broker, new)
    broker.control("reload")
    dumps = [subprocess.run([broker.executable, "start", option, "--conf", broker.conf_path], capture_output=True, check=False).stdout
             for option in ("--dump-config", "--check-config", "--list-options")]
    texts = {**read_log(broker, folder), "an answer of the API": b"\n".join(heard), "--dump-config and its like": b"\n".join(dumps),
             "$SYS": listen_to_sys(broker, folder), "the control socket": json.dumps(broker.control("stats")).encode()}
    absent([*shown, *(known.encode() for known in KNOWN.values()), new, tokens.SECRET, tokens.encode(tokens.SECRET)], texts)
    for where, text in texts.items():
        assert len(text) > 100, "nothing was said by " + where


def test_no_secret_is_left_in_memory(broker, folder, deadline_s):
    """What was shown is gone when the clients are, whatever became of them."""
    shown, _heard = show_everything(broker, folder)
    deadline = time.monotonic() + deadline_s
    while broker.counters()["connection_open"] > 0:
        assert time.monotonic() < deadline
    ask_all_shards(broker, ADMIN)
    found = find_in_memory(broker.process.pid, shown)
    assert not found, "\n".join("%r: %d times, as at %s" % (word, len(places), places[0]) for word, places in found.items())
    # and that the search finds what is there: the text of the configuration
    assert find_in_memory(broker.process.pid, [b"auth.jwt.secret_file"])


TESTS = [test_nobody_hears_a_secret, test_no_secret_is_left_in_memory]

if __name__ == "__main__":
    program = os.path.abspath(sys.argv[sys.argv.index("--broker") + 1])
    sys.exit(run(TESTS, conf))
