#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The broker with plug-ins: doorman (the example), contrary (does everything), short_topics (C++), and those that cannot
be loaded (B60, B87).
"""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from doors import run_on  # noqa: E402
from mqs import wire  # noqa: E402
from mqs.broker import SANITIZER_OPTIONS, Broker, chosen_shards  # noqa: E402
from mqs.client import Client, Closed, Timeout, Violation  # noqa: E402


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return len(value).to_bytes(2, "big") + value


def properties(block):
    return bytes([len(block)]) + block  # all of them are short here


class Guest(Client):
    """A client that says what it is told, with a deadline of its own."""

    def __init__(self, broker, deadline_s, client_id, user=None, version=wire.V5):
        super().__init__(client_id, broker.address, version, client_id.encode())
        self.deadline_s, self.user, self.packet_id = deadline_s, user, 0

    def deadline(self):
        return time.monotonic() + self.deadline_s

    def say(self, kind, body, flags=None):
        self.write(self.send(kind, body, flags), self.deadline())

    def hear(self, kind=None):
        try:
            packet = self.receive(self.deadline())
        except (Closed, Timeout, Violation) as error:
            raise AssertionError("%s instead of %s: %s" % (type(error).__name__, kind, error)) from None
        assert kind is None or packet["type"] == kind, packet
        return packet

    def connect(self, will=None, method=None, data=None, clean=True, expiry=0):
        """CONNECT; returns the first packet that comes."""
        self.open()
        flags = (2 if clean else 0) | (0xC0 if self.user is not None else 0) | (4 if will else 0)
        block = b"\x15" + text(method) if method is not None else b""
        block += b"\x16" + text(data) if data is not None else b""
        block += b"\x11" + expiry.to_bytes(4, "big") if expiry else b""
        self.note_connect([("authentication_method", method)] if method is not None else [])
        body = text("MQTT") + bytes([self.version, flags, 0, 60])
        body += properties(block) if self.version == wire.V5 else b""
        body += text(self.client_id)
        if will:
            body += (properties(b"") if self.version == wire.V5 else b"") + text(will[0]) + text(will[1])
        if self.user is not None:
            body += text(self.user) + text("a password")
        self.say("CONNECT", body)
        return self.hear()

    def let_in(self, **more):
        packet = self.connect(**more)
        assert packet["type"] == "CONNACK" and packet["rc"] == 0, packet
        return self

    def refused(self, **more):
        """The reason, of CONNACK."""
        packet = self.connect(**more)
        assert packet["type"] == "CONNACK" and packet["rc"] != 0, packet
        self.ends()
        return packet["rc"]

    def ends(self):
        try:
            packet = self.receive(self.deadline())
        except Closed:
            return
        raise AssertionError("not the end: %r" % packet)

    def publish(self, topic, payload, qos=1):
        """The reason of the acknowledgement; of QoS 0 nothing."""
        self.packet_id += 1
        body = text(topic) + (self.packet_id.to_bytes(2, "big") if qos else b"")
        body += properties(b"") if self.version == wire.V5 else b""
        self.say("PUBLISH", body + payload.encode(), qos << 1)
        if qos == 0:
            return None
        packet = self.hear("PUBACK" if qos == 1 else "PUBREC")
        if qos == 2 and packet.get("rc", 0) < 0x80:
            self.say("PUBREL", self.packet_id.to_bytes(2, "big"))
            self.hear("PUBCOMP")
        return packet.get("rc", 0)

    def subscribe(self, *filters):
        self.packet_id += 1
        body = self.packet_id.to_bytes(2, "big") + (properties(b"") if self.version == wire.V5 else b"")
        self.say("SUBSCRIBE", body + b"".join(text(item) + b"\x01" for item in filters))
        return list(self.hear("SUBACK")["rc"])

    def unsubscribe(self, item):
        self.packet_id += 1
        body = self.packet_id.to_bytes(2, "big") + (properties(b"") if self.version == wire.V5 else b"")
        self.say("UNSUBSCRIBE", body + text(item))
        return list(self.hear("UNSUBACK")["rc"])


def settled(broker, name, least, deadline_s):
    """Waits for a counter."""
    deadline = time.monotonic() + deadline_s
    while broker.counters()[name] < least:
        assert time.monotonic() < deadline, "%s is %d, not %d" % (name, broker.counters()[name], least)
        time.sleep(0.01)


def logged(broker, pattern, mark, deadline_s, count=1):
    lines = broker.wait_log(pattern, time.monotonic() + deadline_s, mark, count)
    assert lines, "no line has %r" % pattern
    return lines


# ---- contrary: everything that a plug-in can say ----

def test_at_once(broker, _folder, deadline_s):
    mark = len(broker.log)
    Guest(broker, deadline_s, "a", "allow").let_in().close()
    assert Guest(broker, deadline_s, "d", "deny").refused() == 0x86
    assert Guest(broker, deadline_s, "d4", "deny", wire.V311).refused() in (4, 5)
    assert Guest(broker, deadline_s, "q", "quota").refused() == 0x97
    line = logged(broker, r'refused: event=connect client="d" ', mark, deadline_s)[0]
    assert 'user="deny"' in line and "plugins" in line and "contrary: contrary says so" in line, line
    assert "a password" not in "\n".join(broker.log)


def test_nobody_decides(broker, _folder, deadline_s):
    Guest(broker, deadline_s, "n").let_in().close()  # anonymous, as auth.allow_anonymous says
    assert Guest(broker, deadline_s, "n2", "next").refused() == 0x86  # a name that nobody knows


def test_put_off(broker, _folder, deadline_s):
    before = broker.counters()
    Guest(broker, deadline_s, "da", "defer-allow").let_in().close()
    assert Guest(broker, deadline_s, "dd", "defer-deny").refused() == 0x86
    mark = len(broker.log)
    assert Guest(broker, deadline_s, "dn", "defer-next").refused() == 0x86
    logged(broker, "over kept", mark, deadline_s)
    assert broker.counters()["plugin_deferred"] - before["plugin_deferred"] == 3
    assert broker.counters()["plugin_stale"] == before["plugin_stale"]


def test_many_wait_at_once(broker, _folder, deadline_s):
    """Each waits for its own answer only, and a bystander for nobody's."""
    bystander = Guest(broker, deadline_s, "bystander", "allow").let_in()
    guests = [Guest(broker, 4 * deadline_s, "m%d" % number, "defer-allow") for number in range(40)]
    threads = [threading.Thread(target=guest.let_in) for guest in guests]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    bystander.ping(bystander.deadline())
    assert time.monotonic() - began < deadline_s / 2
    for thread in threads:
        thread.join()
    for guest in guests:
        assert guest.connack_seen, guest.name
        guest.close()
    bystander.close()


