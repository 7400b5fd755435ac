#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Whoever comes to the wrong door, or breaks the rules of TLS or WebSocket, is turned away, and nobody else notices."""

import os
import socket
import ssl
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from doors import Bystander, connect_packet, open_client, read_to_end, run  # noqa: E402
from mqs.client import Closed  # noqa: E402
from mqs.transport import Tls, WebSocket, client_context, connect  # noqa: E402

CONNECT_TIMEOUT_S = 2
KINDS = ("ssl", "ws", "wss")


def conf(folder):
    keys = 'certfile = "%s/server.pem", keyfile = "%s/server.key"' % (folder, folder)
    return ["mqtt.connect_timeout = %ds" % CONNECT_TIMEOUT_S, "log.level = debug",
            'listeners.ssl { bind = "127.0.0.1:0", %s }' % keys,
            'listeners.ws { bind = "127.0.0.1:0", origins = "https://console.example" }',
            'listeners.wss { bind = "127.0.0.1:0", origins = "https://console.example", %s }' % keys]


def client_hello(folder):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(folder).wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def still_served(broker, folder):
    for kind in ("tcp", *KINDS):
        open_client(broker.ports[kind][0], kind, client_context(folder)).close()


def test_plain_text_to_tls(broker, folder, deadline_s):
    for port in (broker.ports["ssl"][0], broker.ports["wss"][0]):
        for text in (connect_packet(b"x"), b"GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 100, b"\x16\x03\x01\xff\xff",
                     os.urandom(64)[:1] + b"\xff" * 2000):
            with connect(port) as sock:
                sock.sendall(text)
                answer = read_to_end(sock, deadline_s)
                assert b"HTTP" not in answer and not answer.startswith(b"\x20"), answer
    still_served(broker, folder)


def test_tls_to_plain(broker, folder, deadline_s):
    hello = client_hello(folder)
    for kind in ("tcp", "ws"):
        with connect(broker.ports[kind][0]) as sock:
            sock.sendall(hello)
            answer = read_to_end(sock, deadline_s)
            assert kind == "tcp" and not answer or answer.startswith(b"HTTP/1.1 400 "), answer
    still_served(broker, folder)


def test_half_handshakes(broker, folder, deadline_s):
    """They end by the time-out that every CONNECT has, and nobody waits for them."""
    bystander = Bystander(broker.ports["tcp"][0])
    hello = client_hello(folder)
    halves = {"ssl": (b"", hello[:1], hello[:5], hello[:60], hello), "wss": (b"", hello[:100], hello),
              "ws": (b"", b"G", b"GET /mqtt HTTP/1.1\r\nHost: x\r\n", b"GET /mqtt HTTP/1.1\r\nX: " + b"y" * 5000)}
    socks = []
    for kind, beginnings in halves.items():
        for beginning in beginnings * 8:
            sock = connect(broker.ports[kind][0])
            sock.sendall(beginning)
            socks.append(sock)
    began = time.monotonic()
    for sock in socks:
        read_to_end(sock, CONNECT_TIMEOUT_S + deadline_s)
        sock.close()
    assert time.monotonic() - began < CONNECT_TIMEOUT_S + deadline_s
    bystander.stop()
    still_served(broker, folder)


def test_a_storm_of_handshakes_holds_up_nobody(broker, folder, deadline_s):
    bystander = Bystander(broker.ports["tcp"][0])
    hello = client_hello(folder)
    socks = [connect(broker.ports["ssl"][0]) for _ in range(300)]
    for sock in socks:
        sock.sendall(hello)
    open_client(broker.ports["ssl"][0], "ssl", client_context(folder), deadline_s=deadline_s).close()
    for sock in socks:
        sock.close()
    longest = bystander.stop()
    assert longest < deadline_s, "a ping took %.3f s" % longest


