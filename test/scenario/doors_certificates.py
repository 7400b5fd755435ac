#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Certificates: who is let in at every kind of door that asks for them, names, resumption, and reload while clients are
connected."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from doors import Bystander, open_client, run  # noqa: E402
from mqs import wire  # noqa: E402
from mqs.client import Closed  # noqa: E402
from mqs.transport import Tls, client_context, connect  # noqa: E402

REFUSED = (ConnectionResetError, ConnectionRefusedError, BrokenPipeError, ssl.SSLError, Closed)


def conf(folder):
    """The files that a test changes are copies, live-*.pem."""
    for name, source in (("live-server.pem", "server.pem"), ("live-server.key", "server.key"),
                         ("live-ca.pem", "ca.pem"), ("live-crl.pem", "crl.pem")):
        shutil.copy(os.path.join(folder, source), os.path.join(folder, name))
    keys = 'certfile = "%s/live-server.pem", keyfile = "%s/live-server.key"' % (folder, folder)
    asks = 'bind = "127.0.0.1:0", %s, verify_peer = true, cacertfile = "%s/live-ca.pem"' % (keys, folder)
    must = asks + ", fail_if_no_peer_cert = true"
    listed = must + ', crlfile = "%s/live-crl.pem"' % folder
    lines = ["log.level = debug"]
    for kind in ("ssl", "wss"):  # the order is that of DOORS
        lines += ["listeners.%s.asks { %s }" % (kind, asks), "listeners.%s.must { %s }" % (kind, must),
                  "listeners.%s.listed { %s }" % (kind, listed),
                  "listeners.%s.named { %s, peer_username = cn }" % (kind, listed),
                  "listeners.%s.many { bind = \"127.0.0.1:0\", certfile = \"%s/server.pem, %s/second.pem\", "
                  "keyfile = \"%s/server.key, %s/second.key\" }" % (kind, *[folder] * 4),
                  "listeners.%s.rsa { bind = \"127.0.0.1:0\", certfile = \"%s/rsa.pem\", keyfile = \"%s/rsa.key\" }" %
                  (kind, folder, folder)]
    return lines


DOORS = ("asks", "must", "listed", "named", "many", "rsa")


def port(broker, kind, door):
    return broker.ports[kind][DOORS.index(door)]


VERSIONS = ({"maximum_version": ssl.TLSVersion.TLSv1_2}, {"minimum_version": ssl.TLSVersion.TLSv1_3})


def let_in(broker, kind, door, context, deadline_s):
    try:
        open_client(port(broker, kind, door), kind, context, deadline_s=deadline_s).close()
        return True
    except REFUSED:
        return False


def test_who_is_let_in(broker, folder, deadline_s):
    good = {"asks": (None, "client", "named", "revoked"), "must": ("client", "named", "revoked"),
            "listed": ("client", "named"), "named": ("client", "named")}
    before, refused, mark = broker.counters(), 0, len(broker.log)
    for kind in ("ssl", "wss"):
        for door, welcome in good.items():
            for name in (None, "client", "named", "revoked", "expired", "stranger", "wrong-use"):
                for versions in VERSIONS:
                    context = client_context(folder, name, **versions)
                    came_in = let_in(broker, kind, door, context, deadline_s)
                    assert came_in == (name in welcome), "%s at %s.%s: %s" % (name, kind, door, came_in)
                    refused += not came_in
    deadline = time.monotonic() + deadline_s
    while broker.counters()["refused_handshake"] - before["refused_handshake"] != refused:
        assert time.monotonic() < deadline, (refused, before["refused_handshake"], broker.counters()["refused_handshake"])
    assert broker.wait_log(r'refused: event=accept client=- user=- address=127\.0\.0\.1:\d+ listener=\S+ topic=- reason=handshake '
                           r'by=".*certificate', deadline, mark)


