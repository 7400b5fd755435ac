#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Who may do what, on every kind of listener: the ways past an access list that other brokers had.

What is about passwords, tokens, backends, plug-ins and the API has files of its own; all rows and their tests are in
test/scenario/auth_rows.txt, and test_every_row_has_a_test holds the two together.

  B68   names with wildcards and slashes in a pattern         B73 B74  rights that are taken away: retained, queued, live
  B69   names that a regular expression would take            B75      taken away between PUBLISH and PUBREL
  B70   wildcards do not reach topics that begin with $       B76      wills
  B71   an empty list is a list, an unreadable one no start   B77      a forbidden topic within an allowed filter
  B72   the list holds on every listener                      B78      topics of our own
  B79   shared and plain subscriptions                        B80      whose session it is
"""

import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))

from auth import API, KINDS, NOT_AUTHORIZED, Who, ask_all_shards, knock, listeners, start_another  # noqa: E402
from doors import run  # noqa: E402
from mqs import wire  # noqa: E402

ALL = "auth.acl.rules = [{permit = allow}]"


def rules(*lines):
    return "auth.acl.rules = [%s]" % ", ".join("{%s}" % line for line in lines)


def conf(folder):
    return [*base(folder), ALL]


def base(folder):
    return [*listeners(folder), API]


def in_force(broker, folder, *lines):
    """A reload, and what it says holds on every shard."""
    broker.write_conf([*base(folder), *lines])
    answer = broker.control("reload")
    assert answer["ok"] and not answer["restart"], answer
    ask_all_shards(broker)


def acl_file(folder, text):
    path = os.path.join(folder, "acl")
    with open(path, "wb") as out:
        out.write(text)
    return 'auth.acl_file = "%s"' % path


def may(client, topic):
    rc = client.publish(topic)
    assert rc & 0x80 == 0 or rc == NOT_AUTHORIZED, (topic, rc)
    return rc != NOT_AUTHORIZED


def silent(client):
    """Nothing was sent to it so far, by a broker that has done whatever it was asked to."""
    assert client.messages() == []


def names_do_not_widen(broker, folder, names):
    for kind in KINDS:
        for name in names:
            for who in ({"client_id": name}, {"client_id": "plain", "username": name}):
                client = Who(broker, kind, folder, **who)
                assert client.rc == 0, (kind, name, client.connack)
                for topic in ("c/plain2/x", "c/a/b/x", "u/a/b/x", "u/other/x", "c//x", "u//x"):
                    assert not may(client, topic), (kind, name, topic)
                codes = client.subscribe("#", "+/#", "c/#", "c/+/#", "u/#", "u/+/#", "+/+/x", "c/a/b/x", "$SYS/#", "c/+/x")
                assert codes == [NOT_AUTHORIZED] * 10, (kind, name, codes)
                client.close()


def test_names_in_patterns(broker, folder, _deadline_s):
    """B68"""
    names = ["#", "+", "a/b", "/", "+/+", "a+", "x#", "$SYS", "$share/g/c"]
    lists = {"rules": rules('permit = allow, topics = ["c/${clientid}/x", "u/${username}/x"]'),
             "file": acl_file(folder, b"pattern readwrite c/%c/x\npattern readwrite u/%u/x\n")}
    for form, line in lists.items():
        in_force(broker, folder, line)
        names_do_not_widen(broker, folder, names)
        for kind in KINDS:
            client = Who(broker, kind, folder, "plain", username="me")
            assert may(client, "c/plain/x") and may(client, "u/me/x") and not may(client, "u/plain/x"), (form, kind)
            assert client.subscribe("c/plain/x", "u/me/x", "c/+/x") == [0, 0, NOT_AUTHORIZED]
            client.close()
            client = Who(broker, kind, folder, "plain")  # without a user name, and with an empty one
            assert may(client, "c/plain/x") and not may(client, "u//x") and client.subscribe("u//x", "u/+/x") == [NOT_AUTHORIZED] * 2
            client.close()
            client = Who(broker, kind, folder, "plain", username="")
            assert may(client, "c/plain/x") and not may(client, "u//x"), (form, kind)
            client.close()


def test_names_of_regular_expressions(broker, folder, _deadline_s):
    """B69"""
    names = [".*", "[a-z]", "a-z", "-", "\\", "(a|b)", "^", "$", "\\w+", "%", "%c", "${clientid}", "{}", "*", "?", "a*"]
    for line in (rules('permit = allow, topics = ["c/${clientid}/x", "u/${username}/x"]'),
                 acl_file(folder, b"pattern readwrite c/%c/x\npattern readwrite u/%u/x\n")):
        in_force(broker, folder, line)
        names_do_not_widen(broker, folder, [name for name in names if "+" not in name])
        for kind in KINDS:
            for name in (".*", "[a-z]", "-", "\\", "%c"):  # they stand for themselves
                client = Who(broker, kind, folder, name, username=name)
                assert may(client, "c/%s/x" % name) and may(client, "u/%s/x" % name), (kind, name)
                client.close()


def test_dollar_topics(broker, folder, _deadline_s):
    """B70 B78"""
    in_force(broker, folder, rules('permit = allow, topics = ["#", "+/x"]'))
    for kind in KINDS:
        client = Who(broker, kind, folder, "c")
        codes = client.subscribe("#", "+/x", "$share/g/#", "$share/g/+/#", "$SYS/#", "$SYS/+/+", "$share/g/$SYS/#", "$CONTROL/#")
        assert codes[:4] == [0, 0, 0, 0] and codes[4:] == [NOT_AUTHORIZED] * 4, (kind, codes)
        for topic in ("$SYS/brokers", "$SYS/x", "$CONTROL/x", "$share/g/x"):
            assert client.publish(topic) & 0x80, (kind, topic)
        Who(broker, kind, folder, "other").close()  # $SYS/brokers/connected says so
        ask_all_shards(broker)
        silent(client)
        client.close()
    in_force(broker, folder, rules('permit = allow, topics = ["$SYS/#", "#"]'))  # a rule of their own lets them through
    for kind in KINDS:
        client = Who(broker, kind, folder, "c")
        assert client.subscribe("$SYS/#", "$SYS/brokers/connected") == [0, 0]
        for topic in ("$SYS/brokers", "$SYS/brokers/connected"):
            assert client.publish(topic) & 0x80, (kind, topic)  # and are still the broker's
        client.close()


def test_empty_lists(broker, folder, _deadline_s):
    """B71"""
    for text in (b"", b"\n", b"# nothing\n", b"\xef\xbb\xbf", b"  \n\t\n# a comment without an end"):
        in_force(broker, folder, acl_file(folder, text))
        for kind in KINDS:
            client = Who(broker, kind, folder, "c", username="u")
            assert not may(client, "a") and client.subscribe("a", "#") == [NOT_AUTHORIZED] * 2, (kind, text)
            client.close()
    in_force(broker, folder, ALL)
    bad = {"absent": b"", "nul": b"topic a\0b\n", "half": b"topic read a\ntop", "latin1": b"topic \xe4\n", "wild": b"topic a/#/b\n",
           "who": b"user\ntopic a\n", "what": b"topic maybe a\nbanana a\n"}
    for name, text in bad.items():
        line = acl_file(folder, text)
        if name == "absent":
            line = line.replace('/acl"', '/no-such-acl"')
        broker.write_conf([*base(folder), line])
        answer = broker.control("reload")
        assert not answer["ok"] and "acl" in answer["error"], (name, answer)
        for kind in KINDS:  # what was in force is
            client = Who(broker, kind, folder, "c")
            assert may(client, "a") and client.subscribe("#") == [0], (name, kind)
            client.close()
        started = start_another(broker, folder)
        assert started.returncode != 0 and "acl" in started.stdout + started.stderr, (name, started)


def test_every_listener(broker, folder, _deadline_s):
    """B72: also on those that are opened later, with options of their own."""
    mark, extra = len(broker.log), 'listeners.tcp.extra { bind = "127.0.0.1:0", max_connections = 100, max_packet_size = 64KB }'
    in_force(broker, folder, ALL, extra)
    found = broker.wait_log(r"listening on tcp://", time.monotonic() + 10, mark)
    broker.ports["extra"] = [int(found[-1].rsplit(":", 1)[1])]
    for line in (rules('permit = allow, topics = ["open"]'), acl_file(folder, b"topic readwrite open\npattern readwrite open\n")):
        in_force(broker, folder, line, extra)
        for kind in (*KINDS, "extra"):
            client = Who(broker, kind, folder, "c")
            assert may(client, "open") and not may(client, "closed"), (kind, line)
            assert client.subscribe("open", "closed") == [0, NOT_AUTHORIZED], (kind, line)
            client.close()


def test_revoked_rights(broker, folder, _deadline_s):
    """B73 B74: what is retained, queued or subscribed to gives nobody what he may not have any more."""
    for kind in KINDS:
        in_force(broker, folder, ALL)
        source, reader = Who(broker, kind, folder, "source"), Who(broker, kind, folder, "reader", props=[("session_expiry", 100)])
        assert reader.subscribe("r/#", qos=1) == [1]
        assert source.publish("r/kept", b"kept", retain=True) == 0
        assert reader.wait("PUBLISH")["payload"] == b"kept"
        reader.close()
        source.publish("r/x", b"queued")
        in_force(broker, folder, rules("permit = deny, action = subscribe, topics = [\"r/#\"], clientid = reader", "permit = allow"))
        reader = Who(broker, kind, folder, "reader", clean=False, props=[("session_expiry", 100)])
        assert reader.connack["sp"] == 1
        silent(reader)
        source.publish("r/x", b"live")
        silent(reader)
        assert reader.subscribe("r/kept", "$share/g/r/kept", "#") == [NOT_AUTHORIZED, NOT_AUTHORIZED, 0]
        silent(reader)
        revoked = rules("permit = deny, action = publish, clientid = source", "permit = allow")
        for check in (True, False):  # the right of whoever published it
            in_force(broker, folder, revoked, "auth.check_retain_source = %s" % str(check).lower())
            assert reader.subscribe("r/kept") == [0]
            if check:
                ask_all_shards(broker)
                ask_all_shards(broker)  # to the owner and back
                silent(reader)
            else:
                assert reader.wait("PUBLISH")["payload"] == b"kept", kind
        # what no rule is about is not allowed any more either, once there are rules
        in_force(broker, folder, ALL)
        assert reader.subscribe("r/#") == [0] and reader.wait("PUBLISH")["payload"] == b"kept"
        in_force(broker, folder, rules("permit = allow, action = publish"))
        source.publish("r/x", b"live")
        silent(reader)
        in_force(broker, folder, ALL)
        source.publish("r/kept", b"", retain=True)
        reader.close()
        source.close()
        Who(broker, kind, folder, "reader").close()


def test_between_publish_and_pubrel(broker, folder, _deadline_s):
    """B75: a message of QoS 2 that was taken goes on; one that is sent again after the right is gone does not."""
    for kind in KINDS:
        in_force(broker, folder, ALL)
        watch = Who(broker, kind, folder, "watch")
        watch.subscribe("q/#")
        source = Who(broker, kind, folder, "source", props=[("session_expiry", 100)])
        assert source.publish("q/1", b"first", qos=2) & 0x80 == 0
        in_force(broker, folder, rules('permit = deny, action = publish, topics = ["q/#"]', "permit = allow"))
        source.write(wire.frame(0x62, wire.acknowledge(wire.V5, {"id": source.last_id})), source.deadline)
        assert source.wait("PUBCOMP")["rc"] == 0
        assert watch.wait("PUBLISH")["payload"] == b"first"
        source.close()
        source = Who(broker, kind, folder, "source", clean=False, props=[("session_expiry", 100)])
        assert source.publish("q/2", b"second", qos=2) == NOT_AUTHORIZED
        assert source.publish("q/2", b"third", qos=1) == NOT_AUTHORIZED
        source.publish("q/2", b"fourth", qos=0)
        source.ping(source.deadline)
        silent(watch)
        source.close()
        watch.close()
        Who(broker, kind, folder, "source").close()


def test_wills(broker, folder, _deadline_s):
    """B76"""
    for kind in KINDS:
        in_force(broker, folder, rules('permit = deny, action = publish, topics = ["w/closed"]', "permit = allow"))
        watch = Who(broker, kind, folder, "watch")
        watch.subscribe("#", "w/#")
        for version in (wire.V5, wire.V311):
            will = {"will_topic": b"w/closed", "will_payload": b"x", "version": version}
            assert knock(broker, kind, folder, "c", **will) == (NOT_AUTHORIZED if version == wire.V5 else 5), kind
            assert knock(broker, kind, folder, "c", **{**will, "will_topic": b"$SYS/x"}) != 0, kind
        client = Who(broker, kind, folder, "c", will_topic=b"w/open", will_payload=b"late", will_props=[("will_delay", 1)],
                     props=[("session_expiry", 100)])
        assert client.rc == 0
        client.reset()
        before = broker.counters()["refused_will"]
        in_force(broker, folder, rules('permit = deny, action = publish, topics = ["w/#"]', "permit = allow"))
        deadline = time.monotonic() + 10
        while broker.counters()["refused_will"] == before:  # it was due, and was not sent
            assert time.monotonic() < deadline
        silent(watch)
        watch.close()
        Who(broker, kind, folder, "c").close()


def test_forbidden_within_allowed(broker, folder, _deadline_s):
    """B77: live, retained, queued, after a take-over and in shared subscriptions."""
    line = rules('permit = deny, action = subscribe, topics = ["a/secret", "a/+/secret"]', 'permit = allow, topics = ["a/#"]')
    for kind in KINDS:
        in_force(broker, folder, line)
        source = Who(broker, kind, folder, "source")
        source.publish("a/secret", b"kept", retain=True)
        reader = Who(broker, kind, folder, "reader", props=[("session_expiry", 100)])
        assert reader.subscribe("a/#", "$share/g/a/#", "a/secret", "$share/g/a/secret", "a/+/secret", qos=1) == \
            [1, 1] + [NOT_AUTHORIZED] * 3
        for topic in ("a/secret", "a/b/secret"):
            source.publish(topic, b"live")
            source.publish(topic, b"live", qos=0)
        source.publish("a/open", b"1")  # behind the others: what comes first, and with the group, is this
        assert [reader.wait("PUBLISH")["topic"] for _ in range(2)] == [b"a/open"] * 2
        silent(reader)
        reader.close()
        source.publish("a/secret", b"queued")
        reader = Who(broker, kind, folder, "reader", clean=False, props=[("session_expiry", 100)])
        taken = Who(broker, kind, folder, "reader", clean=False, props=[("session_expiry", 100)])
        source.publish("a/secret", b"after")
        source.publish("a/open", b"2")
        while taken.wait("PUBLISH")["payload"] != b"2":  # "1" comes again: nobody acknowledged it
            pass
        assert all(topic == b"a/open" for topic, _ in taken.messages())
        source.publish("a/secret", b"", retain=True)
        for client in (reader, taken, source):
            client.close()
        Who(broker, kind, folder, "reader").close()


def test_shared_and_plain(broker, folder, _deadline_s):
    """B79: each form is asked about by itself, and ends by itself."""
    in_force(broker, folder, rules('permit = deny, topics = ["s/closed"]', 'permit = allow, topics = ["s/#"]'))
    for kind in KINDS:
        client = Who(broker, kind, folder, "c")
        assert client.subscribe("s/x", "$share/g/s/x", "s/closed", "$share/g/s/closed", "$share/g/#", "#") == [0, 0] + [NOT_AUTHORIZED] * 4
        client.last_id += 1
        client.write(wire.frame(0xa2, wire.unsubscribe(wire.V5, client.last_id, [b"s/x"])), client.deadline)
        assert client.wait("UNSUBACK")["rc"] == [0]
        client.publish("s/x", b"to the group")
        assert client.wait("PUBLISH")["payload"] == b"to the group"
        silent(client)
        client.close()


def test_whose_session(broker, folder, _deadline_s):
    """B80: identifiers that are long, alike, or look like the names of something inside."""
    in_force(broker, folder, ALL)
    names = ["a", "A", "a ", " a", "a/", "/a", "a" * 60000, "a" * 59999 + "b", "session/a", "a:b", "a.b", "shardmq-a", "0", "$SYS", "ä", "a\u0308"]
    for kind in KINDS:
        clients = {}
        for name in names:
            clients[name] = Who(broker, kind, folder, name, props=[("session_expiry", 100)])
            assert clients[name].connack["sp"] == 0, (kind, name[:20])
            clients[name].subscribe("mine", qos=1)
        for name in names:
            clients[name].close()
            again = Who(broker, kind, folder, name, clean=False)
            assert again.connack["sp"] == 1, (kind, name[:20])
            again.close()
        for name in names:
            Who(broker, kind, folder, name).close()


def test_another_user_in_the_same_session(broker, folder, _deadline_s):
    """Who takes up a session of another user's goes by rules of his own: nothing that the other was allowed is remembered."""
    in_force(broker, folder, 'auth.password { one = "x", two = "x" }', "auth.no_match = deny",
             rules('permit = allow, username = one, topics = ["a", "b"]', 'permit = allow, username = two, topics = ["b"]'))
    for kind in KINDS:
        one = Who(broker, kind, folder, "shared", "one", "x", props=[("session_expiry", 100)])
        assert one.subscribe("a", "b") == [0, 0]
        for _ in range(3):
            assert one.publish("a") & 0x80 == 0
        one.messages()
        one.close()
        two = Who(broker, kind, folder, "shared", "two", "x", clean=False)
        assert two.connack["sp"] == 1 and two.publish("a") == NOT_AUTHORIZED and two.publish("b") & 0x80 == 0
        other = Who(broker, kind, folder, "other", "one", "x")
        assert other.publish("a") & 0x80 == 0 and other.publish("b", b"for both") & 0x80 == 0
        assert two.wait("PUBLISH")["payload"] == b"x" and two.messages() == [(b"b", b"for both")]
        two.close()
        other.close()
        Who(broker, kind, folder, "shared", "one", "x").close()
    in_force(broker, folder, ALL)


