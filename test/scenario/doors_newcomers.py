#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Sockets that say nothing, or half of a handshake, do not keep others out for long: who waited longest gives way."""

import os
import select
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from doors import open_client, run  # noqa: E402
from mqs.client import Closed  # noqa: E402
from mqs.transport import client_context, connect  # noqa: E402

KINDS = ("tcp", "ssl", "ws", "wss")
REFUSED = (Closed, ConnectionResetError, ConnectionRefusedError, BrokenPipeError, OSError)
SILENT, HANDSHAKES, ADDRESS = 100, 40, 20
FULL = 4  # connections of the listener that is small
PAUSE_S = 0.005  # between two looks at what is waited for: the broker needs the processor too
VERSION_1 = b"PROXY TCP4 %s 198.51.100.1 5 1883\r\n"


def listeners(folder):
    keys = 'certfile = "%s/server.pem", keyfile = "%s/server.key"' % (folder, folder)
    return ['listeners.ssl { bind = "127.0.0.1:0", %s }' % keys, 'listeners.ws { bind = "127.0.0.1:0" }',
            'listeners.wss { bind = "127.0.0.1:0", %s }' % keys,
            'listeners.tcp.small { bind = "127.0.0.1:0", max_connections = %d }' % FULL,
            'listeners.tcp.proxied { bind = "127.0.0.1:0", proxy_from = "127.0.0.1" }']


def with_defaults(folder):
    return ["mqtt.connect_timeout = 600s", *listeners(folder)]


def with_limits(folder):
    return [*with_defaults(folder), "limits.max_silent = %d" % SILENT, "limits.max_handshakes = %d" % HANDSHAKES,
            "limits.max_newcomers_per_address = 0"]


def with_address_limit(folder):
    return [*with_defaults(folder), "limits.max_newcomers_per_address = %d" % ADDRESS]


def ended(socks):
    """Those that the broker has closed."""
    poll = select.poll()
    for sock in socks:
        poll.register(sock, select.POLLIN)
    closed = {number for number, _event in poll.poll(0)}
    return [sock for sock in socks if sock.fileno() in closed]


def close_all(broker, socks, deadline_s):
    for sock in socks:
        sock.close()
    wait_counter(broker, "connection_open", lambda value: value == 0, deadline_s)


def wait_counter(broker, name, condition, deadline_s):
    deadline = time.monotonic() + deadline_s
    while not condition(broker.counters()[name]):
        assert time.monotonic() < deadline, "%s is %d" % (name, broker.counters()[name])
        time.sleep(PAUSE_S)


def get_in(broker, kind, folder, deadline_s):
    """A good client that tries again when it is refused; how long that took."""
    began = time.monotonic()
    while True:
        try:
            open_client(broker.ports[kind][0], kind, client_context(folder), deadline_s=deadline_s).close()
            return time.monotonic() - began
        except REFUSED as error:
            assert time.monotonic() - began < deadline_s, "%s keeps good clients out: %r" % (kind, error)
            time.sleep(PAUSE_S)


def crowd(broker, kind, count, first=b""):
    socks = []
    for _ in range(count):
        sock = connect(broker.ports[kind][0])
        if first:
            sock.sendall(first)
        socks.append(sock)
    return socks


def test_a_crowd_that_says_nothing(broker, folder, deadline_s):
    """More of them than limits.max_handshakes on every shard, as it is by default."""
    for kind in KINDS:
        socks = crowd(broker, kind, 1100 * broker.shards)
        wait_counter(broker, "connection_open", lambda value: value >= 1000 * broker.shards, deadline_s)
        for other in KINDS:
            took = get_in(broker, other, folder, deadline_s)
            assert took < deadline_s / 2, "%s took %.1f s" % (other, took)
        close_all(broker, socks, deadline_s)


def test_a_crowd_that_begins(broker, folder, deadline_s):
    """The same with a byte each: there are too many handshakes, until they have had their time."""
    before = broker.counters()["handshake_refused"]
    for kind in ("ssl", "ws", "wss"):
        socks = crowd(broker, kind, 1100 * broker.shards, b"\x16" if kind != "ws" else b"G")
        for other in KINDS:
            took = get_in(broker, other, folder, deadline_s)
            assert took < deadline_s / 2, "%s took %.1f s" % (other, took)
        close_all(broker, socks, deadline_s)
    assert broker.counters()["handshake_refused"] > before


