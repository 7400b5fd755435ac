#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A thousand silent connections (B50), half of them without CONNECT: the broker uses no CPU and does not wake up."""

import os
import select
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from mqs import storm  # noqa: E402

CONNECTIONS = 1000
SECONDS = 1.5


def body(storm_):
    peers = []
    for index in range(CONNECTIONS):
        peer = storm.Peer(storm_, b"idle%d" % index, 4)
        if index % 2:
            peer.connect(keepalive=0)
        else:
            peer.client.open()
        peers.append(peer)
    storm_.settle([])
    before, sleeps = storm_.broker.cpu_seconds(), storm_.broker.counters()["loop_sleeps"]
    select.select([], [], [], SECONDS)  # the measured interval itself
    used = storm_.broker.cpu_seconds() - before
    wakes = storm_.broker.counters()["loop_sleeps"] - sleeps
    print("    %d silent connections: %.3f s of CPU and %d wake-ups in %.1f s" % (CONNECTIONS, used, wakes, SECONDS))
    storm_.check(used <= 0.02 * storm_.time_scale, "CPU used while idle:", used)
    storm_.check(wakes <= 20 * storm_.broker.shards, "wake-ups while idle:", wakes)
    for peer in peers:
        peer.client.close()


if __name__ == "__main__":
    storm.run("idle broker", body, shards=(1, 2), conf=["mqtt.connect_timeout = 600s", "sys.interval = 600s"])
