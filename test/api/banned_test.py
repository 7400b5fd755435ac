#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Bans: refused at CONNECT and at accept, the connected ones disconnected, kept over a restart, all or nothing."""

import argparse
import json
import os
import socket
import struct
import subprocess
import sys
import time

from api_client import Api, ApiBroker, Mqtt, packet, run, text, wait_until

LATER = 4000000000


def connack(port, client_id, version=4, username=None, source=None):
    """The return or reason code of CONNACK; None when the connection ends without one."""
    with socket.create_connection(("127.0.0.1", port), 20, source_address=(source, 0) if source else None) as sock:
        body = text("MQTT") + bytes([version, 2 | (0x80 if username is not None else 0)]) + struct.pack(">H", 0)
        body += (b"\x00" if version == 5 else b"") + text(client_id)
        if username is not None:
            body += text(username)
        try:
            sock.sendall(packet(0x10, body))
            answer = sock.recv(100)
        except ConnectionError:
            return None
        return answer[3] if len(answer) > 3 else None


def ban(api, **members):
    status, answer = api.ask("POST", "/api/v4/banned", members)
    assert status == 200 and answer["code"] == 0, answer
    return answer["data"]


def lift(api, kind, who):
    return api.ask("DELETE", "/api/v4/banned/%s/%s" % (kind, who))


def file_of(broker):
    return os.path.join(broker.directory, "banned.json")


def content(path):
    with open(path, "rb") as file:
        return file.read()


def test_who_is_refused(broker, api, _scale):
    assert api.get("banned")["data"] == [] and not os.path.exists(file_of(broker))
    made = ban(api, **{"as": "clientid", "who": "bad", "reason": "noise"})
    assert made["by"] == "admin" and made["until"] == "infinity" and abs(made["at"] - time.time()) < 60, made
    ban(api, **{"as": "username", "who": "mallory", "by": "me", "until": LATER})
    before = broker.counters()
    # 5.0: 0x8A, before: 5
    assert connack(broker.port, "bad", 5) == 0x8a and connack(broker.port, "bad", 4) == 5
    assert connack(broker.port, "good", 5, "mallory") == 0x8a and connack(broker.port, "good", 4, "mallory") == 5
    assert connack(broker.port, "good", 5, "bad") == 0 and connack(broker.port, "mallory", 4) == 0
    now = broker.counters()
    assert now["connection_banned"] - before["connection_banned"] == 4
    assert now["connection_refused"] - before["connection_refused"] == 4
    assert [row["who"] for row in api.get("banned")["data"]] == ["bad", "mallory"]
    assert [row["who"] for row in api.get("banned?as=username")["data"]] == ["mallory"]
    page = api.get("banned?page=2&limit=1")
    assert [row["who"] for row in page["data"]] == ["mallory"]
    assert page["meta"] == {"page": 2, "limit": 1, "count": 2, "hasnext": False}
    assert api.get("banned")["meta"] == {"page": 1, "limit": 2, "count": 2, "hasnext": False}
    assert api.get("banned?who=nobody")["meta"] == {"page": 1, "limit": 0, "count": 0, "hasnext": False}
    # one for the same takes its place
    assert ban(api, **{"as": "clientid", "who": "bad", "reason": "more noise"})["reason"] == "more noise"
    assert len(api.get("banned")["data"]) == 2
    assert lift(api, "clientid", "bad") == (200, {"code": 0})
    assert lift(api, "clientid", "bad")[0] == 404 and lift(api, "nothing", "bad")[0] == 404
    assert connack(broker.port, "bad", 5) == 0 and connack(broker.port, "x", 5, "mallory") == 0x8a
    assert api.ask("DELETE", "/api/v4/banned") == (200, {"code": 0})
    assert connack(broker.port, "x", 5, "mallory") == 0 and api.get("banned")["data"] == []


