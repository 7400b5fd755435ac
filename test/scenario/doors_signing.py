#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""RSA signatures are made by workers: many at a time, for clients that leave meanwhile, and when the workers have no room."""

import os
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from doors import Bystander, open_client, run  # noqa: E402
from mqs.client import Closed  # noqa: E402
from mqs.transport import client_context, connect  # noqa: E402

CLIENTS = 60


def conf(folder):
    keys = 'bind = "127.0.0.1:0", certfile = "%s/rsa.pem", keyfile = "%s/rsa.key"' % (folder, folder)
    return ["listeners.ssl { %s }" % keys, "listeners.wss { %s }" % keys, "limits.max_newcomers_per_address = 0"]


def conf_small(folder):
    return conf(folder) + ["workers.threads = 1", "workers.queue = 2"]


def client_hello():
    out = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def open_many(broker, folder, deadline_s):
    """Clients of both kinds and both versions at the same time; how many were let in."""
    came, lock = [], threading.Lock()

    def one(number):
        context = client_context(folder)
        if number % 4 < 2:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        kind = ("ssl", "wss")[number % 2]
        try:
            client = open_client(broker.ports[kind][0], kind, context, deadline_s=deadline_s)
            client.ping(time.monotonic() + deadline_s)
            client.close()
        except (OSError, Closed):
            return
        with lock:
            came.append(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * deadline_s)
    return len(came)


def settled(broker, deadline_s):
    deadline = time.monotonic() + deadline_s
    while broker.counters()["signature_waiting"] != 0:
        assert time.monotonic() < deadline, "handshakes still wait for a signature"


def test_many_at_once(broker, folder, deadline_s):
    before = broker.counters()
    bystander = Bystander(broker.port)
    assert open_many(broker, folder, deadline_s) == CLIENTS
    bystander.stop()
    settled(broker, deadline_s)
    after = broker.counters()
    assert after["signature_made"] - before["signature_made"] == CLIENTS, (before, after)
    assert after["transport_handshake"] - before["transport_handshake"] == CLIENTS, (before, after)
    assert after["signature_refused"] == 0, after


def test_who_leaves_meanwhile(broker, folder, deadline_s):
    """The connection is closed or reset while its signature is made, or more comes than its handshake needs."""
    hello, bystander = client_hello(), Bystander(broker.port)
    for number in range(4 * CLIENTS):
        sock = connect(broker.ports["ssl"][0])
        sock.sendall(hello + (b"" if number % 3 else b"\x16\x03\x03\x00\x05hello"))
        sock.close()
    settled(broker, deadline_s)
    open_client(broker.ports["ssl"][0], "ssl", client_context(folder)).close()
    bystander.stop()


def test_no_room(broker, folder, deadline_s):
    """One worker with room for two: what cannot be signed is given up and counted, and the broker goes on."""
    before = broker.counters()
    came = open_many(broker, folder, deadline_s)
    settled(broker, deadline_s)
    after = broker.counters()
    refused = after["signature_refused"] - before["signature_refused"]
    assert 0 < came and came + refused == CLIENTS, (came, refused)
    open_client(broker.ports["ssl"][0], "ssl", client_context(folder)).close()


if __name__ == "__main__":
    status = run([test_many_at_once, test_who_leaves_meanwhile], conf)
    sys.exit(run([test_no_room], conf_small, shards=(1, 4)) or status)
