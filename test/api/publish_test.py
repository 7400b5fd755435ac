#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Publishing, subscribing and unsubscribing over HTTP, in the place of clients: what is published arrives, with its
properties; what is wrong changes nothing."""

import base64
import itertools
import json
import queue
import struct
import sys

import paho.mqtt.client as paho
from paho.mqtt.subscribeoptions import SubscribeOptions

from api_client import Mqtt, arguments, at_rest, run, wait_until

PUBLISH = "/api/v4/mqtt/publish"
ANY = [None, True, False, 0, 1, -1, 3, 1.5, 1e300, 2 ** 53, "", "x", "base64", "\ud7ff\U0010ffff", [], ["x"], {}, {"x": 1}]


class Receiver(Mqtt):
    """Takes messages one by one; QoS 1 is acknowledged."""

    def message(self):
        """Topic, payload, QoS, retain."""
        while True:
            first, body = self.receive()
            assert first is not None, "closed"
            if first >> 4 != 3:
                continue
            length = struct.unpack_from(">H", body)[0]
            topic, rest, qos = body[2:2 + length].decode(), body[2 + length:], first >> 1 & 3
            if qos == 1:
                self.send(b"\x40\x02" + rest[:2])
            return topic, rest[2:] if qos else rest, qos, bool(first & 1)

    def nothing_is_left(self):
        self.send(b"\xc0\x00")
        first, body = self.receive()
        assert first == 0xd0, (first, body)


def post(api, path, body):
    """An answer that must be good."""
    status, answer = api.ask("POST", "/api/v4/mqtt/" + path, body)
    assert status == 200 and answer["code"] == 0, (status, answer)
    return answer


def refused(broker, api, scale, body, path="publish", status=400, code=108, says=""):
    """Refused with that code and a sentence, and no counter of messages moved."""
    before = at_rest(broker, scale)
    got, answer = api.ask("POST", "/api/v4/mqtt/" + path, body)
    assert got == status and answer["code"] == code and says in answer["message"], (body, got, answer)
    assert list(answer) == ["code", "message"], answer
    after = at_rest(broker, scale)
    for name in ("message_in", "message_out", "message_drop", "delivery_matched", "retained_count", "subscription_count"):
        assert before[name] == after[name], (body, name)


def test_publish_arrives(broker, api, scale):
    receiver = Receiver(broker.port, "receiver")
    receiver.subscribe("p/#", qos=1)
    for qos in range(3):
        post(api, "publish", {"topic": "p/%d" % qos, "payload": "ä%d" % qos, "qos": qos, "clientid": "http"})
        assert receiver.message() == ("p/%d" % qos, ("ä%d" % qos).encode(), min(qos, 1), False)
    post(api, "publish", {"topic": "p/empty", "payload": ""})
    assert receiver.message() == ("p/empty", b"", 0, False)
    # several topics; with both members `topics` wins, and in `topic` a comma is a character
    post(api, "publish", {"topic": "p/no", "topics": "p/a,p/b,p/c", "payload": "x"})
    assert sorted(receiver.message()[0] for _ in range(3)) == ["p/a", "p/b", "p/c"]
    post(api, "publish", {"topic": "p/a,p/b", "payload": "x"})
    assert receiver.message()[0] == "p/a,p/b"
    post(api, "publish", {"topic": "nobody", "payload": "x"})
    counters = at_rest(broker, scale)
    assert counters["message_in"] == 9 and counters["message_out"] == 8 and counters["unrouted"] == 1, counters
    assert counters["publish_qos1_in"] == counters["publish_qos2_in"] == 1
    receiver.nothing_is_left()
    receiver.close()


def test_base64_both_ways(broker, api, _scale):
    receiver = Receiver(broker.port, "receiver")
    receiver.subscribe("b", qos=0)
    binary = bytes(range(256))
    text = base64.b64encode(binary).decode()
    for members, expected in (({"decoding": "base64"}, binary), ({"encoding": "base64"}, base64.b64encode(text.encode())),
                              ({"decoding": "base64", "encoding": "base64"}, text.encode()),
                              ({"decoding": "plain", "encoding": "plain"}, text.encode())):
        post(api, "publish", {"topic": "b", "payload": text, **members})
        assert receiver.message()[1] == expected, members
    for size in range(5):  # every padding
        post(api, "publish", {"topic": "b", "payload": base64.b64encode(binary[:size]).decode(), "decoding": "base64"})
        assert receiver.message()[1] == binary[:size]
    receiver.close()


def test_base64_that_is_none(broker, api, scale):
    for payload in ("x", "xx", "xxx", "=", "AAA=A", "AA==AA==", "AAAA AAAA", "AAAA\n", "Ää==", "-_-_", "A" * 1001):
        refused(broker, api, scale, {"topic": "b", "payload": payload, "decoding": "base64"}, says="payload")


def test_properties_arrive(broker, api, scale):
    got, subscribed = queue.Queue(), queue.Queue()
    client = paho.Client("properties", protocol=paho.MQTTv5)
    client.on_message = lambda _client, _data, message: got.put(message)
    client.on_subscribe = lambda *arguments: subscribed.put(arguments)
    client.on_connect = lambda *_arguments: client.subscribe("v5/#", options=SubscribeOptions(qos=2, retainAsPublished=True))
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    subscribed.get(timeout=20 * scale)
    properties = {"payload_format_indicator": 1, "message_expiry_interval": 100, "response_topic": "answers/ä",
                  "correlation_data": "to you", "content_type": "text/plain",
                  "user_properties": {"b": "1", "a": "zwei", "number": 3, "half": 1.5, "tenth": 0.1, "huge": 1e300,
                                      "third": 1 / 3, "most": 2 ** 53 - 1, "less": -5, "yes": True, "no": False, "": ""}}
    for qos in range(3):
        post(api, "publish", {"topic": "v5/x", "payload": "ü", "qos": qos, "retain": qos == 2, "properties": properties})
        message = got.get(timeout=20 * scale)
        told = message.properties
        assert (message.topic, message.payload, message.qos, bool(message.retain)) == ("v5/x", "ü".encode(), qos, qos == 2)
        assert (told.PayloadFormatIndicator, told.ResponseTopic, told.CorrelationData, told.ContentType) == \
            (1, "answers/ä", b"to you", "text/plain"), told
        assert told.MessageExpiryInterval in (99, 100)
        assert told.UserProperty == [("b", "1"), ("a", "zwei"), ("number", "3"), ("half", "1.5"), ("tenth", "0.1"),
                                     ("huge", "1e+300"), ("third", repr(1 / 3)), ("most", "9007199254740991"),
                                     ("less", "-5"), ("yes", "true"), ("no", "false"), ("", "")], told.UserProperty
    for alone in ({"payload_format_indicator": 0}, {"message_expiry_interval": 4294967295}, {"content_type": "y" * 65535},
                  {"user_properties": {}}, {}):
        post(api, "publish", {"topic": "v5/y", "payload": "x", "properties": alone})
        told = got.get(timeout=20 * scale).properties
        assert getattr(told, "ContentType", None) == alone.get("content_type")
        assert getattr(told, "PayloadFormatIndicator", None) == alone.get("payload_format_indicator")
    client.disconnect()
    client.loop_stop()
    post(api, "publish", {"topic": "v5/x", "payload": "", "retain": True})
    post(api, "publish", {"topic": "v5/x", "payload": "gone", "retain": True, "properties": {"message_expiry_interval": 0}})


def test_retained(broker, api, scale):
    post(api, "publish", {"topics": "r/1,r/2,r/3", "payload": "kept", "retain": True, "qos": 1})
    wait_until(lambda: broker.counters()["retained_count"] == 3, 10 * scale)
    late = Receiver(broker.port, "late")
    late.subscribe("r/#", qos=1)
    assert sorted(late.message() for _ in range(3)) == [("r/%d" % number, b"kept", 1, True) for number in (1, 2, 3)]
    late.close()
    post(api, "publish", {"topics": "r/1,r/2", "payload": "", "retain": True})
    wait_until(lambda: broker.counters()["retained_count"] == 1, 10 * scale)
    at_rest(broker, scale)


def test_order_and_many(broker, api, scale):
    """What comes in one batch for one topic comes in its order; and nothing is lost or done twice."""
    count = 3000
    receiver = Receiver(broker.port, "receiver", deadline_s=20 * scale)
    receiver.subscribe("many/#", qos=1)
    answer = post(api, "publish_batch", [{"topic": "many/%d" % (number % 3), "payload": str(number), "qos": 1}
                                         for number in range(count)])
    assert [row["code"] for row in answer["data"]] == [0] * count
    got = [receiver.message() for _ in range(count)]
    for third in range(3):
        assert [int(payload) for topic, payload, _, _ in got if topic == "many/%d" % third] == list(range(third, count, 3))
    receiver.nothing_is_left()
    counters = at_rest(broker, scale)
    assert counters["message_in"] == counters["message_out"] == count
    receiver.close()


def test_there_is_an_end_to_topics(broker, api, scale):
    """One request has 65536 at most; an item that goes beyond is not done at all."""
    answer = post(api, "publish_batch", [{"topics": "e,e", "payload": ""}, {"topics": ",".join(["e"] * 65535), "payload": ""}])
    assert [row["code"] for row in answer["data"]] == [0, 102], answer["data"][1]["message"]
    assert at_rest(broker, scale)["message_in"] == 2


def test_batch_tells_each(broker, api, scale):
    receiver = Receiver(broker.port, "receiver")
    receiver.subscribe("batch/#", qos=0)
    items = [{"topic": "batch/1", "payload": "a"}, {"topic": "batch/+", "payload": "b"}, {"payload": "c"}, 7,
             {"topics": "batch/2,batch/#", "payload": "nothing of it"}, {"topic": "batch/3", "payload": "d", "qos": 3},
             {"topic": "batch/4"}, {"topics": "batch/5,batch/6", "payload": "e"}, None, [], "x"]
    status, answer = api.ask("POST", "/api/v4/mqtt/publish_batch", items)
    assert status == 200 and list(answer) == ["data", "code"] and answer["code"] == 0, answer
    assert [row["code"] for row in answer["data"]] == [0, 108, 107, 108, 108, 108, 107, 0, 108, 108, 108], answer
    assert [row["topic"] for row in answer["data"]] == ["batch/1", "batch/+", None, None, "batch/2,batch/#", "batch/3", "batch/4",
                                                        "batch/5,batch/6", None, None, None]
    assert all(("message" in row) == (row["code"] != 0) for row in answer["data"])
    assert sorted(receiver.message()[0] for _ in range(3)) == ["batch/1", "batch/5", "batch/6"]
    assert post(api, "publish_batch", [])["data"] == []
    assert at_rest(broker, scale)["message_in"] == 3
    for body in ({}, {"topic": "x", "payload": "y"}, "x", 1, None):
        got, answer = api.ask("POST", "/api/v4/mqtt/publish_batch", json.dumps(body))
        assert got == 400 and answer["code"] in (108, 109), (body, got, answer)
    receiver.close()


def test_topics_that_are_none(broker, api, scale):
    for topic in ("", "+", "#", "a/+", "a/#", "a+", "$SYS", "$SYS/broker", "x" * 65536, "/".join("a" * 200)):
        refused(broker, api, scale, {"topic": topic, "payload": "x"}, says="topic")
    for topics in ("", ",", "a,", ",a", "a,,b", "a,#", "a,$SYS/b"):
        refused(broker, api, scale, {"topics": topics, "payload": "x"}, says="topic")
    refused(broker, api, scale, {"payload": "x"}, code=107, says="topic")
    for text in (b'{"topic":"\xff","payload":"x"}', b'{"topic":"a","payload":"\xc0\x80"}', b'{"topic":"\\ud800","payload":"x"}',
                 b'{"topic":"a\\u0000b","payload":"x"}', b'{"topic":"a","topic":"b","payload":"x"}', b'{"topic":"a","payload":"x"',
                 b"", b"[" * 100 + b"]" * 100):
        refused(broker, api, scale, text, code=109)
    for topic in ("$x", "/", " ", "$share/a/b", "a//b"):  # these are
        post(api, "publish", {"topic": topic, "payload": "x"})


def fits(member, value):
    """What the documentation allows for a member."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value)
    return {"topic": value == "x" or value == "base64" or value == "\ud7ff\U0010ffff", "topics": value in ("x", "base64", "\ud7ff\U0010ffff"),
            "clientid": isinstance(value, str), "payload": isinstance(value, str),
            "encoding": value == "base64", "decoding": False, "qos": number and 0 <= value <= 2,
            "retain": isinstance(value, bool), "properties": value == {},
            "payload_format_indicator": number and 0 <= value <= 1, "message_expiry_interval": number and 0 <= value < 2 ** 32,
            "response_topic": isinstance(value, str) and value != "", "correlation_data": isinstance(value, str),
            "content_type": isinstance(value, str), "subscription_identifier": False,
            "user_properties": value in ({}, {"x": 1}) and isinstance(value, dict), "unknown": False}[member]


