#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The server: connections, methods, limits, time, credentials, origins, its start and its end."""

import argparse
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from api_client import Api, ApiBroker, Mqtt, run, wait_until
from raw_http import AUTHORIZATION, Raw


def test_connections_are_kept_and_requests_pipelined(broker, _api, _scale):
    raw = Raw(broker.http_port)
    for _ in range(3):
        raw.request("GET", "/health/live")
        status, headers, body = raw.answer()
        assert (status, body) == (200, b'{"code":0}') and "connection" not in headers
    for i in range(200):
        raw.request("POST", "/api/v1", "", json.dumps({"req": 2, "seq": i}))
    for i in range(200):
        status, _, body = raw.answer()
        assert status == 200 and json.loads(body)["seq"] == i
    raw.request("GET", "/health/live", "Connection: close\r\n")
    status, headers, _ = raw.answer()
    assert status == 200 and headers["connection"] == "close"
    raw.closed()


def test_a_client_that_has_said_all_is_answered(broker, _api, _scale):
    raw = Raw(broker.http_port)
    for _ in range(50):
        raw.request("GET", "/api/v4/clients")
    raw.half_close()
    for _ in range(50):
        assert raw.answer()[0] == 200
    raw.closed()


def test_a_request_in_pieces(broker, _api, _scale):
    raw = Raw(broker.http_port)
    raw.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    text = "POST /api/v1/ HTTP/1.1\r\nHost: h\r\n%sContent-Length: 18\r\n\r\n" % AUTHORIZATION + '{"req":2,"seq":42}'
    for byte in text:
        raw.send(byte)
    assert raw.answer()[2].startswith(b'{"code":0,"seq":42,"rep":2,"data":{"client_size":')


def test_chunks_and_continue(broker, _api, _scale):
    raw = Raw(broker.http_port)
    raw.request("POST", "/api/v1", "Transfer-Encoding: chunked\r\n")
    for part in (b"5\r\n", b'{"req', b"\r\n9;x=y\r\n", b'":2,"seq"', b"\r\n4\r\n:9} \r\n", b"0\r\n", b"X: y\r\n", b"\r\n"):
        raw.send(part)
    assert json.loads(raw.answer()[2])["seq"] == 9
    body = '{"req":2,"seq":5}'
    raw.request("POST", "/api/v1", "Expect: 100-continue\r\nContent-Length: %d\r\n" % len(body))
    assert raw.answer()[0] == 100
    raw.send(body)
    assert json.loads(raw.answer()[2])["seq"] == 5
    # who may not is told so before the body
    raw = Raw(broker.http_port)
    raw.send("POST /api/v1 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n")
    status, headers, _ = raw.answer()
    assert status == 401 and headers["connection"] == "close"
    raw.closed()


