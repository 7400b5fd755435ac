#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The configuration over the HTTP API: shown, changed in the file and in the broker or in neither; stop and restart."""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

import api_client
from api_client import Broker

PASSWORD = "hunter2 \"\\ é"
CONF = ["# mine", "http_server {", "    port = 0, password = \"hunter2 \\\"\\\\ é\" # ours", "}",
        "mqtt {", "    max_qos = 2   # all of it", "    receive_maximum = 7", "}"]


class Api:
    """A new connection for each request; every answer is looked through for the password."""

    def __init__(self, broker, password=PASSWORD):
        ports = re.findall(r"listening on http\S+:(\d+)", "\n".join(broker.log))
        self.port, self.account, self.scale = int(ports[-1]), "admin:" + password, broker.time_scale

    def call(self, method, path, body=None):
        api = api_client.Api(self.port, 20 * self.scale, self.account)
        try:
            answer, text = api.raw(method, path, body)
        finally:
            api.close()
        assert b"hunter" not in text, text
        return answer.status, json.loads(text)

    def data(self, method, path, body=None):
        status, answer = self.call(method, path, body)
        assert status == 200 and answer["code"] == 0, (status, answer)
        return answer["data"]

    def code(self, req, **members):
        return self.call("POST", "/api/v1", {"req": req, "seq": 18446744073709551615, **members})


class Served(Broker):
    """A broker with the API on, whose file is read back."""

    def text(self):
        with open(self.conf_path, "rb") as file:
            return file.read().decode()

    def lines(self):
        """What was added to the file that it began with."""
        return self.text().split("\n")[len(self.base_conf()):-1]


def changed(applied=(), restart=(), overridden=(), without_effect=()):
    return {"applied": list(applied), "restart": list(restart), "overridden": list(overridden),
            "without_effect": list(without_effect)}


# ---- tests: each gets a broker and a client ----

def test_request_codes(broker, api):
    status, answer = api.code(11)
    assert status == 200 and list(answer) == ["code", "seq", "rep", "data"], answer
    assert (answer["code"], answer["seq"], answer["rep"]) == (0, 18446744073709551615, 11)
    assert list(answer["data"]) == ["url", "num_taskq_thread", "max_taskq_thread", "parallel", "property_size",
                                    "msq_len", "allow_anonymous", "daemon", "qos_duration", "tls", "websocket",
                                    "http_server", "bridge"]
    assert answer["data"]["http_server"] == {"enable": True, "port": 0, "username": "admin", "password": "***",
                                             "auth_type": "basic"}
    # the whole of it back, with one member changed: no more than that is changed
    answer["data"]["msq_len"] = 99
    status, answer = api.code(12, data=answer["data"])
    assert (status, answer["data"]) == (200, changed(applied=["msq_len"])), answer
    assert broker.lines() == CONF[:-1] + ["    max_mqueue_len = 99", "}"], broker.lines()
    status, answer = api.code(12, data={"num_taskq_thread": 5, "parallel": 3, "msq_len": 98})
    assert answer["data"] == changed(["msq_len"], ["num_taskq_thread"], without_effect=["parallel"]), answer
    assert "shards.count = 5" in broker.text()
    before = broker.text()
    for data, name in (({"msq_len": 97, "daemon": 1}, "daemon"), ({"msq_len": 97, "nothing": 1}, "nothing"),
                       ({"msq_len": 97, "http_server": {"port": 65536}}, "http_server.port"),
                       ({"msq_len": 97, "tls": {"key": "-----BEGIN"}}, "tls.key")):
        status, answer = api.code(12, data=data)
        assert (status, answer["code"], answer["rep"]) == (400, 108, 12), answer
        assert answer["message"].startswith(name + ": "), answer
    # each good alone, and not together: TLS without a certificate
    status, answer = api.code(12, data={"msq_len": 97, "tls": {"enable": True}})
    assert (status, answer["code"]) == (400, 108) and "needs a certificate" in answer["message"], answer
    assert broker.text() == before
    assert api.data("GET", "/api/v4/reload")["msq_len"] == 98
    assert api.code(12)[1]["code"] == 107
    assert api.code(10)[1]["code"] == 107
    assert api.code(10, action="pause")[1]["code"] == 108