def test_addresses(broker, api, _scale):
    assert ban(api, **{"as": "peerhost", "who": "127.0.0.7/8"})["as"] == "peerhost_net"
    assert api.get("banned")["data"][0]["who"] == "127.0.0.0/8"
    before = broker.counters()["connection_banned"]
    assert connack(broker.port, "x", 5) is None  # at accept: not even a CONNACK
    assert broker.counters()["connection_banned"] == before + 1
    assert api.get("brokers")["data"], "operators are let in all the same"
    assert lift(api, "peerhost_net", "127.0.0.7%2F8") == (200, {"code": 0})
    assert connack(broker.port, "x", 5) == 0
    ban(api, **{"as": "peerhost", "who": "127.0.0.5"})
    assert connack(broker.port, "x", 5, source="127.0.0.5") is None
    assert connack(broker.port, "x", 5, source="127.0.0.4") == 0


def test_the_connected_ones_are_disconnected(broker, api, _scale):
    by_identifier = Mqtt(broker.port, "one", 5)
    by_name = Mqtt(broker.port, "two", 5, username="mallory")
    others = [Mqtt(broker.port, "other-%d" % n, 4, username="alice") for n in range(200)]
    old = Mqtt(broker.port, "old", 4, username="mallory")
    waiting = socket.create_connection(("127.0.0.1", broker.port), 20)  # no CONNECT yet
    ban(api, **{"as": "clientid", "who": "one"})
    first, body = by_identifier.receive()
    assert first == 0xe0 and body[0] == 0x98, (first, body)
    assert by_identifier.receive()[0] is None
    ban(api, **{"as": "username", "who": "mallory"})
    first, body = by_name.receive()
    assert first == 0xe0 and body[0] == 0x98, (first, body)
    assert old.receive()[0] is None
    for client in others:
        client.publish("still/here", "x", 1)
    ban(api, **{"as": "peerhost", "who": "127.0.0.1"})
    for client in others:
        assert client.receive()[0] is None
    waiting.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x00" + text("late")))
    assert waiting.recv(100) == b"\x20\x02\x00\x05"
    for client in (by_identifier, by_name, old, *others):
        client.close()
    waiting.close()
    wait_until(lambda: broker.counters()["connection_open"] == 0)


def test_time_passes(broker, api, _scale):
    status, answer = api.ask("POST", "/api/v4/banned", {"as": "clientid", "who": "x", "until": 1})
    assert status == 400 and answer["message"] == "until: that time has passed", answer
    ban(api, **{"as": "clientid", "who": "x", "until": int(time.time()) + 2})
    assert connack(broker.port, "x", 5) == 0x8a
    wait_until(lambda: connack(broker.port, "x", 5) == 0)
    assert api.get("banned")["data"] == []
    ban(api, **{"as": "clientid", "who": "y", "until": "2099-12-31T23:59:59Z"})
    assert api.get("banned")["data"][0]["until"] == 4102444799


def test_they_are_kept(broker, api, scale):
    rows = [ban(api, **{"as": "clientid", "who": "é \"#+\\", "reason": "<script>", "until": LATER}),
            ban(api, **{"as": "peerhost", "who": "127.0.0.6"}), ban(api, **{"as": "username", "who": "mallory"})]
    assert os.stat(file_of(broker)).st_mode & 0o7777 == 0o600
    assert json.loads(content(file_of(broker))) == {"banned": rows}
    lines = len(broker.log)
    assert api.ask("POST", "/api/v4/ctrl/restart")[0] == 200
    assert broker.wait_log("started successfully", time.monotonic() + 20 * scale, lines)
    broker.port = int(broker.wait_log("listening on tcp", time.monotonic() + 1, lines)[-1].split(":")[-1])
    port = int(broker.wait_log("listening on http", time.monotonic() + 1, lines)[-1].split(":")[-1])
    again = Api(port)
    assert again.get("banned")["data"] == rows
    assert connack(broker.port, "é \"#+\\", 5) == 0x8a and connack(broker.port, "x", 5, "mallory") == 0x8a
    assert connack(broker.port, "x", 5, source="127.0.0.6") is None and connack(broker.port, "x", 5) == 0
    again.close()
    wait_until(lambda: os.path.exists(broker.directory + "/control.sock"))