def test_silent_limit(broker, folder, deadline_s):
    """The oldest give way one second later, and not before; then there are not more than the limit."""
    for kind in KINDS:
        closed, came = (broker.counters()[name] for name in ("newcomer_closed_silent", "connection_accepted"))
        socks = crowd(broker, kind, 3 * SILENT * broker.shards)
        wait_counter(broker, "connection_accepted", lambda value: value >= came + len(socks), deadline_s)
        deadline = time.monotonic() + deadline_s
        while broker.counters()["newcomer_silent"] > (SILENT + 2) * broker.shards:
            get_in(broker, kind, folder, deadline_s)  # makes up to two of the old ones go
            assert time.monotonic() < deadline, "%d are silent" % broker.counters()["newcomer_silent"]
        gone = ended(socks)
        assert broker.counters()["newcomer_closed_silent"] - closed >= len(gone) >= 2 * (SILENT - 2) * broker.shards
        assert not ended(socks[-SILENT // 2:]), "a young one gave way before an old one"
        close_all(broker, socks, deadline_s)


def test_handshake_limit(broker, folder, deadline_s):
    """As many as the limit, each from its first byte on; more are refused until the oldest has had its time."""
    for kind in ("ssl", "ws", "wss"):
        before = broker.counters()
        began = time.monotonic()
        socks = crowd(broker, kind, 4 * HANDSHAKES * broker.shards, b"\x16" if kind != "ws" else b"G")
        wait_counter(broker, "handshake_refused", lambda value: value > before["handshake_refused"], deadline_s)
        wait_counter(broker, "newcomer_silent", lambda value: value == 0, deadline_s)
        assert broker.counters()["newcomer_begun"] <= HANDSHAKES * broker.shards
        if time.monotonic() - began < 1.5:  # nobody has had his time yet
            assert broker.counters()["newcomer_closed_handshake"] == before["newcomer_closed_handshake"]
        get_in(broker, "tcp", folder, deadline_s)  # a whole CONNECT needs no place
        get_in(broker, kind, folder, deadline_s)
        close_all(broker, socks, deadline_s)
    assert broker.counters()["newcomer_closed_handshake"] > 0


def test_half_a_connect(broker, folder, deadline_s):
    """Plain TCP: a CONNECT in pieces is a handshake."""
    before = broker.counters()["newcomer_closed_handshake"]
    socks = crowd(broker, "tcp", HANDSHAKES * broker.shards * 4, b"\x10\x10\x00\x04MQTT")
    wait_counter(broker, "newcomer_begun", lambda value: value >= HANDSHAKES, deadline_s)
    get_in(broker, "tcp", folder, deadline_s)
    deadline = time.monotonic() + deadline_s
    while broker.counters()["newcomer_closed_handshake"] == before:
        socks += crowd(broker, "tcp", 1, b"\x10")
        assert time.monotonic() < deadline, "nobody gives way"
    close_all(broker, socks, deadline_s)


def test_full_of_silence(broker, _folder, deadline_s):
    """Where all places of a listener are taken by silent ones, they give way at once, and those that are connected stay."""
    port = broker.ports["tcp"][1]
    for _ in range(3 * broker.shards):
        socks = [connect(port) for _ in range(FULL)]
        if broker.shards > 1:  # the silent one may be on another shard than the newcomer
            socks[0].close()
        client = None
        deadline = time.monotonic() + deadline_s
        while client is None:
            try:
                client = open_client(port)
            except REFUSED:
                assert time.monotonic() < deadline, "silent sockets keep a client out"
        for _ in range(3 * FULL):
            socks.append(connect(port))
        client.ping(time.monotonic() + deadline_s)
        client.close()
        close_all(broker, socks, deadline_s)


def test_without_descriptors(broker, folder, deadline_s):
    """Whoever there is no descriptor for is told so, and counted; afterwards all is as before."""
    import resource
    stays = open_client(broker.ports["tcp"][0])
    before, mark, deadline = broker.counters(), len(broker.log), time.monotonic() + deadline_s
    limits = resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir("/proc/%d/fd" % broker.process.pid)}
    socks, late = [], 'listeners.tcp.late { bind = "127.0.0.1:0", backlog = 64 }'
    try:
        # the kernel reads the limit when it is asked to accept: so a listener is opened under the new one
        resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE, (max(taken) + 40, limits[1]))
        broker.write_conf([*with_defaults(folder), late])
        broker.signal(1)
        port = int(broker.wait_log(r"(?<!not )listening on tcp://", deadline, mark)[-1].rsplit(":", 1)[1])
        while broker.counters()["refused_descriptors"] == before["refused_descriptors"]:
            socks.append(connect(port))
            assert time.monotonic() < deadline and len(socks) < 1000
        assert broker.wait_log(r"refused: event=accept client=- user=- address=127\.0\.0\.1:\d+ listener=tcp\.late topic=- "
                               r'reason=descriptors by="there is no descriptor', deadline, mark)
    finally:
        resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE, limits)
    after = broker.counters()
    assert after["connection_refused"] - before["connection_refused"] == after["refused_descriptors"] - before["refused_descriptors"]
    stays.ping(deadline)
    stays.close()
    broker.write_conf(with_defaults(folder))
    broker.signal(1)
    get_in(broker, "tcp", folder, deadline_s)
    close_all(broker, socks, deadline_s)


