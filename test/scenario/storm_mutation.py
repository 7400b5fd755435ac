#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Good packets with random damage, of all types, in and out of a session (B07, B18, B19, B31, B37): the broker answers or closes, a
bystander notices nothing, and nothing the damaged client does brings the broker down."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from mqs import storm, wire  # noqa: E402
from mqs.client import Closed, Timeout  # noqa: E402

CONNECTIONS = 400
PROPS = [("message_expiry", 1000), ("user", (b"k", b"v")), ("content_type", b"text"), ("topic_alias", 1)]


def samples(version):
    """One good packet of each type, those of servers included."""
    props = PROPS if version == wire.V5 else ()
    subscription = [("subscription_identifier", 5), ("user", (b"k", b"v"))] if version == wire.V5 else ()
    rc = {"id": 1, "rc": 0x10} if version == wire.V5 else {"id": 1}
    connect = wire.connect(version, {"id": b"mutant", "will_topic": b"w", "will_payload": b"x", "username": b"u",
                                     "password": b"p"}, [("session_expiry", 1)], [("will_delay", 1)])
    yield wire.frame(0x10, connect)
    for qos in range(3):
        yield wire.frame(0x30 | qos << 1, wire.publish(version, {"topic": b"m/a", "id": 9, "qos": qos, "payload": b"xyz"}, props))
    for first in (0x40, 0x50, 0x62, 0x70):
        yield wire.frame(first, wire.acknowledge(version, rc))
    yield wire.frame(0x82, wire.subscribe(version, 3, [(b"m/+", 1), (b"$share/g/m/#", 2), (b"m/a", 0)], subscription))
    yield wire.frame(0xA2, wire.unsubscribe(version, 4, [b"m/+", b"$share/g/m/#"]))
    yield b"\xc0\x00"
    yield wire.frame(0xE0, wire.reason_packet(version, {"rc": 4}, [("session_expiry", 1)]))
    yield wire.frame(0xF0, b"\x18\x08\x15\x00\x05PLAIN")
    yield b"\x20\x02\x00\x00"
    yield b"\x90\x03\x00\x01\x00"
    yield b"\xd0\x00"


def damage(random, packet):
    """A packet with one to three mistakes."""
    data = bytearray(packet)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(data)) if data else 0
        kind = random.randrange(6)
        if kind == 0 and data:
            data[at] ^= 1 << random.randrange(8)
        elif kind == 1 and data:
            data[at] = random.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif kind == 2:
            del data[at:at + random.randrange(1, 5)]
        elif kind == 3:
            data[at:at] = bytes(random.randrange(256) for _ in range(random.randrange(1, 5)))
        elif kind == 4:
            data[at:at] = data[at:at + random.randrange(1, 9)]
        elif len(data) > 1:
            data[1:2] = wire.varint(max(0, len(data) - 2 + random.randrange(-3, 4)))
    return bytes(data)


def body(storm_):
    bystander = storm_.peer(b"bystander")
    bystander.subscribe([(b"quiet", 1)])
    packets = {version: list(samples(version)) for version in (wire.V31, wire.V311, wire.V5)}
    for number in range(CONNECTIONS):
        version = storm_.random.choice(list(packets))
        peer = storm.Peer(storm_, b"mutant%d" % (number % 7), version)
        if storm_.random.random() < 0.85:
            peer.connect(clean=storm_.random.randrange(2))
        else:
            peer.client.open()
        chosen = [storm_.random.choice(packets[version]) for _ in range(storm_.random.randrange(1, 6))]
        peer.write(b"".join(damage(storm_.random, packet) if storm_.random.random() < 0.6 else packet
                            for packet in chosen))
        if storm_.random.random() < 0.5:
            try:
                while True:
                    peer.client.receive(storm.time.monotonic() + 0.01)
            except (Closed, Timeout):
                pass
        peer.client.close()
        if number % 20 == 0:
            identifier = bystander.publish(b"quiet", b"%d" % number, 1)
            bystander.wait(lambda: identifier in bystander.acknowledged)
    bystander.wait(lambda: len(bystander.received) == CONNECTIONS // 20)


if __name__ == "__main__":
    storm.run("damaged packets", body)