def test_old_http(broker, _api, _scale):
    raw = Raw(broker.http_port)
    raw.send("GET /health/live HTTP/1.0\r\n\r\n")
    status, headers, _ = raw.answer()
    assert status == 200 and headers["connection"] == "close"
    raw.closed()
    raw = Raw(broker.http_port)
    for _ in range(2):
        raw.send("GET /health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert raw.answer()[1]["connection"] == "keep-alive"


def test_headers_of_answers(broker, api, _scale):
    answer, text = api.raw("GET", "/api/v4/brokers")
    headers = {name.lower(): value for name, value in answer.getheaders()}
    assert headers["content-type"] == "application/json" and int(headers["content-length"]) == len(text)
    assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert abs(time.mktime(time.strptime(headers["date"], "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone - time.time()) < 30


def wrong(broker, user_and_password, wanted):
    answer, text = Api(broker.http_port, account=user_and_password).raw("GET", "/api/v4/brokers")
    assert answer.status == wanted, (user_and_password, answer.status, text)
    return answer, text


def without_date(answer):
    return sorted((name, value) for name, value in answer.getheaders() if name != "Date")


def test_credentials(broker, api, _scale):
    bad_password, text = wrong(broker, "admin:Public", 401)
    bad_user, other_text = wrong(broker, "nobody:public", 401)
    assert text == other_text == b'{"code":103,"message":"wrong user name or password"}'
    assert without_date(bad_password) == without_date(bad_user)
    for header in ("", "Authorization: Bearer x\r\n", "Authorization: Basic\r\n", "Authorization: Basic !!!\r\n",
                   "Authorization: Basic YWRtaW4=\r\n", "Authorization: Basic " + "A" * 4096 + "\r\n",
                   AUTHORIZATION * 2):
        raw = Raw(broker.http_port)
        raw.send("GET /api/v4/brokers HTTP/1.1\r\nHost: h\r\n%s\r\n" % header)
        status, headers, body = raw.answer()
        assert status == 401 and json.loads(body)["code"] == 104, (header, status, body)
        assert headers["www-authenticate"].startswith("Basic ")
    # the scheme's name in any case
    raw = Raw(broker.http_port)
    raw.send("GET /api/v4/brokers HTTP/1.1\r\nHost: h\r\n%s\r\n" % AUTHORIZATION.replace("Basic", "bAsIc"))
    assert raw.answer()[0] == 200
    assert api.ask("GET", "/api/v4/brokers")[0] == 200


def test_guessing_is_slowed_down(broker, api, scale):
    for _ in range(5):
        wrong(broker, "admin:guess", 401)
    answer, text = wrong(broker, "admin:guess", 429)
    assert int(answer.getheader("Retry-After")) in range(1, 6) and json.loads(text)["code"] == 103
    began = time.monotonic()
    answer, _ = api.raw("GET", "/api/v4/brokers")  # not told apart: else 429 would say that a guess was wrong
    assert answer.status == 429
    assert api.raw("GET", "/health/live")[0].status == 200
    wait_until(lambda: api.raw("GET", "/api/v4/brokers")[0].status == 200, 10 * scale)
    assert time.monotonic() - began > 3
    wrong(broker, "admin:guess", 401)
    wrong(broker, "admin:guess", 429)


def test_pages_of_other_origins(broker, api, _scale):
    def ask(method, origin, host="api.example:8081", path="/api/v4/brokers"):
        raw = Raw(broker.http_port)
        raw.send("%s %s HTTP/1.1\r\nHost: %s\r\n%sOrigin: %s\r\n\r\n" % (method, path, host, AUTHORIZATION, origin))
        return raw.answer()

    status, headers, _ = ask("GET", "https://strange.example")
    assert status == 200 and "access-control-allow-origin" not in headers
    assert ask("POST", "https://strange.example", path="/api/v1")[0] == 403
    assert ask("POST", "http://api.example:8081", path="/api/v1")[0] == 400  # its own; it has no body
    broker.write_conf(['http_server.cors_origins = "https://a.example, https://console.example"'])
    assert broker.control("reload")["ok"]
    status, headers, _ = ask("GET", "https://console.example")
    assert status == 200 and headers["access-control-allow-origin"] == "https://console.example"
    assert headers["vary"] == "Origin"
    status, headers, _ = ask("OPTIONS", "https://console.example", path="/api/v4")
    assert status == 204 and "POST" in headers["access-control-allow-methods"]
    assert "Authorization" in headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in ask("GET", "https://console.example.evil")[1]
    assert "access-control-allow-origin" not in ask("GET", "null")[1]
    assert ask("POST", "https://a.example", path="/api/v1")[0] == 400
    del api


def test_a_new_password_holds_at_once(broker, api, scale):
    assert api.ask("GET", "/api/v4/brokers")[0] == 200
    broker.write_conf(["http_server.password = \"n3w-s3cret\"", "http_server.max_body = 2KB"])
    report = broker.control("reload")
    assert report["ok"] and "http_server.password" in report["applied"] and "n3w-s3cret" not in json.dumps(report)
    assert api.ask("GET", "/api/v4/brokers")[0] == 401
    renewed = Api(broker.http_port, account="admin:n3w-s3cret")
    assert renewed.ask("GET", "/api/v4/brokers")[0] == 200
    assert renewed.ask("POST", "/api/v1", '{"req":2,"seq":"%s"}' % ("x" * 2048))[0] == 413
    assert not any("n3w-s3cret" in line for line in broker.log)


def test_limits_of_size(broker, _api, _scale):
    raw = Raw(broker.http_port)
    raw.request("GET", "/health/live", "X: %s\r\n" % ("x" * 8192))
    assert raw.refused()[0] == 431
    raw.closed()
    raw = Raw(broker.http_port)
    raw.send("GET /" + "x" * 100000)
    assert raw.refused()[0] == 431
    raw = Raw(broker.http_port)
    raw.request("GET", "/health/live", "".join("X-%d: y\r\n" % i for i in range(70)))
    assert raw.refused()[0] == 431
    raw = Raw(broker.http_port)
    raw.request("POST", "/api/v1", "Content-Length: 1048577\r\n")
    assert raw.refused()[0] == 413
    raw = Raw(broker.http_port)
    raw.request("POST", "/api/v1", "Transfer-Encoding: chunked\r\n")
    try:
        for _ in range(20):
            raw.send(b"10000\r\n" + b" " * 65536 + b"\r\n")
    except OSError:
        pass
    assert raw.refused()[0] == 413
    # exactly the largest one
    raw = Raw(broker.http_port)
    raw.request("POST", "/api/v1", "", b'{"req":2,"seq":1}'.ljust(1048576))
    assert raw.answer()[0] == 200


def test_limit_of_connections(broker, api, scale):
    assert api.ask("GET", "/api/v4/brokers")[0] == 200
    held = [Raw(broker.http_port) for _ in range(63)]  # and the one of this test
    for raw in held:
        raw.request("GET", "/health/live")
        assert raw.answer()[0] == 200
    more = Raw(broker.http_port)
    more.closed()
    assert broker.wait_log(r"http: a connection was refused: 64 of http_server.limit_conn, 64, ", time.monotonic() + 10 * scale)
    held.pop().close()

    def served():
        raw = Raw(broker.http_port)
        try:
            raw.request("GET", "/health/live")
            return raw.answer() is not None
        except OSError:
            return False

    wait_until(served, 10 * scale)


def test_limits_of_time(broker, _api, scale):
    broker.write_conf(["http_server.request_timeout = 1s", "http_server.idle_timeout = 1s"])
    assert broker.control("reload")["ok"]
    silent, idle, head, body = (Raw(broker.http_port, 20 * scale) for _ in range(4))
    idle.request("GET", "/health/live")
    assert idle.answer()[0] == 200
    head.send("GET /health/live HTTP/1.1\r\nHo")
    body.request("POST", "/api/v1", "Content-Length: 18\r\n")
    body.send('{"req"')
    assert head.refused()[0] == 408 and body.refused()[0] == 408
    for raw in (silent, idle, head, body):
        raw.closed()
    # one byte now and then does not help
    slow = Raw(broker.http_port, 20 * scale)
    answered, began = False, time.monotonic()
    while not answered and time.monotonic() - began < 15 * scale:
        try:
            slow.send("X")
            slow.sock.settimeout(0.1)
            answered = bool(slow._more())
        except TimeoutError:
            pass
        except OSError:
            break
    assert slow.buffer.startswith(b"HTTP/1.1 408 "), slow.buffer


def test_who_does_not_take_the_answers(broker, api, scale):
    broker.write_conf(["http_server.request_timeout = 1s"])
    assert broker.control("reload")["ok"]
    before = broker.resident_bytes()
    raw = Raw(broker.http_port, 20 * scale)
    raw.sock.settimeout(0.5)
    try:
        for _ in range(2000):
            raw.request("GET", "/api/v4/openapi.json")
    except TimeoutError:
        pass  # it is not read any more: as it should be
    except OSError:
        pass
    assert broker.resident_bytes() - before < 32 << 20
    assert api.ask("GET", "/api/v4/brokers")[0] == 200
    wait_until(lambda: broker.descriptor_count() < 100 and open_connections(broker) == 1, 20 * scale)


def open_connections(broker):
    """Sockets of the HTTP server, from the broker's side."""
    count = 0
    with open("/proc/%d/net/tcp" % broker.process.pid, encoding="ascii") as table:
        for line in table.readlines()[1:]:
            fields = line.split()
            count += fields[1].endswith(":%04X" % broker.http_port) and fields[3] == "01"
    return count


def test_clients_that_come_and_go(broker, api, scale):
    """Requests that are answered later, and nobody there to take the answer: the rest is served as if nothing were."""
    seed = random.randrange(1 << 32)
    print("seed=%d" % seed)
    mqtt = [Mqtt(broker.port, "c%d" % i) for i in range(50)]
    for client in mqtt:
        client.subscribe("t/#", "u/+", qos=1)
    targets = ["/api/v4/clients", "/api/v4/subscriptions", "/api/v4/topic-tree", "/api/v4/metrics", "/metrics",
               "/api/v4/openapi.json", "/api/v4/clients/c1", "/api/v4/retained", "/health/live", "/api/v4/nothing"]
    problems, stop = [], time.monotonic() + 4

    def come_and_go(choices):
        while time.monotonic() < stop and not problems:
            try:
                raw = Raw(broker.http_port, 30 * scale)
                count = choices.randrange(1, 12)
                for _ in range(count):
                    raw.request("GET", choices.choice(targets))
                for _ in range(choices.randrange(count + 1)):
                    answer = raw.answer_or_chunks()
                    if answer[0] not in (200, 404):
                        problems.append(answer)
                if choices.randrange(2):  # with a reset, often in the middle of an answer
                    raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raw.close()
            except (ConnectionError, TypeError):  # more than limit_conn at a time: closed at once
                pass
            except Exception as error:  # pylint: disable=broad-except
                problems.append(repr(error))

    threads = [threading.Thread(target=come_and_go, args=(random.Random(seed + i),)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems
    wait_until(lambda: open_connections(broker) == 0, 20 * scale)
    assert len(api.get("clients")["data"]) == 50
    for client in mqtt:
        client.close()


def test_shutdown(broker, _api, scale):
    broker = ApiBroker(broker.executable, 2, (), scale).start()
    idle, half = Raw(broker.http_port), Raw(broker.http_port)
    idle.request("GET", "/health/live")
    assert idle.answer()[0] == 200
    half.send("GET /health/live HTTP/1.1\r\nHo")
    began = time.monotonic()
    broker.signal(signal.SIGTERM)
    broker.wait_exit(10 * scale)
    assert time.monotonic() - began < 5 * scale
    idle.closed()
    half.closed()
    assert broker.process.returncode == 0, broker.log


def start_fails(executable, folder, *lines):
    path = os.path.join(folder, "other.conf")
    with open(path, "w", encoding="ascii") as out:
        out.write("\n".join(['listeners.tcp.bind = "127.0.0.1:0"', 'system.pid_file = "%s/other.pid"' % folder,
                             *lines]))
    done = subprocess.run([executable, "start", "--conf", path], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode != 0, done
    return done.stderr


def test_what_keeps_it_from_starting(broker, _api, _scale):
    sentence = start_fails(broker.executable, broker.directory, "http_server.port = %d" % broker.http_port,
                           "http_server.enable = true")
    assert re.search(r"cannot listen on 127\.0\.0\.1 port %d \(http_server\)" % broker.http_port, sentence), sentence
    sentence = start_fails(broker.executable, broker.directory, "http_server.enable = true",
                           "http_server.ip_addr = \"0.0.0.0\"")
    assert "http_server.password" in sentence and "0.0.0.0" in sentence, sentence


def test_without_authentication(broker, api, _scale):
    broker.write_conf(["http_server.auth_type = no_auth"])
    assert broker.control("reload")["ok"]
    api.headers = {}
    assert api.ask("GET", "/api/v4/brokers")[0] == 200
    # a page whose name was pointed at this machine says that name
    for host, status in (("localhost", 200), ("127.0.0.1:80", 200), ("[::1]:8081", 200), ("evil.example", 403), ("1.evil", 403)):
        raw = Raw(broker.http_port)
        raw.send("GET /api/v4/brokers HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
        assert raw.answer()[0] == status, host


def test_nothing_of_it_counts_as_mqtt(broker, api, _scale):
    before = broker.counters()
    for _ in range(20):
        Raw(broker.http_port).close()
        api.ask("GET", "/api/v4/brokers")
    api.ask("GET", "/api/v4/nothing")
    wrong(broker, "admin:wrong", 401)
    counters = broker.counters()
    assert counters["connection_accepted"] == counters["connection_open"] == counters["byte_in"] == 0, counters
    backends = ("http_request_", "http_auth_", "http_client_", "http_breaker_")  # of the client that asks them
    moved = {name: counters[name] - before[name] for name in counters
             if name.startswith("http_") and not name.startswith(backends)}
    assert moved == {"http_done": 20, "http_refused": 2, "http_failed": 0, "http_wrong_password": 1,
                     "http_connection_refused": 0}, moved


def test_operators_get_in_when_the_broker_is_full(broker, _api, scale):
    broker = ApiBroker(broker.executable, 1, ["limits.max_connections = 1"], scale).start()
    client = Mqtt(broker.port, "only")
    other = Raw(broker.port)
    other.closed()
    assert Api(broker.http_port).ask("GET", "/api/v4/clients")[1]["data"][0]["client_id"] == "only"
    assert broker.counters()["connection_refused"] == 1
    client.close()
    assert broker.stop() is None


def test_the_log_has_the_paths_as_they_came(broker, api, scale):
    for path in ("/api/v4/clients/a%2Fb%2Fc", "/api/v4/retained/%0D%0Aforged%20%1B", "/api/v4/banned/clientid/%C3%A4"):
        assert api.raw("DELETE", path)[0].status == 404
        assert broker.wait_log(re.escape("DELETE %s from 127.0.0.1" % path), time.monotonic() + 10 * scale), broker.log


def test_no_secret_is_shown(broker, _api, scale):
    secret = "n0b0dy-sees-this"
    broker = ApiBroker(broker.executable, 2, ["http_server.password = \"%s\"" % secret], scale).start()
    api = Api(broker.http_port, account="admin:" + secret)
    seen = []
    for path, item in api.ask("GET", "/api/v4/openapi.json")[1]["paths"].items():
        if "get" in item:
            seen.append(api.raw("GET", path.replace("{section}", "http_server").replace("{", "").replace("}", ""))[1])
    for number in (2, 4, 5, 11, 13):
        seen.append(api.raw("POST", "/api/v1", json.dumps({"req": number, "seq": 1}))[1])
    for body in ({"req": 12, "seq": 1, "data": {"http_server": {"password": 7}}},
                 {"req": 12, "seq": 1, "data": {"http_server": {"password": secret + "x" * 300}}}):
        answer, text = api.raw("POST", "/api/v1", json.dumps(body))
        assert answer.status == 400, (answer.status, text)
        seen.append(text)
    wrong(broker, "admin:%s2" % secret, 401)
    seen.append(json.dumps(broker.control("stats")).encode())
    assert len(seen) > 20 and not any(secret.encode() in text for text in seen)
    assert broker.stop() is None
    assert not any(secret in line for line in broker.log)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    options = parser.parse_args()
    tests = [value for name, value in globals().items() if name.startswith("test_")]
    sys.exit(1 if run(tests, options, shard_counts=(2,)) else 0)


if __name__ == "__main__":
    main()
