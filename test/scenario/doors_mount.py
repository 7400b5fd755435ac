#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Mount points: what clients behind them see, what others see, and that nobody gets out. That everything else is as without
one the scripts say: run.py --mountpoint."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from doors import run  # noqa: E402
from mqs import fields, parse, wire  # noqa: E402
from mqs.client import Client  # noqa: E402

WHOLE, TENANT, OTHER, BY_CLIENT, BY_USER = range(5)
LONGEST = 65535


def conf(_folder):
    listener = 'listeners.tcp.%s { bind = "127.0.0.1:0", mountpoint = "%s" }'
    return ["mqtt.max_connect_size = 100KB"] + [listener % pair for pair in (("tenant", "tenant/a/"), ("other", "tenant/b/"), ("client", "by/${clientid}/"),
                                         ("user", "%u/x/"))]


class Peer(Client):
    """A client that is told what to say and what to hear, in the language of the scripts."""

    def __init__(self, broker, which, deadline_s, connect='clean=1', client_id=b"", version=wire.V5, rc=0):
        super().__init__("c", ("127.0.0.1", broker.ports["tcp"][which]), version, client_id)
        self.deadline_s = deadline_s
        self.open()
        self.say("CONNECT", connect)
        self.connack = self.receive(self.until())
        assert self.connack["rc"] == rc or rc is None, "CONNACK %s" % self.connack

    def until(self):
        return time.monotonic() + self.deadline_s

    def say(self, kind, words=""):
        data, arguments = fields.build(self, kind, parse.split_words(words), {})
        if kind == "CONNECT":
            self.note_connect(arguments.props)
        self.write(data, self.until())

    def hear(self, kind, words=""):
        packet = self.receive(self.until())
        problem = fields.mismatch(packet, kind, parse.split_words(words), {})
        assert problem is None, "%s: %s, not %s %s" % (problem, packet, kind, words)
        return packet

    def hears_nothing(self):
        self.ping(self.until())
        assert not self.inbox, [str(packet) for packet in self.inbox]

    def subscribe(self, filters, refused=None):
        self.say("SUBSCRIBE", "id=1 " + filters)
        codes = self.receive(self.until())["rc"]
        assert all(code == refused if refused else code <= 2 for code in codes), "SUBACK %s" % codes


def close(*peers):
    for peer in peers:
        peer.close()


def test_publish_and_subscribe(broker, _folder, deadline_s):
    whole, tenant, other = (Peer(broker, which, deadline_s) for which in (WHOLE, TENANT, OTHER))
    whole.subscribe('"#"')
    tenant.subscribe('"#"')
    other.subscribe('"+" "a/+" "tenant/#"')
    for sender, said, inside, outside in ((tenant, "a/1", "a/1", "tenant/a/a/1"), (whole, "tenant/a/b", "b", "tenant/a/b"),
                                          (whole, "a/1", None, "a/1")):
        sender.say("PUBLISH", '"%s" "x"' % said)
        whole.hear("PUBLISH", '"%s" "x"' % outside)
        if inside:
            tenant.hear("PUBLISH", '"%s" "x"' % inside)
    for peer in (whole, tenant, other):
        peer.hears_nothing()
    tenant.say("UNSUBSCRIBE", 'id=2 "#"')
    tenant.hear("UNSUBACK", "id=2 rc=0")
    tenant.say("UNSUBSCRIBE", 'id=3 "tenant/a/#"')
    tenant.hear("UNSUBACK", "id=3 rc=0x11")
    whole.say("PUBLISH", '"tenant/a/b" "nobody"')
    whole.hear("PUBLISH", '"tenant/a/b" "nobody"')
    tenant.hears_nothing()
    close(whole, tenant, other)


def test_shared(broker, _folder, deadline_s):
    """A group is one of whole filters: members from inside and outside are in the same."""
    whole, tenant, other, publisher = (Peer(broker, which, deadline_s) for which in (WHOLE, TENANT, OTHER, WHOLE))
    whole.subscribe('"$share/g/tenant/a/s"')
    tenant.subscribe('"$share/g/s"')
    other.subscribe('"$share/g/s"')
    for number in range(10):
        publisher.say("PUBLISH", '"tenant/a/s" "%d" qos=1 id=%d' % (number, number + 1))
        publisher.hear("PUBACK", "id=%d rc=0" % (number + 1))
    for _ in range(5):
        assert whole.receive(whole.until())["topic"] == b"tenant/a/s"
        assert tenant.receive(tenant.until())["topic"] == b"s"
    other.hears_nothing()
    close(whole, tenant, other, publisher)


