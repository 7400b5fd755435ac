# SPDX-License-Identifier: MIT
"""What storms share: a broker for each number of shards, clients that acknowledge by themselves, the laws at the end.

A storm is a Python program for what a script would be too clumsy for: random sequences, floods, measurements. It
prints its seed, and takes one with --seed to do the same again.
"""

import argparse
import random
import select
import sys
import time

from . import wire
from .broker import Broker, chosen_shards
from .client import Client, Closed


class Storm:
    """One broker under a storm."""

    def __init__(self, broker, generator, time_scale):
        self.broker, self.random, self.time_scale = broker, generator, time_scale
        self.anchors = []

    def deadline(self, seconds=10.0):
        return time.monotonic() + seconds * self.time_scale

    def client_id_on(self, shard):
        return self.broker.client_id_on(shard, lambda: "s%08x" % self.random.randrange(1 << 32)).encode()

    def peer(self, client_id=b"", version=wire.V311, **fields):
        peer = Peer(self, client_id, version)
        peer.connect(**fields)
        return peer

    def settle(self, peers):
        """Several rounds of PINGREQ over all shards and peers: what is under way has arrived then."""
        if not self.anchors:
            self.anchors = [self.peer(self.client_id_on(shard), keepalive=0) for shard in range(self.broker.shards)]
        for _ in range(4):
            for peer in self.anchors + [peer for peer in peers if peer.client.online]:
                peer.client.ping(self.deadline())

    def check(self, condition, *what):
        if not condition:
            raise AssertionError(" ".join(map(str, what)))


class Peer:
    """A client that acknowledges what it gets and remembers it."""

    def __init__(self, storm, client_id, version):
        self.storm = storm
        self.client = Client("peer", storm.broker.address, version, client_id)
        self.received = []
        self.acknowledged = set()  # identifiers of ours that PUBACK or PUBCOMP ended
        self.granted = {}
        self.next_id = 0

    def connect(self, expect=True, props=(), **fields):
        client = self.client
        client.open()
        client.note_connect(list(props))
        client.write(client.send("CONNECT", wire.connect(client.version, {"id": client.client_id, **fields}, props)),
                     self.storm.deadline())
        if expect:
            packet = client.receive(self.storm.deadline())
            self.storm.check(packet["type"] == "CONNACK" and packet["rc"] == 0, "not connected:", packet)
            return packet["sp"]
        return None

    def identifier(self):
        self.next_id = self.next_id % 65535 + 1
        return self.next_id

    def write(self, data):
        self.client.write(data, self.storm.deadline())

    def publish_bytes(self, topic, payload, qos=0, retain=0, props=()):
        fields = {"topic": topic, "payload": payload, "qos": qos, "retain": retain}
        if qos:
            fields["id"] = self.identifier()
        return self.client.send("PUBLISH", wire.publish(self.client.version, fields, props),
                                wire.publish_flags(fields))

    def publish(self, topic, payload, qos=0, retain=0):
        self.write(self.publish_bytes(topic, payload, qos, retain))
        return self.next_id

    def subscribe(self, filters):
        identifier = self.identifier()
        self.write(self.client.send("SUBSCRIBE", wire.subscribe(self.client.version, identifier, filters)))
        self.wait(lambda: identifier in self.granted)
        return self.granted.pop(identifier)

    def unsubscribe(self, filters):
        identifier = self.identifier()
        self.write(self.client.send("UNSUBSCRIBE", wire.unsubscribe(self.client.version, identifier, filters)))
        self.wait(lambda: identifier in self.granted)
        return self.granted.pop(identifier)

    def disconnect(self):
        self.write(self.client.send("DISCONNECT", b""))
        try:
            while True:
                self.take(self.client.receive(self.storm.deadline()))
        except Closed:
            self.client.close()

    def take(self, packet):
        """Handles one packet: acknowledgements in both directions."""
        kind, client = packet["type"], self.client
        if kind == "PUBLISH":
            self.received.append(packet)
            if packet["qos"]:
                self.answer("PUBACK" if packet["qos"] == 1 else "PUBREC", packet["id"])
        elif kind == "PUBREL":
            self.answer("PUBCOMP", packet["id"])
        elif kind == "PUBREC":
            self.answer("PUBREL", packet["id"])
        elif kind in ("PUBACK", "PUBCOMP"):
            self.acknowledged.add(packet["id"])
        elif kind in ("SUBACK", "UNSUBACK"):
            self.granted[packet["id"]] = packet.get("rc")
        elif kind == "DISCONNECT":
            client.online = False

    def answer(self, kind, identifier):
        self.client.note_acknowledgement(kind, {"id": identifier})
        self.client.write(self.client.send(kind, wire.u16(identifier)), self.storm.deadline())

    def pump(self):
        """Handles everything that is here already."""
        for packet in list(self.client.inbox):
            self.client.inbox.popleft()
            self.take(packet)
        self.client._receive_some()
        while (packet := self.client._next_from_buffer()) is not None:
            self.take(packet)

    def wait(self, condition, seconds=10.0):
        deadline = self.storm.deadline(seconds)
        self.pump()
        while not condition():
            left = deadline - time.monotonic()
            self.storm.check(left > 0, "nothing more came in time")
            self.storm.check(not self.client.eof, "the broker closed the connection")
            select.select([self.client.sock], [], [], min(left, 0.5))
            self.pump()


def run(description, body, shards=(1, 2, 4), conf=(), descriptors=None):
    """Runs body(storm) on brokers with these numbers of shards; the exit status of the program."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    parser.add_argument("--shards", default=",".join(map(str, chosen_shards(*shards))))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    arguments = parser.parse_args()
    failed = False
    for count in map(int, arguments.shards.split(",")):
        broker = Broker(arguments.broker, count, conf, arguments.timeout_scale, descriptors)
        try:
            broker.start()
            storm = Storm(broker, random.Random("%d/%d" % (arguments.seed, count)), arguments.timeout_scale)
            body(storm)
            problem = broker.wait_law(storm.deadline())
        except Exception as error:  # the storm goes on with the next broker, and fails at the end
            problem = "%s: %s" % (type(error).__name__, error)
        problem = " / ".join(filter(None, [problem, broker.stop()]))
        print("%s, %d shards, seed %d: %s" % (description, count, arguments.seed, problem or "ok"), flush=True)
        if problem:
            failed = True
            print("\n".join("    " + line for line in broker.log[-25:]))
    sys.exit(1 if failed else 0)
