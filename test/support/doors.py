# SPDX-License-Identifier: MIT
"""What the tests of the listeners share: a broker with many of them, clients of every kind, and a bystander."""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from mqs import wire  # noqa: E402
from mqs.broker import Broker, chosen_shards  # noqa: E402
from mqs.client import Client, Closed, Timeout  # noqa: E402
from mqs.transport import make_certificates  # noqa: E402,F401


def connect_packet(client_id, version=wire.V311):
    body = b"\x00\x04MQTT" + bytes([4 if version == wire.V311 else 5, 2, 0, 60])
    body += b"\x00" if version != wire.V311 else b""
    return wire.frame(0x10, body + len(client_id).to_bytes(2, "big") + client_id)


def open_client(place, kind="tcp", context=None, client_id=b"", deadline_s=10):
    """A client that is connected to a port or path: CONNACK has come and is 0."""
    client = Client("c", ("127.0.0.1", place) if isinstance(place, int) else place, wire.V311, client_id)
    client.transport, client.tls_context = kind, context
    client.open()
    deadline = time.monotonic() + deadline_s
    client.write(connect_packet(client_id), deadline)
    packet = client.receive(deadline)
    if packet["type"] != "CONNACK" or packet["rc"] != 0:
        client.close()
        raise ConnectionRefusedError("CONNACK %r" % packet["rc"])
    return client


def read_to_end(sock, deadline_s):
    """Everything until the peer closes; fails when it does not within the deadline."""
    data, deadline = b"", time.monotonic() + deadline_s
    while True:
        sock.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            part = sock.recv(1 << 16)
        except ConnectionResetError:
            return data
        except TimeoutError:
            raise AssertionError("the broker does not close; so far it said %r" % data[:200]) from None
        if not part:
            return data
        data += part


class Bystander:
    """A client that is connected all the time and asks for an answer again and again: what it waits at most is how long
    others hold it up."""

    def __init__(self, port):
        self.client = open_client(port, client_id=b"bystander")
        self.longest, self.problem, self.ends = 0.0, None, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.ends:
                began = time.monotonic()
                self.client.ping(began + 30)
                self.longest = max(self.longest, time.monotonic() - began)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to say it
            self.problem = error

    def stop(self):
        self.ends = True
        self.thread.join(30)
        self.client.close()
        assert self.problem is None, "the bystander: %r" % self.problem
        return self.longest


def run(tests, conf, shards=(1, 3), extra_options=()):
    """Runs every test(broker, folder, deadline_s); conf(folder) gives the configuration's lines. The exit status. What the
    extra options say is in broker.options."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    parser.add_argument("--only", default="", help="tests with this in their names")
    for option in extra_options:
        parser.add_argument(option)
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="smq-doors-") as folder:
        make_certificates(folder)
        for count in chosen_shards(*shards):
            failed += run_on(count, conf(folder), tests, folder, options)
    return 1 if failed else 0


def run_on(shards, conf, tests, folder, options):
    """Runs those of the tests that the options choose on a broker of their own; how many failed."""
    broker = Broker(os.path.abspath(options.broker), shards, conf, options.timeout_scale).start()
    broker.options = options
    failed = 0
    for test in tests:
        if options.only in test.__name__:
            failed += not run_one(test, broker, folder, options.timeout_scale)
    problem = broker.stop()
    if problem:
        failed += 1
        print("%s\n%s" % (problem, "\n".join(broker.log[-40:])))
    return failed


def run_one(test, broker, folder, scale):
    mark = len(broker.log)
    problem = None
    try:
        test(broker, folder, 10 * scale)
        problem = broker.wait_law(time.monotonic() + 5 * scale)
    except (AssertionError, OSError, Closed, Timeout, subprocess.TimeoutExpired) as error:
        problem = "%s: %s\n%s" % (type(error).__name__, error, "\n".join(broker.log[mark:][-20:]))
    print("%-44s %d shards: %s" % (test.__name__, broker.shards, problem or "ok"), flush=True)
    return problem is None
