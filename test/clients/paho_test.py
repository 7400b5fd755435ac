#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Paho for Python (python3-paho-mqtt, 1.6 of Debian or 2.x) against the broker."""

import queue
import threading

import paho.mqtt.client as paho
from clients import run
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

VERSIONS = {"v31": paho.MQTTv31, "v311": paho.MQTTv311, "v5": paho.MQTTv5}


class Peer:
    """A paho client whose callbacks fill queues."""

    def __init__(self, broker, deadline_s, client_id="", version="v311", clean=True, will=None, **connect):
        self.deadline_s, self.version = deadline_s, version
        self.messages, self.connected, self.subscribed, self.published, self.lost = (queue.Queue() for _ in range(5))
        keywords = {} if version == "v5" else {"clean_session": clean}
        if hasattr(paho, "CallbackAPIVersion"):
            keywords["callback_api_version"] = paho.CallbackAPIVersion.VERSION1
        self.client = paho.Client(client_id=client_id, protocol=VERSIONS[version], **keywords)
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)
        self.client.on_connect = lambda _client, _data, flags, code, *rest: self.connected.put((flags, code, rest))
        self.client.on_subscribe = lambda _client, _data, _mid, codes, *_rest: self.subscribed.put(codes)
        self.client.on_disconnect = lambda _client, _data, code, *_rest: self.lost.put(code)
        if will:
            self.client.will_set(*will)
        if version == "v5":
            connect["clean_start"] = clean
        self.client.connect("127.0.0.1", broker.port, **connect)
        self.client.loop_start()
        self.flags, code, self.rest = self.connected.get(timeout=deadline_s)
        assert code == 0, code

    def subscribe(self, *arguments, **keywords):
        self.client.subscribe(*arguments, **keywords)
        return self.subscribed.get(timeout=self.deadline_s)

    def publish(self, topic, payload, qos=0, retain=False, **keywords):
        info = self.client.publish(topic, payload, qos, retain, **keywords)
        info.wait_for_publish(self.deadline_s)
        assert info.is_published(), "no acknowledgement"

    def message(self):
        return self.messages.get(timeout=self.deadline_s)

    def end(self):
        self.client.disconnect()
        self.lost.get(timeout=self.deadline_s)
        self.client.loop_stop()

    def break_off(self):
        """Closes the socket without DISCONNECT."""
        self.client.loop_stop()
        self.client.socket().close()


def properties(packet, **values):
    made = Properties(packet)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def test_each_pair_of_versions(broker, _options, deadline_s):
    for receiver_version in VERSIONS:
        receiver = Peer(broker, deadline_s, "r" + receiver_version, receiver_version)
        receiver.subscribe("paho/#", 2)
        for sender_version in VERSIONS:
            sender = Peer(broker, deadline_s, "s" + sender_version, sender_version)
            for qos in range(3):
                sender.publish("paho/x", b"\x00payload", qos)
                message = receiver.message()
                assert (message.topic, message.payload, message.qos, message.retain) == ("paho/x", b"\x00payload", qos, False)
            sender.end()
        assert receiver.messages.empty()
        receiver.end()


def test_retained_and_will(broker, _options, deadline_s):
    for version in VERSIONS:
        topic = "paho/retained/" + version
        dying = Peer(broker, deadline_s, "dying", version, will=(topic, "gone", 1, True))
        watcher = Peer(broker, deadline_s, "watcher", version)
        watcher.subscribe(topic, 1)
        dying.break_off()
        message = watcher.message()
        assert (message.payload, message.qos, bool(message.retain)) == (b"gone", 1, False)
        late = Peer(broker, deadline_s, "late", version)
        late.subscribe(topic, 1)
        assert bool(late.message().retain)
        late.publish(topic, None, 1, True)
        for peer in (watcher, late):
            peer.end()


