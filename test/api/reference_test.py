#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""curl, as people use it with NanoMQ: each request as its documentation has it, and of the answer what such a script looks
at: HTTP status, members, their order and their types. Where NanoMQ errs the right answer is expected, and said so."""

import argparse
import json
import os
import subprocess
import sys
import time

from api_client import ApiBroker, Mqtt, wait_until
from mqs.broker import chosen_shards


class Curl:
    def __init__(self, port):
        self.port = port

    def __call__(self, *arguments, account="admin:public"):
        """The status, the content type and the body. PORT in the arguments is the broker's."""
        command = ["curl", "-sS", "-m", "20", "-w", "\n%{http_code} %{content_type}"]
        if account is not None:
            command += ["--basic", "-u", account]
        command += [argument.replace("PORT", str(self.port)) for argument in arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done
        body, _, last = done.stdout.rpartition("\n")
        status, _, media_type = last.partition(" ")
        return int(status), media_type, body

    def json(self, *arguments, **keywords):
        status, media_type, body = self(*arguments, **keywords)
        assert media_type == "application/json", (arguments, media_type)
        return status, json.loads(body)

    def v4(self, path, *arguments):
        status, answer = self.json("http://localhost:PORT/api/v4" + path, *arguments)
        assert status == 200 and answer.get("code", 0) == 0, (path, status, answer)
        return answer


V1 = "http://localhost:PORT/api/v1"


def test_the_command_of_the_announcement(_broker, curl):
    status, _, body = curl("-i", "-X", "POST", V1, "-d", '{"req": 2,"seq": 1}')
    head, _, body = body.replace("\r\n", "\n").partition("\n\n")
    assert status == 200 and head.startswith("HTTP/1.1 200 OK\n"), head
    assert body == '{"code":0,"seq":1,"rep":2,"data":{"client_size":1,"message_in":1,"message_out":1,"message_drop":0}}', body


def test_statuses_and_codes(_broker, curl):
    assert curl.json(V1, "-d", '{"req":2,"seq":1}', account=None) == \
        (401, {"code": 104, "seq": 0, "message": "a user name and a password are needed"})
    assert curl.json(V1, "-d", '{"req":2,"seq":1}', account="admin:wrong") == \
        (401, {"code": 103, "seq": 0, "message": "wrong user name or password"})
    assert curl.json(V1, "-d", '{"req":2,"seq":1}', "-H", "Authorization: Bearer x", account=None)[1]["code"] == 104
    for body, status, code in (('[]', 400, 109), ('', 400, 109), ('{"req":2', 400, 109), ('{"req":99,"seq":5}', 404, 102),
                               ('{"req":1,"seq":5}', 404, 102), ('{"req":3,"seq":5}', 404, 102)):
        given, answer = curl.json("-X", "POST", V1, "-d", body)
        assert (given, answer["code"]) == (status, code), (body, given, answer)
    status, answer = curl.json("http://localhost:PORT/api/v1/other")
    assert status == 404 and answer["code"] == 102
    # the answer's order: code, seq, rep, then data or message
    _, _, body = curl(V1, "-d", '{"seq":7,"req":99}')
    assert body.startswith('{"code":102,"seq":7,"rep":99,"message":'), body


def test_any_method_and_both_addresses(_broker, curl):
    for method in ("GET", "POST"):
        assert curl.json("-X", method, V1, "-d", '{"req":2,"seq":3}')[1]["seq"] == 3
    assert curl.json("-X", "POST", "http://localhost:PORT/api/v4", "-d", '{"req":2,"seq":3}')[1]["rep"] == 2
    assert curl.json("-X", "POST", V1 + "/", "-H", "Content-Type: application/json", "-d", '{"req":2,"seq":3}')[0] == 200


def code(curl, number, **members):
    status, answer = curl.json("-X", "POST", V1, "-d", json.dumps({"req": number, "seq": number * 10, **members}))
    assert status == 200 and list(answer)[:3] == ["code", "seq", "rep"], (number, status, answer)
    assert (answer["code"], answer["seq"], answer["rep"]) == (0, number * 10, number)
    return answer.get("data")


def test_request_codes(_broker, curl):
    subscriptions = code(curl, 4)
    assert subscriptions == [{"client_id": "ref", "subscriptions": [{"topic": "ref/#", "qos": 1},
                                                                   {"topic": "$share/g/ref/x", "qos": 1}]}], subscriptions
    clients = {client["client_id"]: client for client in code(curl, 5)}
    assert set(clients) == {"ref", "silent"}  # NanoMQ leaves out those without a subscription
    assert list(clients["ref"]) == ["client_id", "username", "keepalive", "protocol", "connect_status", "message_receive"]
    assert clients["ref"]["username"] == "bob" and clients["ref"]["protocol"] == 5 and clients["ref"]["connect_status"] == 1
    assert clients["silent"]["username"] == "" and clients["silent"]["protocol"] == 4
    configuration = code(curl, 11)
    for member in ("url", "num_taskq_thread", "max_taskq_thread", "parallel", "property_size", "msq_len", "allow_anonymous",
                   "daemon", "qos_duration", "tls", "websocket", "http_server"):
        assert member in configuration, (member, configuration)
    assert configuration["http_server"]["password"] == "***" and configuration["http_server"]["username"] == "admin"
    assert configuration["http_server"]["enable"] is True
    levels = code(curl, 13)
    for nodes in levels:
        for node in nodes:
            assert {"topic", "cld_cnt"} <= set(node), node
    assert any(node["topic"] == "ref" for nodes in levels for node in nodes), levels
    status, answer = curl.json("-X", "POST", V1, "-d", '{"req":10,"seq":1}')
    assert status == 400 and answer["code"] == 107, answer  # NanoMQ dies of it
    status, answer = curl.json("-X", "POST", V1, "-d", '{"req":10,"seq":1,"action":"dance"}')
    assert status == 400 and answer["code"] == 108, answer


def test_rest(broker, curl):
    routes = curl.v4("")["data"]
    assert all(set(row) == {"path", "name", "method", "descr"} for row in routes)
    row = curl.v4("/brokers/")["data"][0]
    assert row["node_status"] == "Running" and time.strptime(row["datetime"], "%Y-%m-%d %H:%M:%S")
    assert set(row) == {"datetime", "node_status", "sysdescr", "uptime", "version"} and " Hours, " in row["uptime"]
    row = curl.v4("/nodes")["data"][0]
    assert row["connections"] == 2 and set(row) == {"connections", "node_status", "uptime", "version"}
    members = {"client_id", "username", "keepalive", "conn_state", "clean_start", "proto_name", "proto_ver"}
    for path in ("/clients/", "/clients/ref", "/clients/username/bob", "/clients?clientid=ref", "/clients?client_id=ref",
                 "/clients?username=bob&conn_state=connected&clean_start=false&proto_name=MQTT&proto_ver=5"):
        answer = curl.v4(path)
        assert any(row["client_id"] == "ref" for row in answer["data"]), (path, answer)
        assert all(members <= set(row) for row in answer["data"])
    assert curl.v4("/clients/nobody")["data"] == []
    for path in ("/clients?color=red", "/clients?conn_state=asleep", "/clients?proto_ver=6"):
        status, answer = curl.json("http://localhost:PORT/api/v4" + path)
        assert (status, answer["code"]) == (400, 108), (path, status, answer)
    rows = curl.v4("/subscriptions/")["data"]
    assert {(row["clientid"], row["topic"], row["qos"]) for row in rows} == {("ref", "ref/#", 1), ("ref", "$share/g/ref/x", 1)}
    assert curl.v4("/subscriptions/ref")["data"] == rows and curl.v4("/subscriptions/nobody")["data"] == []
    assert any(node["topic"] == "ref" and "clientid" in node for nodes in curl.v4("/topic-tree/")["data"] for node in nodes)
    metrics = curl.v4("/metrics")
    assert metrics["cpuinfo"].endswith("%") and int(metrics["memory"]) > 1 << 20 and metrics["connections"] == 2
    status, media_type, body = curl("http://localhost:PORT/api/v4/prometheus")
    assert status == 200 and media_type.startswith("text/plain") and "\nnanomq_connections_count 2\n" in body
    assert broker.alive()


def received(broker, topic, ask, count=1):
    """What a subscriber gets while `ask` is done: (topic, payload, retain) each."""
    client = Mqtt(broker.port, "receiver", 5)
    client.subscribe(topic)
    ask()
    messages = []
    for _ in range(count):
        first, body = client.receive()
        assert first >> 4 == 3 and first & 6 == 0, (first, body)
        end = 2 + int.from_bytes(body[:2], "big")
        props_end = end + 1 + body[end]
        messages.append((body[2:end].decode(), body[props_end:], body[end + 1:props_end]))
    client.disconnect()
    return messages


def test_publishing(broker, curl):
    url = "http://localhost:PORT/api/v4/mqtt/publish"

    def publish(status=200, **members):
        given, answer = curl.json("-X", "POST", url, "-d", json.dumps(members))
        assert given == status, (members, given, answer)
        return answer["code"]

    sent = received(broker, "pub/#", lambda: publish(topic="pub/a", payload="hello", qos=1, retain=False, clientid="me"))
    assert sent == [("pub/a", b"hello", b"")], sent
    sent = received(broker, "pub/#", lambda: publish(topics="pub/a,pub/b", payload="x"), 2)
    assert sorted(topic for topic, _, _ in sent) == ["pub/a", "pub/b"]
    # base64: the broker encodes, or decodes
    assert received(broker, "pub/#", lambda: publish(topic="pub/a", payload="hi", encoding="base64"))[0][1] == b"aGk="
    assert received(broker, "pub/#", lambda: publish(topic="pub/a", payload="AP8=", decoding="base64"))[0][1] == b"\x00\xff"
    sent = received(broker, "pub/#", lambda: publish(topic="pub/a", payload="x", properties={
        "content_type": "text/plain", "response_topic": "r", "user_properties": {"a": "b"}}))
    for part in (b"\x03\x00\x0atext/plain", b"\x08\x00\x01r", b"\x26\x00\x01a\x00\x01b"):
        assert part in sent[0][2], sent
    # NanoMQ answers these with 200
    assert publish(400, payload="x") == 107 and publish(400, topic="a") == 107
    assert publish(400, topic="a", payload="x", qos=3) == 108 and publish(400, topic="a/#", payload="x") == 108
    status, answer = curl.json("-X", "POST", url, "-d", "nonsense")
    assert (status, answer["code"]) == (400, 109)
    answer = []
    sent = received(broker, "pub/#", lambda: answer.append(curl.v4(
        "/mqtt/publish_batch", "-d", '[{"topic":"pub/a","payload":"1"},{"topic":"pub/b","payload":"2","qos":2}]')), 2)
    # each topic has its order; between two, on two shards, there is none
    assert sorted((topic, payload) for topic, payload, _ in sent) == [("pub/a", b"1"), ("pub/b", b"2")], sent
    assert [(row["topic"], row["code"]) for row in answer[0]["data"]] == [("pub/a", 0), ("pub/b", 0)]


def test_subscribing_for_a_client(_broker, curl):
    for action, wanted in (("subscribe", True), ("unsubscribe", False)):
        curl.v4("/mqtt/" + action, "-d", json.dumps({"clientid": "silent", "topic": "for/+", **({"qos": 1} if wanted else {})}))
        assert any(row["topic"] == "for/+" for row in curl.v4("/subscriptions/silent")["data"]) == wanted
        curl.v4("/mqtt/%s_batch" % action, "-d", json.dumps([{"clientid": "silent", "topic": "for/1"}]))
        assert any(row["topic"] == "for/1" for row in curl.v4("/subscriptions/silent")["data"]) == wanted


def test_settings(_broker, curl):
    hot = curl.v4("/reload/")["data"]
    assert {"max_packet_size", "msq_len", "keepalive_backoff", "allow_anonymous"} <= set(hot), hot
    sections = curl.v4("/configuration/")["data"]
    assert "http_server" in sections and sections["http_server"]["password"] == "***"
    for section in ("basic", "tls", "http_server", "websocket"):
        assert set(curl.v4("/configuration/" + section)["data"]) == {section}
    status, answer = curl.json("http://localhost:PORT/api/v4/configuration/nonsense")
    assert (status, answer["code"]) == (404, 101), answer
    status, answer = curl.json("-X", "POST", "http://localhost:PORT/api/v4/ctrl/dance")
    assert (status, answer["code"]) == (404, 101), answer
    assert curl.v4("/reload", "-X", "POST", "-d", '{"data":{"msq_len":1000}}')["code"] == 0
    assert curl.v4("/reload")["data"]["msq_len"] == 1000


def test_other_methods(_broker, curl):
    status, answer = curl.json("-X", "PATCH", "http://localhost:PORT/api/v4/brokers")
    assert (status, answer["code"]) == (405, 102)
    status, _, body = curl("-I", "http://localhost:PORT/api/v4/brokers")
    assert status == 200 and "Content-Length:" in body
    status, _, body = curl("-i", "-X", "OPTIONS", "http://localhost:PORT/api/v4/brokers", account=None)
    assert status == 204 and "Allow: GET, HEAD, OPTIONS" in body
    assert curl.json("http://localhost:PORT/etc/passwd")[0] == 404
    assert curl.json("--path-as-is", "http://localhost:PORT/../../etc/passwd")[0] == 404


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    options = parser.parse_args()
    failed = 0
    for shards in chosen_shards(1, 3):
        broker = ApiBroker(os.path.abspath(options.broker), shards, (), options.timeout_scale).start()
        client = Mqtt(broker.port, "ref", 5, False, "bob", 30, expiry=60)
        client.subscribe("ref/#", "$share/g/ref/x", qos=1)
        silent = Mqtt(broker.port, "silent")
        silent.publish("ref/1", "x", 1)
        wait_until(lambda broker=broker: broker.counters()["message_out"] == 1)
        for test in [value for name, value in globals().items() if name.startswith("test_")]:
            problem = None
            try:
                test(broker, Curl(broker.http_port))
            except (AssertionError, OSError, KeyError, ValueError) as error:
                problem = "%s: %s" % (type(error).__name__, error)
            failed += problem is not None
            print("%-40s %d shards: %s" % (test.__name__, shards, problem or "ok"), flush=True)
        client.close()
        silent.close()
        problem = broker.stop()
        if problem:
            failed += 1
            print(problem + "\n" + "\n".join(broker.log[-30:]))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