def test_retained_and_will(broker, _folder, deadline_s):
    tenant = Peer(broker, TENANT, deadline_s, 'clean=1 will_topic="w" will_payload="gone" will_retain=1')
    tenant.say("PUBLISH", '"r" "kept" retain=1 qos=1 id=1')
    tenant.hear("PUBACK", "id=1")
    whole = Peer(broker, WHOLE, deadline_s)
    whole.subscribe('"tenant/a/#"')
    whole.hear("PUBLISH", '"tenant/a/r" "kept" retain=1')
    tenant.close()
    whole.hear("PUBLISH", '"tenant/a/w" "gone"')
    again = Peer(broker, TENANT, deadline_s)
    again.subscribe('"w" "r"')
    assert {again.receive(again.until())["topic"] for _ in range(2)} == {b"w", b"r"}
    for topic in ("w", "r"):
        again.say("PUBLISH", '"%s" "" retain=1' % topic)
    close(again, whole)


def test_response_topic(broker, _folder, deadline_s):
    """It is translated both ways, so that the answer finds its way; one that has no name here is left out."""
    whole, tenant, other = (Peer(broker, which, deadline_s) for which in (WHOLE, TENANT, OTHER))
    whole.subscribe('"tenant/a/ask"')
    tenant.subscribe('"ask" "answer"')
    tenant.say("PUBLISH", '"ask" "?" content_type="c" response_topic="answer" correlation_data=x:0102 user="k:v"')
    packet = whole.receive(whole.until())
    assert packet.prop("response_topic") == [b"tenant/a/answer"], packet
    names = [name for name, _ in packet["props"]]
    assert names == ["content_type", "response_topic", "correlation_data", "user"], packet
    packet = tenant.receive(tenant.until())
    assert packet.prop("response_topic") == [b"answer"] and packet.prop("content_type") == [b"c"], packet
    whole.say("PUBLISH", '"tenant/a/answer" "!"')
    tenant.hear("PUBLISH", '"answer" "!"')
    whole.say("PUBLISH", '"tenant/a/ask" "?" response_topic="elsewhere" content_type="c"')
    packet = tenant.receive(tenant.until())
    assert packet.prop("response_topic") == [] and packet.prop("content_type") == [b"c"], packet
    will = 'clean=1 will_topic="ask" will_payload="w" will.response_topic="answer"'
    Peer(broker, TENANT, deadline_s, will).close()
    packet = tenant.receive(tenant.until())
    assert packet["payload"] == b"w" and packet.prop("response_topic") == [b"answer"], packet
    close(whole, tenant, other)


def test_aliases(broker, _folder, deadline_s):
    """Both directions, and another one than the topic that stands behind it."""
    tenant = Peer(broker, TENANT, deadline_s, "clean=1 topic_alias_maximum=5")
    whole = Peer(broker, WHOLE, deadline_s)
    whole.subscribe('"tenant/a/al"')
    tenant.subscribe('"al"')
    tenant.say("PUBLISH", '"al" "1" topic_alias=1')
    tenant.say("PUBLISH", '"" "2" topic_alias=1')
    for payload in (b"1", b"2"):
        packet = whole.receive(whole.until())
        assert (packet["topic"], packet["payload"]) == (b"tenant/a/al", payload)
    first, second = tenant.receive(tenant.until()), tenant.receive(tenant.until())
    assert first["topic"] == b"al" and first.prop("topic_alias") == second.prop("topic_alias") != []
    assert second["topic"] in (b"", b"al"), second
    close(tenant, whole)