def test_queue_without_its_subscription(broker, folder, _deadline_s):
    """What waits to be sent is held against the rules, even if nothing is subscribed to any more."""
    for kind in KINDS:
        in_force(broker, folder, ALL)
        source, reader = Who(broker, kind, folder, "source"), Who(broker, kind, folder, "reader", props=[("receive_maximum", 1)])
        assert reader.subscribe("r/#", qos=1) == [1]
        for number in (b"1", b"2", b"3"):
            assert source.publish("r/x", number) == 0
        first = reader.wait("PUBLISH")
        reader.write(wire.frame(0xa2, wire.unsubscribe(wire.V5, 9, [b"r/#"])), reader.deadline)
        assert reader.wait("UNSUBACK")["rc"] == [0]
        in_force(broker, folder, rules("permit = deny, action = subscribe, clientid = reader", "permit = allow"))
        reader.write(reader.send("PUBACK", first["id"].to_bytes(2, "big")), reader.deadline)
        silent(reader)
        reader.close()
        source.close()
    in_force(broker, folder, ALL)


def test_super_users(broker, folder, _deadline_s):
    """No rules hold for those of auth.super_users, as long as they are in it and somebody has vouched for their name."""
    deny, users = rules("permit = deny"), 'auth.password { boss = "x", other = "x" }'
    boss = 'auth.super_users = "chief, boss"'

    def code_of(client):
        return client.subscribe("#", "$SYS/#")[0]

    for kind in KINDS:
        in_force(broker, folder, deny, users, boss)
        clients = {name: Who(broker, kind, folder, name, name, "x") for name in ("boss", "other")}
        assert {name: code_of(client) for name, client in clients.items()} == {"boss": 0, "other": NOT_AUTHORIZED}
        assert clients["boss"].publish("a") & 0x80 == 0 and clients["other"].publish("a") == NOT_AUTHORIZED
        in_force(broker, folder, deny, users, 'auth.super_users = "bos, boss2"')
        clients["boss"].messages()
        assert code_of(clients["boss"]) == NOT_AUTHORIZED and clients["boss"].publish("a") == NOT_AUTHORIZED
        in_force(broker, folder, deny, users, 'auth.super_users = "other"')
        assert {name: code_of(client) for name, client in clients.items()} == {"boss": NOT_AUTHORIZED, "other": 0}
        for client in clients.values():
            client.close()
        in_force(broker, folder, deny, boss, "auth.allow_anonymous = true")
        client = Who(broker, kind, folder, "boss", "boss")  # so he says
        assert client.rc == 0 and code_of(client) == NOT_AUTHORIZED and client.publish("a") == NOT_AUTHORIZED
        client.close()
    in_force(broker, folder, ALL)