def let_in_with_stale_answers(broker, deadline_s, user, count):
    before = broker.counters()["plugin_stale"]
    guest = Guest(broker, deadline_s, user, user).let_in()
    settled(broker, "plugin_stale", before + count, deadline_s)
    guest.ping(guest.deadline())
    guest.close()


def test_answered_twice(broker, _folder, deadline_s):
    let_in_with_stale_answers(broker, deadline_s, "twice", 2)


def test_answered_early(broker, _folder, deadline_s):
    Guest(broker, deadline_s, "ea", "early").let_in().close()


def test_void_ticket(broker, _folder, deadline_s):
    let_in_with_stale_answers(broker, deadline_s, "void", 1)


def test_never_answered(broker, _folder, deadline_s):
    before, mark = broker.counters(), len(broker.log)
    assert Guest(broker, deadline_s, "ne", "never").refused() == 0x86
    assert broker.counters()["plugin_timeout"] == before["plugin_timeout"] + 1
    logged(broker, "over kept", mark, deadline_s)
    logged(broker, 'client="ne".*has not answered in time', mark, deadline_s)


def test_answered_late(broker, _folder, deadline_s):
    before = broker.counters()
    assert Guest(broker, deadline_s, "la", "late").refused() == 0x86
    settled(broker, "plugin_stale", before["plugin_stale"] + 1, deadline_s)


def test_client_gone_meanwhile(broker, _folder, deadline_s):
    """Nobody listens to a client that waits, so that it has gone is found with the answer, whatever that is."""
    before, mark = broker.counters(), len(broker.log)
    users = ["never", "late", "defer-allow", "defer-deny"] * 3
    for number, user in enumerate(users):
        guest = Guest(broker, deadline_s, "gone%d" % number, user)
        thread = threading.Thread(target=lambda one=guest: quiet(one.connect))
        thread.start()
        settled(broker, "plugin_deferred", before["plugin_deferred"] + number + 1, deadline_s)
        guest.sock.shutdown(2)
        thread.join()
        guest.close()
    logged(broker, "over kept", mark, deadline_s, 3)
    settled(broker, "plugin_timeout", before["plugin_timeout"] + 6, 3 * deadline_s)
    settled(broker, "plugin_stale", before["plugin_stale"] + 3, 3 * deadline_s)
    for number in (2, 6, 10):
        logged(broker, r"disconnect gone%d reason" % number, mark, deadline_s)


