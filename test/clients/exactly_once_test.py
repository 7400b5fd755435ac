#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""shardmq pub and sub with QoS 2 against a server that keeps every session and every rule, and cuts connections anywhere: each line
arrives once, in order. What real brokers make of a restart is in tools_test; a line that is twice here is our client's fault."""

import argparse
import contextlib
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading

CONNECT, PUBLISH, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 5, 6, 7, 8, 12, 14
COUNT, CUTS, WINDOW = 3000, 12, 20


def short(kind, identifier):
    return bytes([kind << 4 | (2 if kind == PUBREL else 0), 2]) + identifier.to_bytes(2, "big")


def split(data):
    """The whole packets at the front (none is larger than 127 bytes) as (first byte, body), and what is left."""
    packets, place = [], 0
    while place + 2 <= len(data) and place + 2 + data[place + 1] <= len(data):
        packets.append((data[place], data[place + 2:place + 2 + data[place + 1]]))
        place += 2 + data[place + 1]
    return packets, data[place:]


class Server:
    """One client's session (MQTT 5.0, 4.3.3 and 4.4): what came and is not released, what was sent and is not completed."""

    def __init__(self, seed, to_send=()):
        self.chooser = random.Random(seed)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.to_send, self.next, self.subscribed = list(to_send), 0, False
        self.known, self.five = False, False
        self.came, self.arrived = {}, []   # payloads by identifier until PUBREL; all of them, in order
        self.under_way = {}                # [payload, released] by identifier, in the order of sending
        self.cuts, self.faults = 0, []     # faults: rules that the client broke
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                with peer, contextlib.suppress(ConnectionError):
                    self.converse(peer)

    def converse(self, peer):
        """Packets are answered until the place of the cut; of the last answers only a piece is sent, at times half a packet."""
        left = self.chooser.randrange(3, 2 * 3 * COUNT // CUTS) if self.cuts < CUTS else None
        data = b""
        while piece := peer.recv(1 << 16):
            packets, data = split(data + piece)
            answers = b""
            for first, body in packets:
                answers += self.answer(first, body)
                left = left and left - 1
                if left == 0:
                    self.cuts += 1
                    peer.sendall(answers[:self.chooser.randrange(len(answers) + 1)])
                    return
                if first >> 4 == DISCONNECT:
                    return
            peer.sendall(answers)

    def answer(self, first, body):
        kind, identifier = first >> 4, int.from_bytes(body[:2], "big")
        if kind == CONNECT:
            return self.connected(body)
        if kind == PUBLISH:
            return self.published(first, body)
        if kind == PUBREL:
            self.came.pop(identifier, None)
            return short(PUBCOMP, identifier)
        if kind == PUBREC:
            if identifier in self.under_way:
                self.under_way[identifier][1] = True
            return short(PUBREL, identifier)
        if kind == PUBCOMP:
            self.under_way.pop(identifier, None)
            return self.more()
        if kind == SUBSCRIBE:
            self.subscribed = True
            return b"\x90" + (b"\x04%s\0\x02" if self.five else b"\x03%s\x02") % body[:2] + self.more()
        return b"\xd0\0" if kind == PINGREQ else b""

    def connected(self, body):
        self.five = body[2 + int.from_bytes(body[:2], "big")] == 5
        present, self.known = self.known, True
        answers = b"\x20" + (b"\x03%c\0\0" if self.five else b"\x02%c\0") % present
        for identifier, (payload, released) in self.under_way.items():
            answers += short(PUBREL, identifier) if released else self.publish(identifier, payload, 0x3C)
        return answers + self.more()

    def publish(self, identifier, payload, first):
        body = b"\0\x01t" + identifier.to_bytes(2, "big") + (b"\0" if self.five else b"") + payload
        return bytes([first, len(body)]) + body

    def more(self):
        """New messages to the subscriber, as far as the window goes."""
        answers = b""
        while self.subscribed and len(self.under_way) < WINDOW and self.next < len(self.to_send):
            identifier = self.next % (3 * WINDOW) + 1
            if identifier in self.under_way:
                break
            self.under_way[identifier] = [self.to_send[self.next], False]
            answers += self.publish(identifier, self.to_send[self.next], 0x34)
            self.next += 1
        return answers

    def published(self, first, body):
        topic = int.from_bytes(body[:2], "big")
        identifier = int.from_bytes(body[2 + topic:4 + topic], "big")
        payload = body[4 + topic + self.five:]
        if identifier not in self.came:
            self.came[identifier] = payload
            self.arrived.append(payload)
        elif self.came[identifier] != payload:
            self.faults.append("identifier %d was given to %r before %r was released" % (identifier, payload, self.came[identifier]))
        elif not first & 8:
            self.faults.append("%r came again without DUP" % payload)
        return short(PUBREC, identifier)


def session(version):
    return ("-V", str(version), "-c", "-i", "one", "-t", "t", "-q", "2")


def publish(options, version, seed):
    lines = [b"%d" % number for number in range(COUNT)]
    server = Server(seed)
    with tempfile.TemporaryFile() as stdin:
        stdin.write(b"\n".join(lines))
        stdin.seek(0)
        subprocess.run([options.broker, "pub", "-p", str(server.port), *session(version), "-l"], stdin=stdin, check=True,
                       stderr=subprocess.DEVNULL, timeout=60 * options.timeout_scale)
    server.listener.close()
    assert not server.faults, server.faults[:3]
    assert server.arrived == lines, "%d lines arrived, %d different ones" % (len(server.arrived), len(set(server.arrived)))
    return server.cuts


def subscribe(options, version, seed):
    lines = [b"%d" % number for number in range(COUNT)]
    server = Server(seed, lines)
    tool = subprocess.run([options.broker, "sub", "-p", str(server.port), *session(version), "-C", str(COUNT)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
                          timeout=60 * options.timeout_scale)
    server.listener.close()
    assert tool.stdout.split() == lines, "of %d lines %d different ones" % (COUNT, len(set(tool.stdout.split())))
    return server.cuts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True, help="shardmq, of which the tools are a part")
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    options.broker = os.path.abspath(options.broker)
    for seed in range(options.rounds):
        for version in (3, 4, 5):
            for way in (publish, subscribe):
                cuts = way(options, version, seed)
                print("%s, version %d, seed %d: once, over %d lost connections" % (way.__name__, version, seed, cuts), flush=True)
                assert cuts >= 2, "hardly a connection was lost"


if __name__ == "__main__":
    sys.exit(main())
