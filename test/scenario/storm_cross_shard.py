#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Many publishers and subscribers on every shard at full speed, with small rings: nothing is lost at QoS 1 and 2, nothing comes
twice at QoS 2, the order of each publisher and topic holds at every QoS."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from mqs import storm, wire  # noqa: E402

PUBLISHERS = 6
SUBSCRIBERS = 6
MESSAGES = 150
BATCH = 25


def topic(publisher, qos):
    return b"cross/%d/%d" % (publisher, qos)


def check_order(storm_, received, publisher, qos):
    numbers = [int(packet["payload"]) for packet in received if packet["topic"] == topic(publisher, qos)]
    if qos == 0:
        storm_.check(numbers == sorted(set(numbers)), "QoS 0 out of order or twice", numbers)
    else:
        storm_.check(numbers == list(range(MESSAGES)), "QoS", qos, "of publisher", publisher, "came as", numbers)


def body(storm_):
    subscribers = []
    for index in range(SUBSCRIBERS):
        version = storm_.random.choice([wire.V311, wire.V5])
        peer = storm_.peer(storm_.client_id_on(index), version, keepalive=0)
        peer.subscribe([(b"cross/+/+", 2)] if index % 2 else
                       [(topic(publisher, qos), 2) for publisher in range(PUBLISHERS) for qos in range(3)])
        subscribers.append(peer)
    publishers = [storm_.peer(storm_.client_id_on(index), keepalive=0) for index in range(PUBLISHERS)]
    for start in range(0, MESSAGES, BATCH):
        for index, peer in enumerate(publishers):
            peer.write(b"".join(peer.publish_bytes(topic(index, qos), b"%d" % number, qos)
                                for number in range(start, start + BATCH) for qos in range(3)))
        for peer in publishers + subscribers:
            peer.pump()
    for peer in publishers:
        peer.wait(lambda peer=peer: len(peer.acknowledged) == 2 * MESSAGES, 60)
    everything = PUBLISHERS * MESSAGES * 2

    def reliable(peer):
        return sum(packet["qos"] > 0 for packet in peer.received)
    for peer in subscribers:
        peer.wait(lambda peer=peer: reliable(peer) >= everything, 60)
    storm_.settle(publishers + subscribers)
    for peer in subscribers:
        peer.pump()
        for publisher in range(PUBLISHERS):
            for qos in range(3):
                check_order(storm_, peer.received, publisher, qos)


if __name__ == "__main__":
    storm.run("cross-shard storm", body, conf=["shards.default.mesh_depth = 64"])