def test_sections(broker, api):
    everything = api.data("GET", "/api/v4/configuration")
    for section, members in everything.items():
        assert api.data("GET", "/api/v4/configuration/" + section) == {section: members}
        assert api.data("POST", "/api/v4/configuration/" + section, {"data": {section: members}}) == changed()
    assert api.data("POST", "/api/v4/configuration", {"data": everything}) == changed()
    assert broker.lines() == CONF
    assert set(everything) >= {"basic", "tls", "auth", "auth_http", "websocket", "http_server", "sqlite", "bridge",
                               "mqtt", "limits", "shards", "listeners", "sys", "log", "control"}
    assert everything["http_server"]["password"] == "***"
    assert api.data("POST", "/api/v4/configuration/mqtt",
                    {"data": {"mqtt": {"max_qos": 1, "max_topic_alias": 3}}}) == \
        changed(["mqtt.max_qos", "mqtt.max_topic_alias"])
    assert broker.lines() == [line.replace("2   # all", "1   # all") for line in CONF[:-1]] + \
        ["    max_topic_alias = 3", "}"], broker.lines()
    assert api.data("GET", "/api/v4/configuration/mqtt")["mqtt"]["max_qos"] == 1
    for method, body in (("GET", None), ("POST", {"data": {}})):
        status, answer = api.call(method, "/api/v4/configuration/webhook", body)
        assert (status, answer["code"]) == (404, 101), answer
    status, answer = api.call("POST", "/api/v4/configuration/log", {"data": {"mqtt": {"max_qos": 0}}})
    assert (status, answer["code"]) == (400, 108) and answer["message"].startswith("mqtt: "), answer


def test_listeners(broker, api):
    """They are opened, changed and listed at once; a port that cannot be had leaves file and listeners as they are."""
    def listed():
        return {row["name"]: row for row in api.data("GET", "/api/v4/listeners")}

    def change(listeners):
        return api.call("POST", "/api/v4/configuration/listeners", {"data": {"listeners": listeners}})

    assert list(listed()) == ["tcp"]
    first = listed()["tcp"]["listen_on"]
    status, answer = change({"ws": {"bind": "127.0.0.1:0/mqtt"}, "tcp": {"more": {"bind": "127.0.0.1:0", "max_connections": 1,
                                                                                              "mountpoint": "at/${clientid}/"}}})
    assert status == 200 and answer["data"] == \
        changed(["listeners.ws.bind", "listeners.tcp.more.bind", "listeners.tcp.more.max_connections", "listeners.tcp.more.mountpoint"]), answer
    rows = listed()
    assert set(rows) == {"tcp", "tcp.more", "ws"} and rows["ws"]["protocol"] == "ws", rows
    assert (rows["tcp"]["mountpoint"], rows["tcp.more"]["mountpoint"]) == ("", "at/${clientid}/"), rows
    assert rows["tcp"]["listen_on"] == first and re.fullmatch(r"ws://127.0.0.1:\d+/mqtt", rows["ws"]["listen_on"]), rows
    port = int(rows["tcp.more"]["listen_on"].rsplit(":", 1)[1])
    client = api_client.Mqtt(port, "listeners")
    with socket.create_connection(("127.0.0.1", port)) as refused:
        refused.settimeout(10 * broker.time_scale)
        assert refused.recv(1) == b""  # there is room for one
    row = listed()["tcp.more"]
    assert {key: row[key] for key in ("max_conns", "current_conns", "accepted", "refused")} == \
        {"max_conns": 1, "current_conns": 1, "accepted": 1, "refused": 1}, row
    client.close()
    before = broker.text()
    with socket.create_server(("127.0.0.1", 0)) as other:
        status, answer = change({"tcp": {"more": {"bind": "127.0.0.1:%d" % other.getsockname()[1]}}})
    assert (status, answer["code"]) == (400, 108) and "Address already in use" in answer["message"], (status, answer)
    assert broker.text() == before and listed()["tcp.more"]["listen_on"].endswith(":%d" % port)
    status, answer = change({"tcp": {"more": {"enable": False}}, "ws": {"enable": False}})
    assert status == 200 and answer["data"] == changed(["listeners.tcp.more.enable", "listeners.ws.enable"]), answer
    assert list(listed()) == ["tcp"]