def test_address_limit(broker, folder, deadline_s):
    """One address has its part and no more; the others of it give way, and other addresses are not concerned."""
    for kind, first in (("tcp", b""), ("ssl", b"\x16"), ("ws", b"G")):
        before = broker.counters()["newcomer_closed_address"]
        socks = crowd(broker, kind, ADDRESS * broker.shards * 2, first)
        get_in(broker, kind, folder, deadline_s)
        deadline = time.monotonic() + deadline_s
        while broker.counters()["newcomer_closed_address"] == before:
            socks += crowd(broker, kind, 1, first)
            assert time.monotonic() < deadline, "nobody of the address gives way"
        close_all(broker, socks, deadline_s)


def test_address_behind_a_proxy(broker, _folder, deadline_s):
    """It is the address in the header that counts: many clients of one proxy are no crowd, unless they are one themselves."""
    refused = broker.counters()["handshake_refused"]
    port = broker.ports["tcp"][2]
    socks = [connect(port) for _ in range(3 * ADDRESS * broker.shards)]
    for number, sock in enumerate(socks):
        sock.sendall(VERSION_1 % (b"192.0.2.%d" % number) + b"\x10\x10")
    wait_counter(broker, "newcomer_begun", lambda value: value == len(socks), deadline_s)
    assert not ended(socks)
    assert broker.counters()["handshake_refused"] == refused
    close_all(broker, socks, deadline_s)
    before, limit, mark = broker.counters()["newcomer_closed_address"], broker.counters()["refused_limit"], len(broker.log)
    socks, deadline = [], time.monotonic() + deadline_s
    while broker.counters()["newcomer_closed_address"] == before:
        socks.append(connect(port))
        socks[-1].sendall(VERSION_1 % b"192.0.2.1" + b"\x10\x10")
        assert time.monotonic() < deadline, "an address behind a proxy has no limit"
    assert broker.wait_log(r"refused: event=accept client=- user=- address=192\.0\.2\.1:\d+ listener=\S+ topic=- reason=limit by=\"it has",
                           deadline, mark)
    assert broker.counters()["refused_limit"] > limit
    close_all(broker, socks, deadline_s)


def test_limits_are_reloaded(broker, folder, deadline_s):
    """The limits are read again at a reload."""
    broker.write_conf([*with_address_limit(folder), "limits.max_handshakes = 5"])
    mark = len(broker.log)
    broker.signal(1)
    assert broker.wait_log("limits.max_handshakes", time.monotonic() + deadline_s, mark)
    refused = broker.counters()["handshake_refused"]
    socks = crowd(broker, "ssl", 10 * broker.shards, b"\x16")
    wait_counter(broker, "handshake_refused", lambda value: value > refused, deadline_s)
    close_all(broker, socks, deadline_s)


def main():
    status = run([test_a_crowd_that_says_nothing, test_a_crowd_that_begins, test_without_descriptors], with_defaults)
    status |= run([test_silent_limit, test_handshake_limit, test_half_a_connect, test_full_of_silence], with_limits, (2,))
    return status | run([test_address_limit, test_address_behind_a_proxy, test_limits_are_reloaded], with_address_limit, (2,))


if __name__ == "__main__":
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert hard >= 8192 and socket.SOMAXCONN, "too few descriptors for this test: %d" % hard
    sys.exit(main())
