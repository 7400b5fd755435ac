#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A broker that starts again: the same process, the files read anew, whoever looks after it none the wiser."""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

from clients import Broker


def wait_until(what, deadline_s):
    deadline = time.monotonic() + deadline_s
    while not (value := what()):
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(0.01)
    return value


def wait_told(sock, wanted, deadline_s):
    """Waits until the broker has told its service manager exactly this, a line each."""
    lines = []

    def told():
        try:
            lines.extend(line for line in sock.recv(4096).decode().split("\n")
                         if not line.startswith(("MONOTONIC_USEC", "WATCHDOG")))
        except BlockingIOError:
            pass
        return len(lines) >= len(wanted)

    wait_until(told, deadline_s)
    assert lines == wanted, lines


def pid_in(path):
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read() or 0)
    except OSError:
        return 0


def test_restart_in_the_foreground(executable, scale):
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(folder + "/notify")
        manager.setblocking(False)
        os.environ["NOTIFY_SOCKET"] = folder + "/notify"
        broker = Broker(executable, 1, (), scale)
        try:
            broker.start()
        finally:
            del os.environ["NOTIFY_SOCKET"]
        try:
            pid = broker.process.pid
            wait_told(manager, ["READY=1"], 10 * scale)
            # a file that is not good: nothing happens but the answer
            broker.write_conf(["mqtt.max_qos = 3"])
            answer = broker.control("restart")
            assert answer == {"ok": False, "error": "%s:9: mqtt.max_qos: must be from 0 to 2, not 3\n" %
                              broker.conf_path}, answer
            assert broker.control("ping") == {"ok": True}
            # a good one: what waits for a start is in force
            broker.shards = 2
            broker.write_conf(["mqtt.max_qos = 1"])
            lines = len(broker.log)
            assert broker.control("restart") == {"ok": True}
            assert broker.wait_log("started successfully", time.monotonic() + 20 * scale, lines), broker.log[lines:]
            assert broker.process.poll() is None and broker.process.pid == pid
            wait_until(lambda: os.path.exists(broker.directory + "/control.sock"), 10 * scale)
            assert len(broker.control("stats")["shards"]) == 2
            assert pid_in(broker.directory + "/shardmq.pid") == pid
            wait_told(manager, ["RELOADING=1", "READY=1"], 10 * scale)
        finally:
            problem = broker.stop()
        assert problem is None, problem
        wait_told(manager, ["STOPPING=1"], 10 * scale)


def test_a_stop_during_a_restart(executable, scale):
    """A client that does not hang up holds the shutdown up a little: long enough to be told to stop meanwhile."""
    broker = Broker(executable, 1, (), scale).start()
    client = socket.create_connection(broker.address, 20)
    client.sendall(b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x02me")
    assert client.recv(1) == b"\x20"
    assert broker.control("restart") == {"ok": True}
    assert broker.wait_log("shutting down, to start again", time.monotonic() + 10 * scale)
    broker.process.terminate()
    assert broker.wait_exit(20 * scale) == 0
    client.close()
    text = "\n".join(broker.log)
    assert "does not start again" in text and text.count("started successfully") == 1, text
    assert broker.stop() is None


def control(folder, line):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(folder + "/control.sock")
        sock.sendall(line.encode() + b"\n")
        return json.loads(sock.makefile().readline())


def test_restart_in_the_background(executable, scale):
    """A daemon, which must not fork again; its pid file moves with the configuration."""
    with tempfile.TemporaryDirectory() as folder:
        def configure(pid_file, shards):
            with open(folder + "/t.conf", "w", encoding="ascii") as out:
                out.write('listeners.tcp.bind = "127.0.0.1:0"\nshards.count = %d\nsystem.pid_file = "%s/%s"\n'
                          'control.socket = "%s/control.sock"\nlog { to = [file], dir = "%s", level = info }\n'
                          % (shards, folder, pid_file, folder, folder))

        configure("one.pid", 1)
        subprocess.run([executable, "start", "-d", "--conf", folder + "/t.conf"], check=True, timeout=30 * scale,
                       stdout=subprocess.DEVNULL)
        pid = pid_in(folder + "/one.pid")
        try:
            assert pid > 0
            configure("two.pid", 3)
            assert control(folder, "restart") == {"ok": True}
            assert wait_until(lambda: pid_in(folder + "/two.pid"), 20 * scale) == pid
            assert not os.path.exists(folder + "/one.pid")

            def shards():
                try:
                    return len(control(folder, "stats")["shards"])
                except OSError:
                    return 0
            assert wait_until(shards, 20 * scale) == 3
            with open(folder + "/shardmq.log", encoding="utf-8") as log:
                assert re.search("shutting down, to start again", log.read())
        finally:
            stop = subprocess.run([executable, "stop", "--conf", folder + "/t.conf"], capture_output=True,
                                  timeout=30 * scale, check=False)
        assert stop.returncode == 0, stop.stderr


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    options = parser.parse_args()
    failed = 0
    for test in (test_restart_in_the_foreground, test_a_stop_during_a_restart, test_restart_in_the_background):
        problem = None
        try:
            test(options.broker, options.timeout_scale)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            problem = "%s: %s" % (type(error).__name__, error)
        failed += problem is not None
        print("%-40s %s" % (test.__name__, problem or "ok"), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