def test_every_member_with_every_type(broker, api, scale):
    """Class F: each member with each type of JSON; refused ones change nothing, the others are published."""
    accepted = 0
    good = {"topic": "f", "payload": "x"}
    members = ["topic", "topics", "clientid", "payload", "encoding", "decoding", "qos", "retain", "properties", "unknown"]
    props = ["payload_format_indicator", "message_expiry_interval", "response_topic", "correlation_data", "content_type",
             "subscription_identifier", "user_properties", "unknown"]
    bodies = [(member, value, {**good, member: value}) for member, value in itertools.product(members, ANY)]
    bodies += [(member, value, {**good, "properties": {member: value}}) for member, value in itertools.product(props, ANY)]
    for member, value, body in bodies:
        status, answer = api.ask("POST", PUBLISH, body)
        if fits(member, value):
            assert (status, answer) == (200, {"code": 0}), (body, status, answer)
            accepted += 1
        else:
            assert status == 400 and answer["code"] in (107, 108) and answer["message"], (body, status, answer)
            assert broker.counters()["message_in"] == accepted, body
    assert at_rest(broker, scale)["message_in"] == accepted > 20
    refused(broker, api, scale, {**good, "properties": {"content_type": "y" * 65536}}, says="content_type")
    refused(broker, api, scale, {**good, "properties": {"user_properties": {"k": "y" * 65536}}}, says="user_properties")
    refused(broker, api, scale, {**good, "properties": {"response_topic": "a/+"}}, says="response_topic")
    refused(broker, api, scale, {**good, "properties": {"user_properties": {"k": []}}}, says="user_properties")


