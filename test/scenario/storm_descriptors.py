#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Out of descriptors: new connections wait or are refused, those that are there go on, a reload still works (B59), and afterwards
everything is as before; no descriptor is lost (B54)."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from mqs import storm  # noqa: E402
from mqs.client import Closed, Timeout  # noqa: E402

LIMIT = 96
MORE = 200


def try_connect(storm_, index):
    """A peer that is connected, or None when the broker refused it or let it wait."""
    peer = storm.Peer(storm_, b"more%d" % index, 4)
    try:
        peer.connect(expect=False)
        packet = peer.client.receive(time.monotonic() + 0.02 * storm_.time_scale)
        return peer, packet["type"] == "CONNACK" and packet["rc"] == 0
    except (Closed, Timeout, OSError):
        return peer, False


def body(storm_):
    first = storm_.peer(b"first")
    first.subscribe([(b"alive", 1)])
    storm_.settle([])
    descriptors = storm_.broker.descriptor_count()
    peers, refused = [], 0
    for index in range(MORE):
        peer, connected = try_connect(storm_, index)
        peers.append(peer)
        refused += not connected
        if refused == 20:
            break
    storm_.check(refused >= 20, "the limit was never met")
    storm_.check(len(peers) > refused + 10, "hardly any connection was accepted:", len(peers))
    for number in range(20):
        first.publish(b"alive", b"%d" % number, 1)
    first.wait(lambda: len(first.received) == 20)
    for peer in peers:
        peer.client.close()
    deadline = storm_.deadline()
    while storm_.broker.descriptor_count() > descriptors:
        storm_.check(time.monotonic() < deadline, "descriptors are left:", storm_.broker.descriptor_count(), descriptors)
    again = [storm_.peer(b"again%d" % index) for index in range(30)]
    storm_.settle(again + [first])
    for peer in again:
        peer.disconnect()


if __name__ == "__main__":
    storm.run("out of descriptors", body, shards=(1, 2), descriptors=LIMIT)
