#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prometheus itself against the broker: promtool reads the exposition, a server scrapes it and answers queries, and
what conf/ has for it (configuration, alert rules, dashboard) is checked."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from api_client import Api, Mqtt, arguments, at_rest, run, wait_until

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

from clients import Process  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
RULES = os.path.join(ROOT, "conf", "prometheus-alerts.yml")
SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})? (\S+)$")


def promtool(*arguments, **keywords):
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False, **keywords)
    assert done.returncode == 0 and not done.stderr.strip(), done.stdout + done.stderr
    return done.stdout


def exposition(api, path="/metrics"):
    answer, body = api.raw("GET", path)
    assert answer.status == 200
    assert answer.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    return body.decode("utf-8")


def samples(text):
    """{series with labels: value}, and the names of metrics."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            assert (name, labels) not in found, line
            found[name, labels] = float(value)
    return found


def summed(found, name, labels=""):
    return sum(value for (other, its), value in found.items() if other == name and labels in (its or ""))


def test_promtool_takes_the_exposition(broker, api, _scale):
    text = exposition(api)
    promtool("check", "metrics", input=text)
    names = set(re.findall(r"^# TYPE (\S+)", text, re.M))
    assert names == set(re.findall(r"^# TYPE (\S+)", exposition(api, "/api/v4/prometheus"), re.M))
    for name in ("connections_count", "connections_max", "sessions_count", "sessions_max", "topics_count", "topics_max",
                 "subscribers_count", "subscribers_max", "messages_received", "messages_sent", "messages_dropped",
                 "memory_usage", "memory_usage_max", "cpu_usage", "cpu_usage_max"):
        assert "nanomq_" + name in names, name
    found = samples(text)
    assert found["process_resident_memory_bytes", None] > 1 << 20 and found["process_open_fds", None] > 3
    assert abs(found["process_start_time_seconds", None] - time.time()) < 3600
    assert found["shardmq_shards_alive", None] == found["shardmq_shards", None] == broker.shards
    # an answer to HEAD has the same headers and no body
    answer, body = api.raw("HEAD", "/metrics")
    assert answer.status == 200 and int(answer.getheader("Content-Length")) > 10000 and body == b""
    assert Api(broker.http_port, account="admin:wrong").raw("GET", "/metrics")[0].status == 401


def test_counts_are_what_the_control_socket_says(broker, api, scale):
    receiver, sender = Mqtt(broker.port, "receiver", 5), Mqtt(broker.port, "sender")
    receiver.subscribe("prometheus/#", qos=1)
    for number in range(20):
        sender.publish("prometheus/x", str(number), qos=number % 2)
        receiver.receive()
    counters = at_rest(broker, scale)
    found = samples(exposition(api))
    assert summed(found, "shardmq_messages_received_total") == counters["message_in"] == found["nanomq_messages_received", None]
    assert summed(found, "shardmq_messages_sent_total") == counters["message_out"] == found["nanomq_messages_sent", None]
    assert summed(found, "shardmq_messages_dropped_total") == counters["message_drop"] == found["nanomq_messages_dropped", None]
    assert summed(found, "shardmq_packets_received_total") == counters["packet_in"]
    assert summed(found, "shardmq_sessions_connected") == 2 == found["nanomq_connections_count", None]
    assert summed(found, "shardmq_subscriptions") == 1 == found["nanomq_subscribers_count", None]
    # every delivery to a client that was there is timed
    assert summed(found, "shardmq_delivery_seconds_count") == counters["message_out"]
    assert summed(found, "shardmq_delivery_seconds_bucket", 'le="+Inf"') == counters["message_out"]
    assert 0 < summed(found, "shardmq_delivery_seconds_sum") < 20 * 20 * scale
    metrics = api.ask("GET", "/api/v4/metrics")[1]
    assert list(metrics) == ["metrics", "cpuinfo", "memory", "connections", "counters"], metrics
    assert metrics["metrics"] == [] and re.fullmatch(r"\d+\.\d\d%", metrics["cpuinfo"]) and metrics["memory"].isdigit()
    assert metrics["connections"] == 2 and metrics["counters"]["message_in"] == counters["message_in"]
    shards = api.get("shards")["data"]
    assert [row["shard"] for row in shards] == list(range(broker.shards))
    assert sum(row["connections"] for row in shards) == 2 and all(row["alive"] for row in shards)
    assert all(len(row["rings"]) == broker.shards and row["spilled"] == 0 for row in shards)
    assert sum(row["messages_sent"] for row in shards) == counters["message_out"]
    receiver.close()
    sender.close()


def test_rates_are_taken_between_requests(broker, api, scale):
    """No timer: the mean since somebody asked before, and the same within a second."""
    def received(rows):
        return sum(row["messages_received_per_second"] for row in rows)

    assert received(api.get("shards")["data"]) == 0
    sender = Mqtt(broker.port, "rates")
    for _ in range(50):
        sender.publish("rates", "x")
    asked = time.monotonic()
    # a sample is a second old at least: the one that sees the fifty messages is the first after that
    rows = wait_until(lambda: received(rows := api.get("shards")["data"]) > 0 and rows, 10 * scale)
    assert 1 <= rows[0]["rates_over_seconds"] <= time.monotonic() - asked + 10 * scale
    assert abs(received(rows) * rows[0]["rates_over_seconds"] - 50) < 1, rows
    sender.close()


def test_asking_touches_no_shard(broker, api, scale):

    def turns():
        return [value for (name, labels), value in sorted(samples(exposition(api)).items())
                if name == "shardmq_loop_turns_total" and "control" not in labels]

    # what earlier tests left to do (timers, acknowledgements of TCP) is over when nothing turns between two looks
    before = wait_until(lambda: (first := turns()) == turns() and first, 10 * scale)
    for _ in range(50):
        exposition(api)
        api.ask("GET", "/api/v4/metrics")
        api.get("shards")
    assert turns() == before


class Prometheus:
    """A server with the configuration of conf/, changed to this broker, and its storage in a temporary folder."""

    def __init__(self, broker_port, scale):
        self.folder = tempfile.TemporaryDirectory(prefix="smq-prometheus-")
        with open(os.path.join(ROOT, "conf", "prometheus.yml"), encoding="utf-8") as file:
            text = file.read()
        text = text.replace("127.0.0.1:8081", "127.0.0.1:%d" % broker_port).replace("15s", "1s")
        text = text.replace("prometheus-alerts.yml", os.path.abspath(RULES))
        with open(self.folder.name + "/prometheus.yml", "w", encoding="utf-8") as file:
            file.write(text)
        self.process = Process(["prometheus", "--config.file=" + self.folder.name + "/prometheus.yml",
                                "--storage.tsdb.path=" + self.folder.name + "/data", "--web.listen-address=127.0.0.1:0"])
        try:
            line = self.process.wait_for('msg="Listening on"', 30 * scale)
        except AssertionError:
            self.end()
            raise
        self.port = int(re.search(r"address=127\.0\.0\.1:(\d+)", line).group(1))

    def ask(self, path, **parameters):
        url = "http://127.0.0.1:%d/api/v1/%s?%s" % (self.port, path, urllib.parse.urlencode(parameters))
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:  # 503 while it starts
            return {"result": [], "error": error.read()}

    def value(self, query):
        result = self.ask("query", query=query)["result"]
        return float(result[0]["value"][1]) if result else None

    def end(self):
        self.process.process.terminate()
        try:
            self.process.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            pass
        self.process.end()
        self.folder.cleanup()


def test_a_real_server_scrapes_it(broker, api, scale):
    prometheus = Prometheus(broker.http_port, scale)
    try:
        receiver, sender = Mqtt(broker.port, "receiver"), Mqtt(broker.port, "sender")
        receiver.subscribe("scraped", qos=1)
        for _ in range(30):
            sender.publish("scraped", "x")
            receiver.receive()
        counters = at_rest(broker, scale)
        for query, expected in (("sum(shardmq_messages_received_total)", counters["message_in"]),
                                ("sum(shardmq_messages_sent_total)", counters["message_out"]),
                                ("sum(shardmq_messages_dropped_total)", counters["message_drop"]),
                                ("nanomq_messages_received", counters["message_in"]),
                                ("sum(shardmq_delivery_seconds_count)", counters["message_out"]),
                                ("sum(shardmq_sessions_connected)", 2),
                                ("count(shardmq_loop_turn_seconds_count)", broker.shards + 1),
                                ('up{job="shardmq"}', 1)):
            deadline = time.monotonic() + 30 * scale
            while (told := prometheus.value(query)) != expected:
                assert time.monotonic() < deadline, "%s is %s and not %s" % (query, told, expected)
                time.sleep(0.02)
        assert prometheus.value("histogram_quantile(0.99, sum by (le) (shardmq_delivery_seconds_bucket))") > 0
        wait_until(lambda: [target["lastError"] for target in prometheus.ask("targets")["activeTargets"]] == [""], 30 * scale)
        groups = prometheus.ask("rules")["groups"]
        assert groups and all(rule["health"] in ("ok", "unknown") for group in groups for rule in group["rules"]), groups
        metadata = prometheus.ask("metadata", metric="shardmq_delivery_seconds")
        assert metadata["shardmq_delivery_seconds"][0]["type"] == "histogram"
        # every query of the dashboard is understood
        for expression in dashboard_queries():
            assert "error" not in prometheus.ask("query", query=expression), expression
        receiver.close()
        sender.close()
    finally:
        prometheus.end()


# ------------------------------------------------------------------------------------ what conf/ has for Prometheus

def dashboard_queries():
    """The queries of the dashboard with its variables put in."""
    with open(os.path.join(ROOT, "conf", "grafana.json"), encoding="utf-8") as file:
        dashboard = json.load(file)
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len(queries) > 30
    for variable, value in (("$__rate_interval", "1m"), ("$instance", ".*"), ("$job", ".*")):
        queries = [query.replace(variable, value) for query in queries]
    assert not any("$" in query for query in queries)
    return queries


def metrics_in(expression):
    """The names of metrics in a PromQL expression: what is left without strings, labels, ranges, functions and words."""
    text = re.sub(r'"[^"]*"', "", expression)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", text)
    text = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", "", text)
    names = re.findall(r"(?<![\w.])([a-zA-Z_]\w*)\b(?!\s*\()", text)
    return {name for name in names if name not in ("and", "or", "unless", "bool", "offset")}


def test_dashboard_and_rules_name_what_exists(broker, api, scale):
    existing = {name for name, _ in samples(exposition(api))} | {"up"}
    with open(RULES, encoding="utf-8") as file:
        rules = re.findall(r"^\s*expr: (.*)$", file.read(), re.M)
    assert len(rules) >= 10
    for expression in rules + dashboard_queries():
        names = metrics_in(expression)
        assert names and names <= existing, (expression, names - existing)
    # labels too: a matcher on one that no series has would match nothing
    text = exposition(api)
    for expression in rules + dashboard_queries():
        for metric, matchers in re.findall(r"(shardmq_\w+)\{([^}]*)\}", expression):
            for label in re.findall(r'(\w+)[!=]~?"', matchers):
                assert label in ("job", "instance") or re.search(r"^%s\{[^}]*\b%s=" % (metric, label), text, re.M), expression


def test_rules_are_good(_broker, _api, _scale):
    promtool("check", "rules", RULES)
    promtool("check", "config", os.path.join(ROOT, "conf", "prometheus.yml"))
    promtool("test", "rules", os.path.join(os.path.dirname(os.path.abspath(__file__)), "prometheus_alerts.yml"))


def main():
    options, tests = arguments(globals())
    sys.exit(1 if run(tests, options) else 0)


if __name__ == "__main__":
    main()