def test_renegotiation_and_old_versions(broker, folder, deadline_s):
    port = broker.ports["ssl"][0]
    command = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, "-CAfile", os.path.join(folder, "ca.pem")]
    mark = len(broker.log)
    process = subprocess.Popen([*command, "-tls1_2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    process.stdin.write(b"R\n")
    process.stdin.flush()
    assert broker.wait_log("renegotiate", time.monotonic() + deadline_s, mark), process.communicate(timeout=deadline_s)
    process.communicate(timeout=deadline_s)
    for version in ("-tls1", "-tls1_1"):
        done = subprocess.run([*command, version, "-cipher", "ALL:@SECLEVEL=0"], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=deadline_s, check=False)
        assert b"Cipher is (NONE)" in done.stdout, done.stdout
    for version in ("-tls1_2", "-tls1_3"):
        done = subprocess.run([*command, version, "-alpn", "mqtt"], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=deadline_s, check=False)
        assert b"Verify return code: 0 (ok)" in done.stdout and b"ALPN protocol: mqtt" in done.stdout, done.stdout
    done = subprocess.run([*command, "-alpn", "h2"], stdin=subprocess.DEVNULL, capture_output=True, timeout=deadline_s,
                          check=False)
    assert b"alert number 120" in done.stderr + done.stdout, done.stderr
    still_served(broker, folder)


def opened(broker, folder, kind, deadline_s):
    """A WebSocket whose handshake is over."""
    sock = connect(broker.ports[kind][0])
    if kind == "wss":
        sock = Tls(sock, client_context(folder)).handshake(time.monotonic() + deadline_s)
    sock.setblocking(False)
    return WebSocket(sock).handshake(time.monotonic() + deadline_s)


def close_code(web, frame, deadline_s):
    """Sends raw bytes of the WebSocket's inside; the code of the close frame that answers."""
    deadline = time.monotonic() + deadline_s
    web.sock.send(frame)
    while not web.ended:
        assert time.monotonic() < deadline, "the broker does not close"
        try:
            web.recv(1 << 16)
        except BlockingIOError:
            time.sleep(0)
    web.close()
    return web.close_code


def test_forbidden_frames(broker, folder, deadline_s):
    """Whatever is no binary frame, or is malformed, ends the connection [MQTT-6.0.0-1]."""
    masked = WebSocket.frame
    cases = {
        "unmasked": (b"\x82\x04" + b"\x10\x02\x00\x00", 1002),
        "rsv1": (b"\xc2" + masked(2, b"x")[1:], 1002),
        "rsv3": (b"\x92" + masked(2, b"x")[1:], 1002),
        "unknown opcode": (masked(3, b"x"), 1002),
        "text": (masked(1, b"hello"), 1003),
        "continues nothing": (masked(0, b"x"), 1002),
        "fragmented ping": (masked(9, b"x", final=False), 1002),
        "long ping": (b"\x89\xfe\x00\x7e" + b"\0" * 130, 1002),
        "length 2^63": (b"\x82\xff" + struct.pack(">Q", 1 << 63) + b"\0" * 5, 1002),
        "length 2^62": (b"\x82\xff" + struct.pack(">Q", 1 << 62) + b"\0" * 5, 1009),
        "length not minimal": (b"\x82\xfe\x00\x01" + b"\0" * 5, 1002),
        "close with half a code": (masked(8, b"\x03"), 1002),
        "close with a bad code": (masked(8, b"\x03\xed"), 1002),
        "close": (masked(8, b"\x03\xe8bye"), 1000),
    }
    for kind in ("ws", "wss"):
        for name, (frame, code) in cases.items():
            web = opened(broker, folder, kind, deadline_s)
            got = close_code(web, frame, deadline_s)
            assert got == code, "%s on %s: closed with %s, not %d" % (name, kind, got, code)
            client = opened(broker, folder, kind, deadline_s)  # and the same behind a CONNECT
            client.send(connect_packet(b""))
            got = close_code(client, frame, deadline_s)
            assert got == code, "%s behind CONNECT on %s: closed with %s, not %d" % (name, kind, got, code)
    still_served(broker, folder)


def test_packets_do_not_know_frames(broker, folder, deadline_s):
    """A packet that announces a megabyte in a frame of a few bytes, over pings and fragments [MQTT-6.0.0-2]."""
    for kind in ("ws", "wss"):
        client = open_client(broker.ports[kind][0], kind, client_context(folder))
        client.sock.sock.send(WebSocket.frame(2, b"\x30\x80\x80\x40\x00"))
        for _ in range(50):
            client.sock.sock.send(WebSocket.frame(9, b"ping") + WebSocket.frame(2, b"\x01", final=False) +
                                  WebSocket.frame(9, b"") + WebSocket.frame(0, b"a"))
        client.close()
    still_served(broker, folder)


def test_pings_without_reading(broker, folder, deadline_s):
    """The answers to pings that nobody reads have a limit."""
    for kind in ("ws", "wss"):
        web = opened(broker, folder, kind, deadline_s)
        deadline = time.monotonic() + 3 * deadline_s
        frame = WebSocket.frame(9, b"x" * 125, mask=b"\0\0\0\0") * 100
        try:
            while time.monotonic() < deadline:
                try:
                    web.sock.send(frame)
                except BlockingIOError:
                    time.sleep(0)
                if broker.wait_log("answers to its pings", time.monotonic() + 0.001):
                    break
            else:
                raise AssertionError("the broker collects answers for ever")
        except (BrokenPipeError, ConnectionResetError):
            pass
        web.close()
    still_served(broker, folder)


def head(*lines):
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


GOOD = ("GET /mqtt HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: mqtt")


def test_bad_upgrades(broker, folder, deadline_s):
    """Only GET of the path with a sub-protocol of MQTT becomes a WebSocket [MQTT-6.0.0-4], which a client checks (mqs)."""
    cases = {
        head(*GOOD): b"101",
        head(*GOOD, "Origin: https://console.example"): b"101",
        head(*GOOD, "Origin: https://evil.example"): b"403",
        head(*GOOD, "Origin: null"): b"403",
        head("GET / HTTP/1.1", *GOOD[1:]): b"404",
        head("GET /mqtt/../etc HTTP/1.1", *GOOD[1:]): b"404",
        head("PUT /mqtt HTTP/1.1", *GOOD[1:]): b"405",
        head(*GOOD[:-1]): b"400",
        head(*GOOD[:-1], "Sec-WebSocket-Protocol: chat"): b"400",
        head(*GOOD, "X: a\0b"): b"400",
        head(*GOOD, *("X-%d: y" % number for number in range(1000))): b"431",
        head(*GOOD, "X: " + "y" * 65536): b"431",
        head(GOOD[0], *("Sec-WebSocket-Version: " + "1" * 65536, ), *GOOD[1:]): b"431",
        b"GET /mqtt HTTP/1.1\nHost: x\n\n": b"400",
        b"\x16\x03\x01\x00\x00\r\n\r\n": b"400",
    }
    for kind in ("ws", "wss"):
        for request, status in cases.items():
            sock = connect(broker.ports[kind][0])
            if kind == "wss":
                sock = client_context(folder).wrap_socket(sock, server_hostname="localhost")
            try:
                sock.sendall(request)
                if status != b"101":
                    sock.settimeout(deadline_s)
                    answer = read_to_end(sock, deadline_s)
                else:
                    answer = sock.recv(1 << 16)
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                answer = b"HTTP/1.1 " + status  # closed while we were still sending: seen on long heads
                assert len(request) > 8192
            sock.close()
            assert answer.startswith(b"HTTP/1.1 " + status), "%r was answered %r" % (request[:120], answer[:120])
    still_served(broker, folder)


def test_good_bye_with_connect(broker, folder, deadline_s):
    """CONNECT and the transport's good-bye in one piece, and the socket stays open: the connection ends nevertheless, on
    the shard that took it and on the one that it is given to."""
    for kind in KINDS:
        for number in range(6):
            packet = connect_packet(b"bye-%d" % number)
            if kind == "ssl":
                sock = connect(broker.ports[kind][0])
                layer = Tls(sock, client_context(folder)).handshake(time.monotonic() + deadline_s)
                data = layer.encode(packet)
                try:
                    layer.tls.unwrap()
                except ssl.SSLWantReadError:
                    data += layer.outgoing.read()
                sock.sendall(data)
            else:
                layer = opened(broker, folder, kind, deadline_s).sock
                layer.send(WebSocket.frame(2, packet) + WebSocket.frame(8, b"\x03\xe8"))
                sock = layer if kind == "ws" else layer.sock
            read_to_end(sock, deadline_s)
            sock.close()
    still_served(broker, folder)


def test_nothing_is_left(broker, _folder, deadline_s):
    deadline = time.monotonic() + deadline_s
    while broker.counters()["connection_open"] != 0:
        assert time.monotonic() < deadline, "connections are left open"
        time.sleep(0)
    assert broker.counters()["transport_failed"] > 50


if __name__ == "__main__":
    sys.exit(run([test_plain_text_to_tls, test_tls_to_plain, test_half_handshakes,
                  test_a_storm_of_handshakes_holds_up_nobody, test_renegotiation_and_old_versions, test_forbidden_frames,
                  test_packets_do_not_know_frames, test_pings_without_reading, test_bad_upgrades,
                  test_good_bye_with_connect, test_nothing_is_left], conf))
