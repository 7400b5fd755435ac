#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Backends over HTTP decide who comes in and who may do what: good ones, and every kind of bad one. What a client can
notice is tried on every kind of listener, what only the broker and the backend are concerned with on one.

Rows of the table of bad inputs that are held here: B62 (a backend that fails in whatever way is a denial), B63 (what is
configured is asked, or the start says why not), B89 (addresses that only this machine can reach)."""

import os
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from auth import by_kind, go_by, listeners  # noqa: E402
from doors import run  # noqa: E402
from fake_backend import Backend  # noqa: E402
from mqs import wire  # noqa: E402
from mqs.client import Client, Closed  # noqa: E402

BACKEND = Backend()
NOT_AUTHORIZED, UNAVAILABLE = 0x87, 0x88
QUICK = "auth.http_auth.timeout = 400ms"
PATIENT = "auth.http_auth.breaker_failures = 0"


def question(name, path, words, more=""):
    return 'auth.http_auth.%s { url = "http://127.0.0.1:%d%s", params = {%s} %s }' % (name, BACKEND.port, path, words, more)


LOGIN = question("auth_req", "/auth", 'clientid = "%c", username = "%u", password = "%P"')
SUPER = question("super_req", "/super", 'clientid = "%c", username = "%u"')
RULE = question("acl_req", "/acl", 'clientid = "%c", username = "%u", access = "%A", ip = "%a", topic = "%t"')
ALLOWED = 'auth.http_auth.allow_addresses = "127.0.0.1"'


def conf(folder):
    BACKEND.silent = False
    BACKEND.released.clear()
    Peer.folder = folder
    return [*listeners(folder), LOGIN, ALLOWED, QUICK, PATIENT]


def reached(broker):
    """What was posted to the shards has been done there."""
    broker.counters()  # answered in a later turn than the one that told the shards
    for resident in broker.residents + broker.residents:  # and the second time in a turn that began after that
        resident.ping(resident.until())


def reload(broker, *lines):
    broker.write_conf([*listeners(Peer.folder), *lines])
    return broker.control("reload")


def configure(broker, *lines):
    """Another configuration, at run time."""
    if not hasattr(broker, "residents"):
        broker.residents = [Peer(broker, b"allow", broker.client_id_on(shard, lambda: os.urandom(4).hex()).encode(),
                                 keepalive=0).let_in() for shard in range(broker.shards)]
    answer = reload(broker, *lines)
    assert answer["ok"], answer
    reached(broker)
    BACKEND.silent = False
    BACKEND.released.clear()
    BACKEND.forget()


class Peer(Client):
    kind, folder = "tcp", None

    def __init__(self, broker, username=b"allow", client_id=b"", deadline_s=10, version=wire.V5, password=b"secret", **more):
        super().__init__("c", None, version, client_id)
        go_by(self, broker, Peer.kind, Peer.folder)
        self.deadline_s = deadline_s
        self.open()
        props = more.pop("props", ())
        said = {"id": client_id, "clean": 1, **more}
        if username is not None:
            said["username"] = username
        if password is not None:
            said["password"] = password
        self.write(wire.frame(0x10, wire.connect(version, said, props)), self.until())

    def until(self):
        return time.monotonic() + self.deadline_s

    def connack(self):
        packet = self.receive(self.until())
        assert packet["type"] == "CONNACK", packet
        return packet["rc"]

    def let_in(self):
        rc = self.connack()
        assert rc == 0, "CONNACK %#x" % rc
        return self

    def publish(self, topic, qos=1):
        self.write(wire.frame(0x30 | qos << 1, wire.publish(self.version, {"topic": topic, "qos": qos, "id": 7,
                                                                           "payload": b"x"})), self.until())
        return self.hear("PUBACK" if qos == 1 else "PUBREC")["rc"] if qos else None

    def hear(self, kind):
        """The next packet of that kind; others are passed over."""
        while (packet := self.receive(self.until()))["type"] != kind:
            pass
        return packet

    def subscribe(self, *filters):
        self.write(wire.frame(0x82, wire.subscribe(self.version, 8, [(name, 1) for name in filters])), self.until())
        return self.hear("SUBACK")["rc"]


def connack_of(broker, *words, **more):
    peer = Peer(broker, *words, **more)
    rc = peer.connack()
    peer.close()
    return rc


# ------------------------------------------------------------------------------------------------- who comes in

def test_what_is_asked(broker, _folder, deadline_s):
    """Every value arrives as it is, in a form, a query and JSON; nothing of a client can end its value."""
    user, password, client_id = b"a&b=c d%2e\xc3\xa9/allow", b"\x00\xff&\r\n\"", b'id"}\\,\x7f'
    for more, method in (("", "POST"), (", method = get", "GET")):
        configure(broker, ALLOWED, question("auth_req", "/auth", 'c = "%c", username = "%u", p = "%P", a = "%a", '
                                            'port = "%p", proto = "%r", cn = "%C", fixed = "50%%"', more))
        Peer(broker, user, client_id, password=password).let_in().close()
        asked = BACKEND.wait_asked(1, deadline_s)
        assert asked.method == method and asked.path == "/auth", asked.method
        expected = {"c": client_id.decode("latin-1"), "username": user.decode("latin-1"), "p": password.decode("latin-1"),
                    "proto": {"tcp": "mqtt", "ssl": "mqtts"}.get(Peer.kind, Peer.kind), "fixed": "50%"}
        if Peer.kind != "unix":  # which has neither
            expected.update({"a": "127.0.0.1", "port": str(broker.ports[Peer.kind][0])})
        assert asked.fields == expected, asked.fields
    configure(broker, ALLOWED, question("auth_req", "/auth", 'c = "%c", username = "%u", p = "%P"',
                                        ', headers { content-type = "application/json", x-key = "k,1" }'))
    Peer(broker, user, client_id, password=b"p\"\\").let_in().close()
    asked = BACKEND.wait_asked(1, deadline_s)
    assert asked.fields == {"c": client_id.decode(), "username": user.decode(), "p": "p\"\\"}, asked.fields
    assert asked.headers["x-key"] == "k,1", asked.headers
    # what JSON cannot hold is not let in, and the backend is not troubled
    assert connack_of(broker, user, client_id, password=password) == UNAVAILABLE
    assert len(BACKEND.asked()) == 1
    # without a name and a password the backend is asked all the same
    assert connack_of(broker, None, b"nameless", password=None) == NOT_AUTHORIZED
    assert BACKEND.wait_asked(2, deadline_s).fields == {"c": "nameless"}


def test_good_answers(broker, _folder, _deadline_s):
    configure(broker, LOGIN, ALLOWED, QUICK, PATIENT)
    for name in ("allow", "json-allow", "json-super", "chunked", "until-close", "once"):
        for version in (wire.V31, wire.V311, wire.V5):
            rc = connack_of(broker, name.encode(), b"c1", version=version)
            assert rc == 0, "%s: CONNACK %#x" % (name, rc)


def test_denials(broker, _folder, _deadline_s):
    configure(broker, LOGIN, ALLOWED, QUICK, PATIENT)
    for name in ("deny", "created", "redirect", "moved", "json-deny", "json-malformed", "json-strange"):
        assert connack_of(broker, name.encode()) == NOT_AUTHORIZED, name
        assert connack_of(broker, name.encode(), version=wire.V311, client_id=b"c1") == 5, name
    assert connack_of(broker, b"json-ignore") not in (0, UNAVAILABLE)  # nobody else knows it
    assert len(BACKEND.asked("/allow")) == 0  # nobody followed


def test_bad_backends(broker, _folder, _deadline_s):
    """B62. Each is a denial, soon, and the next client is let in."""
    configure(broker, LOGIN, ALLOWED, QUICK, PATIENT)
    before = broker.counters()
    names = ("late", "reset", "close", "cut", "garbage", "two-lengths", "huge", "promised", "endless", "dribble", "trouble")
    if Peer.kind != "tcp":  # the backend is the same: what is tried is how a client is told
        names = ("late", "reset", "garbage", "huge", "endless", "trouble")
    for name in names:
        began = time.monotonic()
        rc = connack_of(broker, name.encode(), deadline_s=20)
        took = time.monotonic() - began
        assert rc == UNAVAILABLE, "%s: CONNACK %#x" % (name, rc)
        assert took < 8, "%s: %f s" % (name, took)
        assert connack_of(broker, b"allow") == 0, name
    after = broker.counters()
    for counter, least in (("http_request_timeout", 1), ("http_request_bad_answer", 2), ("http_request_no_connection", 1),
                           ("http_request_answered", len(names) + 1), ("http_auth_deny", len(names))):
        assert after[counter] - before[counter] >= least, (counter, before[counter], after[counter])
    assert after["http_request_waiting"] == 0


def test_backend_comes_and_goes(broker, _folder, deadline_s):
    """Refused, then there again; a kept connection that the server closed meanwhile costs nobody anything."""
    configure(broker, LOGIN, ALLOWED, QUICK, PATIENT)
    for _ in range(2):
        assert connack_of(broker, b"allow") == 0
        BACKEND.stop()
        assert connack_of(broker, b"allow") == UNAVAILABLE
        BACKEND.start_again()
        assert connack_of(broker, b"allow") == 0
    for _ in range(20):
        assert connack_of(broker, b"once", b"c1") == 0
    # connections are kept: one for each shard that has asked, at most
    BACKEND.forget()
    configure(broker, LOGIN, ALLOWED, QUICK, PATIENT)
    for number in range(30):
        assert connack_of(broker, b"allow", b"c%d" % number) == 0
    assert BACKEND.accepted <= broker.shards, BACKEND.accepted
    del deadline_s


def test_client_goes_first(broker, _folder, deadline_s):
    """Clients that do not wait for the answer: it reaches nobody, and others go on."""
    configure(broker, LOGIN, ALLOWED, PATIENT)
    BACKEND.silent = True
    peers = [Peer(broker, b"late", b"c%d" % number) for number in range(10)]
    BACKEND.wait_asked(10, deadline_s)
    for number, peer in enumerate(peers):
        peer.reset() if number % 2 else peer.close()
    BACKEND.released.set()
    BACKEND.silent = False
    deadline = time.monotonic() + deadline_s
    while broker.counters()["connection_open"] != broker.shards:
        assert time.monotonic() < deadline, broker.counters()["connection_open"]
        threading.Event().wait(0.01)
    BACKEND.released.clear()
    assert connack_of(broker, b"allow") == 0


def test_name_that_is_none(broker, _folder, _deadline_s):
    """DNS says no, or nothing: .example has no addresses (RFC 6761)."""
    configure(broker, ALLOWED, QUICK, PATIENT, 'auth.http_auth.auth_req { url = "http://no-such-host.example/", '
              'params = {username = "%u"} }')
    assert connack_of(broker, b"allow", deadline_s=20) == UNAVAILABLE
    # a name is looked up
    configure(broker, ALLOWED, QUICK, PATIENT, LOGIN.replace("127.0.0.1", "localhost"))
    assert connack_of(broker, b"allow") == 0


def test_limits(broker, _folder, deadline_s):
    """One connection for each shard, and one that waits: further ones are told at once."""
    configure(broker, LOGIN, ALLOWED, PATIENT, "auth.http_auth.pool_size = 1", "auth.http_auth.max_waiting = 1",
              "auth.http_auth.timeout = 5s")
    before = broker.counters()["http_request_queue_full"]
    BACKEND.silent = True
    names = [broker.client_id_on(0, lambda: os.urandom(4).hex()) for _ in range(5)]
    first = Peer(broker, b"late", names[0].encode())
    BACKEND.wait_asked(1, deadline_s)
    second = Peer(broker, b"late", names[1].encode())
    deadline = time.monotonic() + deadline_s
    while broker.counters()["http_request_waiting"] != 1:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    for name in names[2:]:
        assert connack_of(broker, b"late", name.encode()) == UNAVAILABLE
    assert broker.counters()["http_request_queue_full"] == before + 3
    BACKEND.silent = False
    BACKEND.released.set()
    said = first.connack(), second.connack()
    assert said == (UNAVAILABLE, 0), said  # the second one has its turn
    BACKEND.released.clear()
    first.close()
    second.close()


def test_breaker(broker, _folder, deadline_s):
    """After some failures in a row nobody waits any more; then one tries, and everybody is let in again."""
    configure(broker, LOGIN, ALLOWED, QUICK, "auth.http_auth.breaker_failures = 3", "auth.http_auth.breaker_pause = 1500ms")
    mark = len(broker.log)
    name = broker.client_id_on(0, lambda: os.urandom(4).hex()).encode()
    for _ in range(3):
        assert connack_of(broker, b"trouble", name) == UNAVAILABLE
    assert broker.counters()["http_breaker_open"] == 1
    asked = len(BACKEND.asked())
    for _ in range(3):
        assert connack_of(broker, b"allow", name) == UNAVAILABLE
    assert len(BACKEND.asked()) == asked, "it was asked although the breaker is open"
    assert broker.counters()["http_request_breaker"] >= 3
    deadline = time.monotonic() + deadline_s
    while connack_of(broker, b"allow", name) != 0:
        assert time.monotonic() < deadline, "the breaker does not close"
    assert broker.counters()["http_breaker_open"] == 0
    assert broker.wait_log(r"has failed 3 times in a row, the last time: status 500", deadline, mark)
    assert broker.wait_log(r"answers again", deadline, mark)


def test_cache(broker, _folder, deadline_s):
    """The same question is asked once; a failure is not remembered; a reload forgets."""
    lines = (LOGIN, RULE, ALLOWED, QUICK, PATIENT, "auth.http_auth.cache_ttl = 1m")
    configure(broker, *lines)
    for _ in range(3):
        assert connack_of(broker, b"allow", b"c1") == 0
        assert connack_of(broker, b"deny", b"c1") == NOT_AUTHORIZED
        assert connack_of(broker, b"allow", b"c1", password=b"another") == 0
    assert len(BACKEND.asked()) == 3, len(BACKEND.asked())
    for _ in range(2):
        assert connack_of(broker, b"reset", b"c1") == UNAVAILABLE
    assert len(BACKEND.asked()) >= 5
    peer = Peer(broker, b"allow", b"c1").let_in()
    for _ in range(3):
        assert peer.publish(b"a/allow") in (0, 0x10) and peer.publish(b"a/deny") == NOT_AUTHORIZED
        assert peer.subscribe(b"a/allow") == [1] and peer.subscribe(b"a/deny") == [NOT_AUTHORIZED]
    assert len(BACKEND.asked("/acl")) == 4, len(BACKEND.asked("/acl"))
    configure(broker, *lines)
    assert peer.publish(b"a/allow") in (0, 0x10)
    BACKEND.wait_asked(1, deadline_s, "/acl")
    peer.close()


# -------------------------------------------------------------------------------------------- who may do what

def test_what_was_asked_before_a_reload(broker, _folder, deadline_s):
    """is answered, but not remembered: the reload was to forget it."""
    lines = [LOGIN, ALLOWED, PATIENT, "auth.http_auth.cache_ttl = 1h"]
    configure(broker, *lines)
    peer = Peer(broker, b"late", b"c1")
    BACKEND.wait_asked(1, deadline_s)
    broker.write_conf(lines)
    assert broker.control("reload")["ok"]
    reached(broker)
    BACKEND.released.set()
    peer.let_in().close()
    for count in (2, 2):
        Peer(broker, b"late", b"c1").let_in().close()
        assert len(BACKEND.asked()) == count


def test_rules(broker, _folder, deadline_s):
    """acl_req is asked about every publication and every filter; what it does not allow is not done."""
    configure(broker, LOGIN, RULE, ALLOWED, QUICK, PATIENT)
    peer = Peer(broker, b"allow", b"c1").let_in()
    assert peer.publish(b"x/allow") in (0, 0x10)
    asked = BACKEND.wait_asked(1, deadline_s, "/acl").fields
    address = {} if Peer.kind == "unix" else {"ip": "127.0.0.1"}
    assert asked == {"clientid": "c1", "username": "allow", "access": "2", "topic": "x/allow", **address}, asked
    assert peer.publish(b"x/deny") == NOT_AUTHORIZED
    assert peer.publish(b"x/reset") == NOT_AUTHORIZED
    assert peer.publish(b"x/late") == NOT_AUTHORIZED
    assert peer.publish(b"x/json-malformed") == NOT_AUTHORIZED
    assert peer.publish(b"x/json-ignore") == NOT_AUTHORIZED  # nobody else has a rule: auth.no_match
    assert peer.publish(b"x/json-allow", 2) in (0, 0x10)
    codes = peer.subscribe(b"y/allow", b"y/deny", b"y/trouble", b"y/json-allow", b"$share/g/y/z/allow")
    assert codes == [1, NOT_AUTHORIZED, NOT_AUTHORIZED, 1, 1], codes
    assert [question.fields["topic"] for question in BACKEND.asked("/acl")][-1] == "y/z/allow"
    assert BACKEND.asked("/acl")[-1].fields["access"] == "1"
    # only what was allowed arrives
    other = Peer(broker, b"allow", b"c2").let_in()
    other.publish(b"y/deny", 0)
    assert other.publish(b"y/allow") == 0
    packet = peer.receive(peer.until())
    assert packet["type"] == "PUBLISH" and packet["topic"] == b"y/allow", packet
    peer.close()
    other.close()


def test_only_that_client_waits(broker, _folder, deadline_s):
    """Packets behind one that waits keep their order; nobody else notices."""
    configure(broker, LOGIN, RULE, ALLOWED, PATIENT, "auth.http_auth.timeout = 20s")
    others = Peer(broker, b"allow", b"receiver").let_in()
    assert others.subscribe(b"w/allow") == [1]
    peer = Peer(broker, b"allow", b"c1").let_in()
    BACKEND.silent = True
    peer.write(b"".join(wire.frame(0x30, wire.publish(wire.V5, {"topic": b"w/allow", "payload": b"%d" % number}))
                        for number in range(20)), peer.until())
    BACKEND.wait_asked(2, deadline_s, "/acl")
    for _ in range(50):
        others.ping(others.until())
    BACKEND.silent = False
    BACKEND.released.set()  # the silent connection closes, and the question is asked once more
    got = [others.receive(others.until())["payload"] for _ in range(20)]
    assert got == [b"%d" % number for number in range(20)], got
    BACKEND.released.clear()
    peer.close()
    others.close()


def test_super_users(broker, _folder, deadline_s):
    """super_req is asked once, after the client was let in; then no rules hold for it."""
    configure(broker, LOGIN, SUPER, RULE, ALLOWED, QUICK, PATIENT)
    for name, asked in ((b"super", 1), (b"json-super", 0)):
        BACKEND.forget()
        peer = Peer(broker, name, b"c1").let_in()
        assert peer.publish(b"x/deny") in (0, 0x10) and peer.subscribe(b"x/deny", b"#") == [1, 1]
        assert len(BACKEND.asked("/super")) == asked and BACKEND.asked("/acl") == []
        peer.close()
    BACKEND.forget()
    peer = Peer(broker, b"allow", b"c2").let_in()
    assert peer.publish(b"x/deny") == NOT_AUTHORIZED
    assert len(BACKEND.asked("/super")) == 1
    peer.close()
    # without auth_req it is asked about everybody as well, and a failure makes nobody a super user
    configure(broker, SUPER, RULE, ALLOWED, QUICK, PATIENT)
    peer = Peer(broker, b"super", b"c1", password=None).let_in()
    assert peer.publish(b"x/deny") in (0, 0x10)
    peer.close()
    peer = Peer(broker, b"json-ignore", b"c4").let_in()  # no yes is no
    assert peer.publish(b"x/deny") == NOT_AUTHORIZED
    peer.close()
    BACKEND.stop()
    peer = Peer(broker, b"super", b"c3").let_in()
    BACKEND.start_again()
    assert peer.publish(b"x/deny") == NOT_AUTHORIZED
    peer.close()
    del deadline_s


def test_a_session_is_nobody_elses(broker, _folder, _deadline_s):
    """What the backend allowed one user to subscribe to is not sent to another who comes with the same client identifier."""
    configure(broker, LOGIN, SUPER, RULE, ALLOWED, PATIENT)
    publisher = Peer(broker, b"p/super", b"publisher").let_in()
    keeps = {"clean": 0, "props": [("session_expiry", 100)]}
    for user, present in ((b"a/allow", 0), (b"a/allow", 1), (b"b/allow", 0), (b"b/super", 1), (b"b/allow", 0), (None, 0)):
        if user is None:
            configure(broker, "auth.allow_anonymous = true", RULE, ALLOWED, PATIENT)
        peer = Peer(broker, user, b"kept", password=user and b"secret", **keeps)
        packet = peer.receive(peer.until())
        assert (packet["type"], packet["rc"], packet["sp"]) == ("CONNACK", 0, present), (user, packet)
        if not present:
            assert peer.subscribe(b"x/allow") == [1]
        peer.close()
    publisher.close()


def test_a_reload_while_somebody_waits(broker, _folder, deadline_s):
    """Who was let in, and waits to hear whether it is a super user, is not when a reload has taken away what it came with."""
    others = [ALLOWED, PATIENT, SUPER, "auth.slow_down.after = 0", 'auth.password { other = "secret" }']
    with_user = [ALLOWED, PATIENT, SUPER, 'auth.password { "u/late" = "secret" }']
    open_to_all = [ALLOWED, PATIENT, SUPER, "auth.allow_anonymous = true"]
    for before, after, rc in ((with_user, with_user, 0), (with_user, others, NOT_AUTHORIZED), (open_to_all, open_to_all, 0),
                              (open_to_all, others, NOT_AUTHORIZED)):
        configure(broker, *before)
        peer = Peer(broker, b"u/late", b"waits")
        BACKEND.wait_asked(1, deadline_s, "/super")
        assert reload(broker, *after)["ok"]
        reached(broker)
        BACKEND.released.set()
        assert peer.connack() == rc, (before, after)
        peer.close()


def watch_wills(broker):
    watcher = Peer(broker, b"super", b"watcher").let_in()
    assert watcher.subscribe(b"will/#") == [1]
    return watcher


def refused_wills(broker, count, deadline_s):
    deadline = time.monotonic() + deadline_s
    while (now := broker.counters()["refused_will"]) < count:
        assert time.monotonic() < deadline, now
    assert now == count, now


def test_wills(broker, _folder, deadline_s):
    """A will is asked about at CONNECT, and again when it is due; what the connection was is told then too."""
    rule = question("acl_req", "/acl", 'c = "%c", u = "%u", access = "%A", ip = "%a", topic = "%t", port = "%p", proto = "%r"')
    configure(broker, LOGIN, SUPER, rule, ALLOWED, QUICK, PATIENT)
    watcher = watch_wills(broker)
    peer = Peer(broker, b"allow", b"c1", will_topic=b"will/allow", will_payload=b"bye").let_in()
    peer.reset()
    assert watcher.hear("PUBLISH")["payload"] == b"bye"
    asked = [question.fields for question in BACKEND.asked("/acl")]
    assert len(asked) == 2, asked
    first, second = asked
    assert first == second and first["topic"] == "will/allow" and first["access"] == "2", (first, second)
    assert ("port" in first and "ip" in first or Peer.kind == "unix") and "proto" in first, first
    assert connack_of(broker, b"allow", b"c1", will_topic=b"will/deny", will_payload=b"bye") == NOT_AUTHORIZED
    watcher.close()


def test_wills_that_were_never_asked_about(broker, _folder, deadline_s):
    """The backend was configured after CONNECT. What it does not allow is not published, whatever it does instead."""
    bad = ("deny", "late", "reset", "garbage", "trouble", "json-deny", "json-ignore")
    configure(broker, LOGIN, SUPER, ALLOWED, QUICK, PATIENT)
    watcher = watch_wills(broker)
    peers = [Peer(broker, b"allow", b"w-" + name.encode(), will_topic=b"will/" + name.encode(), will_payload=b"x").let_in()
             for name in (*bad, "allow")]
    configure(broker, LOGIN, SUPER, RULE, ALLOWED, QUICK, PATIENT)
    before, mark = broker.counters()["refused_will"], len(broker.log)
    for peer in peers:
        peer.reset()
    assert watcher.hear("PUBLISH")["topic"] == b"will/allow"
    refused_wills(broker, before + len(bad), deadline_s)
    assert broker.wait_log(r'refused: event=will client="w-deny".*topic="will/deny" reason=will_denied by="http: ', time.monotonic() + 10, mark)
    assert broker.wait_log(r'topic="will/json-ignore" reason=will_denied by="auth.no_match', time.monotonic() + 10, mark)
    assert broker.counters()["will_waiting"] == 0
    watcher.ping(watcher.until())
    assert not [packet for packet in watcher.inbox if packet["type"] == "PUBLISH"]
    watcher.close()


def test_wills_that_wait(broker, _folder, deadline_s):
    """Their sessions are gone, or belong to a new connection; one too many is refused."""
    configure(broker, LOGIN, SUPER, ALLOWED, PATIENT, "auth.http_auth.pool_size = 1", "auth.http_auth.max_waiting = 1")
    watcher = watch_wills(broker)
    names = [broker.client_id_on(0, lambda: "w" + os.urandom(4).hex()).encode() for _ in range(3)]
    peers = [Peer(broker, b"allow", name, will_topic=b"will/allow", will_payload=name, will_retain=1).let_in() for name in names]
    configure(broker, LOGIN, SUPER, RULE, ALLOWED, PATIENT, "auth.http_auth.pool_size = 1", "auth.http_auth.max_waiting = 1",
              "auth.http_auth.timeout = 20s")
    before = broker.counters()["refused_will"]
    BACKEND.silent = True
    for count, peer in enumerate(peers, 1):
        peer.reset()
        deadline = time.monotonic() + deadline_s
        while broker.counters()["will_waiting"] + broker.counters()["refused_will"] - before != count:
            assert time.monotonic() < deadline
    refused_wills(broker, before + 1, deadline_s)
    watcher.ping(watcher.until())
    BACKEND.silent = False
    BACKEND.released.set()
    published = [watcher.hear("PUBLISH")["payload"]]
    if published == names[:1]:  # its connection closed without an answer: it is asked about again if that was an old one
        published.append(watcher.hear("PUBLISH")["payload"])
    BACKEND.released.clear()
    assert published[-1] == names[1], published
    refused_wills(broker, before + 3 - len(published), deadline_s)
    assert broker.counters()["will_waiting"] == 0
    Peer(broker, b"super", b"w").let_in().write(wire.frame(0x31, wire.publish(wire.V5, {"topic": b"will/allow", "payload": b""})), time.monotonic() + 10)
    assert watcher.hear("PUBLISH")["payload"] == b""
    watcher.close()


# ------------------------------------------------------------------------------------------------------- TLS

def test_https(broker, folder, _deadline_s):
    """The certificate of the server and its name are verified, and the broker shows its own."""
    def backend(name, verify=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain("%s/%s.pem" % (folder, name), "%s/%s.key" % (folder, name))
        if verify:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(folder + "/ca.pem")
        return Backend(context)

    def lines(server, *more, host="127.0.0.1"):
        return ['auth.http_auth.auth_req { url = "https://%s:%d/auth", params.username = "%%u" %s }' %
                (host, server.port, " ".join(", " + line for line in more)), ALLOWED, PATIENT,
                "auth.http_auth.timeout = 3s"]

    ca = 'ssl.cacertfile = "%s/ca.pem"' % folder
    for name, host, rc in (("server", "127.0.0.1", 0), ("server", "localhost", 0), ("wrong-name", "127.0.0.1", UNAVAILABLE),
                           ("expired-server", "localhost", UNAVAILABLE), ("second", "localhost", UNAVAILABLE)):
        server = backend(name)
        configure(broker, *lines(server, ca, host=host))
        for _ in range(3):
            assert connack_of(broker, b"allow", b"c1", deadline_s=20) == rc, (name, host)
        assert server.accepted <= 2 or rc != 0
        server.stop()
    server = backend("server")
    configure(broker, *lines(server))  # an authority that the system does not know
    assert connack_of(broker, b"allow", b"c1") == UNAVAILABLE
    server.stop()
    server = backend("server", verify=True)
    configure(broker, *lines(server, ca))
    assert connack_of(broker, b"allow", b"c1") == UNAVAILABLE
    configure(broker, *lines(server, ca, 'ssl.certfile = "%s/client.pem"' % folder, 'ssl.keyfile = "%s/client.key"' % folder))
    rc = connack_of(broker, b"allow", b"c1")
    assert rc == 0, "with a certificate of ours: %#x" % rc
    for name in ("cut", "garbage", "reset", "until-close"):
        connack_of(broker, name.encode(), b"c1")
        assert connack_of(broker, b"allow", b"c1") == 0, name
    server.stop()
    plain = Backend()
    configure(broker, *lines(plain, ca))
    assert connack_of(broker, b"allow", b"c1") == UNAVAILABLE
    plain.stop()


# ------------------------------------------------------------------------------------------------ configuration

def check(broker, *lines):
    """What --check-config says of these lines."""
    path = os.path.join(broker.directory, "check.conf")
    with open(path, "w", encoding="utf-8") as out:
        out.write("\n".join(broker.base_conf() + list(lines)) + "\n")
    done = subprocess.run([broker.executable, "start", "--check-config", "--conf", path], capture_output=True, text=True,
                          timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_what_is_not_good_stops_the_start(broker, _folder, _deadline_s):
    """B63, B89."""
    params = 'params = {clientid = "%c"}'
    for host in ("127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "0",
                 "169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:a9fe:a9fe]", "224.0.0.1"):
        status, said = check(broker, 'auth.http_auth.auth_req { url = "http://%s/x", %s }' % (host, params))
        assert status != 0 and "allow_addresses" in said, (host, status, said)
    for line, sentence in (
            ('auth.http_auth.auth_req { url = "file:///etc/passwd", %s }' % params, "http:// or https://"),
            ('auth.http_auth.auth_req { url = "gopher://h.example/_x", %s }' % params, "http:// or https://"),
            ('auth.http_auth.auth_req { url = "http://h.example/x" }', "params say nothing"),
            ('auth.http_auth.acl_req { url = "http://h.example/x", params = {p = "%P"} }', "%P"),
            ('auth.http_auth.auth_req { url = "http://h.example/x", params = {p = "%t"} }', "%t"),
            ('auth.http_auth.auth_req { url = "http://h.example/x", %s, retries = 3 }' % params, "retries"),
            ('auth.http_auth.auth_req { url = "https://h.example/x", %s, ssl.cacertfile = "/none.pem" }' % params, "/none.pem"),
            ('auth.http_auth.auth_req { url = "http://h.example/x", %s, headers.content-length = 1 }' % params,
             "content-length"),
            ('auth.http_auth.allow_addresses = "127.0.0.0/33"', "allow_addresses")):
        status, said = check(broker, line)
        assert status != 0 and sentence in said, (line, status, said)
    status, said = check(broker, 'auth.http_auth.auth_req { url = "http://%s/x", %s }' % ("10.0.0.1", params))
    assert status == 0, said


def test_what_is_not_good_changes_nothing(broker, _folder, _deadline_s):
    """B63, B89: at a reload. What was asked before is."""
    configure(broker, LOGIN, RULE, ALLOWED, QUICK, PATIENT)
    for url, word in (("http://127.0.0.1/x", "allow_addresses"), ("http://%s/x" % "169.254.169.254", "allow_addresses"),
                      ("file:///etc/passwd", "http://"), ("http://h.example/x", "params")):
        answer = reload(broker, 'auth.http_auth.acl_req { url = "%s" %s }' %
                        (url, ', params = {topic = "%t"}' if word != "params" else ""))
        assert not answer["ok"] and word in answer["error"], answer
    assert connack_of(broker, b"allow") == 0 and connack_of(broker, b"deny") == NOT_AUTHORIZED
    peer = Peer(broker, b"allow", b"c1").let_in()
    assert peer.publish(b"x/deny") == NOT_AUTHORIZED and peer.publish(b"x/allow") in (0, 0x10)
    peer.close()


def test_nothing_answers_here(broker, _folder, _deadline_s):
    """B89: a name that leads to this machine is not asked, whoever comes by whatever listener."""
    configure(broker, QUICK, PATIENT, LOGIN.replace("127.0.0.1", "localhost"))
    before = broker.counters()["http_request_forbidden"]
    assert connack_of(broker, b"allow") == UNAVAILABLE
    assert broker.counters()["http_request_forbidden"] == before + 1
    assert BACKEND.asked() == []


def test_old_form(broker, _folder, _deadline_s):
    """NanoMQ's key=value names."""
    path = os.path.join(broker.directory, "old.conf")
    with open(path, "w", encoding="utf-8") as out:
        out.write("auth.http.enable = true\nauth.http.auth_req.url=http://auth.example:9096/mqtt/auth\n"
                  "auth.http.auth_req.method=post\nauth.http.auth_req.headers.content-type=application/json\n"
                  "auth.http.auth_req.headers.authorization=Bearer-sesame\n"
                  "auth.http.auth_req.params=clientid=%c,username=%u,password=%P\n"
                  "auth.http.timeout=7s\nauth.http.connect_timeout=3s\nauth.http.pool_size=16\n"
                  "auth.http.ssl.cacertfile=/etc/ssl/ca.pem\n")
    done = subprocess.run([broker.executable, "start", "--dump-config", "--old_conf", path], capture_output=True, text=True,
                          timeout=60, check=False)
    said = done.stdout
    for line in ('http_auth.auth_req.url = "http://auth.example:9096/mqtt/auth"', "http_auth.timeout = 7s",
                 "http_auth.connect_timeout = 3s", "http_auth.pool_size = 16", "http_auth.auth_req.method = post",
                 'http_auth.auth_req.params = "clientid=%c, username=%u, password=%P"',
                 'http_auth.auth_req.headers = "content-type=application/json, authorization=***"',
                 'http_auth.ssl.cacertfile = "/etc/ssl/ca.pem"'):
        assert line in said, (line, said, done.stderr)
    assert "sesame" not in said + done.stderr


