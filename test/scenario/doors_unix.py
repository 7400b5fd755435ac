#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""UNIX sockets: their file comes and goes as it should and never costs anybody else's; all shards take part; who connects is
named by process and user."""

import base64
import collections
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from doors import open_client, read_to_end, run  # noqa: E402
from mqs import wire  # noqa: E402
from mqs.broker import Broker, BrokerDied  # noqa: E402
from mqs.client import Client, Closed  # noqa: E402
from mqs.transport import connect  # noqa: E402

REFUSED = (Closed, OSError)


def path_of(folder, name="mqtt"):
    return os.path.join(folder, name + ".sock")


def conf(folder):
    return ['listeners.unix { bind = "%s" }' % path_of(folder),
            'listeners.unix.closed { bind = "unix://%s", mode = "0600", max_connections = 3 }' % path_of(folder, "closed"),
            "log.level = debug", "http_server { enable = true, port = 0 }"]


def api(broker, method, path, body=None):
    request = urllib.request.Request("http://127.0.0.1:%d/api/v4/%s" % (broker.ports["http"][0], path), method=method,
                                     data=json.dumps(body).encode() if body is not None else None)
    request.add_header("Authorization", "Basic " + base64.b64encode(b"admin:public").decode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


def wait_gone(path, deadline_s):
    deadline = time.monotonic() + deadline_s
    while os.path.lexists(path):
        assert time.monotonic() < deadline, "%s is still there" % path
        time.sleep(0)


def test_file(_broker, folder, _deadline_s):
    for name, mode in (("mqtt", 0o660), ("closed", 0o600)):
        status = os.lstat(path_of(folder, name))
        assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == mode, oct(status.st_mode)
        assert status.st_uid == os.geteuid()


def test_shards_take_turns(broker, folder, deadline_s):
    """Clients without an identifier live where they came in: their lines in the log say where that is."""
    mark, count = len(broker.log), 20 * broker.shards
    for _ in range(count):
        client = open_client(path_of(folder))
        client.write(b"\xe0\x00", time.monotonic() + deadline_s)
        assert read_to_end(client.sock, deadline_s) == b""
        client.close()
    lines = broker.wait_log(r"client \"shardmq-.*: DISCONNECT", time.monotonic() + deadline_s, mark, count)
    shards = collections.Counter(re.search(r"\[(shard \d+)\]", line).group(1) for line in lines)
    assert len(shards) == broker.shards and min(shards.values()) >= count / broker.shards / 3, shards


def test_who_it_is(broker, folder, deadline_s):
    """In the log with process and user; in the API by the path. Bans of addresses are not about it."""
    mark = len(broker.log)
    api(broker, "POST", "banned", {"as": "peerhost_net", "who": "0.0.0.0/0"})
    api(broker, "POST", "banned", {"as": "peerhost_net", "who": "::/0"})
    client = open_client(path_of(folder), client_id=b"by-path")
    client.ping(time.monotonic() + deadline_s)
    listed = [each for each in api(broker, "GET", "clients")["data"] if each["client_id"] == "by-path"]
    assert listed[0]["ip_address"] == "unix:" + path_of(folder) and listed[0]["port"] is None, listed
    client.close()
    assert broker.wait_log("by-path.* at unix:%s:pid=%d:uid=%d: " % (path_of(folder), os.getpid(), os.geteuid()),
                           time.monotonic() + deadline_s, mark), broker.log[mark:]
    api(broker, "POST", "banned", {"as": "clientid", "who": "by-path"})
    deadline = time.monotonic() + deadline_s
    try:
        while True:  # until the shards know
            open_client(path_of(folder), client_id=b"by-path").close()
            assert time.monotonic() < deadline, "a banned client identifier came in"
    except REFUSED:
        pass
    for kind, who in (("clientid", "by-path"), ("peerhost_net", "0.0.0.0%2F0"), ("peerhost_net", "::%2F0")):
        api(broker, "DELETE", "banned/%s/%s" % (kind, who))


def test_limits(broker, folder, deadline_s):
    """The listener's own limits, and silent ones give way."""
    clients = [open_client(path_of(folder, "closed")) for _ in range(3)]
    for _ in range(5):
        try:
            open_client(path_of(folder, "closed")).close()
            raise AssertionError("more than max_connections")
        except REFUSED:
            pass
    for client in clients:
        client.close()
    silent = [connect(path_of(folder)) for _ in range(1100 * broker.shards)]
    began = time.monotonic()
    open_client(path_of(folder), deadline_s=deadline_s).close()
    assert time.monotonic() - began < deadline_s / 2
    for sock in silent:
        sock.close()


def test_what_is_in_the_way(broker, folder, deadline_s):
    """A socket that somebody listens on, and whatever is no socket, stay; a socket that nobody listens on goes."""
    file, stale, link = path_of(folder, "file"), path_of(folder, "stale"), path_of(folder, "link")
    with open(file, "w", encoding="utf-8") as out:
        out.write("precious")
    os.symlink(file, link)
    for path, why in ((path_of(folder), "listens there"), (file, "no socket"), (link, "no socket"),
                      (os.path.join(folder, "no", "such", "folder"), "no such folder")):
        other = Broker(broker.executable, 1, ['listeners.unix.bind = "%s"' % path], broker.time_scale)
        try:
            other.start()
            other.stop()
            raise AssertionError("it started on %s" % path)
        except BrokerDied as error:
            assert why in str(error) and path in str(error), error
            other.expected_status = other.process.returncode
            other.stop()
    with open(file, encoding="utf-8") as kept:
        assert kept.read() == "precious"
    open_client(path_of(folder), deadline_s=deadline_s).close()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(stale)
        dead.listen(1)
    other = Broker(broker.executable, 2, ['listeners.unix { bind = "%s", mode = "0666" }' % stale], broker.time_scale).start()
    open_client(stale, deadline_s=deadline_s).close()
    other.signal(signal.SIGKILL)
    other.wait_exit(deadline_s)
    other.expected_status = -signal.SIGKILL
    other.stop()
    assert os.path.lexists(stale)
    other = Broker(broker.executable, 2, ['listeners.unix { bind = "%s", mode = "0666" }' % stale], broker.time_scale).start()
    open_client(stale, deadline_s=deadline_s).close()
    assert other.stop() is None
    assert not os.path.lexists(stale)
    for path in (file, link):
        os.unlink(path)