def server_name(broker, folder, kind, door, asked, deadline_s):
    """The common name of the certificate that a client gets who asks for that name."""
    context = client_context(folder)
    context.check_hostname = False
    with connect(port(broker, kind, door)) as sock:
        tls = Tls(sock, context, asked).handshake(time.monotonic() + deadline_s)
        return dict(pair[0] for pair in tls.tls.getpeercert()["subject"])["commonName"]


def test_names_and_kinds_of_keys(broker, folder, deadline_s):
    for kind in ("ssl", "wss"):
        for asked, name in (("localhost", "localhost"), ("second.test", "second.test"), ("other.test", "localhost"),
                            (None, "localhost")):
            assert server_name(broker, folder, kind, "many", asked, deadline_s) == name
        assert let_in(broker, kind, "rsa", client_context(folder), deadline_s)


def test_user_names(broker, folder, deadline_s):
    """The certificate's common name, and not what CONNECT says."""
    watcher = open_client(broker.ports["tcp"][0], client_id=b"watcher")
    deadline = time.monotonic() + deadline_s
    watcher.write(wire.frame(0x82, b"\x00\x01" + b"\x00\x16$SYS/brokers/connected" + b"\x00"),
                  deadline)
    assert watcher.receive(deadline)["type"] == "SUBACK"
    for kind in ("ssl", "wss"):
        open_client(port(broker, kind, "named"), kind, client_context(folder, "named"), b"id-of-" + kind.encode()).close()
        event = {}
        while event.get("client_id") != "id-of-" + kind:
            event = json.loads(watcher.receive(deadline)["payload"])
        assert event["username"] == "sensor-7", event
    watcher.close()


