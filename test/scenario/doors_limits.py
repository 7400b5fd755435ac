#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What each listener has of its own: limits, socket options, IPv6 and both, and proxies before it."""

import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from doors import connect_packet, open_client, read_to_end, run  # noqa: E402
from mqs import wire  # noqa: E402
from mqs.client import Client, Closed  # noqa: E402
from mqs.transport import client_context, connect, put_on  # noqa: E402

FEW, SLOW, SMALL, PROXIED, STRANGER, SIX, BOTH, TUNED = range(1, 9)
REFUSED = (Closed, ConnectionResetError, ConnectionRefusedError, BrokenPipeError)


def conf(folder):
    keys = 'certfile = "%s/server.pem", keyfile = "%s/server.key"' % (folder, folder)
    return ["log.level = debug", "auth.allow_anonymous = true", 'listeners.tcp.few { bind = "127.0.0.1:0", max_connections = 5 }',
            'listeners.tcp.slow { bind = "127.0.0.1:0", max_conn_rate = 6 }',
            'listeners.tcp.small { bind = "127.0.0.1:0", max_packet_size = 1KB }',
            'listeners.tcp.proxied { bind = "127.0.0.1:0", proxy_from = "10.0.0.0/8, 127.0.0.0/8" }',
            'listeners.tcp.stranger { bind = "127.0.0.1:0", proxy_from = "10.0.0.0/8" }',
            'listeners.tcp.six { bind = "[::1]:0" }',
            'listeners.tcp.both { bind = "[::]:0", ipv6_only = false, proxy_from = "127.0.0.1, ::1" }',
            'listeners.tcp.tuned { bind = "127.0.0.1:0", tcp_nodelay = false, tcp_keepalive = 60s, tcp_user_timeout = 30s, '
            "send_buffer = 64KB, receive_buffer = 64KB }",
            'listeners.ssl.proxied { bind = "127.0.0.1:0", proxy_from = "127.0.0.1", %s }' % keys,
            'listeners.wss.proxied { bind = "127.0.0.1:0", proxy_from = "127.0.0.1", %s }' % keys]


def tcp(broker, which):
    return broker.ports["tcp"][which]


def refused(port):
    try:
        open_client(port).close()
        return False
    except REFUSED:
        return True


def test_connection_limit(broker, _folder, deadline_s):
    clients = [open_client(tcp(broker, FEW), client_id=b"few-%d" % number) for number in range(5)]
    for _ in range(8):
        assert refused(tcp(broker, FEW))
    open_client(broker.port).close()  # the others are not concerned
    clients.pop().close()
    deadline = time.monotonic() + deadline_s
    while refused(tcp(broker, FEW)):
        assert time.monotonic() < deadline, "no place became free"
    for client in clients:
        client.ping(time.monotonic() + deadline_s)
        client.close()