def test_its_own_file_only(broker, folder, _deadline_s):
    """The file was replaced by somebody else's: that one stays."""
    path = path_of(folder, "replaced")
    other = Broker(broker.executable, 1, ['listeners.unix.bind = "%s"' % path], broker.time_scale).start()
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as mine:
        mine.bind(path)
        mine.listen(1)
        assert other.stop() is None
        assert os.path.lexists(path)
    os.unlink(path)


def test_reload(broker, folder, deadline_s):
    """They come, change and go like others; who is connected stays."""
    path = path_of(folder, "new")
    lines = conf(folder)
    broker.write_conf(lines + ['listeners.unix.new { bind = "%s", mode = "0600" }' % path])
    answer = broker.control("reload")
    assert answer["ok"], answer
    client = open_client(path, deadline_s=deadline_s)
    broker.write_conf(lines + ['listeners.unix.other_name { bind = "%s", mode = "0666", max_connections = 2 }' % path])
    answer = broker.control("reload")
    assert answer["ok"], answer
    deadline = time.monotonic() + deadline_s
    while stat.S_IMODE(os.lstat(path).st_mode) != 0o666:
        assert time.monotonic() < deadline, "the mode does not change"
        time.sleep(0)
    broker.write_conf(lines + ['listeners.unix.new { bind = "/proc/no/folder" }'])
    answer = broker.control("reload")
    assert not answer["ok"] and "no such folder" in json.dumps(answer), answer
    client.ping(time.monotonic() + deadline_s)
    broker.write_conf(lines)
    assert broker.control("reload")["ok"]
    wait_gone(path, deadline_s)
    client.ping(time.monotonic() + deadline_s)
    client.close()
    open_client(path_of(folder), deadline_s=deadline_s).close()


def test_restart(broker, folder, deadline_s):
    """The file is the same one after a restart, and one that is not wanted any more is removed."""
    path = path_of(folder, "leaving")
    broker.write_conf(conf(folder) + ['listeners.unix.leaving.bind = "%s"' % path])
    assert broker.control("reload")["ok"]
    before = os.lstat(path_of(folder)).st_ino
    open_client(path, deadline_s=deadline_s).close()
    broker.write_conf(conf(folder))
    mark = len(broker.log)
    assert broker.control("restart") == {"ok": True}
    assert broker.wait_log("started successfully", time.monotonic() + 2 * deadline_s, mark), broker.log[mark:]
    assert os.lstat(path_of(folder)).st_ino == before
    assert not os.path.lexists(path)
    open_client(path_of(folder), deadline_s=deadline_s).close()
    os.unlink(path_of(folder))  # somebody removed it: the next start makes it anew
    mark = len(broker.log)
    assert broker.control("restart") == {"ok": True}
    assert broker.wait_log("started successfully", time.monotonic() + 2 * deadline_s, mark), broker.log[mark:]
    open_client(path_of(folder), deadline_s=deadline_s).close()


def test_session_moves_between_kinds(broker, folder, deadline_s):
    """A session is the client identifier's, whichever door it comes through."""
    for number in range(3 * broker.shards):
        name = b"mover-%d" % number
        first = open_client(path_of(folder), client_id=name, deadline_s=deadline_s)
        second = Client("c", ("127.0.0.1", broker.port), wire.V311, name)
        second.open()
        second.write(wire.frame(0x10, wire.connect(wire.V311, {"id": name, "clean": 0})), time.monotonic() + deadline_s)
        assert second.receive(time.monotonic() + deadline_s)["rc"] == 0
        assert read_to_end(first.sock, deadline_s) == b""
        first.close()
        second.close()


def test_url(broker, folder, deadline_s):
    """On the command line; nothing but a socket of that path."""
    path = path_of(folder, "url")
    process = subprocess.Popen([broker.executable, "start", "--url", "unix://" + path, "--shards", "2"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env={**os.environ, "SHARDMQ_SYSTEM_PID_FILE": path + ".pid"})
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "started successfully" in line or process.poll() is not None:
                break
        assert "listening on unix://%s\n" % path in lines, lines
        assert sum("listening on" in line for line in lines) == 1, lines
        open_client(path, deadline_s=deadline_s).close()
    finally:
        process.terminate()
        process.wait(deadline_s)
    assert process.returncode == 0 and not os.path.lexists(path)
    for bad in ("unix://relative", "unix://" + "/x" * 60, "unix:///a/b:1883\n/x"):
        done = subprocess.run([broker.executable, "start", "--check-config", "--url", bad], capture_output=True, text=True,
                              timeout=deadline_s, check=False)
        assert done.returncode != 0 and "the path of a socket" in done.stderr, done


if __name__ == "__main__":
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sys.exit(run([test_file, test_shards_take_turns, test_who_it_is, test_limits, test_what_is_in_the_way, test_its_own_file_only,
                  test_reload, test_session_moves_between_kinds, test_url, test_restart], conf))
