#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Random sequences against a reference model (B31): what each client must get, exactly.

A handful of client identifiers connect (clean or not, with and without will), subscribe, unsubscribe, publish at every
QoS, retained or not, disconnect and break off. The model knows subscriptions, queues of absent sessions, retained messages and wills.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from mqs import storm, wire  # noqa: E402

NAMES = ["a", "b", "c", "d", "e"]
TOPICS = ["x", "y", "x/1", "x/2", "y/1/z", "x/", "/x"]
FILTERS = ["x", "y", "x/1", "x/+", "x/#", "+/1", "+/1/z", "#", "y/+/z", "+", "+/+"]
STEPS = 300


def matches(pattern, topic):
    """The definition, level by level."""
    wanted, levels = pattern.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index == len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)


class Session:
    """What the broker has to remember of one client, and what it owes it."""

    def __init__(self):
        self.filters, self.queue, self.expected = {}, [], []
        self.online = self.kept = False
        self.will = None


class Model:
    def __init__(self, prefix):
        self.prefix, self.sessions, self.retained = prefix, {}, {}

    def publish(self, topic, payload, qos, retain):
        if retain and payload:
            self.retained[topic] = (payload, qos)
        elif retain:
            self.retained.pop(topic, None)
        for session in self.sessions.values():
            granted = [level for pattern, level in session.filters.items() if matches(pattern, topic)]
            if granted:
                message = (topic, payload, min(qos, max(granted)), 0)
                if session.online:
                    session.expected.append(message)
                elif message[2]:
                    session.queue.append(message)

    def subscribe(self, session, pattern, qos):
        session.filters[pattern] = qos
        for topic, (payload, level) in self.retained.items():
            if matches(pattern, topic):
                session.expected.append((topic, payload, min(qos, level), 1))

    def end(self, name, publish_will):
        session = self.sessions[name]
        session.online, will = False, session.will
        session.will = None
        if not session.kept:
            del self.sessions[name]
        if will and publish_will:
            self.publish(*will)


class Run:
    def __init__(self, storm_):
        self.storm, self.random = storm_, storm_.random
        self.prefix = "m%06x" % self.random.randrange(1 << 24)
        self.model, self.peers, self.count = Model(self.prefix), {}, 0

    def full(self, topic):
        """Topics of the model below a prefix of this run, so that # means what it says."""
        return (self.prefix + "/" + topic).encode()

    def payload(self):
        self.count += 1
        return b"%d" % self.count

    def step(self):
        name = self.random.choice(NAMES)
        peer = self.peers.get(name)
        if peer is None or self.random.random() < 0.08:
            self.connect(name)
            return
        action = self.random.choices(
            [self.publish, self.subscribe, self.unsubscribe, self.disconnect, self.break_off], [10, 4, 3, 1, 1])[0]
        action(name, peer)

    def connect(self, name):
        clean = self.random.random() < 0.4
        version = self.random.choice([wire.V311, wire.V5])
        fields, props = {"clean": int(clean)}, []
        kept = not clean
        if version == wire.V5:
            kept = self.random.random() < 0.6
            props = [("session_expiry", 1000)] if kept else []
        will = None
        if self.random.random() < 0.4:
            will = (self.random.choice(TOPICS), self.payload(), self.random.randrange(3), self.random.randrange(2))
            fields.update(will_topic=self.full(will[0]), will_payload=will[1], will_qos=will[2], will_retain=will[3])
        old = self.model.sessions.get(name)
        if old is not None and old.online:  # take-over: it ends like a lost connection
            self.collect(name)
            self.model.end(name, True)
            self.settle()
            old = self.model.sessions.get(name)
        if clean and old is not None:
            old = None
            self.model.sessions.pop(name)
        peer = self.peers[name] = storm.Peer(self.storm, (self.prefix + name).encode(), version)
        present = peer.connect(props=props, **fields)
        self.storm.check(present == int(old is not None), name, "session present is", present)
        session = self.model.sessions.setdefault(name, Session())
        session.online, session.kept, session.will = True, kept, will
        session.expected, session.queue = session.queue, []

    def publish(self, _name, peer):
        topic, qos, retain = self.random.choice(TOPICS), self.random.randrange(3), self.random.random() < 0.3
        payload = b"" if retain and self.random.random() < 0.3 else self.payload()
        identifier = peer.publish(self.full(topic), payload, qos, int(retain))
        if qos:
            peer.wait(lambda: identifier in peer.acknowledged)
            peer.acknowledged.discard(identifier)
        self.model.publish(topic, payload, qos, retain)

    def subscribe(self, name, peer):
        pattern, qos = self.random.choice(FILTERS), self.random.randrange(3)
        peer.subscribe([(self.full(pattern), qos)])
        self.model.subscribe(self.model.sessions[name], pattern, qos)

    def unsubscribe(self, name, peer):
        pattern = self.random.choice(FILTERS)
        peer.unsubscribe([self.full(pattern)])
        self.model.sessions[name].filters.pop(pattern, None)

    def disconnect(self, name, peer):
        self.collect(name)
        peer.disconnect()
        del self.peers[name]
        self.model.end(name, False)

    def break_off(self, name, peer):
        self.collect(name)
        lost = self.storm.broker.counters()["connection_lost"]
        if self.random.random() < 0.5:
            peer.client.reset()
        else:
            peer.client.close()
        del self.peers[name]
        self.wait_counter("connection_lost", lost + 1)
        self.model.end(name, True)

    def wait_counter(self, counter, value):
        deadline = self.storm.deadline()
        while self.storm.broker.counters()[counter] < value:
            self.storm.check(time.monotonic() < deadline, counter, "does not reach", value)

    def settle(self):
        self.storm.settle(list(self.peers.values()))
        for peer in self.peers.values():
            peer.pump()

    def collect(self, name):
        """Everything the model says has come, in the order of each topic, and nothing else."""
        self.settle()
        session, peer = self.model.sessions[name], self.peers[name]
        got = [(packet["topic"][len(self.prefix) + 1:].decode(), packet["payload"], packet["qos"], packet["retain"])
               for packet in peer.received]
        for topic in TOPICS:
            wanted = [message for message in session.expected if message[0] == topic]
            have = [message for message in got if message[0] == topic]
            self.storm.check(have == wanted, name, "expected", wanted, "got", have)
        self.storm.check(len(got) == len(session.expected), name, "got", got)
        session.expected, peer.received = [], []


def body(storm_):
    run = Run(storm_)
    for _ in range(STEPS):
        run.step()
        run.settle()
    for name in list(run.peers):
        run.collect(name)
    clear = storm_.peer(b"")
    for topic in run.model.retained:
        clear.publish(run.full(topic), b"", 0, 1)
    storm_.settle(list(run.peers.values()) + [clear])
    storm_.check(storm_.broker.counters()["retained_count"] == 0, "retained messages are left")


if __name__ == "__main__":
    storm.run("random sequences against a model", body)
