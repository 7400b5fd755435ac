#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Memory stays bounded: announced packets that never come (B39, B42), malformed CONNECTs again and again (B43, B46), QoS 2 with one identifier
(B44), queues that expire and are taken over (B53), a subscriber that reads nothing (B47)."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from mqs import storm, wire  # noqa: E402
from mqs.client import Closed  # noqa: E402

MIB = 1 << 20
ROUNDS = 5


def announce(storm_):
    """Connections that announce a large packet and send its beginning only."""
    peers = []
    for index in range(200):
        peer = storm.Peer(storm_, b"", 4)
        peer.client.open()
        head = b"\x10" + (wire.varint(60000) if index % 2 else b"\xff\xff\xff\x7f")
        peer.write(head + b"\x00\x04MQTT\x04\x02\x00\x3c\xea\x60" + b"x" * 5000)
        peers.append(peer)
    storm_.settle([])
    return peers


def malformed(storm_):
    """CONNECTs that fail in their properties, their will, their end."""
    bodies = [b"\x00\x04MQTT\x05\x06\x00\x3c" + rest for rest in (
        b"\x0a\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01", b"\x00\x00\x02ab\x05\x11\x00\x00\x00\x01\x00\x01w\x00\x00",
        b"\x00\x00\x02ab\x02\x01\x07\x00\x01w\x00\x00", b"\x05\x26\x00\x01k\xff", b"\x00\x00\x02ab\x09\x03\x00\x01x\x03\x00\x01y\xff")]
    for index in range(300):
        peer = storm.Peer(storm_, b"", 5)
        peer.client.open()
        peer.write(wire.frame(0x10, bodies[index % len(bodies)]))
        try:
            while True:
                packet = peer.client.receive(storm_.deadline())
                storm_.check(packet.get("rc", 0x80) >= 0x80, "accepted:", packet)
        except Closed:
            peer.client.close()


def one_identifier(storm_):
    peer = storm_.peer(b"one-identifier")
    data = peer.client.send("PUBLISH", wire.publish(4, {"topic": b"t", "id": 1, "qos": 2, "payload": b"x" * 100}), 0x0C)
    for _ in range(20):
        peer.write(data * 200)
        count = 0
        while count < 200:
            count += peer.client.receive(storm_.deadline())["type"] == "PUBREC"
    peer.client.close()


def queues(storm_):
    """Messages that wait for an absent session, which is then begun anew."""
    absent = storm.Peer(storm_, b"absent", 4)
    absent.connect(clean=0)
    absent.subscribe([(b"queue", 1)])
    absent.client.close()
    source = storm_.peer(b"source")
    for number in range(300):
        identifier = source.publish(b"queue", b"x" * 10000, 1)
        source.wait(lambda: identifier in source.acknowledged)
        source.acknowledged.clear()
        if number == 150:
            absent.connect(clean=0)
            absent.client.close()
    absent.connect(clean=1)
    absent.disconnect()
    source.disconnect()


def slow_reader(storm_):
    """QoS 0 for a client that does not read stays below the limit of the backlog."""
    slow = storm_.peer(b"slow")
    slow.subscribe([(b"flood", 0)])
    source = storm_.peer(b"source")
    for _ in range(200):
        source.write(source.publish_bytes(b"flood", b"x" * 50000) * 10)
    source.client.ping(storm_.deadline())
    storm_.check(storm_.broker.counters()["drop_send_backlog"] > 0, "nothing was dropped for a client that does not read")
    slow.client.close()
    source.disconnect()


def body(storm_):
    sizes = []
    for _ in range(ROUNDS):
        for part in (malformed, one_identifier, queues, slow_reader):
            part(storm_)
        storm_.settle([])
        sizes.append(storm_.broker.resident_bytes())
    before = storm_.broker.resident_bytes()
    peers = announce(storm_)
    grown = storm_.broker.resident_bytes() - before
    for peer in peers:
        peer.client.close()
    print("    resident MiB by round: %s; 200 announced packets: %.1f" % (
        " ".join("%.1f" % (size / MIB) for size in sizes), grown / MIB))
    storm_.check(grown < 200 * 80 * 1024 + 4 * MIB, "announced packets took", grown)
    if storm_.time_scale == 1:  # a sanitizer keeps what is freed for a while
        storm_.check(sizes[-1] - sizes[1] < 8 * MIB, "memory grows with each round", sizes)


if __name__ == "__main__":
    storm.run("memory", body, shards=(1, 2), conf=["mqtt.max_send_backlog = 1MB"])