def quiet(what):
    try:
        what()
    except Exception:  # noqa: BLE001 - the end is what is wanted
        pass


def test_no_sense(broker, _folder, deadline_s):
    for user in ("ticketless", "nonsense", "badname"):
        assert Guest(broker, deadline_s, user, user).refused() == 0x86


def test_name_and_rights(broker, _folder, deadline_s):
    mark = len(broker.log)
    guest = Guest(broker, deadline_s, "re", "rename").let_in()
    assert guest.publish("t", "look-at-me") < 0x80
    logged(broker, "message t somebody", mark, deadline_s)
    guest.close()
    king = Guest(broker, deadline_s, "su", "super").let_in()
    assert king.publish("deny", "x") < 0x80 and king.subscribe("deny") == [1]
    assert king.publish("t", "refuse-this") == 0x87  # messages are looked at, whoever sends them
    king.close()


def test_valid_for_a_second(broker, _folder, deadline_s):
    guest = Guest(broker, deadline_s, "ex", "expire").let_in()
    packet = guest.hear("DISCONNECT")
    assert packet["rc"] >= 0x80, packet
    guest.ends()


def test_slow_hook(broker, _folder, deadline_s):
    before, mark = broker.counters()["plugin_slow"], len(broker.log)
    Guest(broker, deadline_s, "sl", "slow").let_in().close()
    assert broker.counters()["plugin_slow"] > before
    logged(broker, r"plugins\.contrary: authenticate took \d+ ms", mark, deadline_s)


# ---- a method of its own ----

def echo(guest, answers, again=False):
    """Says `answers` to the challenges of the method ECHO; returns the last packet."""
    if again:
        guest.say("AUTH", b"\x19" + properties(b"\x15" + text("ECHO")))
        packet = guest.hear()
    else:
        packet = guest.connect(method="ECHO")
    for answer in answers:
        assert packet["type"] == "AUTH" and packet["rc"] == 0x18 and packet.prop("authentication_method") == [b"ECHO"], packet
        answer = packet.prop("authentication_data")[0] if answer is None else answer
        guest.say("AUTH", b"\x18" + properties(b"\x15" + text("ECHO") + (b"\x16" + text(answer) if answer else b"")))
        packet = guest.hear()
    return packet


def test_method(broker, _folder, deadline_s):
    mark = len(broker.log)
    guest = Guest(broker, deadline_s, "ec")
    packet = echo(guest, [None, None, None])
    assert packet["type"] == "CONNACK" and packet["rc"] == 0, packet
    assert packet.prop("authentication_data") == [b"well said"], packet
    logged(broker, "over echo", mark, deadline_s)
    assert guest.publish("t", "look-at-me") < 0x80
    logged(broker, "message t echo", mark, deadline_s)
    packet = echo(guest, [None, None, None], again=True)
    assert packet["type"] == "AUTH" and packet["rc"] == 0, packet
    packet = echo(guest, [None, "wrong"], again=True)
    assert packet["type"] == "DISCONNECT" and packet["rc"] == 0x87, packet
    guest.ends()
    logged(broker, "over echo", mark, deadline_s, 3)
    other = Guest(broker, deadline_s, "eo")
    packet = echo(other, ["wrong"])
    assert packet["type"] == "CONNACK" and packet["rc"] >= 0x80, packet
    logged(broker, 'client="eo".*contrary: a wrong echo', mark, deadline_s)
    packet = echo(Guest(broker, deadline_s, "en"), [b""])  # AUTH without any data
    assert packet["type"] == "CONNACK" and packet["rc"] >= 0x80, packet
    packet = echo(Guest(broker, deadline_s, "ex"), [None, "not mine"])  # not 0x8C: nobody else was asked
    assert packet["type"] == "CONNACK" and packet["rc"] == 0x86, packet
    third = Guest(broker, deadline_s, "et")
    third.connect(method="ECHO")
    third.close()
    logged(broker, "over echo", mark, deadline_s, 7)
    assert Guest(broker, deadline_s, "em").refused(method="NONE") == 0x8C
    guest = Guest(broker, deadline_s, "turns")
    assert echo(guest, [None, None, None])["rc"] == 0
    packet = echo(guest, [None, None, None], again=True)  # who authenticates again stays who it is
    assert packet["type"] == "DISCONNECT" and packet["rc"] == 0x87, packet
    guest.ends()


