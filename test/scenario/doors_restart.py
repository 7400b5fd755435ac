#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A restart keeps the listening sockets: while a thousand connections a second come, not one is refused, and every listener is
where it was."""

import os
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from doors import connect_packet, open_client, run  # noqa: E402
from mqs import wire  # noqa: E402
from mqs.client import Client  # noqa: E402
from mqs.transport import client_context, connect  # noqa: E402

RATE = 1000  # connections per second, of all threads together
THREADS = 4
KINDS = ("tcp", "ssl", "ws", "wss")


def conf(folder):
    keys = 'bind = "127.0.0.1:0", certfile = "%s/server.pem", keyfile = "%s/server.key"' % (folder, folder)
    return ['listeners.tcp.tcp { bind = "127.0.0.1:0" }', "listeners.ssl { %s }" % keys, 'listeners.ws.bind = "127.0.0.1:0"',
            "listeners.wss { %s }" % keys,
            'listeners.unix { bind = "%s/mqtt.sock", backlog = 65535 }' % folder, "system.shutdown_timeout = 1s"]


class Callers:
    """Connects at a rate, and counts."""

    def __init__(self, ports):
        self.ports, self.came, self.refused, self.ends = ports, 0, [], False
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(THREADS)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        began, done = time.monotonic(), 0
        while not self.ends:
            if done > (time.monotonic() - began) * RATE / THREADS:
                time.sleep(0.0005)  # keeps the rate; nothing is waited for
                continue
            done += 1
            try:
                connect(self.ports[(done + number) % len(self.ports)]).close()
                self.came += 1
            except OSError as error:
                self.refused.append(error)

    def stop(self):
        self.ends = True
        for thread in self.threads:
            thread.join(30)


def test_restart(broker, folder, deadline_s):
    context = client_context(folder)
    ports = [broker.ports[kind][0] for kind in KINDS] + broker.ports["tcp"][1:] + [os.path.join(folder, "mqtt.sock")]
    stayer = open_client(broker.port, client_id=b"stayer")
    for _ in range(3):
        mark, came = len(broker.log), 0
        callers = Callers(ports)
        assert broker.control("restart") == {"ok": True}
        assert broker.wait_log("started successfully", time.monotonic() + 2 * deadline_s, mark), broker.log[mark:]
        deadline = time.monotonic() + deadline_s
        while callers.came < came + 500:  # and some time after it
            assert time.monotonic() < deadline, "nobody comes in any more"
            time.sleep(0)
        callers.stop()
        assert not callers.refused, "%d of %d: %s" % (len(callers.refused), callers.came, callers.refused[0])
        for kind in KINDS:
            open_client(broker.ports[kind][0], kind, context).close()
        listening = [line for line in broker.log[mark:] if "listening on" in line and "INFO" not in line]
        for kind in KINDS:
            for port in broker.ports[kind]:
                assert any("%s://127.0.0.1:%d" % (kind, port) in line for line in listening), listening
    stayer.close()


def test_the_command(broker, folder, deadline_s):
    """`shardmq restart` has the running broker start again; what it could not start with stops nothing."""
    command = [broker.executable, "restart", "--conf", broker.conf_path]
    mark, before = len(broker.log), dict(broker.ports)
    done = subprocess.run(command, capture_output=True, text=True, timeout=deadline_s, check=False)
    assert done.returncode == 0 and done.stdout == "restarting process %d\n" % broker.process.pid, done
    assert broker.wait_log("started successfully", time.monotonic() + 2 * deadline_s, mark)
    for kind in KINDS:
        open_client(before[kind][0], kind, client_context(folder)).close()
    os.rename(os.path.join(folder, "server.key"), os.path.join(folder, "away.key"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=deadline_s, check=False)
    os.rename(os.path.join(folder, "away.key"), os.path.join(folder, "server.key"))
    assert done.returncode == 1 and "server.key: No such file" in done.stderr, done
    for kind in KINDS:
        open_client(before[kind][0], kind, client_context(folder)).close()


def test_other_listeners(broker, folder, deadline_s):
    """The configuration has changed: a socket goes to the listener of its address, whatever that is called now, and those
    that are in the way of another address of their port are closed."""
    port, wide = broker.ports["tcp"][1], broker.ports["ws"][0]
    with open(broker.conf_path, encoding="utf-8") as file:
        before = file.read()
    after = before.replace('listeners.tcp.tcp { bind = "127.0.0.1:0" }', 'listeners.tcp.renamed.bind = "127.0.0.1:%d"' % port)
    after = after.replace('listeners.ws.bind = "127.0.0.1:0"',
                          'listeners.ws { bind = "[::ffff:127.0.0.1]:%d", ipv6_only = false }' % wide)
    assert "renamed" in after and "ffff" in after, before
    with open(broker.conf_path, "w", encoding="utf-8") as file:
        file.write(after)
    mark, callers = len(broker.log), Callers([port])
    assert broker.control("restart") == {"ok": True}
    assert broker.wait_log("started successfully", time.monotonic() + 2 * deadline_s, mark), broker.log[mark:]
    callers.stop()
    assert not callers.refused, callers.refused[0]
    open_client(port, "tcp").close()
    open_client(wide, "ws").close()
    assert any("ws://[::ffff:127.0.0.1]:%d" % wide in line for line in broker.log[mark:]), broker.log[mark:]


def test_other_number_of_shards(broker, _folder, deadline_s):
    """Who waits while the broker starts again is let in, whichever socket it waits in and however many shards there are
    then."""
    lines, names = conf_of_ports(broker), iter(range(10 ** 6))
    for count in (1, 3, 2, broker.shards):
        stayers = [stay(broker, shard, names) for shard in range(broker.shards)]
        mark = len(broker.log)
        broker.shards = count
        broker.write_conf(lines)
        assert broker.control("restart") == {"ok": True}
        for client in stayers:  # the shard of each does not accept any more; it waits a second for them to close
            packet = client.receive(time.monotonic() + deadline_s)
            assert packet["type"] == "DISCONNECT" and packet["rc"] == 0x8B, packet
        waiting = [connect(broker.port) for _ in range(48)]
        for number, sock in enumerate(waiting):
            sock.sendall(connect_packet(b"waits-%d" % number))
        for client in stayers:
            client.close()
        assert broker.wait_log("started successfully", time.monotonic() + 2 * deadline_s, mark), broker.log[mark:]
        for sock in waiting:
            sock.settimeout(deadline_s)
            assert sock.recv(4) == b"\x20\x02\x00\x00"
            sock.close()


def conf_of_ports(broker):
    """The lines with the ports that the kernel has chosen: only their sockets are handed on to another number of shards."""
    return ['listeners.tcp.tcp { bind = "127.0.0.1:%d" }' % broker.ports["tcp"][1], "system.shutdown_timeout = 5s"]


def stay(broker, shard, names):
    """A client of 5.0 whose session is on that shard."""
    name = broker.client_id_on(shard, lambda: "stays-%d" % next(names)).encode()
    client = Client("stays", ("127.0.0.1", broker.port), wire.V5, name)
    client.open()
    deadline = time.monotonic() + 10 * broker.time_scale
    client.write(connect_packet(name, wire.V5), deadline)
    assert client.receive(deadline)["type"] == "CONNACK"
    return client


def test_tickets(broker, folder, deadline_s):
    """A TLS session is resumed with the ticket that the program before gave."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = client_context(folder)
        context.minimum_version = context.maximum_version = version
        mark, port = len(broker.log), broker.ports["ssl"][0]
        resumed, session = open_with(context, port, None, deadline_s)
        assert not resumed
        assert broker.control("restart") == {"ok": True}
        assert broker.wait_log("started successfully", time.monotonic() + 2 * deadline_s, mark), broker.log[mark:]
        resumed, _ = open_with(context, port, session, deadline_s)
        assert resumed, version


def open_with(context, port, session, deadline_s):
    """Whether the session was resumed, and the next one."""
    with context.wrap_socket(connect(port), server_hostname="localhost", session=session) as sock:
        sock.settimeout(deadline_s)
        sock.sendall(connect_packet(b""))
        assert sock.recv(4) == b"\x20\x02\x00\x00"
        return sock.session_reused, sock.session


if __name__ == "__main__":
    status = run([test_restart, test_the_command, test_other_listeners], conf)
    sys.exit(run([test_tickets, test_other_number_of_shards], conf, shards=(3,)) or status)
