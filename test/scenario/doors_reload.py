#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Listeners come, change and go while the broker runs: nobody who is connected notices, no message is lost, and a reload that
cannot be had as a whole changes nothing."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from doors import Bystander, connect_packet, open_client, run  # noqa: E402
from mqs import wire  # noqa: E402
from mqs.transport import client_context, connect  # noqa: E402

RELOADS = 200
BASE = ["http_server { enable = true, port = 0 }"]


def conf(_folder):
    return BASE


def keys(folder):
    return 'certfile = "%s/server.pem", keyfile = "%s/server.key"' % (folder, folder)


def reload(broker, lines):
    """The answer; so many as the broker does not take while a shard has no CPU are asked for again."""
    broker.write_conf(BASE + list(lines))
    deadline = time.monotonic() + 10 * broker.time_scale
    while True:
        answer = broker.control("reload")
        if "are under way" not in answer.get("error", "") or time.monotonic() > deadline:
            return answer


def good_reload(broker, lines):
    answer = reload(broker, lines)
    assert answer["ok"] and not answer["restart"], answer
    return answer


def new_port(broker, mark, kind, deadline_s):
    """The port of the listener of that kind that was opened since the mark in the log."""
    found = broker.wait_log(r"(?<!not )listening on %s://" % kind, time.monotonic() + deadline_s, mark)
    assert found, broker.log[mark:]
    return int(found[-1].rsplit(":", 1)[1].split("/")[0])


def gone(port, deadline_s):
    """Waits until nobody listens on the port: a reload is answered before every shard has done it."""
    deadline = time.monotonic() + deadline_s
    while True:
        try:
            connect(port).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:  # it was being closed
            pass
        assert time.monotonic() < deadline, "port %d is still listened on" % port


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Traffic:
    """A subscriber and a publisher at QoS 1: each message has its number, and not one may be missing or come twice."""

    TOPIC = b"traffic"

    def __init__(self, port):
        self.subscriber, self.publisher = open_client(port, client_id=b"taker"), open_client(port, client_id=b"giver")
        deadline = time.monotonic() + 30
        self.subscriber.write(wire.frame(0x82, b"\x00\x01" + len(self.TOPIC).to_bytes(2, "big") + self.TOPIC + b"\x00"), deadline)
        assert self.subscriber.receive(deadline)["type"] == "SUBACK"
        self.sent, self.ends, self.problem = 0, False, None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.ends:
                payload = b"%d" % self.sent
                deadline = time.monotonic() + 30
                self.publisher.write(wire.frame(0x32, len(self.TOPIC).to_bytes(2, "big") + self.TOPIC +
                                                (self.sent % 65535 + 1).to_bytes(2, "big") + payload), deadline)
                self.sent += 1
                assert self.publisher.receive(deadline)["type"] == "PUBACK"
                packet = self.subscriber.receive(deadline)
                assert packet["type"] == "PUBLISH" and packet["payload"] == payload, (packet, payload)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to say it
            self.problem = error

    def stop(self):
        self.ends = True
        self.thread.join(30)
        self.subscriber.close()
        self.publisher.close()
        assert self.problem is None, "the traffic: %r" % self.problem
        assert self.sent > 0