def test_method_without_end(broker, _folder, deadline_s):
    guest = Guest(broker, deadline_s, "endless")
    packet, steps = guest.connect(method="ENDLESS"), 0
    while packet["type"] == "AUTH":
        steps += 1
        assert steps < 100
        guest.say("AUTH", b"\x18" + properties(b"\x15" + text("ENDLESS")))
        packet = guest.hear()
    assert packet["type"] == "CONNACK" and packet["rc"] == 0x86, packet
    guest.ends()


# ---- topics ----

def test_topics(broker, _folder, deadline_s):
    for version in (wire.V311, wire.V5):
        guest = Guest(broker, deadline_s, "to%d" % version, "allow", version).let_in()
        denied = (0x87, 0x10, 0) if version == wire.V5 else (0,)
        for qos in (1, 2):
            for word in ("allow", "defer-allow", "defer-next", "next", "early", "twice"):
                assert guest.publish(word + "/x", "1", qos) in (0, 0x10), word
            for word in ("deny", "defer-deny", "nonsense", "ticketless"):
                assert guest.publish(word + "/x", "1", qos) == denied[0], word
        assert guest.subscribe("allow", "deny", "defer-allow", "defer-deny/#", "next/+") == \
            [1, 0x87, 1, 0x87, 1] if version == wire.V5 else [1, 0x80, 1, 0x80, 1]
        assert guest.publish("never", "1") == denied[0]
        guest.close()


def test_who_changes_his_mind(broker, _folder, deadline_s):
    """A plug-in is asked about each message: what it said of the last one with that topic is not remembered."""
    guest = Guest(broker, deadline_s, "mind", "allow").let_in()
    for _ in range(3):
        assert guest.publish("fickle/x", "1") in (0, 0x10)
        assert guest.publish("fickle/x", "1") == 0x87
    guest.close()


def test_order_is_kept(broker, _folder, deadline_s):
    """What comes behind a PUBLISH that waits is done behind it."""
    reader = Guest(broker, deadline_s, "rd", "super").let_in()
    assert reader.subscribe("#") == [1]
    writer = Guest(broker, deadline_s, "wr", "allow").let_in()
    data = b""
    for number in range(60):
        topic = "defer-allow" if number % 7 == 0 else "allow"
        data += wire.frame(0x30, text(topic) + properties(b"") + b"%d" % number)
    writer.write(data, writer.deadline())
    assert [int(reader.hear("PUBLISH")["payload"]) for _ in range(60)] == list(range(60))
    writer.close()
    reader.close()


def test_gone_while_a_topic_waits(broker, _folder, deadline_s):
    before = broker.counters()
    guest = Guest(broker, deadline_s, "gt", "allow").let_in()
    guest.say("PUBLISH", text("late") + b"\x00\x01" + properties(b"") + b"x", 2)
    settled(broker, "plugin_deferred", before["plugin_deferred"] + 1, deadline_s)
    guest.close()
    settled(broker, "plugin_timeout", before["plugin_timeout"] + 1, 2 * deadline_s)
    settled(broker, "plugin_stale", before["plugin_stale"] + 1, 2 * deadline_s)


def test_messages(broker, _folder, deadline_s):
    guest = Guest(broker, deadline_s, "me", "allow").let_in()
    before = broker.counters()
    assert guest.publish("t", "refuse-this") == 0x87
    assert guest.publish("t", "refuse-this", 2) == 0x87
    assert guest.publish("t", "wrong-format", 2) == 0x99
    assert guest.publish("t", "put-this-off") == 0x87
    guest.publish("t", "refuse-this", 0)
    assert guest.publish("t", "fine", 2) < 0x80
    after = broker.counters()
    assert after["refused_publish"] - before["refused_publish"] == 5
    assert after["message_in"] - before["message_in"] == 1
    guest.close()


