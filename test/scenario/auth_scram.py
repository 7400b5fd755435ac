#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Enhanced authentication (MQTT 5.0, 4.12) with SCRAM-SHA-256, before CONNACK and again while a client is online; by a client
that was written apart from the broker (test/support/scram.py)."""

import base64
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from auth import by_kind, go_by, listeners  # noqa: E402
from doors import run  # noqa: E402
from mqs import wire  # noqa: E402
from mqs.client import Client, Closed  # noqa: E402
from scram import METHOD, Scram, attributes  # noqa: E402

SUCCESS, CONTINUE, AGAIN = 0x00, 0x18, 0x19
PROTOCOL_ERROR, BAD_PASSWORD, NOT_AUTHORIZED, BUSY, BAD_METHOD = 0x82, 0x86, 0x87, 0x88, 0x8C
MOSQUITTO = "$7$101$mWi4hvwRjDhlZv7N$9VmcuPbW4yEn98tqVJKpay+LO1+sLXZmoPvgH8KBYC87UUE7d4gPXNIfWQeiiKuuMAUlkqCTPhkmDriPofxFQw=="

program = ""


def write_users(folder):
    """ours: hashed, with keys; theirs: hashed, without; clear: as it is; two with passwords that can be typed in several ways."""
    path = os.path.join(folder, "users")
    with open(path, "w", encoding="utf-8") as users:
        users.write("theirs:%s\nclear:open text\nodd,na=me:x\nz\u00fcrich:cafe\u0301 IX\n" % MOSQUITTO)
        users.writelines("theirs-%d:%s\n" % (number, MOSQUITTO) for number in range(6))
    os.chmod(path, 0o600)
    for name, password in (("ours", "secret"), ("hashed-\u00e9", "caf\u00e9\u3000IX")):
        subprocess.run([program, "passwd", "-b", "--cost", "10", "--scram-iterations", "4096", path, name, password], check=True,
                       capture_output=True)
    return path


def conf(folder):
    Session.folder = folder
    return [*listeners(folder), 'auth.password_file = "%s"' % write_users(folder), "auth.slow_down.after = 1000000", "mqtt.connect_timeout = 2s",
            "sys.interval = 0"]


# ---- a client ----

class Session:
    """One connection. What the client sends with a step is the caller's business."""

    kind, folder = "tcp", None

    def __init__(self, broker, deadline_s, client_id=b""):
        self.client = Client("c", None, wire.V5, client_id)
        go_by(self.client, broker, Session.kind, Session.folder)
        self.client.open()
        self.deadline_s = deadline_s

    def deadline(self):
        return time.monotonic() + self.deadline_s

    def connect(self, method=METHOD, data=None, props=(), **fields):
        props = list(props)
        if method is not None:
            props.append(("authentication_method", method))
        if data is not None:
            props.append(("authentication_data", data))
        self.client.note_connect(props)
        self.send("CONNECT", wire.connect(wire.V5, {"id": self.client.client_id, **fields}, props))

    def send(self, kind, body, flags=None):
        self.client.write(self.client.send(kind, body, flags), self.deadline())

    def auth(self, reason, data=None, method=METHOD):
        props = [("authentication_method", method)] if method is not None else []
        props += [("authentication_data", data)] if data is not None else []
        self.send("AUTH", wire.reason_packet(wire.V5, {"rc": reason}, props))

    def expect(self, kind, reason=None):
        packet = self.client.receive(self.deadline())
        assert packet["type"] == kind and reason in (None, packet.get("rc")), packet
        return packet

    def data(self, kind, reason):
        """The Authentication Data of the next packet, whose method is that of CONNECT [MQTT-4.12.0-5]."""
        packet = self.expect(kind, reason)
        assert packet.prop("authentication_method") == [METHOD.encode()], packet
        return packet.prop("authentication_data")[0]

    def log_in(self, scram, **fields):
        """All steps; the last packet. A step of the server is AUTH 0x18 [MQTT-4.12.0-2]."""
        self.connect(data=scram.first(), **fields)
        self.auth(CONTINUE, scram.final(self.data("AUTH", CONTINUE)))
        packet = self.expect("CONNACK")
        if packet["rc"] == SUCCESS:
            assert packet.prop("authentication_method") == [METHOD.encode()]
            assert scram.is_server(packet.prop("authentication_data")[0])
        return packet

    def log_in_again(self, scram):
        self.auth(AGAIN, scram.first())
        self.auth(CONTINUE, scram.final(self.data("AUTH", CONTINUE)))

    def closed(self):
        try:
            packet = self.client.receive(self.deadline())
        except Closed:
            return
        raise AssertionError("%s instead of the end" % packet)

    def refused(self, reason):
        self.expect("CONNACK", reason)
        self.closed()

    def ended(self, reason):
        self.expect("DISCONNECT", reason)
        self.closed()