def test_they_come_and_go(broker, folder, deadline_s):
    """ssl, ws and wss are opened while messages flow; who is connected through them stays when they are removed."""
    context, mark = client_context(folder), len(broker.log)
    traffic = Traffic(broker.port)
    answer = good_reload(broker, ['listeners.tcp.more.bind = "127.0.0.1:0"', 'listeners.ssl { bind = "127.0.0.1:0", %s }' % keys(folder),
                                  'listeners.ws.bind = "127.0.0.1:0"', 'listeners.wss { bind = "127.0.0.1:0", %s }' % keys(folder)])
    assert set(answer["applied"]) == {"listeners.tcp.more", "listeners.ssl", "listeners.ws", "listeners.wss"}, answer
    ports = {kind: new_port(broker, mark, kind, deadline_s) for kind in ("tcp", "ssl", "ws", "wss")}
    clients = [open_client(port, kind, context, b"%s-%d" % (kind.encode(), n)) for kind, port in ports.items() for n in range(4)]
    answer = good_reload(broker, [])
    assert set(answer["applied"]) == {"listeners.tcp.more", "listeners.ssl", "listeners.ws", "listeners.wss"}, answer
    for port in ports.values():
        gone(port, deadline_s)
    for client in clients:
        client.ping(time.monotonic() + deadline_s)
        client.close()
    # and again, on the ports that they had
    good_reload(broker, ['listeners.tcp.other.bind = "127.0.0.1:%d"' % ports["ws"], 'listeners.ws.bind = "127.0.0.1:%d"' % ports["tcp"]])
    open_client(ports["ws"], "tcp").close()
    open_client(ports["tcp"], "ws").close()
    good_reload(broker, [])
    traffic.stop()


def test_who_waits_is_let_in(broker, _folder, deadline_s):
    """A connection that was there before its listener was removed is served, however short before."""
    port = free_port()
    for _ in range(20):
        good_reload(broker, ['listeners.tcp.short.bind = "127.0.0.1:%d"' % port])
        waiting = [connect(port) for _ in range(8)]
        good_reload(broker, [])
        for sock in waiting:
            sock.sendall(connect_packet(b""))
            sock.settimeout(deadline_s)
            assert sock.recv(4)[:1] == b"\x20"
            sock.close()
        gone(port, deadline_s)