def test_wills(broker, _folder, deadline_s):
    mark = len(broker.log)
    before = broker.counters()
    for payload in ("look-at-me", "refuse-this"):
        guest = Guest(broker, deadline_s, "wi", "allow").let_in(will=("t", payload))
        guest.sock.shutdown(2)
        guest.close()
    logged(broker, "will t allow", mark, deadline_s)
    logged(broker, "refused: event=will", mark, deadline_s)
    settled(broker, "will_published", before["will_published"] + 1, deadline_s)
    assert Guest(broker, deadline_s, "wd", "allow").refused(will=("deny", "x")) == 0x87
    assert Guest(broker, deadline_s, "wl", "allow").refused(will=("defer-deny", "x")) == 0x87
    Guest(broker, deadline_s, "wa", "allow").let_in(will=("defer-allow", "x")).close()


def test_events(broker, _folder, deadline_s):
    mark = len(broker.log)
    guest = Guest(broker, deadline_s, "ev", "allow").let_in()
    logged(broker, "connect ev version=5 address=127.0.0.1 keep_alive=60 clean=1 present=0", mark, deadline_s)
    assert guest.subscribe("allow/#", "$share/g/allow/x") == [1, 1]
    logged(broker, "subscribe allow/# qos=1", mark, deadline_s)
    logged(broker, r"subscribe \$share/g/allow/x qos=1", mark, deadline_s)
    assert guest.unsubscribe("allow/#") == [0]
    logged(broker, "unsubscribe allow/#", mark, deadline_s)
    guest.say("DISCONNECT", b"")
    guest.ends()
    logged(broker, "disconnect ev reason=0x00", mark, deadline_s)
    guest.let_in().sock.shutdown(2)
    logged(broker, "disconnect ev reason=0x80", mark, deadline_s)
    other = Guest(broker, deadline_s, "ev", "allow").let_in()
    again = Guest(broker, deadline_s, "ev", "allow").let_in()
    logged(broker, "disconnect ev reason=0x8e", mark, deadline_s)
    again.close()
    other.close()


def test_api(broker, _folder, deadline_s):
    row = listed_plugins(broker, deadline_s)["data"][0]
    assert row["name"] == "contrary" and row["plugin"] == "contrary" and row["version"] == "0.9" and row["abi"] == 1, row
    assert row["path"].endswith("/contrary.so"), row
    assert row["hooks"] == ["authenticate", "authorize", "publish", "connect", "disconnect", "subscribe", "unsubscribe"], row


def test_log_and_options(broker, _folder, _deadline_s):
    lines = "\n".join(broker.log)
    assert "plugins.contrary: options: first=one cache.size=10 list=a, b late_ms=" in lines
    assert r"a line\nand another\x1b[0m" in lines
    assert "plugins.contrary: contrary 0.9 is loaded from" in lines


CONTRARY = [test_at_once, test_nobody_decides, test_put_off, test_many_wait_at_once, test_answered_twice,
            test_answered_early, test_void_ticket, test_never_answered, test_answered_late, test_client_gone_meanwhile,
            test_no_sense, test_name_and_rights, test_valid_for_a_second, test_slow_hook, test_method, test_method_without_end,
            test_topics, test_who_changes_his_mind, test_order_is_kept,
            test_gone_while_a_topic_waits, test_messages, test_wills, test_events, test_api, test_log_and_options]


# ---- several plug-ins ----

def test_doorman(broker, _folder, deadline_s):
    mark = len(broker.log)
    assert Guest(broker, deadline_s, "thief").refused() == 0x8A
    logged(broker, 'client="thief".*doorman: on the list', mark, deadline_s)
    guest = Guest(broker, deadline_s, "guest").let_in()
    assert guest.publish("secret/plans", "x") == 0x87
    assert guest.publish("plans", "x") < 0x80
    assert guest.publish("p" * 101, "x") == 0x87  # short_topics, which is asked behind it
    assert guest.subscribe("secret/#", "q" * 101, "#") == [0x87, 0x87, 1]
    guest.close()


def test_the_first_decides(broker, _folder, deadline_s):
    """doorman leaves it to contrary, which is asked next, after waiting."""
    Guest(broker, deadline_s, "fa", "allow").let_in().close()
    Guest(broker, deadline_s, "fd", "defer-allow").let_in().close()
    assert Guest(broker, deadline_s, "thief", "allow").refused() == 0x8A
    assert Guest(broker, deadline_s, "fx", "deny").refused() == 0x86


SEVERAL = [test_doorman, test_the_first_decides]


# ---- those that stop the start ----