def test_the_password(broker, api):
    before = broker.text()
    for password in ("", "***x" * 100, 5):
        status, answer = api.call("POST", "/api/v4/configuration/http_server",
                                  {"data": {"http_server": {"password": password}}})
        assert (status, answer["code"]) == (400, 108), answer
    status, answer = api.call("POST", "/api/v4/configuration/http_server",
                              {"data": {"http_server": {"addr": "0.0.0.0", "password": "public"}}})
    assert (status, answer["code"]) == (400, 108) and "is the default one" in answer["message"], answer
    assert broker.text() == before
    assert api.data("POST", "/api/v4/configuration/http_server",
                    {"data": {"http_server": {"password": "*** hunter3"}}}) == changed(["http_server.password"])
    assert api.call("GET", "/api/v4/reload")[0] == 401
    assert Api(broker, "*** hunter3").call("GET", "/api/v4/reload")[0] == 200
    assert 'password = "*** hunter3" # ours' in broker.text()
    assert not any("hunter" in line for line in broker.log), broker.log


def test_reload_and_run_time(broker, api):
    hot = api.data("GET", "/api/v4/reload")
    assert list(hot) == ["property_size", "max_packet_size", "client_max_packet_size", "msq_len", "qos_duration",
                         "keepalive_backoff", "allow_anonymous", "enable_mqtt_stream", "bridge_mode"]
    assert api.data("POST", "/api/v4/reload", {"data": {"msq_len": 5, "keepalive_backoff": 1.25}}) == \
        changed(["msq_len", "keepalive_backoff"])
    assert api.data("PUT", "/api/v4/log", {"level": "debug"}) == changed(["level"])
    assert api.data("GET", "/api/v4/log")["level"] == "debug"
    assert broker.lines() == CONF
    # what somebody is writing into the file is not applied along with it, and what stays is not lost
    broker.write_conf(CONF + ["mqtt.max_qos = 0", "this is no"])
    assert api.data("PUT", "/api/v4/log", {"level": "info"}) == changed(["level"])
    assert api.data("GET", "/api/v4/reload")["msq_len"] == 5
    assert api.data("GET", "/api/v4/configuration/mqtt")["mqtt"]["max_qos"] == 2
    status, answer = api.call("POST", "/api/v4/reload", {})
    assert (status, answer["code"]) == (400, 108) and ": = or { was expected" in answer["message"], answer
    assert api.data("GET", "/api/v4/reload")["msq_len"] == 5
    # the files read for their own sake end what was set at run time
    broker.write_conf(CONF + ["mqtt.max_qos = 0"])
    report = api.data("POST", "/api/v4/reload", {})
    assert report["restart"] == [] and set(report["applied"]) == \
        {"mqtt.max_qos", "mqtt.max_mqueue_len", "mqtt.keepalive_multiplier"}, report
    assert api.data("GET", "/api/v4/reload") == hot
    # and so does a signal
    api.data("POST", "/api/v4/reload", {"data": {"msq_len": 6}})
    deadline, line = time.monotonic() + 10 * broker.time_scale, "too many reloads"
    while "too many reloads" in line:  # as in patient_call()
        lines = len(broker.log)
        broker.signal(1)
        line = broker.wait_log("reload: ", deadline, lines)[0]
    assert "max_mqueue_len" in line, line
    assert api.data("GET", "/api/v4/reload") == hot