def test_all_or_nothing(broker, folder, deadline_s):
    """A port that another program has, a certificate that is not there, a wrong rule: nothing of the reload is done."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken, mark, port = other.getsockname()[1], len(broker.log), free_port()
        answer = reload(broker, ['listeners.tcp.a.bind = "127.0.0.1:%d"' % port, 'listeners.tcp.b.bind = "127.0.0.1:%d"' % taken,
                                 "mqtt.max_qos = 1"])
        assert not answer["ok"], answer
        assert "cannot listen on 127.0.0.1 port %d (tcp.b): Address already in use; another program" % taken in answer["error"]
        gone(port, deadline_s)
    for bad, why in (('listeners.ssl { bind = "127.0.0.1:0", certfile = "%s/none.pem", keyfile = "%s/server.key" }' % (folder, folder),
                      "listeners.ssl: %s/none.pem: No such file" % folder),
                     ('listeners.tcp.b.proxy_from = "somewhere"', "listeners.tcp.b.proxy_from takes up to"),
                     ("listeners.tcp.enable = false", "no listener is enabled")):
        answer = reload(broker, ['listeners.tcp.a.bind = "127.0.0.1:%d"' % port, bad] if "enable" not in bad else [bad])
        assert not answer["ok"] and why in answer["error"], answer
        gone(port, deadline_s)
    assert not any("listening on" in line for line in broker.log[mark:]), broker.log[mark:]
    open_client(broker.port).close()
    good_reload(broker, ['listeners.tcp.a.bind = "127.0.0.1:%d"' % port])
    open_client(port).close()
    good_reload(broker, [])


def test_changed_rules(broker, folder, deadline_s):
    """Rules change for those who come next: a limit counts who came before, and the socket stays open all the time."""
    mark = len(broker.log)
    good_reload(broker, ['listeners.tcp.a.bind = "127.0.0.1:0"'])
    port = new_port(broker, mark, "tcp", deadline_s)
    clients = [open_client(port) for _ in range(3)]
    answer = good_reload(broker, ['listeners.tcp.a { bind = "127.0.0.1:0", max_connections = 3 }'])
    assert answer["applied"] == ["listeners.tcp.a.max_connections"], answer
    until(lambda: refused(port), deadline_s, "a fourth client is let in")
    clients.pop().close()
    until(lambda: not refused(port), deadline_s, "nobody is let in after one has gone")
    # another kind and another name at the same address: the same socket
    good_reload(broker, ['listeners.ssl.b { bind = "127.0.0.1:%d", %s }' % (port, keys(folder))])
    until(lambda: answers(port, "ssl", client_context(folder)), deadline_s, "no TLS is spoken")
    for client in clients:
        client.ping(time.monotonic() + deadline_s)
        client.close()
    # opened to everybody: both addresses are there for a moment
    good_reload(broker, ['listeners.tcp.a.bind = "[::ffff:127.0.0.1]:%d"' % port, "listeners.tcp.a.ipv6_only = false"])
    until(lambda: answers(port, "tcp"), deadline_s, "nobody is let in on the other address")
    good_reload(broker, [])
    gone(port, deadline_s)


def refused(port):
    try:
        open_client(port).close()
        return False
    except (OSError, EOFError, Exception):  # noqa: BLE001 - closed before CONNACK, in whatever way
        return True


def answers(port, kind, context=None):
    try:
        open_client(port, kind, context).close()
        return True
    except (OSError, Exception):  # noqa: BLE001
        return False


def until(condition, deadline_s, what):
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, what


def connack(sock, deadline_s):
    """What a socket that has connected before is told when it now says who it is."""
    sock.settimeout(deadline_s)
    sock.sendall(connect_packet(b""))
    return sock.recv(4)


def came(broker, port, deadline_s):
    """A socket that a shard has accepted, and that says nothing yet."""
    before = broker.counters()["connection_accepted"]
    sock = connect(port)
    until(lambda: broker.counters()["connection_accepted"] > before, deadline_s, "the connection is not accepted")
    return sock


def test_who_needs_a_name(broker, _folder, deadline_s):
    """allow_anonymous of a listener changes for those who come next; who came when names were asked for needs one, whatever the
    configuration says when CONNECT comes. An address that the network reaches is refused as at the start."""
    port = free_port()
    lines = 'listeners.tcp.a { bind = "127.0.0.1:%d", allow_anonymous = %%s }' % port
    good_reload(broker, [lines % "true"])
    stays = open_client(port)
    answer = good_reload(broker, [lines % "false"])
    assert answer["applied"] == ["listeners.tcp.a.allow_anonymous"], answer
    until(lambda: not answers(port, "tcp"), deadline_s, "clients without a name are let in")
    early = [came(broker, port, deadline_s) for _ in range(4)]
    good_reload(broker, [lines % "true"])
    until(lambda: answers(port, "tcp"), deadline_s, "nobody is let in")
    assert connack(early.pop(), deadline_s) == b"\x20\x02\x00\x04"
    good_reload(broker, [])
    gone(port, deadline_s)
    for sock in early:
        assert connack(sock, deadline_s) == b"\x20\x02\x00\x04"
        sock.close()
    stays.close()
    answer = reload(broker, ['listeners.tcp.wide.bind = "0.0.0.0:%d"' % port])
    assert not answer["ok"] and "listeners.tcp.wide can be reached from other machines" in answer["error"], answer
    gone(port, deadline_s)


def test_many_reloads(broker, folder, deadline_s):
    """Two hundred of them, each with other listeners: no descriptor is left over, and no connection suffers."""
    bystander = Bystander(broker.port)
    good_reload(broker, [])
    before = broker.descriptor_count()
    for n in range(RELOADS):
        good_reload(broker, [["listeners.ssl.a { bind = \"127.0.0.1:0\", %s }" % keys(folder), 'listeners.ws.b.bind = "127.0.0.1:0"'],
                             ['listeners.tcp.c { bind = "127.0.0.1:0", max_connections = %d }' % (n + 1)], []][n % 3])
    good_reload(broker, [])
    until(lambda: broker.descriptor_count() <= before, deadline_s, "%d descriptors, %d before" % (broker.descriptor_count(), before))
    bystander.stop()


def test_the_command(broker, folder, deadline_s):
    """`shardmq reload` and SIGHUP do the same, and the command says why not."""
    command = [broker.executable, "reload", "--conf", broker.conf_path]
    mark = len(broker.log)
    broker.write_conf(BASE + ['listeners.ws.bind = "127.0.0.1:0"'])
    done = subprocess.run(command, capture_output=True, text=True, timeout=deadline_s, check=False)
    assert done.returncode == 0 and "listeners.ws" in done.stdout, done
    port = new_port(broker, mark, "ws", deadline_s)
    open_client(port, "ws").close()
    broker.write_conf(BASE + ['listeners.wss { bind = "127.0.0.1:0", certfile = "%s/server.pem", keyfile = "%s/rsa.key" }' % (folder, folder)])
    done = subprocess.run(command, capture_output=True, text=True, timeout=deadline_s, check=False)
    assert done.returncode == 1 and "this is not the key of the certificate" in done.stdout + done.stderr, done
    open_client(port, "ws").close()
    broker.write_conf(BASE)
    broker.signal(signal.SIGHUP)
    gone(port, deadline_s)


def http_status(connection):
    connection.request("GET", "/health/live")
    answer = connection.getresponse()
    answer.read()
    return answer.status


def http_connection(port):
    return http.client.HTTPConnection("127.0.0.1", port, timeout=30)


def test_the_api_moves(broker, folder, deadline_s):
    """The HTTP API goes to another port, and to HTTPS; who is connected to the former port is still served."""
    before, mark = new_port(broker, 0, "http", deadline_s), len(broker.log)
    connection = http_connection(before)
    assert http_status(connection) == 200
    good_reload(broker, ["http_server { port = %d }" % free_port()])
    after = new_port(broker, mark, "http", deadline_s)
    assert after != before and http_status(http_connection(after)) == 200
    gone(before, deadline_s)
    assert http_status(connection) == 200
    good_reload(broker, ['http_server { port = %d, certfile = "%s/server.pem", keyfile = "%s/server.key" }' % (after, folder, folder)])
    context = client_context(folder)
    context.set_alpn_protocols(["http/1.1"])
    with context.wrap_socket(connect(after), server_hostname="localhost") as sock:
        sock.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert sock.recv(15) == b"HTTP/1.1 200 OK"
    good_reload(broker, [])


def test_restart_after_reload(broker, _folder, deadline_s):
    """The next program has the listeners of the last reload, with their ports."""
    mark = len(broker.log)
    good_reload(broker, ['listeners.tcp.late.bind = "127.0.0.1:0"'])
    port = new_port(broker, mark, "tcp", deadline_s)
    open_client(port).close()
    mark = len(broker.log)
    assert broker.control("restart") == {"ok": True}
    assert broker.wait_log("started successfully", time.monotonic() + 2 * deadline_s, mark), broker.log[mark:]
    assert new_port(broker, mark, "tcp", deadline_s) == port
    open_client(port).close()
    open_client(broker.port).close()
    good_reload(broker, [])
    gone(port, deadline_s)


def test_restart_at_once(broker, _folder, deadline_s):
    """A restart while shards are still taking over what a reload has brought."""
    for n in range(6):
        port, mark = free_port(), len(broker.log)
        good_reload(broker, ['listeners.tcp.n%d.bind = "127.0.0.1:%d"' % (n, port), 'listeners.ws.bind = "127.0.0.1:0"'][:1 + n % 2])
        assert broker.control("restart") == {"ok": True}
        assert broker.wait_log("started successfully", time.monotonic() + 2 * deadline_s, mark), broker.log[mark:]
        open_client(port).close()
        open_client(broker.port).close()
    good_reload(broker, [])


TESTS = [test_they_come_and_go, test_who_waits_is_let_in, test_all_or_nothing, test_changed_rules, test_who_needs_a_name, test_many_reloads,
         test_the_command, test_the_api_moves, test_restart_after_reload, test_restart_at_once]

if __name__ == "__main__":
    sys.exit(run(TESTS, conf))