def test_limits(broker, api, scale):
    """mqtt.max_packet_size is 32 KB here, mqtt.max_qos 1, mqtt.max_retained 2, and text is checked."""
    refused(broker, api, scale, {"topic": "l", "payload": "x" * 32768}, says="max_packet_size")
    refused(broker, api, scale, {"topic": "l", "payload": "x", "qos": 2}, says="qos")
    refused(broker, api, scale, {"topic": "l", "payload": "/w==", "decoding": "base64", "properties": {"payload_format_indicator": 1}},
            says="UTF-8")
    post(api, "publish", {"topic": "l", "payload": "x" * 32000})
    for number in range(2):
        post(api, "publish", {"topic": "limit/%d" % number, "payload": "x", "retain": True})
    at_rest(broker, scale)
    refused(broker, api, scale, {"topic": "limit/2", "payload": "x", "retain": True}, status=503, code=102, says="retained")
    post(api, "publish", {"topic": "limit/1", "payload": "replaced", "retain": True})
    assert at_rest(broker, scale)["retained_count"] == 2
    answer = post(api, "publish_batch", [{"topic": "limit/%d" % number, "payload": "x", "retain": True} for number in range(4)])
    assert [row["code"] for row in answer["data"]] == [0, 0, 102, 102]


def test_subscribe_for_a_client(broker, api, scale):
    post(api, "publish", {"topic": "s/kept", "payload": "kept", "retain": True})
    client, other = Receiver(broker.port, "s-client"), Receiver(broker.port, "s-other", 5)
    post(api, "subscribe", {"clientid": "s-client", "topics": "s/+,$share/g/q", "qos": 1})
    assert client.message() == ("s/kept", b"kept", 0, True)
    listed = {row["topic"]: row["qos"] for row in api.get("subscriptions/s-client")["data"]}
    assert listed == {"s/+": 1, "$share/g/q": 1}, listed
    for topic in ("s/x", "q"):
        post(api, "publish", {"topic": topic, "payload": "y", "qos": 2})
        assert client.message() == (topic, b"y", 1, False)
    post(api, "unsubscribe", {"clientid": "s-client", "topic": "s/+"})
    post(api, "publish", {"topic": "s/x", "payload": "nobody"})
    client.nothing_is_left()
    post(api, "unsubscribe", {"clientid": "s-client", "topics": "s/+,$share/g/q"})  # the first is not there any more
    answer = post(api, "subscribe_batch", [{"clientid": "s-client", "topic": "t/1"}, {"clientid": "s-other", "topic": "t/2", "qos": 2},
                                           {"clientid": "nobody", "topic": "t/3"}, {"topic": "t/4"}, {"clientid": "s-other", "topic": "#x"}])
    assert list(answer) == ["data", "code"]
    assert [(row["clientid"], row["topic"], row["code"]) for row in answer["data"]] == \
        [("s-client", "t/1", 0), ("s-other", "t/2", 0), ("nobody", "t/3", 112), (None, "t/4", 107), ("s-other", "#x", 108)], answer
    post(api, "publish", {"topics": "t/1,t/2,t/3", "payload": "z"})
    assert client.message()[0] == "t/1"
    assert other.receive()[0] >> 4 == 3
    answer = post(api, "unsubscribe_batch", [{"clientid": "s-client", "topic": "t/1"}, {"clientid": "away", "topic": "t/1"},
                                             {"clientid": "s-other", "topic": "t/2"}])
    assert [row["code"] for row in answer["data"]] == [0, 112, 0]
    assert at_rest(broker, scale)["subscription_count"] == 0
    for peer in (client, other):
        peer.close()


