#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Bad input: whatever is sent gets a 4xx with {"code":..,"message":..}, changes nothing and breaks nothing. Each case is
an accident of some broker before: members of every JSON type, deep nesting, members twice, numbers and strings that are
none, half and slow requests, two lengths for one body, tricks with paths and queries."""

import argparse
import json
import random
import sys
import time

from api_client import Mqtt, run, wait_until
from contract_test import Contract, operations
from raw_http import AUTHORIZATION, Raw

# One value of each kind that JSON has, and the odd ones among them, as text.
VALUES = ['null', 'true', 'false', '0', '-1', '1', '1.5', '1e308', '-1e308', '18446744073709551616', '9' * 400, '""', '"x"',
          '"%s"' % ("y" * 70000), '[]', '{}', '[[]]', '{"a":1}', '[null]', '"\\ud83d\\ude00"', '"#"', '"/"', '"$SYS"']
NOT_JSON = ['', ' ', '{', '}', '[', '{"req":2', '{"req":2}x', '{"req":2}{"req":2}', '{"req" 2}', '{req:2}', "{'req':2}",
            '{"req":2,}', '[1,]', '{"req":01}', '{"req":+1}', '{"req":.5}', '{"req":1.}', '{"req":1e}', '{"req":0x2}',
            '{"req":NaN}', '{"req":Infinity}', '{"req":tru}', '{"req":1e999}', '{"req":-1e999}', '"\\x"', '"\\u12"',
            '"\\ud800"', '"\\udc00\\ud800"', '{"a":"\\u0000"}', '{"\\u0000":1}', '{"a":1,"a":1}', '{"a":1,"\\u0061":1}',
            '{"a":{"b":1,"b":2}}', '[' * 10000, '[' * 10000 + ']' * 10000, '{"a":' * 10000 + '1' + '}' * 10000,
            '{"req":2,"seq":1,"x":' + '[' * 500 + ']' * 500 + '}', '/* c */{}', '\ufeff{}', '{"a":"\t"}', '{"a":"\n"}',
            '{%s}' % ",".join('"m%d":1' % i for i in range(300)), '[' + '1,' * 300000 + ']']
NOT_UTF8 = [b'{"a":"\xff"}', b'{"a":"\xc0\xaf"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xf5\x80\x80\x80"}', b'{"a":"\xe2\x82"}',
            b'{"\x80":1}', b'{"a":"\x00"}', b'\x00', b'\xef\xbb\xbf{}', b'\xff\xfe{\x00}\x00']


def state(broker, api):
    """What no bad request may change."""
    counters = broker.counters()
    kept = {name: counters[name] for name in ("message_in", "message_out", "connection_open", "session_count",
                                              "subscription_count", "retained_count")}
    with open(broker.conf_path, encoding="utf-8") as file:
        kept["file"] = file.read()
    for path in ("/api/v4/clients", "/api/v4/subscriptions", "/api/v4/configuration", "/api/v4/reload"):
        answer, text = api.raw("GET", path)
        if answer.status == 200:
            kept[path] = text
    return kept


class Unchanged:
    def __init__(self, broker, api):
        self.broker, self.api = broker, api
        self.client = Mqtt(broker.port, "witness", 5, False, "bob", 0, expiry=600)
        self.client.subscribe("#", qos=1)
        self.client.publish("kept", "x", 1, True)

    def __enter__(self):
        def settled():
            counters = self.broker.counters()
            return counters["message_out"] == counters["retained_count"] == 1 and self.broker.law_broken() is None

        wait_until(settled, 10 * self.broker.time_scale)
        self.before = state(self.broker, self.api)
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            after = state(self.broker, self.api)
            assert after == self.before, {name: (self.before[name], after.get(name)) for name in self.before
                                          if self.before[name] != after.get(name)}
        self.client.close()


def bodies_of(contract, operation):
    """(schema, example as a dictionary) for each form of body that the operation takes."""
    media = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if media is None:
        return
    schema = contract.schemas.resolve(media["schema"])
    for one in schema.get("oneOf", [schema]):
        yield contract.schemas.resolve(one), contract.schemas.example(one, True)


def refused(api, method, url, body, codes=None):
    answer, text = api.raw(method, url, body)
    what = (method, url, body if len(body) < 300 else body[:300])
    assert 400 <= answer.status < 500, (what, answer.status, text[:300])
    parsed = json.loads(text)
    assert isinstance(parsed["message"], str) and parsed["code"] != 0, (what, text)
    assert codes is None or parsed["code"] in codes, (what, text)


def members_of(example):
    """Paths to every member, at any depth."""
    if isinstance(example, dict):
        for name, value in example.items():
            yield (name,)
            for path in members_of(value):
                yield (name,) + path
    elif isinstance(example, list) and example:
        for path in members_of(example[0]):
            yield (0,) + path


def replaced(example, path, value):
    copy = json.loads(json.dumps(example))
    at = copy
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return copy


def test_every_member_with_every_type(broker, api, _scale):
    contract = Contract(broker, api)
    with Unchanged(broker, api):
        sent = 0
        for path, method, operation in operations(contract.document):
            url = contract.url(path, operation, {}, False)
            for schema, example in bodies_of(contract, operation):
                for member in members_of(example):
                    for text in VALUES:
                        body = replaced(example, member, json.loads(text))
                        # a value that fits its type may be right; what the handlers say of those is their tests'
                        if not contract.schemas.problems(schema, body):
                            continue
                        refused(api, method.upper(), url, json.dumps(body), (102, 107, 108, 109))
                        sent += 1
                for text in VALUES:
                    if contract.schemas.problems(schema, json.loads(text)):
                        refused(api, method.upper(), url, text)
                        sent += 1
        assert sent > 100, sent


def test_what_is_no_json(broker, api, _scale):
    contract = Contract(broker, api)
    with Unchanged(broker, api):
        for path, method, operation in operations(contract.document):
            url = contract.url(path, operation, {}, False)
            if not any(bodies_of(contract, operation)):
                continue
            for body in [text.encode() for text in NOT_JSON] + NOT_UTF8:
                if body.strip() == b"" and not operation["requestBody"].get("required", True):
                    continue
                if body == b"" and method == "delete":
                    continue  # it may lack its body
                refused(api, method.upper(), url, body)


def test_envelopes(broker, api, _scale):
    for seq in ("0", "1", "9007199254740993", "18446744073709551615"):
        answer, text = api.raw("POST", "/api/v1", '{"seq": %s, "req": 2}' % seq)
        assert answer.status == 200 and text.startswith(b'{"code":0,"seq":%s,"rep":2,' % seq.encode()), text
    answer, text = api.raw("POST", "/api/v1", '{"req":2}')
    assert answer.status == 200 and text.startswith(b'{"code":0,"seq":0,"rep":2,'), text
    for body, status, start in (
            ('[]', 400, b'{"code":109,"seq":0,"message":'), ('2', 400, b'{"code":109,"seq":0,"message":'),
            ('{"seq":7}', 400, b'{"code":107,"seq":7,"message":'),
            ('{"req":"2","seq":7}', 400, b'{"code":108,"seq":7,"message":'),
            ('{"req":0,"seq":7}', 404, b'{"code":102,"seq":7,"message":'),
            ('{"req":-2,"seq":7}', 404, b'{"code":102,"seq":7,"message":'),
            ('{"req":2.5,"seq":7}', 404, b'{"code":102,"seq":7,"message":'),
            ('{"req":1,"seq":18446744073709551615}', 404, b'{"code":102,"seq":18446744073709551615,"rep":1,"message":'),
            ('{"req":6,"seq":7}', 404, b'{"code":102,"seq":7,"rep":6,"message":'),
            ('{"req":2,"seq":-1}', 400, b'{"code":108,"seq":0,"rep":2,"message":'),
            ('{"req":2,"seq":1.5}', 400, b'{"code":108,"seq":0,"rep":2,"message":'),
            ('{"req":2,"seq":"1"}', 400, b'{"code":108,"seq":0,"rep":2,"message":'),
            ('{"req":2,"seq":null}', 400, b'{"code":108,"seq":0,"rep":2,"message":'),
            ('{"req":2,"seq":99999999999999999999999999}', 400, b'{"code":108,"seq":0,"rep":2,"message":'),
            ('{"req":2,"seq":18446744073709551616}', 400, b'{"code":108,"seq":0,"rep":2,"message":'),
            ('{"req":2,"seq":1,"else":1}', 400, b'{"code":108,"seq":1,"rep":2,"message":')):
        answer, text = api.raw("POST", "/api/v1", body)
        assert answer.status == status and text.startswith(start), (body, answer.status, text)
    # any method, as NanoMQ has it
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer, text = api.raw(method, "/api/v1", '{"req":2,"seq":3}')
        assert answer.status == 200 and text.startswith(b'{"code":0,"seq":3,"rep":2,'), (method, text)


def test_bodies_of_every_length(broker, api, _scale):
    """Around each power of two, where buffers grow."""
    lengths = sorted({(1 << k) + d - cut for k in range(5, 17) for d in (-1, 0, 1) for cut in (0, 250)} & set(range(20, 1 << 17)))
    for length in lengths:
        answer, text = api.raw("POST", "/api/v1", b'{"req":2,"seq":1}'.ljust(length))
        assert answer.status == 200, (length, text)
        answer, text = api.raw("POST", "/api/v1", b'{"req":2,"seq":"' + b"x" * (length - 18) + b'"}')
        assert answer.status == 400 and json.loads(text)["code"] == 108, (length, text)
        answer, text = api.raw("POST", "/api/v1", b'"' + b"x" * (length - 1))
        assert answer.status == 400 and json.loads(text)["code"] == 109, (length, text)
    del broker


def test_two_readers_must_not_disagree(broker, api, _scale):
    start = "POST /api/v1 HTTP/1.1\r\nHost: h\r\n" + AUTHORIZATION
    inner = "GET /api/v4/clients HTTP/1.1\r\nHost: h\r\n" + AUTHORIZATION + "\r\n"
    cases = [
        start + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        start + "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
        start + "Content-Length: 6\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
        start + "Content-Length: 6\r\nContent-Length: 7\r\n\r\n0\r\n\r\n",
        start + "Content-Length: 6, 6\r\n\r\n0\r\n\r\n",
        start + "Content-Length: +6\r\n\r\n0\r\n\r\n",
        start + "Content-Length: 6 6\r\n\r\n0\r\n\r\n",
        start + "Content-Length: -1\r\n\r\n",
        start + "Content-Length: 0x6\r\n\r\n0\r\n\r\n",
        start + "Content-Length : 6\r\n\r\n0\r\n\r\n",
        start + "Content-Length:\r\n\r\n",
        start + "Content-Length: 18446744073709551622\r\n\r\n0\r\n\r\n",
        start + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        start + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        start + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        start + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        start + "Transfer-Encoding:\tchunked\r\n x\r\n\r\n0\r\n\r\n",
        start + "X: y\r\n Content-Length: 6\r\n\r\n",
        start + "X: y\rContent-Length: 6\r\n\r\n",
        start + "X: y\nContent-Length: 6\r\n\r\n",
        start.replace("\r\n", "\n") + "\n",
        start + "X\x00Y: z\r\n\r\n",
        start + "X: y\x00\r\n\r\n",
        start + "\x00: y\r\n\r\n",
        start + "Transfer-Encoding: chunked\r\n\r\n0\n\n",
        start + "Transfer-Encoding: chunked\r\n\r\n5;\nx\r\n",
        start + "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
        start + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        start + "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX",
        start.replace("HTTP/1.1", "HTTP/1.0") + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        start.replace("Host: h\r\n", "") + "\r\n",
        start.replace("Host: h\r\n", "Host: h\r\nHost: g\r\n") + "\r\n",
        start.replace("HTTP/1.1", "HTTP/1.1 ") + "\r\n",
        start.replace("POST ", "POST\t") + "\r\n",
        start.replace("/api/v1", "") + "\r\n",
        " " + start + "\r\n",
    ]
    with Unchanged(broker, api):
        for case in cases:
            raw = Raw(broker.http_port)
            raw.send(case.encode("latin-1") + inner.encode())
            status, _ = raw.refused(range(400, 506))
            assert status not in (500, 503, 504), (case, status)
            raw.closed()  # and what stood behind it is not answered
            raw.close()


def test_versions_that_are_not_spoken(broker, _api, _scale):
    for line in ("GET /\r\n", "GET / HTTP/2.0\r\nHost: h\r\n", "GET / HTTP/0.9\r\nHost: h\r\n", "GET / HTTP/9.9\r\nHost: h\r\n",
                 "GET / XTTP/1.1\r\nHost: h\r\n", "GET / HTTP/1\r\nHost: h\r\n", "PRI * HTTP/2.0\r\n"):
        raw = Raw(broker.http_port)
        raw.send(line + "\r\n")
        assert raw.refused((400, 505))
        raw.closed()
    for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00", b"\x00" * 100):
        raw = Raw(broker.http_port)
        raw.send(data)
        assert raw.refused((400,))
        raw.closed()


def test_paths(broker, api, _scale):
    api4 = "/api/v4"
    with Unchanged(broker, api):
        for path in ("/..", "/../../etc/passwd", "/api/v4/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//api/v4/brokers",
                     "/api//v4/brokers", "/api/v4//brokers", "/api/v4/brokers//", "/api/v4/./brokers", "/API/V4/BROKERS",
                     "/api/v4/brokers/x", "/api/v4/brokers%2f", "/api/v4/brokers%00", "/api/v4/brokers;x", "/get_file?path=/",
                     "/api/v4/clients//", "/api/v2", "/api", "/", "/api/v4/clients/a/b/c", "/api/v4/clients/%zz",
                     "/api/v4/clients/%", "/api/v4/clients/%0", "/api/v4/clients/%00", "/api/v4/clients/%ff", "/api/v4/clients/%c0%af",
                     "/api/v4/clients/%ed%a0%80", "/" + "a/" * 3000, "/api/v4/" + "%41" * 2000):
            raw = Raw(broker.http_port)
            raw.request("GET", path)
            status, code = raw.refused((400, 404))
            assert code in (102, 108), (path, status, code)
            raw.close()
        for target in ("*", "api/v4", "http:" "//h", "http:" "//user@h/api/v4", api4 + "#x", "?x", "h:80"):
            raw = Raw(broker.http_port)
            raw.request("GET", target)
            raw.refused((400, 404, 405))
            raw.close()


def test_queries(broker, api, _scale):
    with Unchanged(broker, api):
        for query in ("?a", "?=", "?a=", "?%", "?%0", "?%zz", "?%00", "?page", "?page=", "?page=0", "?page=-1", "?page=x", "?page=1.5",
                      "?page=1e3x", "?page=0x1", "?page=%00", "?page=%31%00", "?page=1&page=2", "?page=1&pag%65=2",
                      "?page=99999999999999999999999", "?limit=1000000", "?proto_ver=6", "?conn_state=maybe", "?clean_start=1",
                      "?Page=1", "?page[]=1", "?username=%ff", "?username=%C0%AF", "?page=NaN", "?page=%20" + "1",
                      "?" + "&".join("a%d=1" % i for i in range(1000)), "?" + "&".join("page=1" for _ in range(1000)),
                      "?" + "username=x&" * 600, "?page=" + "1" * 4000):
            raw = Raw(broker.http_port)
            raw.request("GET", "/api/v4/clients" + query)
            status, code = raw.refused((400,))
            assert code in (107, 108), (query, status, code)
            raw.close()
        for query in ("?", "?&", "?&&&", "?page=1&&limit=5&", "?username="):
            raw = Raw(broker.http_port)
            raw.request("GET", "/api/v4/clients" + query)
            status, _, body = raw.answer()
            assert status == 200, (query, status, body)
            raw.close()


def test_half_requests(broker, api, _scale):
    """The client goes away at every byte of a request."""
    text = ("POST /api/v1 HTTP/1.1\r\nHost: h\r\n%sContent-Length: 17\r\n\r\n" % AUTHORIZATION + '{"req":2,"seq":1}').encode()
    with Unchanged(broker, api):
        for end in range(1, len(text)):
            raw = Raw(broker.http_port)
            raw.send(text[:end])
            if end % 2:
                raw.half_close()
                assert raw.answer() is None
            raw.close()
    assert api.ask("GET", "/api/v4/brokers")[0] == 200


def test_mutations(broker, api, scale):
    """Good requests with random changes: whatever comes back is an answer, and the broker lives."""
    seed = random.randrange(1 << 32)
    print("seed=%d" % seed)
    choices = random.Random(seed)
    base = [("POST /api/v1 HTTP/1.1\r\nHost: h\r\n%sContent-Length: 17\r\n\r\n" % AUTHORIZATION + '{"req":2,"seq":1}').encode(),
            ("POST /api/v1 HTTP/1.1\r\nHost: h\r\n%sTransfer-Encoding: chunked\r\n\r\n11\r\n" % AUTHORIZATION +
             '{"req":5,"seq":1}\r\n0\r\n\r\n').encode(),
            ("GET /api/v4/clients?page=1&limit=10&username=%%41 HTTP/1.1\r\nHost: h\r\n%s\r\n" % AUTHORIZATION).encode()]
    broker.write_conf(["http_server.auth_type = no_auth"])  # else most end as wrong passwords
    assert broker.control("reload")["ok"]
    with Unchanged(broker, api):
        deadline = time.monotonic() + 8 * scale
        for _ in range(600):
            data = bytearray(choices.choice(base))
            for _ in range(choices.randrange(1, 6)):
                at = choices.randrange(len(data))
                kind = choices.randrange(4)
                if kind == 0:
                    data[at] = choices.randrange(256)
                elif kind == 1:
                    del data[at:at + choices.randrange(1, 8)]
                elif kind == 2:
                    data[at:at] = bytes(choices.randrange(256) for _ in range(choices.randrange(1, 8)))
                else:
                    data[at:at] = data[at:at + choices.randrange(1, 40)]
                if not data:
                    data = bytearray(b"x")
            raw = Raw(broker.http_port)
            try:
                raw.send(bytes(data))
                raw.half_close()
                while (answer := raw.answer()) is not None:
                    assert 200 <= answer[0] < 600 and answer[0] != 500, (bytes(data), answer)
            except (ConnectionResetError, BrokenPipeError):
                pass
            finally:
                raw.close()
            assert time.monotonic() < deadline + 60 * scale
    assert broker.alive()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    options = parser.parse_args()
    tests = [value for name, value in globals().items() if name.startswith("test_")]
    sys.exit(1 if run(tests, options, shard_counts=(2,)) else 0)


if __name__ == "__main__":
    main()