def start_fails(options, folder, lines, expected):
    """`start` and `start --check-config` both fail, with that sentence."""
    broker = Broker(os.path.abspath(options.broker), 1, lines, options.timeout_scale)
    broker.write_conf(lines)
    environment = {**SANITIZER_OPTIONS, **os.environ}
    for more in ([], ["--check-config"]):
        if more and "would rather not" in expected:
            continue  # nobody begins for --check-config
        done = subprocess.run(broker.command() + more, capture_output=True, text=True, env=environment,
                              cwd=folder, timeout=60 * options.timeout_scale, check=False)
        said = done.stderr + done.stdout
        assert done.returncode == 1 and re.search(expected, said), "%s: %d %s" % (expected, done.returncode, said)
        assert "started successfully" not in said
    shutil.rmtree(broker.directory)


def unfit(options, folder):
    at = options.plugins
    line = 'plugins.x.path = "%s"'
    copy = os.path.join(folder, "copy.so")
    shutil.copy(os.path.join(at, "doorman.so"), copy)
    rows = [
        ([line % (at + "/none.so")], "plugins.x.path, .*/none.so: it cannot be read: No such file"),
        ([line % at], "is not a file"),
        ([line % os.path.abspath(__file__)], "it cannot be loaded: .*(ELF|too short)"),
        ([line % (at + "/no_entry.so")], r"it has no function shardmq_plugin\(\)"),
        ([line % (at + "/from_tomorrow.so")], "built for a newer broker, whose plug-in interface is number 9999; this one has number 1"),
        ([line % (at + "/from_nowhere.so")], "interface has number 0"),
        ([line % (at + "/misshapen.so")], "4096 bytes"),
        ([line % (at + "/unwilling.so")], "does not begin: today it would rather not"),
        ([line % (at + "/doorman.so")], "does not begin: it needs a list|would rather not"),
        (['plugins.x.config.file = "a"'], r"plugins\.x needs the path of its file"),
        (['plugins.x.path = "doorman.so"'], "takes the path of a file, from its slash on"),
        ([line % (at + "/short_topics.so"), 'plugins.y.path = "%s/short_topics.so"' % at], "same library as that of plugins.x"),
        (['plugin.libs = ["a.so"]'], r"plugins\.<name>\.path"),
    ]
    for lines, expected in rows:
        if "needs a list" in expected:
            expected, lines = "does not begin: it needs a list|would rather not", lines
        yield lines, expected, None
    for mode in (0o757, 0o775):
        os.chmod(copy, mode)
        yield [line % copy], "other users may write to .*copy.so", None
    os.chmod(copy, 0o755)
    inner = os.path.join(folder, "open")
    os.mkdir(inner)
    shutil.copy(copy, inner)
    os.chmod(inner, 0o777)
    yield [line % (inner + "/copy.so")], "other users may write to .*open", None
    link = os.path.join(folder, "link.so")
    os.symlink(inner + "/copy.so", link)
    yield [line % link], "other users may write to .*open", None
    if os.geteuid() == 0:
        os.chown(copy, 12345, 12345)
        yield [line % copy], "belongs to user 12345", None


def check_unfit(options, folder):
    failed = 0
    for lines, expected, _ in unfit(options, folder):
        try:
            start_fails(options, folder, lines, expected)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            failed += 1
            print("stops the start: %s" % error)
    print("what cannot be loaded stops the start%20s: %s" % ("", "ok" if not failed else "failed"), flush=True)
    return failed


# ---- the end ----

def check_end_with_waiting(options, lines):
    """Questions wait, on every shard, when the broker is told to stop: it stops, in order."""
    broker = Broker(os.path.abspath(options.broker), 3, lines, options.timeout_scale).start()
    deadline_s = 10 * options.timeout_scale
    guests = [Guest(broker, deadline_s, "w%d" % number, ("never", "late", "defer-allow")[number % 3])
              for number in range(30)]
    threads = [threading.Thread(target=lambda one=guest: quiet(one.connect)) for guest in guests]
    for thread in threads:
        thread.start()
    settled(broker, "plugin_deferred", 25, deadline_s)
    problem = broker.stop()
    for thread in threads:
        thread.join()
    log = "\n".join(broker.log)
    if not problem and (log.count("ends with 0 connected") != 3 or "plugins.contrary: it ends" not in log):
        problem = "the plug-in was not ended in order"
    if problem:
        print("%s\n%s" % (problem, "\n".join(broker.log[-30:])))
    print("the end while questions wait%29s: %s" % ("", "ok" if not problem else "failed"), flush=True)
    return 1 if problem else 0