def online(broker, deadline_s, user="ours", password="secret", **fields):
    session = Session(broker, deadline_s)
    assert session.log_in(Scram(user, password), **fields)["rc"] == SUCCESS
    return session


# ---- logging in ----

def test_users_get_in(broker, _folder, deadline_s):
    for user, password in (("ours", "secret"), ("clear", "open text"), ("odd,na=me", "x")):
        for header in ("n,,", "y,,", "n,a=%s," % user.replace("=", "=3D").replace(",", "=2C")):
            session = Session(broker, deadline_s)
            assert session.log_in(Scram(user, password, header))["rc"] == SUCCESS
            session.client.ping(session.deadline())
            session.client.close()
        session = online(broker, deadline_s, user, password, username=user.encode())
        session.client.close()


def test_text_in_another_form_is_the_same(broker, _folder, deadline_s):
    """SASLprep: what is typed in another way is the same; the clients are one of ours and one that is not."""
    composed, typed = "caf\u00e9 IX", "cafe\u0301\u00a0\u2168"
    for user, form in (("z\u00fcrich", "zu\u0308rich"), ("hashed-\u00e9", "hashed-e\u0301")):
        for password in (composed, typed):
            session = online(broker, deadline_s, form, password)
            session.client.close()
            session = online(broker, deadline_s, user, password, username=form.encode())
            session.client.close()
            done = subprocess.run([program, "pub", "-p", str(broker.port), "-t", "t", "-m", "x", "-V", "5", "-u", form, "-P", password,
                                   "--auth-method", METHOD], capture_output=True, check=False, timeout=60)
            assert done.returncode == 0, done
        assert Session(broker, deadline_s).log_in(Scram(user, "cafe IX"))["rc"] == BAD_PASSWORD
        session = Session(broker, deadline_s)
        session.connect(data=Scram(user, composed).first(), username=b"zurich")
        session.refused(NOT_AUTHORIZED)


def test_the_proved_name_is_the_clients(broker, _folder, deadline_s):
    watcher = online(broker, deadline_s, "clear", "open text")
    watcher.send("SUBSCRIBE", wire.subscribe(wire.V5, 1, [("$SYS/brokers/connected", 0)]))
    watcher.expect("SUBACK")
    session = Session(broker, deadline_s, b"named-by-scram")
    session.log_in(Scram("ours", "secret"))
    while True:
        said = json.loads(watcher.expect("PUBLISH")["payload"])
        if said.get("client_id", said.get("clientid")) == "named-by-scram":
            break
    assert said["username"] == "ours", said


def test_the_server_begins_when_the_client_says_nothing(broker, _folder, deadline_s):
    session, scram = Session(broker, deadline_s), Scram("ours", "secret")
    session.connect()
    packet = session.expect("AUTH", CONTINUE)
    assert packet.prop("authentication_data") in ([], [b""]), packet
    session.auth(CONTINUE, scram.first())
    session.auth(CONTINUE, scram.final(session.data("AUTH", CONTINUE)))
    assert scram.is_server(session.data("CONNACK", SUCCESS))


def test_nobody_else_gets_in(broker, _folder, deadline_s):
    """A wrong password, a user without keys and one who does not exist are answered alike [MQTT-4.12.0-4]."""
    shapes, salts = set(), {}
    for user, password in (("ours", "Secret"), ("ours", ""), ("clear", "open"), ("theirs", "secret"), ("nobody", "secret"),
                           ("nobody", "open text")):
        session, scram = Session(broker, deadline_s), Scram(user, password)
        session.connect(data=scram.first())
        challenge = session.data("AUTH", CONTINUE)
        said = attributes(challenge)
        assert salts.setdefault(user, said["s"]) == said["s"], "the salt of %s changes" % user
        shapes.add((len(base64.b64decode(said["s"])), len(said["r"]), said["i"]))
        session.auth(CONTINUE, scram.final(challenge))
        packet = session.expect("CONNACK", BAD_PASSWORD)
        assert not packet.prop("authentication_data")
        session.closed()
    assert len(salts) == 4 and len(set(salts.values())) == 4, "users have salts of their own"
    assert len(shapes) == 1, shapes


