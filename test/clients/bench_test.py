#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The load tool against ShardMQ, on one and three shards, and against Debian's mosquitto: its totals are the broker's
counters, every scenario runs on every broker, and what it prints, writes and serves is what its documentation says."""

import argparse
import csv
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import xml.etree.ElementTree

from clients import Process
from mqs.broker import Broker, Mosquitto, chosen_shards

RUNS = [  # arguments, and how many deliveries each message makes (None: not a fixed number)
    ("p2p --pairs 3 --qos 0", 1),
    ("p2p --pairs 3 --qos 1 --version 3", 1),
    ("p2p --pairs 2 --qos 2 --version 5 --threads 2", 1),
    ("p2p --size 16 --window 10", 1),
    ("p2p --size 100000 --window 8", 1),
    ("fan-out --subscribers 7 --qos 1", 7),
    ("fan-in --publishers 5 --qos 2", 1),
    ("fan-in --publishers 5 --shared g --qos 1", 1),
    ("shared --publishers 3 --subscribers 4 --version 5 --qos 1", 1),
    ("paced --rate 2000", 1),
    ("wildcard --qos 1", None),
]
SUITE = ["conn-tcp-1M-5K --scale 0.00005 --connrate 500", "conn-tcp-10K-100 --scale 0.005 --connrate 500",
         "fanout-5-1000-5-250K --scale 0.01", "fanout-1-1K --scale 0.01 --rate 20", "p2p-50K-50K --scale 0.0002",
         "p2p-1K-1K --scale 0.01", "sharedsub-50K-500 --scale 0.0005", "sharedsub-1K-5 --scale 0.02"]
OTHERS = ["retained-storm --count 200", "connection-storm --count 4", "reconnect-storm --count 20", "idle --count 30",
          "slow-subscriber --subscribers 4 --rate 200"]

WRONG = [  # every one ends with one sentence and status 2
    "", "start", "start fly", "fly", "pub", "sub", "pub -c 5", "pub -t", "pub -t a -c 0", "pub -t a -c -1", "pub -t a -c x",
    "pub -t a -c 1.5", "pub -t a -c 99999999999999999999", "pub -t a -q 3", "pub -t a -V 2", "pub -t a -V 6", "pub -t a -p 0",
    "pub -t a -p 70000", "pub -t a -s 99999999", "pub -t a --nonsense", "pub -t a --nonsense=1", "pub -t a -y", "pub -t a b",
    "pub -t a/+", "pub -t a/#", "pub -t $share/g/a", "pub -t a -r maybe", "pub -t a --clean 1", "pub -t a -k 70000",
    "pub -t a --rate 5 -I 5", "pub -t a --connrate 5 -i 5", "pub -t a --inflight 5 -q 0", "pub -t a --inflight 5", "pub -t a --inflight 0 -q 1",
    "pub -t a --payload x -s 5", "pub -t a --payload @/no/such/file", "pub -t a --ifaddr nowhere", "pub -t a --cpu x",
    "pub -t a --cpu 9999", "pub -t a --threads 0", "pub -t a --duration -1", "pub -t a --duration soon", "pub -t a --duration inf",
    "pub -t a --json /no/such/folder/a", "pub -t a --json a --csv a", "pub -t a --report .", "pub -t a --prometheus 99999",
    "pub -t a --broker-pid 2147483647", "pub -t a -P secret -V 4", "pub -t a --host no.such.host.invalid", "pub -t a --pairs 3",
    "pub -t a --shared g", "pub -t a --scale 2", "pub -t a --certfile c", "pub -t a --keyfile k", "pub -t a --keypass p",
    "pub -t a --ssl false --cafile c", "pub -t a -n 4294967290 -c 100", "sub -t a/#/b", "sub -t a+", "sub -t a#",
    "sub -t a --shared a/b", "sub -t $share/g/a --shared h", "sub -t a --shared g --threads 2", "sub -t a -I 5", "sub -t a -s 5",
    "sub -t a -r", "sub -t a --rate 5", "sub -t a --payload x", "conn -t a", "conn -q 1", "conn -I 1", "conn -L 5",
    "run", "run fly", "run p2p --publishers 3", "run fan-out --pairs 3", "run p2p --count 3", "run idle --size 100",
    "run p2p --size 15", "run p2p --duration 0", "run p2p --unbounded --window 5", "run p2p --unbounded --rate 5",
    "run paced --window 5", "run p2p --shared g", "run wildcard --publishers 2000", "run idle --threads 2", "run p2p --scale 0",
    "run p2p --topic a", "run p2p -I 5", "run --show", "run --show fly", "run slow-subscriber --subscribers 1",
    "run slow-subscriber --shared g", "run idle --count 9999999 --host 127.0.0.1", "run p2p --inflight 5 --qos 0",
]


SYS_QUIET_S = 3  # mosquitto publishes $SYS every other second, where something has changed


class Tool:
    """The load tool on one broker, its files in a folder of their own."""

    def __init__(self, executable, broker, scale):
        self.executable, self.broker, self.scale = executable, broker, scale
        self.folder = tempfile.mkdtemp(prefix="smq-bench-")

    def path(self, name):
        return os.path.join(self.folder, name)

    def command(self, words):
        return [self.executable, "bench", *words.split(), "--host", "127.0.0.1", "--port", str(self.broker.port)]

    def run(self, words, status=0):
        """Runs to the end. Returns its JSON and what it printed."""
        path = self.path("result.json")
        done = subprocess.run(self.command(words + " --json " + path), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60 * self.scale)
        if done.returncode != status:
            raise AssertionError("%s: status %d, %s%s" % (words, done.returncode, done.stdout[-600:], done.stderr[-600:]))
        with open(path, encoding="utf-8") as file:
            return json.load(file), done.stdout

    def scenario(self, words, duration_s=0.25):
        return self.run("run %s --warmup 0.1 --duration %g" % (words, duration_s))[0]

    def end(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Counters:
    """What the broker counts while something runs: ShardMQ says it when asked, mosquitto in $SYS."""

    def __init__(self, broker, deadline_s):
        self.broker, self.deadline_s, self.sys = broker, deadline_s, None
        if broker.counts:
            self.before = self.read()
        else:
            self.sys = Process(["stdbuf", "-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.port), "-t",
                                "$SYS/broker/publish/messages/received"])
            # what is retained of $SYS may have expired: one message more makes a line come, and then none does
            subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", "one", "-m", "more"], check=True)
            self.before = int(self.sys.line(deadline_s))
            try:
                while True:
                    self.before = int(self.sys.line(SYS_QUIET_S))
            except AssertionError:
                pass

    def read(self):
        counters = self.broker.counters()
        return counters["message_in"], counters["message_out"]

    def check(self, sent, delivered):
        """Waits until the broker has counted exactly so many."""
        if self.sys:
            got = 0
            while got != sent:  # a line comes when the counter has changed; none at all fails
                got = int(self.sys.line(self.deadline_s)) - self.before
                assert got <= sent, "mosquitto has counted %d, the tool %d" % (got, sent)
            self.before += sent
            return
        deadline = time.monotonic() + self.deadline_s
        while (got := tuple(now - before for now, before in zip(self.read(), self.before))) != (sent, delivered):
            if time.monotonic() > deadline:
                raise AssertionError("the broker has counted %r, the tool %r" % (got, (sent, delivered)))
            time.sleep(0.02)
        self.before = self.read()

    def end(self):
        if self.sys:
            self.sys.end()


def test_totals_are_the_broker_s(tool, deadline_s):
    counters = Counters(tool.broker, deadline_s)
    for words, deliveries in RUNS:
        result = tool.scenario(words)
        assert result["ok"] and result["lost"] == result["duplicated"] == result["reordered"] == 0, result
        assert result["sent"] > 0
        if deliveries is not None:
            assert result["received"] == deliveries * result["sent"], (words, result["received"], result["sent"])
        if tool.broker.counts or result["qos"] < 2:  # mosquitto 2.0 does not count QoS 2 there
            counters.check(result["sent"], result["received"] + result.get("copies", 0))
    counters.end()


def test_the_suite(tool, _deadline_s):
    for words in SUITE:
        result = tool.scenario(words, 0.8)
        assert result["ok"], (words, result)
        if "rate" in result:
            assert result["latency_us"]["count"] > 0 and result["received"] > 0, (words, result)


def test_other_scenarios(tool, _deadline_s):
    for words in OTHERS:
        result = tool.scenario(words, 1)
        assert result["ok"], (words, result)


def test_a_scenario_of_one_s_own(tool, _deadline_s):
    with open(tool.path("mine.conf"), "w", encoding="utf-8") as file:
        file.write("# three to two\ndescription = mine\npattern = all\npublishers = 3\nsubscribers = 2\ntopics = 3\nqos = 1\n")
    result = tool.scenario(tool.path("mine.conf"))
    assert result["scenario"] == "mine" and result["received"] == 2 * result["sent"], result


def test_announced_commands(tool, deadline_s):
    """The commands of the announcement, as they are written there but for the port, and an end."""
    sub = Process(tool.command("start sub -t msg -c 50 -i 1 --json " + tool.path("sub.json")))
    try:
        sub.wait_for("connected: 50", deadline_s)
        counters = Counters(tool.broker, deadline_s)
        result, printed = tool.run("start pub -t msg -s 16 -q 0 -c 10 -I 100 --duration 2.2")
        assert re.search(r"^connected: 10$", printed, re.M), printed
        assert len(re.findall(r"^sent: total=\d+, rate=\d+\(msg/sec\)$", printed, re.M)) >= 2, printed
        assert 80 <= result["messages_per_s"] <= 120, result
        counters.check(result["sent"], 50 * result["sent"])
        counters.end()
        sub.process.send_signal(signal.SIGINT)
        printed = "\n".join(sub.finish(deadline_s))
        assert re.search(r"^recv: total=\d+, rate=\d+\(msg/sec\)$", printed, re.M), printed
        with open(tool.path("sub.json"), encoding="utf-8") as file:
            received = json.load(file)
        assert received["received"] == 50 * result["sent"] and received["lost"] == 0, (received, result)
    finally:
        sub.end()
    result, printed = tool.run("start conn -c 100 -i 1 --duration 0.3")
    assert result["connections"] == 100 and "connected: 100" in printed, printed


def test_pub_and_sub_check_each_other(tool, deadline_s):
    for words in ("-q 0", "-q 1 -V 4", "-q 2 -V 3", "-q 1 --shared team"):
        sub_words = "sub -t check/%s -c 4 -i 0 -L 400 --duration 30" % ("+" if "shared" in words else "%i")
        sub = Process(tool.command("%s %s --json %s" % (sub_words, words, tool.path("sub.json"))))
        try:
            sub.wait_for("connected: 4", deadline_s)
            result = tool.run("pub -t check/%%i -c 4 -i 0 -L 400 -I 1 -s 40 --threads 2 %s"
                              % words.replace("--shared team", ""))[0]
            assert result["sent"] == 400, result
            sub.finish(deadline_s)
        finally:
            sub.end()
        with open(tool.path("sub.json"), encoding="utf-8") as file:
            received = json.load(file)
        # publishers take from the limit as they come: only their sum is known
        assert received["received"] == 400 and received["lost"] == received["unchecked"] == 0, received


def test_payload_templates(tool, deadline_s):
    sub = Process(["stdbuf", "-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", str(tool.broker.port), "-t", "text/me",
                   "-C", "3", "-d"])
    try:
        sub.wait_for("Subscribed (mid", deadline_s)
        tool.run("pub -t text/%u -u me -c 1 -L 3 -I 1 --payload {\"n\":%n,\"client\":%i}")
        printed = "\n".join(sub.finish(deadline_s))
        assert '{"n":0,"client":0}' in printed and '{"n":2,"client":0}' in printed, printed
    finally:
        sub.end()


def test_files(tool, _deadline_s):
    names = {name: tool.path("files." + name) for name in ("csv", "html")}
    result, _ = tool.run("run p2p --qos 1 --warmup 0 --duration 2.5 --csv %(csv)s --report %(html)s" % names)
    with open(names["csv"], encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 3 and all(len(row) == len(rows[0]) and None not in row for row in rows), rows
    assert int(rows[-1]["sent"]) == result["sent"] == result["received"] == int(rows[-1]["received"])
    assert len(result["seconds"]) == len(rows)
    assert sum(count for _, count in result["latency_us"]["histogram"]) == result["latency_us"]["count"]
    with open(names["html"], encoding="utf-8") as file:
        page = file.read()
    assert page.startswith("<!DOCTYPE html>") and page.count("<svg") == 4 and "http" not in page


def test_an_output_that_is_full(tool, deadline_s):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(tool.command("run p2p --warmup 0 --duration 0.1"), stdin=subprocess.DEVNULL, stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=deadline_s)
    assert done.returncode == 1 and "cannot write standard output" in done.stderr, done


def test_prometheus(tool, deadline_s):
    process = Process(tool.command("run p2p --duration 30 --prometheus 0"))
    try:
        url = process.wait_for("metrics: ", deadline_s).split(" ", 1)[1]
        process.wait_for("recv: ", deadline_s)
        with urllib.request.urlopen(url, timeout=deadline_s) as answer:
            text = answer.read().decode()
        value = re.search(r'^shardmq_bench_sent_total\{run="p2p"\} (\d+)$', text, re.M)
        assert value and int(value.group(1)) > 0, text
        if shutil.which("promtool"):
            subprocess.run(["promtool", "check", "metrics"], input=text, text=True, check=True, capture_output=True)
        process.process.send_signal(signal.SIGINT)  # ends the measuring: the summary comes, and all is well
        printed = "\n".join(process.finish(deadline_s))
        assert "latency p99" in printed and re.search(r"result +good", printed), printed
    finally:
        process.end()


def test_live_view(tool, deadline_s):
    """On a terminal one screen is drawn over and over; --live false gives lines there too."""
    def on_terminal(words):
        master, slave = pty.openpty()
        process = subprocess.Popen(tool.command(words), stdin=slave, stdout=slave, stderr=slave,
                                   env={**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"})
        os.close(slave)
        output = b""
        try:
            while True:
                output += os.read(master, 65536)
        except OSError:
            pass  # the other side has closed
        os.close(master)
        assert process.wait(deadline_s) == 0, output
        return output.decode()
    shown = on_terminal("run paced --rate 500 --warmup 0 --duration 2.3")
    assert re.search(r"\x1b\[\d+A\r", shown) and "█" in shown and "sent: total" not in shown, shown
    assert re.search(r"result +good", shown), shown
    shown = on_terminal("run paced --rate 500 --warmup 0 --duration 1.2 --live false")
    assert "\x1b" not in shown and "sent: total=" in shown, shown


def test_wrong_options(tool, _deadline_s):
    if not tool.broker.counts:
        return  # no broker is asked
    for words in WRONG:
        done = subprocess.run([tool.executable, "bench", *words.split()], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60 * tool.scale, cwd=tool.folder)
        last = done.stderr.rstrip("\n").rsplit("\n", 1)[-1]
        assert done.returncode == 2, "bench %s: status %d, %s" % (words, done.returncode, done.stderr)
        assert len(last) > 15 and (words in ("", "start", "fly", "start fly") or done.stderr.count("\n") == 1), \
            "bench %s: %s" % (words, done.stderr)


def test_a_broker_that_ends(tool, deadline_s):
    """A broker that is gone makes the tool fail, with the reason; with --reconnect it waits for the next one."""
    broker = type(tool.broker)(tool.broker.executable, 1).start()
    other = Tool(tool.executable, broker, tool.scale)
    process = Process(other.command("pub -t a -q 1 -c 3 -i 0 -I 10 --timeout 1 --json " + other.path("end.json")))
    try:
        process.wait_for("sent: ", deadline_s)
        broker.stop()
        process.process.wait(deadline_s)
        assert process.process.returncode == 1
        with open(other.path("end.json"), encoding="utf-8") as file:
            result = json.load(file)
        assert not result["ok"] and result["disconnects"] == 3 and "clients" in result["result"], result
        for words in ("pub -t a", "sub -t a", "conn"):  # nobody was ever there: patience alone makes nothing good
            result, _ = other.run(words + " -c 3 -i 0 --reconnect --duration 0.2 --timeout 0.3", status=1)
            assert "3 of 3 clients could not connect" in result["result"], result
    finally:
        process.end()
        other.end()


def test_compare(tool, _deadline_s):
    """bench/compare, shortly, on both brokers: a table with every row, and a plot."""
    if not tool.broker.counts:
        return  # it starts both itself
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "compare")
    done = subprocess.run([script, "--binary", os.path.abspath(tool.executable), "--cases", "p2p-1,latency-50,connect,idle",
                           "--qos", "1", "--seconds", "1", "--warmup", "0.2", "--repeat", "1", "--connections", "50",
                           "--tool-cpu", "none", "--broker-cpus", "0", "--plot", tool.path("plot.svg")],
                          capture_output=True, text=True, timeout=120 * tool.scale)
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("|")]
    assert done.returncode == 0, done.stderr
    assert len({len(row) for row in rows}) == 1 and len(rows) == 2 + 1 + 3 + 2 + 1, done.stdout
    plot = xml.etree.ElementTree.parse(tool.path("plot.svg")).getroot()
    assert len(plot.findall("{*}rect")) == 1 + 2 + 2 * (len(rows) - 2), done.stdout


TESTS = [test_totals_are_the_broker_s, test_the_suite, test_other_scenarios, test_a_scenario_of_one_s_own,
         test_announced_commands, test_pub_and_sub_check_each_other, test_payload_templates]
ONCE = [test_files, test_an_output_that_is_full, test_prometheus, test_live_view, test_wrong_options, test_a_broker_that_ends,
        test_compare]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True, help="shardmq, which is also the tool")
    parser.add_argument("--mosquitto", default=shutil.which("mosquitto") or "/usr/sbin/mosquitto")
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    parser.add_argument("--on", choices=("shardmq", "mosquitto"), help="on one of them only")
    parser.add_argument("--only", help="tests whose name contains this")
    options = parser.parse_args()
    brokers = []
    if options.on != "mosquitto":
        brokers += [("%d shards" % count, Broker(options.broker, count, (), options.timeout_scale)) for count in chosen_shards(1, 3)]
    if options.on != "shardmq":
        brokers.append(("mosquitto", Mosquitto(options.mosquitto, 1, (), options.timeout_scale)))
    failed = 0
    for name, broker in brokers:
        broker.start()
        tool = Tool(options.broker, broker, options.timeout_scale)
        for test in TESTS + (ONCE if broker is brokers[0][1] or not broker.counts else []):
            if options.only and options.only not in test.__name__:
                continue
            problem = None
            try:
                test(tool, 15 * options.timeout_scale)
            except (AssertionError, OSError, KeyError, ValueError, subprocess.SubprocessError) as error:
                problem = "%s: %s" % (type(error).__name__, error)
            failed += problem is not None
            print("%-36s %s: %s" % (test.__name__, name, problem or "ok"), flush=True)
        tool.end()
        problem = broker.stop()
        if problem:
            failed += 1
            print(problem)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
