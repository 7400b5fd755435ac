#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Lists over HTTP: their members and order, filters, pages, odd names, long lists while clients come and go, lists that
nobody takes; kicking; retained messages."""

import argparse
import base64
import json
import random
import socket
import struct
import sys
import time
import urllib.parse

from api_client import Api, Mqtt, packet, run, text, wait_until

ODD_NAMES = ["a/b", "100%", 'say "hi"', "back\\slash", "ключ-é-日本", "__proto__", "constructor", " blank ", "a?b&c=d#e",
             "\x7f\x01", "../..", "+", "%2F", "username"]

CLIENT_MEMBERS = ["client_id", "username", "keepalive", "conn_state", "clean_start", "proto_name", "proto_ver"]


def quote(name):
    return urllib.parse.quote(name, safe="")


def ids(answer):
    return [client["client_id"] for client in answer["data"]]


def test_client_members(broker, api, _scale):
    before = time.time()
    plain = Mqtt(broker.port, "plain", keepalive=30)
    rich = Mqtt(broker.port, "rich", 5, False, "bob", 7, ("w/t", "gone"), expiry=60)
    old = Mqtt(broker.port, "old", 3)
    rich.subscribe("x/#", "$share/g/y", qos=1)
    for _ in range(5):
        plain.publish("x/1", "0123456789", 1)
    for _ in range(5):  # not acknowledged
        assert rich.receive()[0] >> 4 == 3
    # what was sent counts when the kernel's answer has been looked at
    wait_until(lambda: api.get("clients/rich")["data"][0]["send_msg"] == 5)
    clients = {client["client_id"]: client for client in api.get("clients")["data"]}
    assert sorted(clients) == ["old", "plain", "rich"]
    for client in clients.values():
        assert list(client)[:7] == CLIENT_MEMBERS, client
        assert client["ip_address"] == "127.0.0.1" and client["conn_state"] == "connected"
    one = clients["rich"]
    assert (one["username"], one["keepalive"], one["clean_start"], one["proto_name"], one["proto_ver"]) == \
        ("bob", 7, False, "MQTT", 5)
    assert list(one)[7:9] == ["will_topic", "will_msg"] and (one["will_topic"], one["will_msg"]) == ("w/t", "gone")
    assert one["port"] == rich.sock.getsockname()[1]
    assert abs(time.mktime(time.strptime(one["connected_at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone - before) < 30
    assert (one["expiry_interval"], one["subscriptions_cnt"], one["inflight"], one["mqueue_len"]) == (60, 2, 5, 0)
    assert (one["send_msg"], one["recv_msg"]) == (5, 0) and one["send_oct"] > 5 * 15
    assert clients["plain"]["recv_msg"] == 5 and clients["plain"]["recv_oct"] > 5 * 15
    assert "will_topic" not in clients["plain"] and clients["plain"]["username"] == ""
    assert (clients["old"]["proto_name"], clients["old"]["proto_ver"]) == ("MQIsdp", 3)
    assert api.get("clients/rich")["data"] == [one]
    assert api.get("clients/username/bob")["data"] == [one]
    assert api.get("clients/nobody")["data"] == [] and api.get("clients/username/nobody")["data"] == []
    rich.close()
    gone = wait_until(lambda: [c for c in api.get("clients/rich")["data"] if c["conn_state"] == "disconnected"])[0]
    plain.publish("x/1", "queued", 1)
    gone = api.get("clients/rich")["data"][0]
    assert gone["ip_address"] is None and gone["port"] is None and "disconnected_at" in gone
    assert 50 <= gone["expires_in"] <= 60 and gone["mqueue_len"] == 1 and gone["inflight"] == 5, gone
    assert [c["connect_status"] for c in api.code(5) if c["client_id"] == "rich"] == [0]
    short = [c for c in api.code(5) if c["client_id"] == "plain"][0]
    assert list(short) == ["client_id", "username", "keepalive", "protocol", "connect_status", "message_receive"]
    assert short == {"client_id": "plain", "username": "", "keepalive": 30, "protocol": 4, "connect_status": 1,
                     "message_receive": 0}


def test_filters(broker, api, _scale):
    kept = Mqtt(broker.port, "kept", 5, False, "ann", expiry=100)
    kept.disconnect()
    peers = [Mqtt(broker.port, "a%d" % i, 3 + i % 3, True, "bob" if i % 2 else None) for i in range(12)]
    everybody = {"kept"} | {"a%d" % i for i in range(12)}
    for query, wanted in {
            "": everybody,
            "clientid=a3": {"a3"}, "client_id=a3": {"a3"}, "client_id=a3&clientid=a4": set(),
            "username=bob": {"a%d" % i for i in range(1, 12, 2)}, "username=": {"a%d" % i for i in range(0, 12, 2)},
            "conn_state=disconnected": {"kept"}, "conn_state=connected": everybody - {"kept"},
            "clean_start=false": {"kept"}, "clean_start=true": everybody - {"kept"},
            "proto_ver=5": {"kept"} | {"a%d" % i for i in range(2, 12, 3)},
            "proto_name=MQIsdp": {"a%d" % i for i in range(0, 12, 3)}, "proto_name=MQIsdp&proto_ver=4": set(),
            "proto_ver=4&username=bob": {"a1", "a7"}}.items():
        answer = api.get("clients?" + query)
        assert sorted(ids(answer)) == sorted(wanted), (query, ids(answer))
        assert answer["meta"]["count"] == len(wanted)
        paged = api.get("clients?limit=2&" + query)
        assert paged["meta"] == {"page": 1, "limit": 2, "count": len(wanted), "hasnext": len(wanted) > 2} or \
            (not wanted and paged["meta"]["count"] == 0)
        assert ids(paged) == ids(answer)[:2]
    assert ids(api.get("clients/a1?conn_state=disconnected")) == []
    assert ids(api.get("clients/a1?clientid=a2")) == []
    assert ids(api.get("clients/username/bob?proto_ver=4")) == ids(api.get("clients?username=bob&proto_ver=4"))
    for path in ["clients?nothing=1", "clients?conn_state=gone", "clients?clean_start=1", "clients?proto_ver=6",
                 "clients?proto_ver=x", "clients?proto_name=mqtt", "clients?page=0", "clients?page=-1",
                 "clients?limit=0", "clients?limit=10001", "clients?page=1&page=2",
                 "clients/a1?nothing=1", "clients/username/bob?limit=x", "subscriptions?qos=3", "subscriptions?a",
                 "retained?topic=a/%23/b", "retained?topic=", "retained?topic=$share/g/x", "topic-tree?limit=1",
                 "clients?username=%ff", "clients/%00", "clients/%c0%af"]:
        status, answer = api.ask("GET", "/api/v4/" + path)
        assert (status, answer["code"]) == (400, 108), (path, status, answer)
    for peer in peers:
        peer.close()


def test_odd_names(broker, api, _scale):
    peers, filters = [], {}
    for name in ODD_NAMES:
        level = name.replace("+", "p").replace("#", "h")
        filters[name] = [level + "/+/#", "$share/" + level.replace("/", "_") + "/s"]
        peers.append(Mqtt(broker.port, name, 5, username=name))
        peers[-1].subscribe(*filters[name])
    assert sorted(ids(api.get("clients"))) == sorted(ODD_NAMES)
    assert sorted(c["client_id"] for c in api.code(5)) == sorted(ODD_NAMES)
    assert sorted(c["client_id"] for c in api.code(4)) == sorted(ODD_NAMES)
    for name in ODD_NAMES:
        assert ids(api.get("clients/" + quote(name))) == [name]
        assert ids(api.get("clients/username/" + quote(name))) == [name]
        assert ids(api.get("clients?username=%s&clientid=%s" % (quote(name), quote(name)))) == [name]
        listed = [one["topic"] for one in api.get("subscriptions/" + quote(name))["data"]]
        assert sorted(listed) == sorted(filters[name]), listed
        assert api.ask("DELETE", "/api/v4/clients/" + quote(name)) == (200, {"code": 0})
    assert wait_until(lambda: ids(api.get("clients")) == [])
    for peer in peers:
        peer.close()


def test_pages(broker, api, _scale):
    peers = [Mqtt(broker.port, "c%03d" % i) for i in range(250)]
    whole = ids(api.get("clients"))
    assert sorted(whole) == ["c%03d" % i for i in range(250)]
    for limit in (1, 7, 100, 249, 250, 251, 10000):
        pages, page = [], 1
        while limit > 1 or page < 4:
            answer = api.get("clients?page=%d&limit=%d" % (page, limit))
            pages += ids(answer)
            assert answer["meta"] == {"page": page, "limit": limit, "count": 250, "hasnext": page * limit < 250}
            page += 1
            if not answer["meta"]["hasnext"]:
                break
        assert pages == whole[:len(pages)] and (limit == 1 or len(pages) == 250)
    assert ids(api.get("clients?page=2")) == whole[100:200]
    answer = api.get("clients?page=1000000000&limit=10000")
    assert answer["data"] == [] and answer["meta"]["count"] == 250
    for peer in peers:
        peer.close()


def test_subscriptions(broker, api, _scale):
    one, two, none = Mqtt(broker.port, "one"), Mqtt(broker.port, "two"), Mqtt(broker.port, "none")
    one.subscribe("a/b", "+/x/#", qos=1)
    one.subscribe("$share/g/a/b", "$SYS/#", qos=2)
    two.subscribe("a/b", "a/c", "/", "a//b")
    flat = api.get("subscriptions")["data"]
    assert all(list(row) == ["clientid", "topic", "qos"] for row in flat)
    assert sorted(map(tuple, (row.values() for row in flat))) == sorted([
        ("one", "a/b", 1), ("one", "+/x/#", 1), ("one", "$share/g/a/b", 2), ("one", "$SYS/#", 2),
        ("two", "a/b", 0), ("two", "a/c", 0), ("two", "/", 0), ("two", "a//b", 0)])
    assert len(api.get("subscriptions/one")["data"]) == 4 and api.get("subscriptions/none")["data"] == []
    assert api.get("subscriptions/nobody")["data"] == []
    assert [row["clientid"] for row in api.get("subscriptions?topic=%24share/g/a/b")["data"]] == ["one"]
    assert len(api.get("subscriptions?topic=a/b")["data"]) == 2
    assert len(api.get("subscriptions?qos=2&clientid=one")["data"]) == 2
    assert len(api.get("subscriptions?limit=3&page=3")["data"]) == 2
    grouped = {row["client_id"]: row for row in api.code(4)}
    assert sorted(grouped) == ["one", "two"] and list(grouped["one"]) == ["client_id", "subscriptions"]
    assert sorted((s["topic"], s["qos"]) for s in grouped["one"]["subscriptions"]) == \
        [("$SYS/#", 2), ("$share/g/a/b", 2), ("+/x/#", 1), ("a/b", 1)]
    assert list(grouped["one"]["subscriptions"][0]) == ["topic", "qos"]
    check_tree(api.get("topic-tree")["data"], "clientid", flat)
    check_tree(api.code(13), "client_id", flat)
    branch = api.get("topic-tree?topic=a")["data"]
    assert branch[0] == [{"topic": "", "cld_cnt": 1, "clientid": []}]
    assert [node["topic"] for node in branch[2]] == ["", "b", "c"]
    for peer in (one, two, none):
        peer.close()
    assert wait_until(lambda: api.get("topic-tree")["data"] == [[{"topic": "", "cld_cnt": 0, "clientid": []}]])
    assert api.code(13) == [[{"topic": "", "cld_cnt": 0, "client_id": []}]] and api.code(4) == []


def check_tree(tree, member, flat):
    """The tree against one that is made of the flat list."""
    nodes = {(): set()}
    children = {(): set()}
    for row in flat:
        path = tuple(row["topic"].split("/"))
        for depth in range(1, len(path) + 1):
            nodes.setdefault(path[:depth], set())
            children.setdefault(path[:depth], set())
            children[path[:depth - 1]].add(path[:depth])
        nodes[path].add(row["clientid"])
    assert len(tree) == 1 + max((len(path) for path in nodes), default=0)
    for depth, level in enumerate(tree):
        wanted = sorted([path[-1] if path else "", len(children[path]), sorted(nodes[path])]
                        for path in nodes if len(path) == depth)
        assert all(list(node) == ["topic", "cld_cnt", member] for node in level)
        assert sorted([node["topic"], node["cld_cnt"], sorted(node[member])] for node in level) == wanted


def test_trees_of_any_form(broker, api, _scale):
    generator = random.Random(11)
    names = ["", "a", "a!", "aa", "b", "+", "ä", "a b"]  # some sort before a slash, and some begin like others
    peers = [Mqtt(broker.port, "tree-%d" % i) for i in range(4)]
    for round_number in range(10):
        for peer in peers:
            filters = {"/".join(generator.choice(names) for _ in range(generator.randrange(1, 6))) for _ in range(20)}
            peer.subscribe(*sorted(filters - {""}), "a/#")
        flat = api.get("subscriptions")["data"]
        assert len(flat) > 40
        check_tree(api.get("topic-tree")["data"], "clientid", flat)
    for peer in peers:
        peer.close()


def test_the_tree_of_deep_filters(broker, api, _scale):
    peer = Mqtt(broker.port, "deep")
    below = "/b" * 126
    for begin in range(0, 4000, 100):
        peer.subscribe(*("%d%s" % (i, below) for i in range(begin, begin + 100)))
    status, answer = api.ask("GET", "/api/v4/topic-tree")
    assert status == 503 and "nodes" in answer["message"], (status, answer)
    branch = api.get("topic-tree?topic=17")["data"]
    assert len(branch) == 128 and all(len(level) == 1 for level in branch) and branch[127][0]["clientid"] == ["deep"]
    peer.close()
    assert wait_until(lambda: len(api.get("topic-tree")["data"]) == 1)


def test_kick(broker, api, _scale):
    watcher = Mqtt(broker.port, "watcher")
    watcher.subscribe("will/#")
    new = Mqtt(broker.port, "new", 5, False, expiry=100, will=("will/new", "gone"))
    assert api.ask("DELETE", "/api/v4/clients/new") == (200, {"code": 0})
    first, body = new.receive()
    assert first == 0xe0 and body[0] == 0x98, (first, body)
    assert new.receive() == (None, b"")
    assert watcher.receive()[1].endswith(b"gone")
    assert wait_until(lambda: api.get("clients/new")["data"])[0]["conn_state"] == "disconnected"
    assert api.ask("DELETE", "/api/v4/clients/new")[0] == 404  # nothing to end, and its session is to be kept
    assert api.ask("DELETE", "/api/v4/clients/new?session=remove") == (200, {"code": 0})
    assert api.get("clients/new")["data"] == []
    status, answer = api.ask("DELETE", "/api/v4/clients/new?session=remove")
    assert (status, answer["code"]) == (404, 112) and answer["message"]
    new = Mqtt(broker.port, "new", 5, False, expiry=100)
    assert api.ask("DELETE", "/api/v4/clients/new?reason_code=139") == (200, {"code": 0})
    assert new.receive()[1][0] == 139
    new = Mqtt(broker.port, "new", 5, False, expiry=100)
    assert api.ask("DELETE", "/api/v4/clients/new", {"reason_code": 137, "session": "remove"}) == (200, {"code": 0})
    assert new.receive()[1][0] == 137
    assert api.get("clients/new")["data"] == []
    old = Mqtt(broker.port, "old", 4, False)
    assert api.ask("DELETE", "/api/v4/clients/old", {})[0] == 200
    assert old.receive() == (None, b"")
    for query, body in (("?reason_code=0", None), ("?reason_code=133", None), ("?reason_code=999", None),
                        ("?session=", None), ("", {"reason_code": "152"}), ("", {"reason_code": 1}), ("", {"x": 1}),
                        ("", {"session": None}), ("", [])):
        status, answer = api.ask("DELETE", "/api/v4/clients/watcher" + query, body)
        assert (status, answer["code"]) == (400, 108), (query, body, status, answer)
    assert api.ask("DELETE", "/api/v4/clients/watcher", "{")[1]["code"] == 109
    assert api.get("clients/watcher")["data"][0]["conn_state"] == "connected"
    assert broker.counters()["session_kicked"] == 4
    watcher.close()


def test_retained(broker, api, scale):
    peer = Mqtt(broker.port, "peer", 5)
    peer.publish("r/text", "grüße", 1, True)
    peer.publish("r/bytes", b"\x00\xff\x01", 1, True)
    props = b"\x01\x01" + b"\x02" + struct.pack(">I", 500) + b"\x03" + text("text/plain") + b"\x08" + text("re/ply") + \
        b"\x09" + text(b"\xff\x00") + b"\x26" + text("k") + text("v") + b"\x26" + text("k") + text('"2"')
    peer.publish("r/rich/ключ", "{}", 2 - 1, True, props)
    peer.publish("r/short", "x", 1, True, b"\x02" + struct.pack(">I", 1))
    rows = {row["topic"]: row for row in api.get("retained")["data"]}
    assert {"r/text", "r/bytes", "r/rich/ключ"} <= set(rows)
    assert rows["r/text"] == {"topic": "r/text", "qos": 1, "size": 7, "expires_in": None}
    assert 400 <= rows["r/rich/ключ"]["expires_in"] <= 500
    assert api.get("retained/r%2Ftext")["data"]["payload"] == "grüße"
    coded = api.get("retained/r%2Ftext?encoding=base64")["data"]
    assert coded["encoding"] == "base64" and base64.b64decode(coded["payload"]).decode() == "grüße"
    raw = api.get("retained/r%2Fbytes")["data"]
    assert raw["encoding"] == "base64" and base64.b64decode(raw["payload"]) == b"\x00\xff\x01"
    assert api.ask("GET", "/api/v4/retained/r%2Fbytes?encoding=plain")[0] == 400
    rich = api.get("retained/" + quote("r/rich/ключ"))["data"]
    assert rich["properties"] == {
        "payload_format_indicator": 1, "content_type": "text/plain", "response_topic": "re/ply",
        "correlation_data": base64.b64encode(b"\xff\x00").decode(), "correlation_data_encoding": "base64",
        "user_properties": [{"key": "k", "value": "v"}, {"key": "k", "value": '"2"'}]}
    assert wait_until(lambda: "r/short" not in {r["topic"] for r in api.get("retained")["data"]}, 10 * scale)
    assert len(api.get("retained?topic=r/%2B")["data"]) == 2 and len(api.get("retained?topic=r/text")["data"]) == 1
    assert api.get("retained?topic=q/%23")["data"] == []
    assert api.get("retained?topic=r/%23&limit=2&page=2")["meta"] == {"page": 2, "limit": 2, "count": 3,
                                                                     "hasnext": False}
    assert api.ask("DELETE", "/api/v4/retained/r%2Ftext") == (200, {"code": 0})
    assert api.ask("DELETE", "/api/v4/retained/r%2Ftext")[0] == 404 and api.ask("GET", "/api/v4/retained/r%2Ftext")[0] == 404
    for topic in ("r%2F%23", "%2B"):
        assert api.ask("GET", "/api/v4/retained/" + topic)[0] == 400
        assert api.ask("DELETE", "/api/v4/retained/" + topic)[0] == 400
    peer.subscribe("r/#")
    wait_until(lambda: broker.counters()["retained_count"] == 2)
    peer.close()
    big = Mqtt(broker.port, "big", 5)
    big.publish("r/big", b"y" * 900000, 1, True)
    assert api.get("retained/r%2Fbig")["data"]["payload"] == "y" * 900000
    big.close()


def test_expired_sessions(broker, api, scale):
    for i in range(300):
        Mqtt(broker.port, "short-%d" % i, 5, False, expiry=1).disconnect()
        Mqtt(broker.port, "long-%d" % i, 5, False, expiry=1000).disconnect()
    answer = wait_until(lambda: (a := api.get("clients"))["meta"]["count"] == 300 and a, 20 * scale)
    assert sorted(ids(answer)) == sorted("long-%d" % i for i in range(300))
    assert all(c["conn_state"] == "disconnected" for c in answer["data"])


def open_many(broker, count):
    """Bare sockets: connected, one subscription each."""
    socks = []
    for start in range(0, count, 500):
        batch = []
        for i in range(start, min(start + 500, count)):
            sock = socket.create_connection(broker.address, 30)
            sock.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x00" + text("many-%05d" % i)) +
                         packet(0x82, b"\x00\x01" + text("t/%d" % i) + b"\x00"))
            batch.append(sock)
        for sock in batch:
            need = 4 + 5
            while need > 0:
                need -= len(sock.recv(need))
        socks += batch
    return socks


def test_many_clients(broker, api, scale):
    count = 10000 if scale == 1 else 2000
    socks = open_many(broker, count)
    names = {"many-%05d" % i for i in range(count)}
    listed = ids(api.get("clients"))
    assert len(listed) == count and set(listed) == names
    assert {c["client_id"] for c in api.code(5)} == names
    assert len(api.get("subscriptions")["data"]) == count and len(api.code(4)) == count
    tree = api.get("topic-tree")["data"]
    assert tree[1] == [{"topic": "t", "cld_cnt": count, "clientid": []}] and len(tree[2]) == count
    generator = random.Random(7)  # some go and others come while lists are read: who stays is in each, once
    for round_number in range(5):
        stays = set(names)
        lister = Api(broker.http_port, 30 * scale)
        lister.connection.request("GET", "/api/v4/clients", headers=lister.headers)
        answer = lister.connection.getresponse()
        parts = []
        while part := answer.read(20000):
            parts.append(part)
            for _ in range(5):
                i = generator.randrange(count)
                socks[i].close()
                stays.discard("many-%05d" % i)
                socks[i] = Mqtt(broker.port, "new-%d-%d" % (round_number, len(parts) * 10 + _)).sock
        lister.close()
        listed = ids(json.loads(b"".join(parts)))
        assert len(listed) == len(set(listed))
        assert stays <= set(listed), sorted(stays - set(listed))[:5]
        names = stays | {name for name in ids(api.get("clients"))}
        names = {name for name in names if name.startswith("many")} & stays
    for sock in socks:
        sock.close()
    assert wait_until(lambda: api.get("clients")["meta"]["count"] == 0, 30 * scale)


def test_nobody_takes_the_list(broker, api, scale):
    """Clients of the API that ask for a long list and read none of it, read a part, or go away."""
    count = 4000 if scale == 1 else 1000
    socks = open_many(broker, count)
    head = "GET /api/v4/clients HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n" % api.headers["Authorization"]
    askers = []
    for i in range(30):
        asker = socket.socket()
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asker.connect(("127.0.0.1", broker.http_port))
        asker.sendall(head.encode())
        if i % 3 == 0:
            asker.close()
        elif i % 3 == 1:
            asker.recv(3000)
        askers.append(asker)
    for asker in askers[:15]:
        asker.close()
    before = broker.resident_bytes()
    assert Mqtt(broker.port, "meanwhile")  # the shards go on
    assert len(api.get("clients?limit=10")["data"]) == 10  # others get their lists
    assert len(api.get("clients/many-00007")["data"]) == 1
    assert broker.resident_bytes() - before < 64 << 20
    for asker in askers:
        asker.close()
    assert api.get("clients")["meta"]["count"] == count + 1 or api.get("clients")["meta"]["count"] == count
    assert len(api.get("subscriptions?limit=10000")["data"]) == count
    old = socket.create_connection(("127.0.0.1", broker.http_port), 30)  # HTTP/1.0 has no chunks: the end is the end
    old.sendall(head.replace("HTTP/1.1", "HTTP/1.0").encode())
    data = b""
    while part := old.recv(1 << 16):
        data += part
    assert b"chunked" not in data and len(json.loads(data.split(b"\r\n\r\n", 1)[1])["data"]) >= count
    answer, body = api.raw("HEAD", "/api/v4/clients")
    assert answer.status == 200 and body == b""
    assert api.get("clients?limit=1")["meta"]["limit"] == 1  # on the same connection
    for sock in socks:
        sock.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--shards", type=int, nargs="*", default=[1, 3])
    options = parser.parse_args()
    tests = [test for name, test in sorted(globals().items()) if name.startswith("test_") and options.only in name]
    sys.exit(1 if run(tests, options, descriptors=15000, shard_counts=options.shards) else 0)


if __name__ == "__main__":
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (15000, 15000))
    main()