def test_whole_file(broker, api):
    good = broker.text().replace("max_qos = 2", "max_qos = 1") + "# the end\r\n"
    assert api.data("POST", "/api/v4/config_update", good.encode()) == {"applied": ["mqtt.max_qos"], "restart": []}
    assert broker.text() == good
    for text in (b"mqtt {", b"mqtt.max_qos = 3", b"nothing = 1 #", b"\xff", b"mqtt.max_qos = 1\0",
                 good.encode() + b"include \"/etc/passwd\"\n", b"{}}", b"listeners.tcp.enable = false #"):
        status, answer = api.call("POST", "/api/v4/config_update", text)
        assert (status, answer["code"]) == (400, 117), (text, answer)
        assert "root" not in answer["message"], answer
        assert broker.text() == good
    assert api.data("GET", "/api/v4/configuration/mqtt")["mqtt"]["max_qos"] == 1


def patient_call(broker, api, path, body):
    """The answer; reloads that are more than the broker takes while a shard has no CPU are asked for again."""
    deadline = time.monotonic() + 10 * broker.time_scale
    while True:
        status, answer = api.call("POST", path, body)
        if "too many reloads are under way" not in str(answer) or time.monotonic() > deadline:
            return status, answer


def test_no_type_slips_through(broker, api):
    """Every member of every document with every type of JSON: it is refused by name, or it is what the API then shows."""
    values = [True, False, 0, -1, 1.5, 1e300, "", "x", "é", "\"'\\\n\t#", None, [], [1], ["x"], {}, {"x": 1}, "***"]
    documents = (("/api/v1", lambda data: {"req": 12, "seq": 1, "data": data}, api.code(11)[1]["data"]),
                 ("/api/v4/reload", lambda data: {"data": data}, api.data("GET", "/api/v4/reload")),
                 ("/api/v4/configuration", lambda data: {"data": data}, {
                     name: members for name, members in api.data("GET", "/api/v4/configuration").items()
                     if name in ("basic", "tls", "auth", "sqlite", "bridge", "sys", "log")}))
    refused = 0

    def leaves(tree, path=()):
        for name, value in tree.items():
            if isinstance(value, dict) and value:
                yield from leaves(value, path + (name,))
            else:
                yield path + (name,), value

    for path, wrap, document in documents:
        for member, shown in leaves(document):
            if member[-1] in ("dir", "file", "to", "password", "username", "url", "daemon", "enable"):
                continue  # would change where this test reads and writes
            for value in values:
                if value == shown and type(value) is type(shown):
                    continue
                data = value
                for name in reversed(member):
                    data = {name: data}
                before = broker.text()
                status, answer = patient_call(broker, api, path, wrap(data))
                if status == 200:
                    continue
                refused += 1
                assert status == 400 and answer["code"] == 108, (member, value, answer)
                # by its name, or by that of the listener that it would make
                assert answer["message"].startswith((".".join(member) + ": ", ".".join(member) + " takes", "listeners.ssl needs", "auth.jwt needs")), answer
                assert broker.text() == before, (member, value)
    assert refused > 500
    for body in (b"", b"{", b"[]", b"5", b"{\"data\":5}", b"{\"data\":[]}", b"{\"data\":null}",
                 b"{\"data\":{\"sys\":{},\"sys\":{}}}"):
        for path in ("/api/v4/configuration", "/api/v4/reload", "/api/v4/configuration/log"):
            status, answer = api.call("POST", path, body)
            assert status == 400 and answer["code"] in (107, 108, 109), (path, body, answer)
    for body in ({}, {"level": 5}, {"level": "loud"}, {"level": "info", "x": 1}, {"level": None}):
        status, answer = api.call("PUT", "/api/v4/log", body)
        assert status == 400 and answer["code"] in (107, 108), (body, answer)