def test_a_password_is_good_for_nobody_else(broker, _folder, deadline_s):
    """Who has no keys is asked for the proof of somebody's password: with that one he does not get in either."""
    for number in range(6):
        for password in ("open text", "x", "secret"):
            for user in ("theirs-%d" % number, "nobody-%d" % number):
                assert Session(broker, deadline_s).log_in(Scram(user, password))["rc"] == BAD_PASSWORD


def test_messages_that_are_no_scram(broker, _folder, deadline_s):
    good = Scram("ours", "secret").first()
    for first in (b"n", b"\x00\xff", b"p=tls-unique,," + good[3:], b"n,a=clear," + good[3:], b"n,,n=,r=x", b"n,,m=1," + good[3:],
                  b"n" * 3000):
        session = Session(broker, deadline_s)
        session.connect(data=first)
        session.refused(NOT_AUTHORIZED)
    for change in (lambda final: final[:-3], lambda final: b"", lambda final: final.replace(b"c=biws", b"c=eSws"),
                   lambda final: final.replace(b"r=", b"r=x"), lambda final: final + b"," + b"x" * 3000):
        session, scram = Session(broker, deadline_s), Scram("ours", "secret")
        session.connect(data=scram.first())
        session.auth(CONTINUE, change(scram.final(session.data("AUTH", CONTINUE))))
        session.refused(NOT_AUTHORIZED)


def test_what_was_said_once_is_no_use_again(broker, _folder, deadline_s):
    session, scram = Session(broker, deadline_s), Scram("ours", "secret")
    session.connect(data=scram.first())
    final = scram.final(session.data("AUTH", CONTINUE))
    session.auth(CONTINUE, final)
    session.expect("CONNACK", SUCCESS)
    other = Session(broker, deadline_s)
    other.connect(data=scram.first())
    other.data("AUTH", CONTINUE)
    other.auth(CONTINUE, final)
    other.refused(NOT_AUTHORIZED)


def test_another_name_in_connect(broker, _folder, deadline_s):
    session = Session(broker, deadline_s)
    session.connect(data=Scram("ours", "secret").first(), username=b"clear", password=b"open text")
    session.refused(NOT_AUTHORIZED)