def test_connection_rate(broker, _folder, deadline_s):
    """Not more than the limit (each shard's part rounded up) in a second; then there is room again."""
    most = -(-6 // broker.shards) * broker.shards
    while time.time() % 1 > 0.5:  # two seconds on the broker's clock at most
        time.sleep(0)
    came = sum(not refused(tcp(broker, SLOW)) for _ in range(60))
    assert 1 <= came <= 3 * most, came
    assert broker.counters()["connection_refused"] >= 60 - 3 * most
    deadline = time.monotonic() + deadline_s
    while refused(tcp(broker, SLOW)):
        assert time.monotonic() < deadline, "it stays closed"


def test_packet_size(broker, _folder, deadline_s):
    deadline = time.monotonic() + deadline_s
    for port, fits in ((tcp(broker, SMALL), False), (broker.port, True)):
        client = open_client(port)
        client.write(wire.frame(0x30, b"\x00\x01t" + b"x" * 2000), deadline)
        try:
            client.ping(deadline)
            assert fits
        except REFUSED:
            assert not fits
        client.close()
    client = open_client(tcp(broker, SMALL))
    client.write(wire.frame(0x30, b"\x00\x01t" + b"x" * 1000), deadline)
    client.ping(deadline)
    client.close()


def open_client_behind(port, header, kind, context, deadline_s):
    """open_client(), with bytes of a proxy before everything else."""
    client = Client("c", ("127.0.0.1", port), wire.V311, b"behind-a-proxy")
    client.sock = connect(port)
    client.sock.sendall(header)
    client.sock = put_on(client.sock, kind, context, time.monotonic() + deadline_s)
    client.sock.setblocking(False)
    deadline = time.monotonic() + deadline_s
    client.write(connect_packet(b"behind-a-proxy"), deadline)
    assert client.receive(deadline)["rc"] == 0
    return client


VERSION_2 = b"\r\n\r\n\0\r\nQUIT\n"
HEADERS = (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n",
           VERSION_2 + b"\x21\x11\0\x0c\xc0\0\x02\x07\x7f\0\0\x01\x12\x34\x07\x5b")


def test_proxies(broker, folder, deadline_s):
    context = client_context(folder)
    mark = len(broker.log)
    for header in HEADERS:
        for kind, port in (("tcp", tcp(broker, PROXIED)), ("ssl", broker.ports["ssl"][0]), ("wss", broker.ports["wss"][0])):
            client = open_client_behind(port, header, kind, context, deadline_s)
            client.ping(time.monotonic() + deadline_s)
            client.close()
    lines = broker.wait_log(r"behind-a-proxy.* at 192\.0\.2\.7:", time.monotonic() + deadline_s, mark, count=6)
    assert len(lines) >= 6, "the log does not name the client's own address"


def test_bad_proxies(broker, _folder, deadline_s):
    connect_bytes = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"
    for header in (b"", b"PROXY TCP4 1.2.3.4\r\n", VERSION_2 + b"\x21\x11\xff\xff", VERSION_2 + b"\x11\x11\0\x0c" + b"\0" * 12,
                   b"PROXY UNKNOWN" + b"x" * 200, b"PROXY TCP4 1.2.3.4\r\n5.6.7.8 1 2\r\n"):
        with connect(tcp(broker, PROXIED)) as sock:
            sock.sendall(header + connect_bytes)
            assert read_to_end(sock, deadline_s) == b"", header
    for header in HEADERS:  # who is no proxy of that listener is not asked anything
        with connect(tcp(broker, STRANGER)) as sock:
            try:
                sock.sendall(header + connect_bytes)
            except OSError:
                pass
            assert read_to_end(sock, deadline_s) == b""
    with connect(broker.port) as sock:  # and a listener without proxies reads no header
        sock.sendall(HEADERS[0] + connect_bytes)
        assert read_to_end(sock, deadline_s) == b""


def test_ipv6_and_both(broker, _folder, deadline_s):
    for address, which in (("::1", SIX), ("::1", BOTH), ("127.0.0.1", BOTH)):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as sock:
            sock.settimeout(deadline_s)
            sock.connect((address, tcp(broker, which)))
            sock.sendall((b"PROXY UNKNOWN\r\n" if which == BOTH else b"") +
                         b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
            assert sock.recv(4) == b"\x20\x02\x00\x00", address
    with socket.socket() as sock:
        try:
            sock.connect(("127.0.0.1", tcp(broker, SIX)))
            raise AssertionError("a listener for IPv6 takes IPv4")
        except ConnectionRefusedError:
            pass


def test_socket_options(broker, _folder, _deadline_s):
    """Everything works with them set; that they are set, `ss` says of the accepted socket."""
    client = open_client(tcp(broker, TUNED))
    listed = subprocess.run(["ss", "-tnoOm", "sport = :%d" % tcp(broker, TUNED)], capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        assert "keepalive" in listed.stdout, listed.stdout
    client.close()


if __name__ == "__main__":
    sys.exit(run([test_connection_limit, test_connection_rate, test_packet_size, test_proxies, test_bad_proxies,
                  test_ipv6_and_both, test_socket_options], conf))