def test_bad_input_changes_nothing(broker, api, _scale):
    ban(api, **{"as": "clientid", "who": "x"})
    before, rows = content(file_of(broker)), api.get("banned")["data"]
    good = {"as": "clientid", "who": "y", "by": "z", "reason": "r", "at": 5, "until": LATER}
    for member in good:
        for value in (True, 5.5, -1, [], {}, ["x"], "x" * 70000, None, 1e300):
            if (member == "at" or member == "until") and value is None:
                continue
            status, answer = api.ask("POST", "/api/v4/banned", {**good, member: value})
            assert status in (400, 413) and answer["code"] == 108 and answer["message"], (member, value, answer)
    for body in ("", "{", "[]", "null", "{\"as\":\"clientid\"}", "{\"who\":\"x\"}", json.dumps({**good, "extra": 1})):
        status, answer = api.ask("POST", "/api/v4/banned", body)
        assert status == 400 and answer["code"] in (107, 108, 109), (body, answer)
    for path in ("clientid/%00", "clientid/%ff", "peerhost/x", "clientid", "clientid/x/y"):
        assert api.ask("DELETE", "/api/v4/banned/" + path)[0] in (400, 404, 405), path
    assert api.get("banned")["data"] == rows and content(file_of(broker)) == before


def test_the_limit(broker, api, _scale):
    for number in range(3):
        ban(api, **{"as": "clientid", "who": "c%d" % number})
    status, answer = api.ask("POST", "/api/v4/banned", {"as": "clientid", "who": "c3"})
    assert status == 409 and "banned.max_entries allows, 3" in answer["message"], answer
    ban(api, **{"as": "clientid", "who": "c2", "reason": "again"})  # takes a place that is there
    assert lift(api, "clientid", "c0")[0] == 200
    ban(api, **{"as": "clientid", "who": "c3"})


def test_a_file_that_cannot_be_written(broker, api, _scale):
    """The folder goes away: the ban is not in force either."""
    assert api.ask("POST", "/api/v4/banned", {"as": "clientid", "who": "x"})[0] == 200
    os.rename(broker.directory + "/bans", broker.directory + "/gone")
    status, answer = api.ask("POST", "/api/v4/banned", {"as": "clientid", "who": "y"})
    assert status == 500 and answer["code"] == 118, answer
    assert lift(api, "clientid", "x")[0] == 500
    assert [row["who"] for row in api.get("banned")["data"]] == ["x"]
    assert connack(broker.port, "y", 5) == 0 and connack(broker.port, "x", 5) == 0x8a


def starts(options, directory, data, mode=0o600):
    path = os.path.join(directory, "banned.json")
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)
    conf = os.path.join(directory, "t.conf")
    with open(conf, "w", encoding="ascii") as file:
        file.write('system.pid_file = "%s/pid"\nlisteners.tcp.bind = "127.0.0.1:0"\n' % directory)
    process = subprocess.run([options.broker, "start", "--conf", conf], capture_output=True, text=True, check=False,
                             timeout=30 * options.timeout_scale)
    assert process.returncode == 1, process
    return process.stderr


def test_a_broken_file_stops_the_start(options):
    broker = ApiBroker(options.broker)
    try:
        for data in (b"", b"{", b"[]", b"{\"banned\":5}", b"\xff"):
            assert "is no list of bans: correct it, or remove it" in starts(options, broker.directory, data), data
        assert "ban 1: who: takes an address" in starts(
            options, broker.directory, b'{"banned":[{"as":"peerhost","who":"here"}]}')
        assert "which somebody else may write" in starts(options, broker.directory, b'{"banned":[]}', 0o666)
    finally:
        broker.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    options = parser.parse_args()
    options.broker = os.path.abspath(options.broker)
    failed = run([test_who_is_refused, test_addresses, test_the_connected_ones_are_disconnected, test_time_passes,
                  test_they_are_kept, test_bad_input_changes_nothing], options)
    failed += run([test_the_limit], options, ["banned.max_entries = 3"], shard_counts=(2,))

    class WithFolder(ApiBroker):
        def start(self, deadline_s=20):
            os.mkdir(self.directory + "/bans")
            self.conf.append('banned.file = "%s/bans/b.json"' % self.directory)
            return super().start(deadline_s)

    import api_client
    api_client.ApiBroker = WithFolder
    failed += run([test_a_file_that_cannot_be_written], options, shard_counts=(1,))
    try:
        test_a_broken_file_stops_the_start(options)
        print("test_a_broken_file_stops_the_start ok")
    except AssertionError as error:
        failed += 1
        print("test_a_broken_file_stops_the_start: %s" % error)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