def test_dollar(broker, _folder, deadline_s):
    """Topics with a $ are mounted as others; a filter that begins with a wildcard does not get one [MQTT-4.7.2-1]."""
    whole, tenant, other = (Peer(broker, which, deadline_s) for which in (WHOLE, TENANT, OTHER))
    whole.subscribe('"$SYS/x/#" "$other" "tenant/a/#"')
    other.subscribe('"#" "$SYS/#" "$other"')
    tenant.subscribe('"#" "+/x" "$share/g/#"')
    for topic in ("$SYS/x", "$other"):
        for qos in (0, 1):
            tenant.say("PUBLISH", '"%s" "in" qos=%d%s retain=1' % (topic, qos, " id=9" if qos else ""))
            if qos:
                tenant.hear("PUBACK", "id=9 rc=0")
            whole.hear("PUBLISH", '"tenant/a/%s" "in"' % topic)
    tenant.hears_nothing()
    tenant.subscribe('"$SYS/+" rh=2')
    whole.say("PUBLISH", '"tenant/a/$SYS/x" "from outside"')
    whole.hear("PUBLISH", '"tenant/a/$SYS/x" "from outside"')
    tenant.hear("PUBLISH", '"$SYS/x" "from outside"')
    whole.say("PUBLISH", '"tenant/a/$other" "from outside"')
    whole.hear("PUBLISH", '"tenant/a/$other" "from outside"')
    tenant.hears_nothing()
    tenant.say("UNSUBSCRIBE", 'id=3 "#" "+/x" "$share/g/#"')
    tenant.hear("UNSUBACK", "id=3 rc=0,0,0")
    tenant.subscribe('"$other"')
    tenant.hear("PUBLISH", '"$other" "in" retain=1')
    tenant.subscribe('"$share/g/$other"')
    whole.say("PUBLISH", '"tenant/a/$other" "both"')
    whole.hear("PUBLISH", '"tenant/a/$other" "both"')
    for _ in range(2):
        tenant.hear("PUBLISH", '"$other" "both"')
    for topic in ("$SYS/x", "$other"):  # one after the other: between topics there is no order
        tenant.say("PUBLISH", '"%s" "" retain=1' % topic)
        whole.hear("PUBLISH", '"tenant/a/%s"' % topic)
    close(Peer(broker, TENANT, deadline_s, 'clean=1 will_topic="$SYS/w" will_payload="x"'))
    whole.hear("PUBLISH", '"tenant/a/$SYS/w"')
    other.hears_nothing()
    close(whole, tenant, other)


def test_no_way_out(broker, _folder, deadline_s):
    """Neither by what is no filter nor by $SYS does anybody see more than what lies behind the mount point."""
    whole = Peer(broker, WHOLE, deadline_s)
    whole.subscribe('"$SYS/x/#" "$other"')
    for version in (wire.V5, wire.V311):
        tenant = Peer(broker, TENANT, deadline_s, version=version)
        bad = 0x8f if version == wire.V5 else 0x80
        for text in ("$share/g/", "$share//x", "", "a#"):
            tenant.subscribe('"%s"' % text, bad)
        tenant.subscribe('"$SYS/#" "$share/g/$SYS/#" "#"')  # of the broker's own some are retained
        tenant.hears_nothing()
        for topic in ("$SYS/x/y", "$other"):
            tenant.say("PUBLISH", '"%s" "x" id=9 qos=1' % topic)
        tenant.ping(tenant.until())
        tenant.close()
    whole.hears_nothing()
    whole.close()


def test_placeholders(broker, _folder, deadline_s):
    whole = Peer(broker, WHOLE, deadline_s)
    whole.subscribe('"by/#" "me/x/#"')
    client = Peer(broker, BY_CLIENT, deadline_s, client_id=b"meter-7")
    client.say("PUBLISH", '"t" "1"')
    whole.hear("PUBLISH", '"by/meter-7/t" "1"')
    client.close()
    nameless = Peer(broker, BY_CLIENT, deadline_s)
    nameless.say("PUBLISH", '"t" "2"')
    topic = whole.receive(whole.until())["topic"]
    assert topic == b"by/" + nameless.connack.prop("assigned_client_identifier")[0] + b"/t", topic
    nameless.close()
    user = Peer(broker, BY_USER, deadline_s, 'clean=1 username="me"')
    user.say("PUBLISH", '"t" "3"')
    whole.hear("PUBLISH", '"me/x/t" "3"')
    user.close()
    for bad in (b"+", b"#", b"a/b", b"$SYS", b"a+", b"x" * 300):
        Peer(broker, BY_CLIENT, deadline_s, client_id=bad, rc=0x87).close()
        Peer(broker, BY_USER, deadline_s, 'clean=1 username="%s"' % bad.decode(), rc=0x87).close()
    Peer(broker, BY_USER, deadline_s, rc=0x87).close()  # no user name
    whole.close()