def test_session_resumed(broker, _options, deadline_s):
    for version in ("v311", "v5"):
        expiry = {"properties": properties(PacketTypes.CONNECT, SessionExpiryInterval=100)} if version == "v5" else {}
        first = Peer(broker, deadline_s, "paho-session", version, clean=False, **expiry)
        first.subscribe("paho/session", 2)
        first.end()
        sender = Peer(broker, deadline_s, "paho-sender", version)
        for number in range(20):
            sender.publish("paho/session", str(number), number % 3)
        again = Peer(broker, deadline_s, "paho-session", version, clean=False)
        assert again.flags["session present"] == 1
        got = [(message.qos, int(message.payload)) for message in (again.message() for _ in range(13))]
        for qos in (1, 2):  # paho hands QoS 2 over when its exchange is complete: order holds for each QoS
            assert [number for level, number in got if level == qos] == list(range(qos, 20, 3)), got
        for peer in (sender, again):
            peer.end()


def test_burst_in_order(broker, _options, deadline_s):
    for qos in range(3):
        receiver = Peer(broker, deadline_s, "burst-receiver")
        receiver.subscribe("paho/burst", qos)
        sender = Peer(broker, deadline_s, "burst-sender")
        sender.client.max_inflight_messages_set(100)
        infos = [sender.client.publish("paho/burst", str(number), qos) for number in range(1000)]
        assert [int(receiver.message().payload) for _ in range(1000)] == list(range(1000))
        infos[-1].wait_for_publish(deadline_s)
        sender.end()
        receiver.end()


def test_v5_properties(broker, _options, deadline_s):
    receiver = Peer(broker, deadline_s, "properties-receiver", "v5",
                    properties=properties(PacketTypes.CONNECT, TopicAliasMaximum=10, ReceiveMaximum=5))
    assert receiver.rest[0].ReceiveMaximum > 0
    receiver.subscribe("paho/v5/#", options=SubscribeOptions(qos=2, retainAsPublished=True),
                       properties=properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=7))
    sender = Peer(broker, deadline_s, "", "v5")
    assert sender.rest[0].AssignedClientIdentifier
    sent = properties(PacketTypes.PUBLISH, ContentType="text/plain", ResponseTopic="answers", CorrelationData=b"\x00\xff",
                      PayloadFormatIndicator=1, MessageExpiryInterval=100,
                      UserProperty=[("b", "1"), ("a", "2"), ("b", "1")])
    for qos in range(3):
        sender.publish("paho/v5/x", "text", qos, True, properties=sent)
        message = receiver.message()
        got = message.properties
        assert (message.qos, bool(message.retain), got.ContentType, got.ResponseTopic, got.CorrelationData,
                got.PayloadFormatIndicator, got.SubscriptionIdentifier) == \
            (qos, True, "text/plain", "answers", b"\x00\xff", 1, [7]), got
        assert got.UserProperty == [("b", "1"), ("a", "2"), ("b", "1")] and got.MessageExpiryInterval in (99, 100)
    sender.publish("paho/v5/x", None, 1, True)
    for peer in (sender, receiver):
        peer.end()


def test_take_over(broker, _options, deadline_s):
    old = Peer(broker, deadline_s, "paho-taken", "v5")
    old.client.on_connect = None
    new = Peer(broker, deadline_s, "paho-taken", "v5")
    assert int(getattr(old.lost.get(timeout=deadline_s), "value", 0x8E)) == 0x8E
    threading.Thread(target=old.client.loop_stop, daemon=True).start()
    new.client.disconnect()
    new.client.loop_stop()


def test_shared(broker, _options, deadline_s):
    members = [Peer(broker, deadline_s, "member%d" % number, "v5") for number in range(3)]
    for member in members:
        member.subscribe("$share/paho/paho/shared", 1)
    sender = Peer(broker, deadline_s, "shared-sender")
    for number in range(30):
        sender.publish("paho/shared", str(number), 1)
    got = [int(member.message().payload) for member in members for _ in range(10)]
    assert sorted(got) == list(range(30)), got
    for peer in members + [sender]:
        peer.end()


if __name__ == "__main__":
    run([test for name, test in sorted(globals().items()) if name.startswith("test_")])