def test_subscribe_that_is_wrong(broker, api, scale):
    client = Receiver(broker.port, "w")
    for path in ("subscribe", "unsubscribe"):
        refused(broker, api, scale, {"clientid": "nobody", "topic": "a"}, path, 404, 112)
        for topic in ("", "a/#/b", "a+", "$share/g", "$share//a", "$share/+/a", "/".join("a" * 200)):
            refused(broker, api, scale, {"clientid": "w", "topic": topic}, path, says="topic")
        refused(broker, api, scale, {"clientid": "w", "topics": "good,#/bad"}, path, says="topic")
        refused(broker, api, scale, {"clientid": "w"}, path, code=107, says="topic")
        refused(broker, api, scale, {"topic": "a"}, path, code=107, says="clientid")
        for member, value in itertools.product(("topic", "topics", "clientid", "qos", "unknown"), ANY):
            if isinstance(value, str) and (member == "clientid" or value and member.startswith("topic")):
                continue
            if member == "qos" and path == "subscribe" and value in (0, 1) and not isinstance(value, bool):
                continue
            got, answer = api.ask("POST", "/api/v4/mqtt/" + path, {"clientid": "w", "topic": "f", member: value})
            assert got == 400 and answer["code"] in (107, 108), (member, value, got, answer)
    away = Mqtt(broker.port, "away", clean=False)
    away.disconnect()
    wait_until(lambda: broker.counters()["session_connected"] == 1, 10 * scale)
    refused(broker, api, scale, {"clientid": "away", "topic": "a"}, "subscribe", 404, 112)
    assert at_rest(broker, scale)["subscription_count"] == 0
    client.close()


def test_the_asker_goes_away(broker, api, scale):
    """What was asked for is done, and nothing is left of it."""
    receiver = Receiver(broker.port, "receiver", deadline_s=20 * scale)
    receiver.subscribe("gone", qos=1)
    body = json.dumps([{"topic": "gone", "payload": str(number), "qos": 1} for number in range(500)])
    api.connection.request("POST", "/api/v4/mqtt/publish_batch", body, api.headers)
    api.connection.sock.close()
    api.connection.close()
    assert [int(receiver.message()[1]) for _ in range(500)] == list(range(500))
    assert at_rest(broker, scale)["message_in"] == 500
    receiver.close()


def main():
    options, tests = arguments(globals())
    limits = [test for test in tests if test.__name__ == "test_limits"]
    failed = run([test for test in tests if test not in limits], options)
    failed += run(limits, options, ["mqtt.max_packet_size = 32KB", "mqtt.max_qos = 1", "mqtt.max_retained = 2",
                                    "mqtt.check_payload_format = true"])
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