def test_restart(broker, api):
    pid, lines = broker.process.pid, len(broker.log)
    broker.write_conf(CONF + ["mqtt.max_qos = 3"])
    status, answer = api.call("POST", "/api/v4/ctrl/restart")
    assert (status, answer["code"]) == (409, 101) and "max_qos: must be" in answer["message"], answer
    broker.write_conf(CONF + ['listeners.ssl { bind = "127.0.0.1:0", certfile = none, keyfile = none }'])
    status, answer = api.call("POST", "/api/v4/ctrl/restart")
    assert (status, answer["code"]) == (409, 101) and "none" in answer["message"], answer
    for action in ("pause", "stop%00", "Restart"):
        assert api.call("POST", "/api/v4/ctrl/" + action)[0] in (400, 404)
    broker.write_conf(CONF + ["mqtt.max_qos = 0"])
    assert api.call("POST", "/api/v4/ctrl/restart") == (200, {"code": 0})
    assert broker.wait_log("started successfully", time.monotonic() + 20 * broker.time_scale, lines)
    assert broker.process.poll() is None and broker.process.pid == pid
    again = Api(broker)
    assert again.data("GET", "/api/v4/configuration/mqtt")["mqtt"]["max_qos"] == 0
    lines = len(broker.log)
    status, answer = again.code(10, action="restart")
    assert (status, answer) == (200, {"code": 0, "seq": 18446744073709551615, "rep": 10})
    assert broker.wait_log("started successfully", time.monotonic() + 20 * broker.time_scale, lines)


def test_stop(broker, api):
    assert api.call("POST", "/api/v4/ctrl/stop") == (200, {"code": 0})
    assert broker.wait_exit(20 * broker.time_scale) == 0


# ---- brokers of another kind ----