def test_every_row_has_a_test(_broker, _folder, _deadline_s):
    """auth_rows.txt names for every row of the two classes the files that test it, and these name the row; one of them goes
    by every kind of listener, unless the row is about none."""
    root = os.path.join(HERE, "..")
    with open(os.path.join(HERE, "auth_rows.txt"), encoding="utf-8") as table:
        rows = [line.split() for line in table if re.match(r"B\d\d\s", line)]
    assert [row[0] for row in rows] == ["B%d" % number for number in range(58, 82)], rows
    for row, kinds, *files in rows:
        texts = {}
        for name in files:
            with open(os.path.join(root, name), encoding="utf-8") as test:
                texts[name] = test.read()
            assert re.search(r"\b%s\b" % row, texts[name]), "%s does not name %s" % (name, row)
        assert kinds in ("all", "none") and files, row
        assert kinds == "none" or any(re.search(r"\bin KINDS\b|by_kind\(", text) for text in texts.values()), row


TESTS = [test_names_in_patterns, test_names_of_regular_expressions, test_dollar_topics, test_empty_lists, test_every_listener,
         test_revoked_rights, test_between_publish_and_pubrel, test_wills, test_forbidden_within_allowed, test_shared_and_plain,
         test_whose_session, test_another_user_in_the_same_session, test_queue_without_its_subscription, test_super_users,
         test_every_row_has_a_test]

if __name__ == "__main__":
    sys.exit(run(TESTS, conf))