def test_no_secret_is_told(broker, _folder, _deadline_s):
    """Neither a password nor a header of credentials is in the log, however the backend behaves."""
    configure(broker, ALLOWED, QUICK, PATIENT, "log.level = trace", question(
        "auth_req", "/auth", 'username = "%u", password = "%P"', ', headers.authorization = "Bearer sesame-4711"'))
    for name in ("allow", "deny", "garbage", "late", "reset"):
        connack_of(broker, name.encode(), password=b"pass-word-0815", deadline_s=20)
    assert BACKEND.asked()[0].headers["authorization"] == "Bearer sesame-4711"
    for line in broker.log:
        assert "sesame-4711" not in line and "pass-word-0815" not in line, line


def test_nobody_else_waits(broker, _folder, _deadline_s):
    """Two hundred clients wait for a backend that says nothing; another one is answered all the time."""
    configure(broker, PATIENT, ALLOWED, question("auth_req", "/auth", 'username = "%u"'), "auth.http_auth.timeout = 2s")
    bystander_name = Peer(broker, b"allow", b"resident").let_in()
    BACKEND.silent = True
    peers = [Peer(broker, b"late", b"w%d" % number, deadline_s=30) for number in range(200)]
    longest = 0
    for _ in range(100):
        began = time.monotonic()
        bystander_name.ping(began + 30)
        longest = max(longest, time.monotonic() - began)
    assert all(peer.connack() == UNAVAILABLE for peer in peers)
    assert longest < 1 * broker.time_scale, longest
    BACKEND.silent = False
    BACKEND.released.set()
    for peer in peers:
        peer.close()
    bystander_name.close()
    BACKEND.released.clear()


