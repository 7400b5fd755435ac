#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""fail2ban finds the addresses of those who were refused in the log of a real broker, and no other, whatever a client calls
itself (conf/fail2ban)."""

import configparser
import os
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from auth import BAD_CREDENTIALS, NOT_AUTHORIZED, Who, knock  # noqa: E402
from doors import run  # noqa: E402
from mqs import wire  # noqa: E402

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf", "fail2ban")
FILTER = os.path.join(FOLDER, "filter.d", "shardmq.conf")

# What would ban somebody else if it were not escaped.
EVIL = ['" user="x" address=198.51.100.1:1 listener=tcp topic=- reason=credentials by="', "\\", '\\"', '"',
        'x\nrefused: event=connect client="y" user=- address=198.51.100.2:1 listener=tcp topic=- reason=credentials by="z"',
        'refused: event=connect client=- user=- address=198.51.100.3:1 listener=tcp topic=- reason=credentials by=-', "a" * 3000]


def conf(folder):
    secret = os.path.join(folder, "secret")
    with open(secret, "w", encoding="ascii") as out:
        out.write("s" * 40)
    return ['auth.jwt.secret_file = "%s"' % secret, 'listeners.tcp.proxied { bind = "127.0.0.1:0", proxy_from = "127.0.0.1" }',
            'listeners.tcp.narrow { bind = "127.0.0.1:0", max_connections = 1 }',
            'listeners.ssl.sec { bind = "127.0.0.1:0", certfile = "%s/server.pem", keyfile = "%s/server.key" }' % (folder, folder),
            "auth.allow_anonymous = true", "auth.slow_down.delay = 0s",
            "log.to = [console, file]", 'log.dir = "%s"' % folder, "log.file = refused.log", "log.rate_limit = 0",
            "auth.acl.rules = [{permit = deny, topics = \"secret/#\"}, {permit = allow}]"]


def found(log, mode="normal"):
    """The addresses that fail2ban takes out of the file, in order."""
    done = subprocess.run(["fail2ban-regex", "--out", "ip", log, "%s[mode=%s]" % (FILTER, mode)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (0, 1), done
    return done.stdout.split()


def proxied(broker, family, address, client_id, version):
    """A refused CONNECT from an address that a proxy tells of."""
    client = Who.__new__(Who)
    Who.__base__.__init__(client, "p", ("127.0.0.1", broker.ports["tcp"][1]), version, client_id.encode())
    client.deadline_s, client.transport, client.tls_context = 10, "tcp", None
    client.open()
    client.write(b"PROXY %s %s %s 5000 1883\r\n" % (family, address, address), client.deadline)
    client.write(wire.frame(0x10, wire.connect(version, {"id": client_id.encode(), "username": b"u", "password": b"p"}, (), ())),
                 client.deadline)
    answer = client.receive(client.deadline)
    client.close()
    return answer["rc"]


def test_addresses(broker, folder, deadline_s):
    log = os.path.join(folder, "refused.log")
    with open(log, "a", encoding="utf-8"):
        pass
    begin = os.path.getsize(log)
    expected = []
    for name in EVIL:
        assert knock(broker, "tcp", folder, name, username=name, password="wrong") == BAD_CREDENTIALS
        expected.append("127.0.0.1")
    for version, code in ((wire.V5, BAD_CREDENTIALS), (wire.V311, 5)):
        assert proxied(broker, b"TCP4", b"192.0.2.7", "c", version) == code
        assert proxied(broker, b"TCP6", b"2001:db8::7", "c", version) == code
        expected += ["192.0.2.7", "2001:db8::7"]
    # what is no attempt to get in: a topic that is forbidden, whatever it is called
    good = Who(broker, "tcp", folder, "good")
    assert good.publish("secret/" + EVIL[0].replace("\n", "")) == NOT_AUTHORIZED
    good.close()
    deadline = time.monotonic() + deadline_s
    while True:
        with open(log, encoding="utf-8") as text:
            text.seek(begin)
            lines = text.read()
        if "event=publish" in lines or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    part = log + ".part"
    with open(part, "w", encoding="utf-8") as out:
        out.write(lines)
    got = found(part)
    assert sorted(got) == sorted(expected), (got, expected, lines[-3000:])
    assert lines.count("refused: event=publish") == 1


def test_modes(broker, folder, deadline_s):
    """Who speaks no TLS, or has no certificate, counts in the aggressive mode; limits in none."""
    log = os.path.join(folder, "refused.log")
    begin = os.path.getsize(log)
    before = broker.counters()
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", broker.ports["ssl"][0]), deadline_s) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while stranger.recv(4096):  # the alert, and the end
                pass
    with socket.create_connection(("127.0.0.1", broker.ports["tcp"][1]), deadline_s) as stranger:
        stranger.sendall(b"\x10\x0c\x00\x04MQTT")  # no proxy's header
        assert ended(stranger)
    with socket.create_connection(("127.0.0.1", broker.ports["tcp"][2]), deadline_s):
        with socket.create_connection(("127.0.0.1", broker.ports["tcp"][2]), deadline_s) as second:
            second.sendall(b"\x10")  # the first has sent nothing: it gives way
            deadline = time.monotonic() + deadline_s
            while broker.counters()["refused_limit"] == before["refused_limit"]:
                assert time.monotonic() < deadline
    after = broker.counters()
    for name, more in (("refused_handshake", 2), ("refused_proxy", 1), ("refused_limit", 1)):
        assert after[name] - before[name] == more, (name, before[name], after[name])
    deadline = time.monotonic() + deadline_s
    while True:
        with open(log, encoding="utf-8") as text:
            text.seek(begin)
            lines = text.read()
        if lines.count("refused: event=accept") == 4 or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    for reason, count in (("handshake", 2), ("proxy", 1), ("limit", 1)):
        assert len(re.findall(r'refused: event=accept client=- user=- address=127\.0\.0\.1:\d+ listener=\S+ topic=- reason=%s by="'
                              % reason, lines)) == count, lines
    part = log + ".part"
    with open(part, "w", encoding="utf-8") as out:
        out.write(lines)
    assert found(part) == [] and found(part, "aggressive") == ["127.0.0.1"] * 3, (found(part), found(part, "aggressive"), lines)


def ended(peer):
    try:
        return peer.recv(1) == b""
    except ConnectionResetError:
        return True


def test_jail(_broker, _folder, _deadline_s):
    jail = configparser.ConfigParser()
    assert jail.read(os.path.join(FOLDER, "jail.d", "shardmq.conf"))
    assert jail["shardmq"]["filter"] == "shardmq" and os.path.exists(FILTER)


if __name__ == "__main__":
    sys.exit(run([test_addresses, test_modes, test_jail], conf))