def test_longest_topics(broker, _folder, deadline_s):
    """The limit is that of whole topics."""
    room = LONGEST - len("tenant/a/")
    tenant = Peer(broker, TENANT, deadline_s)
    tenant.subscribe('"%s"' % ("x" * room))
    tenant.subscribe('"%s"' % ("x" * (room + 1)), 0x8f)
    tenant.say("PUBLISH", '"%s" "y"' % ("x" * room))
    assert len(tenant.receive(tenant.until())["topic"]) == room
    tenant.say("PUBLISH", '"a" "y" response_topic="%s"' % ("x" * (room + 1)))
    tenant.hear("DISCONNECT", "rc=0x90")
    tenant = Peer(broker, TENANT, deadline_s)
    tenant.say("PUBLISH", '"%s" "y"' % ("x" * (room + 1)))
    tenant.hear("DISCONNECT", "rc=0x90")
    Peer(broker, TENANT, deadline_s, 'clean=1 will_topic="%s" will_payload="x"' % ("x" * (room + 1)), rc=0x90).close()
    tenant.close()


def test_session_through_another_door(broker, _folder, deadline_s):
    """Subscriptions stay what they were; what lies outside of the new mount point is dropped, and counted."""
    kept = "clean=0 session_expiry=600"
    session = Peer(broker, TENANT, deadline_s, kept, b"wanderer")
    session.subscribe('"q0" "q1" qos=2')
    session.close()
    whole = Peer(broker, WHOLE, deadline_s)
    for number, topic in enumerate(("q0", "q1"), 1):
        whole.say("PUBLISH", '"tenant/a/%s" "away" qos=1 id=%d' % (topic, number))
        whole.hear("PUBACK", "id=%d" % number)
    session = Peer(broker, WHOLE, deadline_s, kept, b"wanderer")
    session.hear("PUBLISH", '"tenant/a/q1" "away" qos=1 id=any')
    session.say("PUBACK", "id=%d" % 1)
    session.close()
    before = broker.counters()["drop_outside_mount"]
    session = Peer(broker, OTHER, deadline_s, kept, b"wanderer")
    session.subscribe('"q0"')
    for number, topic in enumerate(("a/q0", "a/q1", "b/q0"), 1):
        whole.say("PUBLISH", '"tenant/%s" "%s" qos=1 id=%d' % (topic, topic, number))
        whole.hear("PUBACK", "id=%d" % number)
    session.hear("PUBLISH", '"q0" "b/q0"')
    session.hears_nothing()
    assert broker.counters()["drop_outside_mount"] == before + 2
    session.close()
    Peer(broker, TENANT, deadline_s, "clean=1", b"wanderer").close()
    whole.close()


def test_access_rules(broker, _folder, deadline_s):
    """They are about whole topics."""
    tenant = Peer(broker, TENANT, deadline_s)
    tenant.say("PUBLISH", '"secret" "x" qos=1 id=1')
    tenant.hear("PUBACK", "id=1 rc=0x87")
    tenant.say("PUBLISH", '"tenant/a/secret" "x" qos=1 id=2')
    tenant.hear("PUBACK", "id=2 rc=0x10")
    tenant.subscribe('"secret" "$share/g/secret"', 0x87)
    other = Peer(broker, OTHER, deadline_s)
    other.subscribe('"secret"')
    Peer(broker, TENANT, deadline_s, 'clean=1 will_topic="secret" will_payload="x"', rc=0x87).close()
    close(tenant, other)


def with_rules(folder):
    return [*conf(folder), 'auth.acl.rules = [{ permit = deny, action = pubsub, topics = ["tenant/a/secret"] }, { permit = allow }]']


if __name__ == "__main__":
    sys.exit(run([test_access_rules], with_rules) |
             run([test_publish_and_subscribe, test_shared, test_retained_and_will, test_response_topic, test_aliases, test_dollar,
                  test_no_way_out, test_placeholders, test_longest_topics, test_session_through_another_door], conf))
