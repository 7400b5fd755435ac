#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Take-over storms (B29, B30): one client identifier, many connections at once, clean start 0, while messages pour in and
subscriptions come and go (B28). Bystanders lose nothing, and one session is left."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from mqs import storm, wire  # noqa: E402
from mqs.client import Closed  # noqa: E402

ROUNDS = 40
RIVALS = 8


def rival(storm_, identifier, version, others):
    """A connection under the contested identifier that says several things at once and does not wait."""
    peer = storm.Peer(storm_, identifier, version)
    props = [("session_expiry", 1000)] if version == wire.V5 else []
    client = peer.client
    client.open()
    client.note_connect(props)
    fields = {"id": identifier, "clean": 0, "will_topic": b"storm/will", "will_payload": b"w", "will_qos": 1}
    client.hold(client.send("CONNECT", wire.connect(version, fields, props)))
    for action in storm_.random.sample(range(4), 3):
        if action == 0:
            client.hold(client.send("SUBSCRIBE", wire.subscribe(version, 1, [(b"storm/#", 2), (b"storm/a", 1)])))
        elif action == 1:
            client.hold(client.send("UNSUBSCRIBE", wire.unsubscribe(version, 2, [b"storm/a"])))
        else:
            client.hold(peer.publish_bytes(b"storm/a", b"rival", storm_.random.randrange(3)))
    peer.write(b"")
    others.append(peer)


def drop(storm_, peer):
    """Ends a rival in one of the ways a client can end."""
    try:
        peer.pump()
        if storm_.random.random() < 0.3 and peer.client.sock is not None:
            peer.client.reset()
    except (Closed, OSError):
        pass
    peer.client.close()


def wait_counter(storm_, name, most):
    deadline = storm_.deadline()
    while (now := storm_.broker.counters()[name]) > most:
        storm_.check(storm.time.monotonic() < deadline, name, "stays at", now, "and not", most)


def body(storm_):
    identifier = b"contested%06x" % storm_.random.randrange(1 << 24)
    steady = [storm_.peer(storm_.client_id_on(shard)) for shard in range(2)]
    for peer in steady:
        peer.subscribe([(b"storm/steady", 1)])
    source = storm_.peer(storm_.client_id_on(1))
    rivals, sent = [], 0
    for _ in range(ROUNDS):
        for _ in range(RIVALS):
            rival(storm_, identifier, storm_.random.choice([wire.V311, wire.V5]), rivals)
            source.publish(b"storm/steady", b"%d" % sent, 1)
            source.publish(b"storm/a", b"flood", 2)
            sent += 1
        while len(rivals) > RIVALS:
            drop(storm_, rivals.pop(0))
        source.pump()
    for peer in rivals:
        drop(storm_, peer)
    for peer in steady:
        peer.wait(lambda peer=peer: len(peer.received) >= sent, 30)
        storm_.check([packet["payload"] for packet in peer.received] == [b"%d" % n for n in range(sent)],
                     "a bystander did not get everything in order")
    storm_.settle(steady)
    # a rival that was dropped may still be on its way through the broker
    wait_counter(storm_, "connection_open", len(steady) + 1 + len(storm_.anchors))
    last = storm.Peer(storm_, identifier, wire.V5)
    last.connect(clean=0, props=[("session_expiry", 1000)])
    storm_.settle([last])
    last.connect(clean=1)
    last.disconnect()
    for peer in steady + [source]:
        peer.disconnect()
    wait_counter(storm_, "session_count", len(storm_.anchors))


if __name__ == "__main__":
    storm.run("take-over storm", body, conf=["mqtt.max_mqueue_len = 200"])