def test_methods_that_nobody_knows(broker, _folder, deadline_s):
    """Not even with a password that is right [MQTT-4.12.0-1]."""
    for method in ("SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "PLAIN", "scram-sha-256", "x" * 60000):
        session = Session(broker, deadline_s)
        session.connect(method, username=b"clear", password=b"open text")
        session.refused(BAD_METHOD)
    session = Session(broker, deadline_s)
    session.connect(None, username=b"clear", password=b"open text")
    packet = session.expect("CONNACK", SUCCESS)
    assert not packet.prop("authentication_method")  # [MQTT-4.12.0-6]
    session.auth(AGAIN, b"x", "PLAIN")
    session.ended(PROTOCOL_ERROR)


# ---- order ----

def test_only_auth_comes_before_connack(broker, _folder, deadline_s):
    subscribe = wire.subscribe(wire.V5, 1, [("#", 0)])
    for kind, body in (("PINGREQ", b""), ("PUBLISH", wire.publish(wire.V5, {"topic": b"t"})), ("SUBSCRIBE", subscribe),
                       ("PUBACK", b"\x00\x01"), ("CONNECT", wire.connect(wire.V5, {}))):
        session = Session(broker, deadline_s)
        session.connect(data=Scram("ours", "secret").first())
        session.data("AUTH", CONTINUE)
        session.send(kind, body)
        session.refused(PROTOCOL_ERROR)
    session = Session(broker, deadline_s)
    session.connect(data=Scram("ours", "secret").first())
    session.data("AUTH", CONTINUE)
    session.send("DISCONNECT", b"")
    session.closed()


def test_auth_must_continue(broker, _folder, deadline_s):
    for reason, method, expected in ((AGAIN, METHOD, PROTOCOL_ERROR), (SUCCESS, METHOD, PROTOCOL_ERROR),
                                     (CONTINUE, "PLAIN", PROTOCOL_ERROR), (CONTINUE, None, PROTOCOL_ERROR),
                                     (0x87, METHOD, PROTOCOL_ERROR)):
        session, scram = Session(broker, deadline_s), Scram("ours", "secret")
        session.connect(data=scram.first())
        final = scram.final(session.data("AUTH", CONTINUE))
        session.auth(reason, final, method)
        session.refused(expected)


def test_a_step_in_pieces(broker, _folder, deadline_s):
    session, scram = Session(broker, deadline_s), Scram("clear", "open text")
    session.client.dribble = True
    assert session.log_in(scram)["rc"] == SUCCESS


def test_a_client_that_takes_small_packets(broker, _folder, deadline_s):
    session = Session(broker, deadline_s)
    session.connect(data=Scram("ours", "secret").first(), props=[("maximum_packet_size", 60)])
    packet = session.expect("CONNACK")
    assert packet["rc"] >= 0x80 and len(packet["raw"]) <= 60
    session.closed()


def test_silence_ends(broker, _folder, deadline_s):
    session = Session(broker, deadline_s)
    session.connect(data=Scram("ours", "secret").first())
    session.data("AUTH", CONTINUE)
    session.refused(BUSY)


def test_a_client_that_leaves_meanwhile(broker, _folder, deadline_s):
    for user in ("ours", "clear"):
        for _ in range(20):
            session = Session(broker, deadline_s)
            session.connect(data=Scram(user, "x").first())
            session.client.close()
    online(broker, deadline_s, "clear", "open text").client.close()


# ---- again ----

def test_again_while_everything_goes_on(broker, _folder, deadline_s):
    session, scram = online(broker, deadline_s), Scram("ours", "secret")
    session.send("SUBSCRIBE", wire.subscribe(wire.V5, 1, [("echo", 0)]))
    session.expect("SUBACK")
    for round_number in range(3):
        session.auth(AGAIN, scram.first())
        challenge = session.data("AUTH", CONTINUE)
        session.send("PUBLISH", wire.publish(wire.V5, {"topic": b"echo", "payload": b"%d" % round_number}))
        assert session.expect("PUBLISH")["payload"] == b"%d" % round_number
        session.client.ping(session.deadline())
        session.auth(CONTINUE, scram.final(challenge))
        assert scram.is_server(session.data("AUTH", SUCCESS))
        scram = Scram("ours", "secret")
    assert broker.counters()["authn_again"] >= 3


def test_again_with_a_wrong_password(broker, _folder, deadline_s):
    """[MQTT-4.12.1-2]; the will is sent, as after any end that is no DISCONNECT of the client."""
    watcher = online(broker, deadline_s, "clear", "open text")
    watcher.send("SUBSCRIBE", wire.subscribe(wire.V5, 1, [("will", 0)]))
    watcher.expect("SUBACK")
    session = online(broker, deadline_s, will_topic=b"will", will_payload=b"gone")
    session.log_in_again(Scram("ours", "Secret"))
    session.ended(NOT_AUTHORIZED)
    assert watcher.expect("PUBLISH")["payload"] == b"gone"


def test_again_as_somebody_else(broker, _folder, deadline_s):
    session = online(broker, deadline_s)
    session.auth(AGAIN, Scram("clear", "open text").first())
    session.ended(NOT_AUTHORIZED)


def test_again_out_of_order(broker, _folder, deadline_s):
    first = Scram("ours", "secret").first()
    session = online(broker, deadline_s)
    session.auth(CONTINUE, first)
    session.ended(PROTOCOL_ERROR)
    session = online(broker, deadline_s)
    session.auth(AGAIN, first, "PLAIN")
    session.ended(PROTOCOL_ERROR)
    session = online(broker, deadline_s)
    session.auth(AGAIN, first)
    session.data("AUTH", CONTINUE)
    session.auth(AGAIN, first)
    session.ended(PROTOCOL_ERROR)


def test_again_and_silence(broker, _folder, deadline_s):
    session = online(broker, deadline_s)
    session.auth(AGAIN, Scram("ours", "secret").first())
    session.data("AUTH", CONTINUE)
    session.ended(NOT_AUTHORIZED)


def test_again_and_gone(broker, _folder, deadline_s):
    for _ in range(10):
        session = online(broker, deadline_s, "clear", "open text")
        session.auth(AGAIN, Scram("clear", "open text").first())
        session.client.close()


# ---- a reload ----

def test_a_user_who_is_removed(broker, folder, deadline_s):
    path = os.path.join(folder, "users")
    with open(path, encoding="utf-8") as users:
        before = users.read()
    session, stays = online(broker, deadline_s), online(broker, deadline_s, "clear", "open text")
    subprocess.run([program, "passwd", "-D", path, "ours"], check=True, capture_output=True)
    try:
        assert broker.control("reload")["ok"]
        session.ended(NOT_AUTHORIZED)
        other, scram = Session(broker, deadline_s), Scram("ours", "secret")
        assert other.log_in(scram)["rc"] == BAD_PASSWORD
        stays.client.ping(stays.deadline())
        with open(path, "a", encoding="utf-8") as users:  # half of a line: nothing changes
            users.write("ours:sec")
        assert not broker.control("reload")["ok"]
        assert Session(broker, deadline_s).log_in(Scram("clear", "open text"))["rc"] == SUCCESS
    finally:
        with open(path, "w", encoding="utf-8") as users:
            users.write(before)
        assert broker.control("reload")["ok"]
    online(broker, deadline_s).client.close()


def test_a_password_that_changes_between_two_steps(broker, folder, deadline_s):
    """What was proved is the password that the user had; the one that he has now is another."""
    path = os.path.join(folder, "users")
    with open(path, encoding="utf-8") as users:
        before = users.read()
    session, scram = Session(broker, deadline_s, b"in-between"), Scram("ours", "secret")
    clear, clear_scram = Session(broker, deadline_s, b"in-between"), Scram("clear", "open text")
    session.connect(data=scram.first())
    challenge = session.data("AUTH", CONTINUE)
    clear.connect(data=clear_scram.first())
    clear_challenge = clear.data("AUTH", CONTINUE)
    try:
        for user in ("ours", "clear"):
            subprocess.run([program, "passwd", "-b", "--cost", "10", "--scram-iterations", "4096", path, user, "changed"], check=True,
                           capture_output=True)
        assert broker.control("reload")["ok"]
        other = Session(broker, deadline_s, b"in-between")  # the same shard: it has the new ones
        assert other.log_in(Scram("ours", "changed"))["rc"] == SUCCESS
        session.auth(CONTINUE, scram.final(challenge))
        session.refused(BAD_PASSWORD)
        clear.auth(CONTINUE, clear_scram.final(clear_challenge))
        clear.refused(BAD_PASSWORD)
    finally:
        with open(path, "w", encoding="utf-8") as users:
            users.write(before)
        assert broker.control("reload")["ok"]


def test_users_that_are_taken_away_between_two_steps(broker, _folder, deadline_s):
    """At the first step, when the server began, and at the last."""
    early, late, scram = Session(broker, deadline_s, b"taken"), Session(broker, deadline_s, b"taken"), Scram("ours", "secret")
    early.connect()
    early.expect("AUTH", CONTINUE)
    late.connect(data=scram.first())
    challenge = late.data("AUTH", CONTINUE)
    try:
        broker.write_conf([*listeners(Session.folder), "auth.allow_anonymous = true", "mqtt.connect_timeout = 2s", "sys.interval = 0"])
        assert broker.control("reload")["ok"]
        other = Session(broker, deadline_s, b"taken")
        other.connect(method=None)
        other.expect("CONNACK", SUCCESS)  # the same shard: there is nobody to be asked any more
        early.auth(CONTINUE, scram.first())
        early.refused(BAD_METHOD)
        late.auth(CONTINUE, scram.final(challenge))
        late.refused(BAD_METHOD)
    finally:
        broker.write_conf(broker.conf)
        assert broker.control("reload")["ok"]


def choose(kind):
    Session.kind = kind


# What is the same for every kind of listener is not tried on each: what comes, and in what order, is.
ON_EVERY_KIND = [test_users_get_in, test_nobody_else_gets_in, test_what_was_said_once_is_no_use_again, test_another_name_in_connect,
                 test_methods_that_nobody_knows, test_only_auth_comes_before_connack, test_a_step_in_pieces,
                 test_again_while_everything_goes_on, test_again_with_a_wrong_password, test_again_as_somebody_else]
TESTS = [value for name, value in sorted(globals().items()) if name.startswith("test_")]

if __name__ == "__main__":
    program = os.path.abspath(sys.argv[sys.argv.index("--broker") + 1])
    sys.exit(run([*TESTS, *by_kind(choose, ON_EVERY_KIND)], conf))