def resumed(broker, folder, door, context, session, deadline_s):
    """Connects with a session of before; whether it was resumed, and the session of now."""
    with connect(port(broker, "ssl", door)) as sock:
        tls = Tls(sock, context, session=session).handshake(time.monotonic() + deadline_s)
        tls.setblocking(False)
        tls.send(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
        deadline = time.monotonic() + deadline_s
        while True:  # what comes first brings the ticket
            try:
                if not tls.recv(100):
                    raise ConnectionResetError("refused")
                return tls.tls.session_reused, tls.tls.session
            except BlockingIOError:
                assert time.monotonic() < deadline
                time.sleep(0)


def reload(broker, deadline_s, ok=True):
    mark = len(broker.log)
    broker.signal(signal.SIGHUP)
    lines = broker.wait_log(r"reload: ", time.monotonic() + deadline_s, mark)
    assert lines and ('"ok":true' in lines[0]) == ok, lines
    return lines[0]


def settled(check, deadline_s):
    """A reload reaches every shard a moment later: waits until it holds."""
    deadline = time.monotonic() + deadline_s
    while not check():
        assert time.monotonic() < deadline, "the reload has no effect"


def put(folder, name, source):
    """As tools that renew certificates do: a new file in the place of the old one."""
    shutil.copy(os.path.join(folder, source), os.path.join(folder, name + ".new"))
    os.replace(os.path.join(folder, name + ".new"), os.path.join(folder, name))


def test_resumption(broker, folder, deadline_s):
    for versions in VERSIONS:
        context = client_context(folder, "client", **versions)
        again, session = resumed(broker, folder, "listed", context, None, deadline_s)
        assert not again
        for _ in range(8):  # whichever shard it comes to
            again, session = resumed(broker, folder, "listed", context, session, deadline_s)
            assert again
        _, other = resumed(broker, folder, "must", context, None, deadline_s)
        assert not resumed(broker, folder, "listed", context, other, deadline_s)[0], "a ticket of another door"
    assert broker.counters()["transport_resumed"] >= 16


def test_reload_while_connected(broker, folder, deadline_s):
    bystander = Bystander(broker.ports["tcp"][0])
    context = client_context(folder, "client")
    stayers = [open_client(port(broker, kind, "must"), kind, context) for kind in ("ssl", "wss") for _ in range(3)]
    _, session = resumed(broker, folder, "must", context, None, deadline_s)
    opened = broker.counters()["connection_lost"]

    # another certificate for the server
    put(folder, "live-server.pem", "wrong-name.pem")
    assert "this is not the key" in reload(broker, deadline_s, ok=False)
    assert let_in(broker, "ssl", "must", context, deadline_s), "a bad certificate changed something"
    put(folder, "live-server.key", "wrong-name.key")
    reload(broker, deadline_s)
    settled(lambda: not let_in(broker, "ssl", "must", context, deadline_s), deadline_s)  # of another name
    put(folder, "live-server.pem", "server.pem")
    put(folder, "live-server.key", "server.key")
    reload(broker, deadline_s)
    settled(lambda: let_in(broker, "ssl", "must", context, deadline_s), deadline_s)

    # another authority: its clients come in, those of the former one do not, whatever tickets they have
    assert resumed(broker, folder, "must", context, session, deadline_s)[0]
    put(folder, "live-ca.pem", "other-ca.pem")
    put(folder, "live-crl.pem", "other-crl.pem")
    reload(broker, deadline_s)
    stranger = client_context(folder, "stranger")
    settled(lambda: let_in(broker, "wss", "must", stranger, deadline_s), deadline_s)
    for _ in range(6):
        assert not let_in(broker, "ssl", "must", context, deadline_s)
        try:
            assert not resumed(broker, folder, "must", context, session, deadline_s)[0]
            raise AssertionError("a client of the former authority came in")
        except REFUSED:
            pass
    for name in ("empty.pem", "garbage.pem"):
        put(folder, "live-ca.pem", name)
        for _ in range(2):
            assert "this is not a file of CA" in reload(broker, deadline_s, ok=False)
    assert let_in(broker, "ssl", "must", stranger, deadline_s)

    # who was connected all the time still is
    put(folder, "live-ca.pem", "ca.pem")
    put(folder, "live-crl.pem", "crl.pem")
    reload(broker, deadline_s)
    for client in stayers:
        client.ping(time.monotonic() + deadline_s)
        client.close()
    bystander.stop()
    assert opened <= broker.counters()["connection_lost"]


def test_check_config(broker, folder, deadline_s):
    """--check-config reads every file that the start would, and says which is wrong where."""
    good = {"certfile": "server.pem", "keyfile": "server.key", "cacertfile": "ca.pem", "crlfile": "crl.pem"}
    path = os.path.join(broker.directory, "check.conf")
    for changed, name, why in ((None, None, None), ("certfile", "none.pem", "none.pem: No such file"),
                               ("certfile", "garbage.pem", "garbage.pem: this is not a certificate"),
                               ("keyfile", "second.key", "second.key: this is not the key of the certificate"),
                               ("keyfile", "locked.key", "locked.key: the key is encrypted and no password is given"),
                               ("cacertfile", "empty.pem", "empty.pem: this is not a file of CA certificates"),
                               ("crlfile", "ca.pem", "ca.pem: this is not a file of revocation lists")):
        files = {**good, **({changed: name} if changed else {})}
        with open(path, "w", encoding="utf-8") as out:
            out.write('listeners.wss.x { bind = "127.0.0.1:0", verify_peer = true, %s }\n' %
                      ", ".join('%s = "%s/%s"' % (option, folder, file) for option, file in files.items()))
        done = subprocess.run([broker.executable, "start", "--check-config", "--conf", path], capture_output=True, text=True,
                              timeout=deadline_s, check=False)
        assert (done.returncode == 0) == (why is None), (changed, name, done)
        assert why is None or ("listeners.wss.x: " in done.stderr and why in done.stderr), done
        assert why is not None or done.stdout == "configuration OK\n", done


if __name__ == "__main__":
    sys.exit(run([test_who_is_let_in, test_names_and_kinds_of_keys, test_user_names, test_resumption,
                  test_reload_while_connected, test_check_config], conf))