def test_the_end_while_clients_wait(broker, _folder, deadline_s):
    """The last test: the broker is stopped with questions under way, and ends in order (run() looks)."""
    configure(broker, LOGIN, ALLOWED, PATIENT)
    willing = Peer(broker, b"allow", b"willing", will_topic=b"will/allow", will_payload=b"x").let_in()
    configure(broker, LOGIN, RULE, ALLOWED, PATIENT)
    BACKEND.silent = True
    peers = [Peer(broker, b"late", b"c%d" % number) for number in range(40)]
    BACKEND.wait_asked(20, deadline_s)
    willing.reset()
    deadline = time.monotonic() + deadline_s
    while broker.counters()["will_waiting"] != 1:
        assert time.monotonic() < deadline
    broker.signal(15)
    for peer in peers:
        try:
            assert peer.connack() in (UNAVAILABLE, 0x8B)
        except Closed:
            pass
        peer.close()
    assert broker.wait_exit(15 * broker.time_scale) == 0
    broker.law_broken = lambda: None
    BACKEND.released.set()


def choose(kind):
    Peer.kind = kind


# What a client notices of it; of the others only the broker and the backend know.
ON_EVERY_KIND = [test_what_is_asked, test_good_answers, test_denials, test_bad_backends, test_rules, test_super_users, test_wills,
                 test_wills_that_were_never_asked_about, test_what_is_not_good_changes_nothing, test_nothing_answers_here]

if __name__ == "__main__":
    sys.exit(run([*by_kind(choose, ON_EVERY_KIND), test_what_is_asked, test_good_answers, test_denials, test_bad_backends,
                  test_backend_comes_and_goes, test_client_goes_first, test_name_that_is_none, test_limits, test_breaker, test_cache,
                  test_what_was_asked_before_a_reload, test_rules, test_only_that_client_waits, test_super_users,
                  test_a_session_is_nobody_elses, test_a_reload_while_somebody_waits, test_wills,
                  test_wills_that_were_never_asked_about, test_wills_that_wait, test_https,
                  test_what_is_not_good_stops_the_start,
                  test_what_is_not_good_changes_nothing, test_nothing_answers_here, test_old_form, test_no_secret_is_told,
                  test_nobody_else_waits, test_the_end_while_clients_wait], conf))