# ---- while it runs ----

def listed_plugins(broker, deadline_s, path="/api/v4/plugins", data=None):
    request = urllib.request.Request("http://127.0.0.1:%d%s" % (broker.ports["http"][0], path), data=data)
    request.add_header("Authorization", "Basic " + base64.b64encode(b"admin:public").decode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=deadline_s) as answer:
        return json.load(answer)


def check_while_it_runs(options, lines, other):
    """A reload loads nothing and says so; a restart begins them anew; no request names one."""
    broker = Broker(os.path.abspath(options.broker), 2, lines, options.timeout_scale).start()
    deadline_s, problem = 10 * options.timeout_scale, None
    try:
        mark = len(broker.log)
        broker.write_conf(lines + [other])
        broker.signal(signal.SIGHUP)
        line = logged(broker, "reload: ", mark, deadline_s)[0]
        assert '"ok":true' in line and "plugins" in line.split('"restart"')[1], line
        assert [row["name"] for row in listed_plugins(broker, deadline_s)["data"]] == ["contrary"]
        assert Guest(broker, deadline_s, "r1", "deny").refused() == 0x86
        Guest(broker, deadline_s, "r2", "defer-allow").let_in().close()
        for path, body in (("/api/v4/configuration/plugins", b'{"data":{"plugins":{"evil":{"path":"/tmp/evil.so"}}}}'),
                           ("/api/v4/reload", b'{"data":{"plugins.evil.path":"/tmp/evil.so"}}')):
            try:
                listed_plugins(broker, deadline_s, path, body)
                raise AssertionError("%s took a plug-in" % path)
            except urllib.error.HTTPError as error:
                assert 400 <= error.code < 500, error
        mark = len(broker.log)
        listed_plugins(broker, deadline_s, "/api/v4/ctrl/restart", b"")
        logged(broker, "plugins.contrary: it ends", mark, deadline_s)
        logged(broker, "started successfully", mark, deadline_s)
        broker.wait_ready(time.monotonic() + deadline_s)
        assert [row["name"] for row in listed_plugins(broker, deadline_s)["data"]] == ["contrary", "short"]
        assert Guest(broker, deadline_s, "r1", "deny").refused() == 0x86
    except (AssertionError, OSError, Closed) as error:
        problem = "%s: %s" % (type(error).__name__, error)
    problem = broker.stop() or problem
    if problem:
        print("%s\n%s" % (problem, "\n".join(broker.log[-30:])))
    print("reload and restart%38s: %s" % ("", "ok" if not problem else "failed"), flush=True)
    return 1 if problem else 0


def main():
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--plugins", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="smq-plugin-") as folder:
        at = os.path.join(folder, "good")  # whatever rights the build folder has
        os.mkdir(at, 0o755)
        for name in os.listdir(options.plugins):
            if name.endswith(".so"):
                shutil.copy(os.path.join(options.plugins, name), at)
                os.chmod(os.path.join(at, name), 0o755)
        options.plugins = at
        with open(os.path.join(folder, "list"), "w", encoding="utf-8") as out:
            out.write("# nobody of these\nuser burglar\nclient thief\ntopic secret/\n")
        slower = min(options.timeout_scale, 2)  # many tests wait for these to pass
        common = ["auth.allow_anonymous = true", "auth.slow_down.delay = 0s"]  # refusals that are not held back
        contrary = [*common, "http_server { port = 0 }", "plugins.timeout = %dms" % (700 * slower),
                    'plugins.contrary { path = "%s/contrary.so", config { first = one, cache { size = 10 }, list = [a, b], late_ms = %d } }' % (at, 3000 * slower)]
        doorman = 'plugins.doorman { path = "%s/doorman.so", config { file = "%s/list", delay_ms = 20 } }' % (at, folder)
        short = 'plugins.short.path = "%s/short_topics.so"' % at
        several = [*common, doorman, short, contrary[-1]]
        for lines, tests in ((contrary, CONTRARY), (several, SEVERAL)):
            for shards in chosen_shards(1, 3):
                failed += run_on(shards, lines, tests, folder, options)
        if not options.only:
            failed += check_unfit(options, folder)
            failed += check_end_with_waiting(options, contrary)
            failed += check_while_it_runs(options, contrary, short)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
