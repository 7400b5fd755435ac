# SPDX-License-Identifier: MIT
"""What the tests of the HTTP API share: a broker with one, a client of it, and MQTT clients as bytes on a socket."""

import argparse
import base64
import http.client
import json
import os
import re
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from mqs.broker import Broker, chosen_shards  # noqa: E402


class ApiBroker(Broker):
    def base_conf(self):
        return super().base_conf() + ["http_server { enable = true, port = 0, limit_conn = 64 }"]

    @property
    def http_port(self):
        return int(re.search(r"listening on http://127.0.0.1:(\d+)", "\n".join(self.log)).group(1))


class Api:
    """One connection to the API, kept open."""

    def __init__(self, port, deadline_s=20, account="admin:public"):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=deadline_s)
        self.headers = {"Authorization": "Basic " + base64.b64encode(account.encode()).decode()}

    def raw(self, method, path, body=None):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        self.connection.request(method, path, body, self.headers)
        answer = self.connection.getresponse()
        return answer, answer.read()

    def ask(self, method, path, body=None):
        """The status and the parsed answer."""
        answer, text = self.raw(method, path, body)
        assert answer.getheader("Content-Type") == "application/json", answer.getheader("Content-Type")
        return answer.status, json.loads(text)

    def get(self, path):
        """The answer to a GET of a path below /api/v4, which must be a good one."""
        status, answer = self.ask("GET", "/api/v4/" + path)
        assert status == 200 and answer["code"] == 0, (path, status, answer)
        return answer

    def code(self, number, seq=1):
        status, answer = self.ask("POST", "/api/v1", {"req": number, "seq": seq})
        assert status == 200 and answer["code"] == 0, (number, status, answer)
        assert list(answer) == ["code", "seq", "rep", "data"] and answer["seq"] == seq and answer["rep"] == number
        return answer["data"]

    def close(self):
        self.connection.close()


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(value)) + value


def packet(first, body):
    size, out = len(body), b""
    while True:
        out += bytes([size % 128 | (128 if size > 127 else 0)])
        size //= 128
        if size == 0:
            return bytes([first]) + out + body


class Mqtt:
    """A client that is in order, one packet at a time."""

    def __init__(self, port, client_id, version=4, clean=True, username=None, keepalive=0, will=None, expiry=None,
                 deadline_s=20):
        self.sock = socket.create_connection(("127.0.0.1", port), deadline_s)
        self.version, self.buffer, self.last_id = version, b"", 0
        flags = (2 if clean else 0) | (0x80 if username is not None else 0) | (4 if will else 0)
        body = text("MQIsdp" if version == 3 else "MQTT") + bytes([version, flags]) + struct.pack(">H", keepalive)
        if version == 5:
            body += b"\x00" if expiry is None else b"\x05\x11" + struct.pack(">I", expiry)
        body += text(client_id)
        if will:
            body += (b"\x00" if version == 5 else b"") + text(will[0]) + text(will[1])
        if username is not None:
            body += text(username)
        self.send(packet(0x10, body))
        first, answer = self.receive()
        assert first == 0x20 and answer[1] == 0, (first, answer)

    def send(self, data):
        self.sock.sendall(data)

    def receive(self):
        """The next packet's first byte and body; (None, b"") when the broker has closed."""
        while True:
            for size_len in range(1, 5):
                if len(self.buffer) > size_len and self.buffer[size_len] < 128:
                    size = sum((self.buffer[1 + i] & 127) << 7 * i for i in range(size_len))
                    if len(self.buffer) >= 1 + size_len + size:
                        body = self.buffer[1 + size_len:1 + size_len + size]
                        first, self.buffer = self.buffer[0], self.buffer[1 + size_len + size:]
                        return first, body
                    break
                if len(self.buffer) <= size_len:
                    break
            data = self.sock.recv(1 << 16)
            if not data:
                return None, b""
            self.buffer += data

    def subscribe(self, *filters, qos=0):
        self.last_id += 1
        body = struct.pack(">H", self.last_id) + (b"\x00" if self.version == 5 else b"")
        self.send(packet(0x82, body + b"".join(text(one) + bytes([qos]) for one in filters)))
        while True:
            first, answer = self.receive()
            if first == 0x90:
                assert all(code == qos for code in answer[-len(filters):]), answer
                return

    def publish(self, topic, payload, qos=1, retain=False, props=b""):
        body = text(topic)
        if qos:
            self.last_id += 1
            body += struct.pack(">H", self.last_id)
        if self.version == 5:
            body += bytes([len(props)]) + props
        payload = payload.encode() if isinstance(payload, str) else payload
        self.send(packet(0x30 | qos << 1 | retain, body + payload))
        while qos:
            first, answer = self.receive()
            if first == 0x40:
                return

    def disconnect(self):
        self.send(packet(0xe0, b""))
        self.sock.close()

    def close(self):
        self.sock.close()


def wait_until(what, deadline_s=10):
    """Until it returns something that is true; that."""
    deadline = time.monotonic() + deadline_s
    while not (value := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
    return value


def at_rest(broker, scale):
    """The counters when the laws hold and nothing is on its way into a socket."""
    deadline = time.monotonic() + 10 * scale
    while broker.law_broken() or broker.counters()["delivery_sending"]:
        assert time.monotonic() < deadline, (broker.law_broken(), broker.counters())
        time.sleep(0.005)
    return broker.counters()


def arguments(names):
    """The options of a test program, and the tests among its globals() that they choose, in order."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    parser.add_argument("--only", default="", help="tests whose name contains this")
    options = parser.parse_args()
    return options, [test for name, test in sorted(names.items()) if name.startswith("test_") and options.only in name]


def run(tests, options, conf=(), descriptors=None, shard_counts=(1, 3)):
    """Runs every test(broker, api, scale); how many failed."""
    failed = 0
    for shards in chosen_shards(*shard_counts):
        for test in tests:
            broker = ApiBroker(os.path.abspath(options.broker), shards, conf, options.timeout_scale, descriptors)
            problem = None
            try:
                broker.start()
                api = Api(broker.http_port, 30 * options.timeout_scale)
                test(broker, api, options.timeout_scale)
                api.close()
                problem = broker.wait_law(time.monotonic() + 5 * options.timeout_scale)
            except Exception as error:  # pylint: disable=broad-except
                problem = "%s: %s" % (type(error).__name__, error)
                import traceback
                traceback.print_exc()
            problem = broker.stop() or problem
            failed += problem is not None
            print("%-40s %d shards: %s" % (test.__name__, shards, problem or "ok"), flush=True)
            if problem:
                print("\n".join(broker.log[-20:]))
    return failed