def start(executable, scale, *words, environment=None):
    """A broker without the harness: the process and its API's port."""
    process = subprocess.Popen([executable, "start", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               env={**os.environ, **(environment or {})}, text=True)
    for line in process.stdout:
        if found := re.match(r"listening on http\S+:(\d+)", line):
            process.stdout.readline()
            return process, int(found.group(1))
    raise AssertionError("no API: status %s" % process.wait(20 * scale))


def client(port, password):
    api = Api.__new__(Api)
    api.port, api.account, api.scale = port, "admin:" + password, 5
    return api


def test_without_a_file(executable, scale):
    with tempfile.TemporaryDirectory() as folder:
        process, port = start(executable, scale, "--http", "-p", "0", "--url", "nmq-tcp://127.0.0.1:0",
                              environment={"SHARDMQ_PID_FILE": folder + "/pid", "SHARDMQ_CONF_PATH": ""})
        try:
            api = client(port, "public")
            status, answer = api.call("POST", "/api/v1", {"req": 12, "seq": 1, "data": {"msq_len": 7}})
            assert (status, answer["code"]) == (409, 118) and "without a configuration file" in answer["message"]
            assert api.call("POST", "/api/v4/config_update", b"mqtt.max_qos = 1 #")[0] == 409
            assert api.data("POST", "/api/v4/reload", {"data": {"msq_len": 7}}) == changed(["msq_len"])
            assert api.data("GET", "/api/v4/reload")["msq_len"] == 7
        finally:
            process.terminate()
            process.wait(20 * scale)
            process.stdout.close()


def test_a_file_that_cannot_be_written(executable, scale):
    """Its name is so long that there can be no other file beside it; and the environment prevails over it."""
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/" + "c" * 250
        text = 'http_server { port = 0, password = "p" }\nlisteners.tcp.bind = "127.0.0.1:0"\n' \
               'system.pid_file = "%s/pid"\n' % folder
        with open(path, "w", encoding="ascii") as out:
            out.write(text)
        link = folder + "/link.conf"
        os.symlink(path, link)
        process, port = start(executable, scale, "--conf", link)
        try:
            api = client(port, "p")
            for method, route, body in (("POST", "/api/v1", {"req": 12, "seq": 1, "data": {"msq_len": 7}}),
                                        ("POST", "/api/v4/config_update", (text + "mqtt.max_qos = 1\n").encode())):
                status, answer = api.call(method, route, body)
                assert (status, answer["code"]) == (500, 118), answer
                assert "cannot be written: File name too long" in answer["message"], answer
            assert api.data("GET", "/api/v4/configuration/mqtt")["mqtt"]["max_qos"] == 2
            assert api.data("GET", "/api/v4/reload")["msq_len"] == 65536
            with open(path, encoding="ascii") as file:
                assert file.read() == text
            assert sorted(os.listdir(folder)) == sorted(["c" * 250, "link.conf", "pid", "control.sock"])
        finally:
            process.terminate()
            process.wait(20 * scale)
            process.stdout.close()


def test_what_prevails(executable, scale):
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/real.conf", "w", encoding="ascii") as out:
            out.write('http_server { port = 0, password = "p" }\nlisteners.tcp.bind = "127.0.0.1:0"\n'
                      'system.pid_file = "%s/pid"\n' % folder)
        os.chmod(folder + "/real.conf", 0o604)
        os.symlink("real.conf", folder + "/link.conf")
        process, port = start(executable, scale, "--conf", folder + "/link.conf",
                              environment={"SHARDMQ_MQTT_MAX_QOS": "1"})
        try:
            api = client(port, "p")
            assert api.data("POST", "/api/v4/configuration", {"data": {"mqtt": {
                "max_qos": 0, "max_topic_alias": 3}, "limits": {"max_connections": 5}}}) == changed(
                    ["mqtt.max_topic_alias"], ["limits.max_connections"], ["mqtt.max_qos"])
            assert api.data("GET", "/api/v4/configuration/mqtt")["mqtt"]["max_qos"] == 1
            assert os.path.islink(folder + "/link.conf")
            assert os.stat(folder + "/real.conf").st_mode & 0o7777 == 0o604
            with open(folder + "/real.conf", encoding="ascii") as file:
                assert file.read().endswith('/pid"\nmqtt.max_qos = 0\nmqtt.max_topic_alias = 3\n'
                                            'limits.max_connections = 5\n')
        finally:
            process.terminate()
            process.wait(20 * scale)
            process.stdout.close()


def test_the_default_password_at_the_start(executable, scale):
    with tempfile.TemporaryDirectory() as folder:
        for address, good in (("127.0.0.1", True), ("127.0.0.2", True), ("::1", True), ("0.0.0.0", False),
                              ("[::]", False), ("localhost", True), ("192.0.2.1", False)):
            with open(folder + "/t.conf", "w", encoding="ascii") as out:
                out.write('http_server.ip_addr = "%s"\nsystem.pid_file = "%s/pid"\n' % (address, folder))
            for words in (["--check-config"], []):
                if good and not words:
                    continue  # it would start
                process = subprocess.run([executable, "start", *words, "--conf", folder + "/t.conf"],
                                         capture_output=True, text=True, timeout=20 * scale, check=False)
                assert (process.returncode == 0) == good, (address, process)
                assert good or "set http_server.password to one of your own" in process.stderr, process.stderr


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    parser.add_argument("--filter", default="")
    options = parser.parse_args()
    failed = 0

    def attempt(name, run):
        nonlocal failed
        if options.filter not in name:
            return
        try:
            problem = run()
        except (AssertionError, OSError, KeyError, ValueError, subprocess.SubprocessError) as error:
            problem = "%s: %s" % (type(error).__name__, error)
        failed += problem is not None
        print("%-45s %s" % (name, problem or "ok"), flush=True)

    def with_broker(test):
        broker = Served(options.broker, 2, CONF, options.timeout_scale).start()
        try:
            test(broker, Api(broker))
        finally:
            problem = broker.stop()
        return problem

    for test in (test_request_codes, test_sections, test_listeners, test_the_password, test_reload_and_run_time, test_whole_file,
                 test_no_type_slips_through, test_restart, test_stop):
        attempt(test.__name__, lambda test=test: with_broker(test))
    for test in (test_without_a_file, test_a_file_that_cannot_be_written, test_what_prevails,
                 test_the_default_password_at_the_start):
        attempt(test.__name__, lambda test=test: test(options.broker, options.timeout_scale))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
