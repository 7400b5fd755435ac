#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Counters are exact: message_in, message_out and message_drop are what was sent, received and lost, counted by the clients
themselves, as the HTTP API and the control socket tell them. Also with receivers that are slow, away or gone."""

import socket
import struct
import sys
import threading
import time

from api_client import Mqtt, arguments, at_rest, packet, run, text, wait_until

PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, PINGRESP = 3, 4, 5, 6, 7, 13


class Peer(Mqtt):
    """A client that counts what it gets, first transmissions and repeated ones apart."""

    def __init__(self, *arguments, receive_buffer=None, **keywords):
        if receive_buffer is not None:
            connect, made = socket.create_connection, socket.socket()
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            try:
                socket.create_connection = lambda address, timeout: made.connect(address) or made.settimeout(timeout) or made
                super().__init__(*arguments, **keywords)
            finally:
                socket.create_connection = connect
        else:
            super().__init__(*arguments, **keywords)
        self.received = self.repeated = self.last_acknowledged = 0

    def handle(self, first, body, acknowledge=True):
        """One packet; True for PUBLISH."""
        kind, qos = first >> 4, first >> 1 & 3
        if kind == PUBREL:
            self.send(packet(PUBCOMP << 4, body[:2]))
        if kind != PUBLISH:
            return False
        if first & 8:
            self.repeated += 1
        else:
            self.received += 1
        if qos and acknowledge:
            topic_len = struct.unpack_from(">H", body)[0]
            self.send(packet((PUBACK if qos == 1 else PUBREC) << 4, body[2 + topic_len:4 + topic_len]))
        return True

    def take(self, count, acknowledge=True):
        """Reads until that many more PUBLISH have come."""
        while count > 0:
            first, body = self.receive()
            assert first is not None, "closed"
            count -= self.handle(first, body, acknowledge)

    def catch_up(self, acknowledge=True):
        """Reads everything that was sent before the broker saw this."""
        self.send(b"\xc0\x00")
        self.read_to_pong(acknowledge)

    def read_to_pong(self, acknowledge=True):
        while True:
            first, body = self.receive()
            assert first is not None, "closed"
            if first >> 4 == PINGRESP:
                return
            self.handle(first, body, acknowledge)

    def publish_many(self, topic, payload, qos, count):
        """Sends them all and waits until the broker has handled them."""
        for start in range(0, count, 20):
            answers = {1: [PUBACK], 2: [PUBREC, PUBCOMP]}.get(qos, [])
            some = range(start, min(start + 20, count))
            for number in some:
                identifier = struct.pack(">H", number + 1) if qos else b""
                props = b"\x00" if self.version == 5 else b""
                self.send(packet(PUBLISH << 4 | qos << 1, text(topic) + identifier + props + payload))
            for answer in answers:
                for number in some:
                    first, body = self.receive()
                    assert first >> 4 == answer, first
                    if answer == PUBREC:
                        self.send(packet(PUBREL << 4 | 2, body[:2]))
        self.catch_up()


def check(broker, api, scale, before=None, **expected):
    """At rest: the counters of both doors are as expected, relative to `before`, and the laws hold. Returns them."""
    if "delivery_pending" in expected:  # a session that ends is taken apart after its connection is gone
        pending = expected["delivery_pending"] + (before["delivery_pending"] if before else 0)
        wait_until(lambda: broker.counters()["delivery_pending"] == pending, 10 * scale)
    counters = at_rest(broker, scale)
    for door in (api.code(2), api.ask("GET", "/api/v4/metrics")[1]["counters"]):
        for name in ("message_in", "message_out", "message_drop"):
            assert door[name] == counters[name], (name, door, counters)
    told = {name: counters[name] - (before[name] if before else 0) for name in expected}
    assert told == expected, (told, expected, {name: value for name, value in counters.items() if value})
    return counters


def test_every_pair_of_qos(broker, api, scale):
    """Publishers and subscribers of each QoS: all is received, nothing dropped."""
    subscribers = [Peer(broker.port, "sub-%d-%d" % (qos, number), 5 if number else 4) for qos in range(3) for number in range(2)]
    for number, subscriber in enumerate(subscribers):
        subscriber.subscribe("exact/#", qos=number // 2)
    sent = 0
    for qos in range(3):
        for number in range(3):
            publisher = Peer(broker.port, "pub-%d-%d" % (qos, number))
            readers = [threading.Thread(target=subscriber.take, args=(100,)) for subscriber in subscribers]
            for reader in readers:
                reader.start()
            publisher.publish_many("exact/%d" % number, b"x" * 30, qos, 100)
            for reader in readers:
                reader.join(20 * scale)
            publisher.disconnect()
            sent += 100
    for subscriber in subscribers:
        subscriber.catch_up()
    assert [subscriber.received for subscriber in subscribers] == [sent] * len(subscribers)
    assert sum(subscriber.repeated for subscriber in subscribers) == 0
    counters = check(broker, api, scale, message_in=sent, message_out=sent * len(subscribers), message_drop=0,
                     delivery_pending=0, unrouted=0, publish_qos0_in=300, publish_qos1_in=300, publish_qos2_in=300,
                     retransmit_out=0)
    assert counters["delivery_matched"] == sent * len(subscribers)
    for subscriber in subscribers:
        subscriber.disconnect()


def test_nobody_is_no_drop(broker, api, scale):
    publisher = Peer(broker.port, "lonely")
    publisher.publish_many("nobody", b"x", 1, 50)
    check(broker, api, scale, message_in=50, message_out=0, message_drop=0, unrouted=50)
    publisher.disconnect()


def test_slow_subscribers(broker, api, scale):
    """QoS 0 at more than they read: what each of them reads in the end is what is counted as sent, the rest is dropped."""
    count, size = (20000 if scale == 1 else 4000), 1000
    slow = [Peer(broker.port, "slow-%d" % number, receive_buffer=4096) for number in range(3)]
    quick = Peer(broker.port, "quick")
    for subscriber in slow + [quick]:
        subscriber.subscribe("flood", qos=0)
    reader = threading.Thread(target=quick.read_to_pong)
    reader.start()
    publishers = [Peer(broker.port, "flood-%d" % number) for number in range(2)]
    writers = [threading.Thread(target=publisher.publish_many, args=("flood", b"x" * size, 0, count // 2))
               for publisher in publishers]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60 * scale)
    wait_until(lambda: broker.counters()["message_in"] == count, 30 * scale)
    wait_until(lambda: not broker.law_broken(), 30 * scale)
    before = broker.counters()
    assert before["drop_send_backlog"] > 0, before
    readers = [threading.Thread(target=subscriber.catch_up) for subscriber in slow]
    for one in readers:
        one.start()
    for one in readers:
        one.join(60 * scale)
    # the quick one reads as fast as it can, which may be too slow as well
    wait_until(lambda: broker.counters()["delivery_pending"] == 0, 60 * scale)
    quick.send(b"\xc0\x00")
    reader.join(60 * scale)
    received = sum(subscriber.received for subscriber in slow) + quick.received
    counters = check(broker, api, scale, message_in=count, delivery_pending=0, message_out=received)
    # a message that was not forwarded to a shard is one drop, however many subscribers it would have found there
    if counters["drop_forward_full"] == 0:
        assert counters["message_drop"] == counters["drop_send_backlog"] == 4 * count - received
    for peer in slow + publishers + [quick]:
        peer.close()


def test_queue_limits(broker, api, scale):
    """QoS 1 and 2 to a client that is away, and to one that does not acknowledge."""
    away = Peer(broker.port, "away", clean=False)
    away.subscribe("queue", qos=2)
    away.disconnect()
    publisher = Peer(broker.port, "queue-pub")
    wait_until(lambda: broker.counters()["session_connected"] == 1, 10 * scale)
    publisher.publish_many("queue", b"x", 1, 30)
    publisher.publish_many("queue", b"x", 2, 20)
    publisher.publish_many("queue", b"x", 0, 5)
    counters = check(broker, api, scale, message_in=55, message_out=0, message_drop=45, drop_queue_full=40,
                     drop_offline_qos0=5, delivery_pending=10)
    away = Peer(broker.port, "away", clean=False)
    away.take(10)
    away.catch_up()
    assert (away.received, away.repeated) == (10, 0)
    counters = check(broker, api, scale, counters, message_in=0, message_out=10, message_drop=0, delivery_pending=-10)
    # one that acknowledges nothing: its window (20 by max_inflight_window) and its queue (10) fill up
    silent = Peer(broker.port, "silent", clean=False)
    silent.subscribe("silent", qos=1)
    publisher.publish_many("silent", b"x", 1, 50)
    silent.take(20, acknowledge=False)
    counters = check(broker, api, scale, counters, message_in=50, message_out=20, message_drop=20, drop_queue_full=20,
                     delivery_pending=10)
    silent.close()
    wait_until(lambda: broker.counters()["session_connected"] == 2, 10 * scale)
    silent = Peer(broker.port, "silent", clean=False)
    silent.take(30)
    silent.catch_up()
    assert (silent.received, silent.repeated) == (10, 20)
    check(broker, api, scale, counters, message_in=0, message_out=10, message_drop=0, delivery_pending=-10, retransmit_out=20)
    # and what a session that ends had queued is dropped
    away.disconnect()
    wait_until(lambda: broker.counters()["session_connected"] == 2, 10 * scale)
    before = broker.counters()
    publisher.publish_many("queue", b"x", 1, 7)
    Peer(broker.port, "away", clean=True).disconnect()
    wait_until(lambda: broker.counters()["drop_session_end"] == before["drop_session_end"] + 7, 10 * scale)
    check(broker, api, scale, before, message_in=7, message_out=0, message_drop=7, drop_session_end=7)


def is_stuck(broker, scale):
    """Everything was matched and the kernel takes no more of it."""
    assert broker.wait_law(time.monotonic() + 10 * scale) is None
    reads = [broker.counters() for _ in range(10)]
    return reads[0]["delivery_sending"] > 0 and reads[0]["byte_out"] == reads[-1]["byte_out"]


def vanish(broker, api, scale, qos):
    """One receiver that reads some and is gone; whether the kernel had taken a part of a packet."""
    size = 4000
    subscriber = Peer(broker.port, "vanish-%d" % qos, receive_buffer=4096)
    subscriber.subscribe("vanish", qos=qos)
    publisher = Peer(broker.port, "vanish-pub")
    assert broker.wait_law(time.monotonic() + 10 * scale) is None
    before = broker.counters()
    count = 0
    while not is_stuck(broker, scale):
        publisher.publish_many("vanish", b"x" * size, qos, 1000)
        count += 1000
    some = 10  # few: what waits in the broker must not all find room in the kernel then
    subscriber.take(some, acknowledge=False)
    assert broker.wait_law(time.monotonic() + 10 * scale) is None
    subscriber.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    subscriber.close()
    wait_until(lambda: broker.counters()["session_count"] == 1, 10 * scale)
    after = check(broker, api, scale, before, message_in=count, delivery_pending=0)
    out = after["message_out"] - before["message_out"]
    # everything the subscriber was sent since `before` are these packets; the publisher got PUBACKs of 4 bytes, and
    # PINGRESPs of 2
    bytes_out = after["byte_out"] - before["byte_out"] - (4 * count if qos else 0) - 2 * (count // 1000)
    one = 1 + 2 + 2 + len("vanish") + (2 if qos else 0) + size
    assert out == bytes_out // one, (out, bytes_out / one)
    assert some <= out < count
    lost = "drop_session_end" if qos else "drop_connection_lost"
    assert after[lost] - before[lost] + after["drop_send_backlog"] - before["drop_send_backlog"] == count - out
    publisher.disconnect()
    wait_until(lambda: broker.counters()["session_connected"] == 0, 10 * scale)  # or the next one's would be seen as this
    return bytes_out % one != 0


def test_a_receiver_that_vanishes(broker, api, scale):
    """message_out is what the kernel took to the last byte, neither more nor less."""
    for qos in (0, 1):
        assert any(vanish(broker, api, scale, qos) for _ in range(10)), "no packet was ever cut"


def test_shared_and_wills(broker, api, scale):
    """A group gets each message once; a will is a message that came in."""
    members = [Peer(broker.port, "member-%d" % number) for number in range(3)]
    for member in members:
        member.subscribe("$share/g/shared/#", qos=1)
    publisher = Peer(broker.port, "shared-pub", will=("shared/will", "gone"))
    publisher.publish_many("shared/x", b"x", 1, 60)
    publisher.close()
    wait_until(lambda: broker.counters()["message_out"] == 61, 10 * scale)
    for member in members:
        member.catch_up()
    assert sum(member.received for member in members) == 61
    check(broker, api, scale, message_in=61, message_out=61, message_drop=0, will_published=1)
    for member in members:
        member.disconnect()


def main():
    options, tests = arguments(globals())
    failed = 0
    # limits for the tests that run into them
    for conf, names in ((["mqtt.max_send_backlog = 256KB", "mqtt.max_inflight_window = 65535"], "slow_subscribers vanishes"),
                        (["mqtt.max_mqueue_len = 10", "mqtt.max_inflight_window = 20"], "queue_limits"),
                        ([], "pair_of_qos nobody shared")):
        some = [test for test in tests if any(part in test.__name__ for part in names.split())]
        failed += run(some, options, conf, shard_counts=(1, 2, 4))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
