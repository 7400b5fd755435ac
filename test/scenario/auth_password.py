#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""User names and passwords, anonymous clients, certificates as names, super users; on every kind of listener.

  B58   a password file with a broken line, empty, with NUL, unreadable: no start, and at a reload the former one stays
  B59   a reload while the process has no descriptor left: the former one stays
  B60   a file that is not there: no start
  B64   listeners, allow_anonymous and methods in all combinations: nobody comes in because of an option that is not about it
  B66   without a configuration only this machine gets in
  B67   an unknown user and a wrong password are answered the same way, after the same work
  B104  who tries passwords waits, and nobody else does; hashing is done by workers, once for what is right
"""

import base64
import itertools
import json
import os
import re
import resource
import select
import signal
import subprocess
import sys
import threading
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from auth import BAD_CREDENTIALS, BAD_METHOD, KINDS, NOT_AUTHORIZED, Who, as_bytes, ask_all_shards, knock, listeners, start_another  # noqa: E402
from doors import run  # noqa: E402
from mqs import wire  # noqa: E402
from mqs.client import Client  # noqa: E402
from mqs.transport import client_context  # noqa: E402
from passwords import FORMS, scrypt, write_file  # noqa: E402

RATE_EXCEEDED = 0x9F
SECRET = "correct horse battery staple"
QUICK = "auth.slow_down.delay = 0s"  # for tests that are about something else
SLOW = scrypt(SECRET, 14)  # as the broker's own tool makes them


def password_path(folder):
    return os.path.join(folder, "passwords")


def write_passwords(folder, users):
    write_file(password_path(folder), users)


def conf(folder):
    write_passwords(folder, {name: form(SECRET + name) for name, form in FORMS.items()})
    must = 'certfile = "%s/server.pem", keyfile = "%s/server.key", verify_peer = true, cacertfile = "%s/ca.pem", ' \
        'fail_if_no_peer_cert = true' % (folder, folder, folder)
    return [*listeners(folder), "http_server { enable = true, port = 0 }", QUICK,
            'listeners.ssl.named { bind = "127.0.0.1:0", peer_username = cn, %s }' % must,
            'listeners.ssl.must { bind = "127.0.0.1:0", %s }' % must,
            "auth { password { listed = \"in the configuration\", with.dots = dots } }",
            'auth.password_file = "%s"' % password_path(folder)]


def reload(broker, lines):
    broker.write_conf(lines)
    return broker.control("reload")


def api(broker, path, data=None):
    request = urllib.request.Request("http://127.0.0.1:%d/api/v4/%s" % (broker.ports["http"][0], path),
                                     None if data is None else json.dumps(data).encode(),
                                     {"Authorization": "Basic " + base64.b64encode(b"admin:public").decode()})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def fresh(prefix, numbers=itertools.count()):
    """Makes client identifiers that nobody had before."""
    return lambda: "%s-%d" % (prefix, next(numbers))


def opens(broker, folder, kinds=("tcp",) * 3):
    """Waits until a reload that opens the door has come to the door: until then it stays closed to those without a name."""
    deadline = time.monotonic() + 10
    while any(knock(broker, kind, folder, "c") for kind in kinds):
        assert time.monotonic() < deadline


def grew(broker, before, name):
    return broker.counters()[name] - before[name]


def test_good_passwords(broker, folder, _deadline_s):
    for kind in KINDS:
        for name in FORMS:
            assert knock(broker, kind, folder, "c", name, SECRET + name) == 0, (kind, name)
            assert knock(broker, kind, folder, "c", name, SECRET + name, version=wire.V311) == 0, (kind, name)
        assert knock(broker, kind, folder, "c", "listed", "in the configuration") == 0
        assert knock(broker, kind, folder, "c", "with.dots", "dots") == 0


def test_bad_passwords(broker, folder, _deadline_s):
    """The answer is the same, whatever is wrong, and no password is in the log."""
    wrong = ["", SECRET, SECRET + "scrypt ", SECRET + "\0scrypt", "x" * 5000, (SECRET + "scrypt").upper(), "\xff".encode("latin-1")]
    for kind in KINDS:
        mark, answers = len(broker.log), set()
        for name, password in itertools.chain(itertools.product(FORMS, wrong[:4]), itertools.product(["scrypt", "nobody", ""], wrong)):
            client = Who(broker, kind, folder, "c", name, password)
            answers.add((client.rc, dict(client.connack["props"]).get("reason_string"), client.ended()))
        before = broker.counters()
        for version, code in ((wire.V31, 5), (wire.V311, 5), (wire.V5, BAD_CREDENTIALS)):
            assert knock(broker, kind, folder, "c", "pbkdf2", SECRET, version=version) == code, kind
            assert knock(broker, kind, folder, "c", "nobody", SECRET, version=version) == code, kind
        assert grew(broker, before, "refused_credentials") == 6  # a wrong password is one in every version
        assert answers == {(BAD_CREDENTIALS, b"not let in", None)}, answers
        assert broker.wait_log(r'refused: event=connect client="c" user="nobody"', time.monotonic() + 10, mark)
        assert SECRET not in "".join(broker.log) and "horse" not in "".join(broker.log)


def test_a_password_is_good_for_nobody_else(broker, folder, _deadline_s):
    """A name that nobody has is checked against somebody's password: whoever knows that does not get in either."""
    for name in FORMS:
        for number in range(3 * len(FORMS)):
            assert knock(broker, "tcp", folder, "c", "nobody-%d" % number, SECRET + name) == BAD_CREDENTIALS, (name, number)
    good = broker.conf
    for form in FORMS.values():  # the only one there is to be checked against
        assert reload(broker, [line for line in good if "auth {" not in line])["ok"]
        write_passwords(folder, {"alone": form("his own")})
        assert broker.control("reload")["ok"]
        assert knock(broker, "tcp", folder, "c", "nobody", "his own") == BAD_CREDENTIALS
        assert knock(broker, "tcp", folder, "c", "alone", "his own") == 0
    write_passwords(folder, {name: form(SECRET + name) for name, form in FORMS.items()})
    assert reload(broker, good)["ok"]


def test_nothing_to_check(broker, folder, _deadline_s):
    """No user name, or no password."""
    for kind in KINDS:
        assert knock(broker, kind, folder, "c") == BAD_CREDENTIALS
        assert knock(broker, kind, folder, "c", version=wire.V311) == 4
        assert knock(broker, kind, folder, "c", "scrypt") == BAD_CREDENTIALS
        assert knock(broker, kind, folder, "c", "scrypt", version=wire.V311) == 4
        assert knock(broker, kind, folder, "c", password=SECRET) == BAD_CREDENTIALS
        client = Who(broker, kind, folder, "c", props=[("authentication_method", b"NOBODY-KNOWS-IT")])
        assert client.rc == 0x8C, client.connack
        client.close()


def test_the_same_work(broker, folder, _deadline_s):
    """Whoever is refused costs the workers the same: a name that nobody has, a wrong password of one with the costliest hash,
    and of one whose password is not hashed, or once only; only the latter's right ones cost nothing."""
    good = broker.conf
    alone = [line for line in good if "auth { password" not in line]
    try:
        for users, cheap in (({"a": scrypt("a"), "b": scrypt("b")}, ()),
                             ({"c": "c", "s": FORMS["sha512"]("s"), "a": scrypt("a")}, ("c", "s"))):
            write_passwords(folder, users)
            assert reload(broker, alone)["ok"]
            for name in (*users, "nobody", "n", "a "):
                before = broker.counters()
                assert knock(broker, "tcp", folder, "c", name, "wrong") == BAD_CREDENTIALS
                assert knock(broker, "tcp", folder, "c", name, "a" if name != "a" else "b") == BAD_CREDENTIALS
                assert grew(broker, before, "work_submitted") == 2, name
            for name in cheap:
                before = broker.counters()
                assert knock(broker, "tcp", folder, "c", name, name) == 0
                assert grew(broker, before, "work_submitted") == 0, name
    finally:
        conf(folder)
        assert reload(broker, good)["ok"]


def may(client, topic):
    return client.publish(topic) < 0x80  # there may be nobody who subscribes to it


def test_super_users(broker, folder, _deadline_s):
    """No rules hold for those whom auth.super_users names, once somebody has vouched for them; a reload gives and takes it."""
    good = broker.conf
    rules = [line for line in good if "auth { password" not in line] + [
        'auth.acl.rules = [{permit = allow, topics = "free/#"}]', "auth.no_match = deny"]
    try:
        for names, wanted in (("", {"scrypt": False, "clear": False}),
                              ("clear", {"scrypt": False, "clear": True}),
                              ("other, scrypt", {"scrypt": True, "clear": False})):
            assert reload(broker, rules + ['auth.super_users = "%s"' % names])["ok"]
            for name, good_for_all in wanted.items():
                client = Who(broker, "tcp", folder, broker.client_id_on(0, fresh("super")), username=name, password=SECRET + name)
                assert may(client, "secret/x") == good_for_all, (names, name)
                assert may(client, "free/x")
                client.close()
        # who is online becomes one, and is one no more
        assert reload(broker, rules)["ok"]
        client = Who(broker, "tcp", folder, broker.client_id_on(0, fresh("super")), username="clear", password=SECRET + "clear")
        for names, good_for_all in (("clear", True), ("scrypt", False), ("clear", True)):
            assert reload(broker, rules + ['auth.super_users = "%s"' % names])["ok"]
            deadline = time.monotonic() + 10
            while may(client, "secret/x") != good_for_all:
                assert time.monotonic() < deadline, names
        client.close()
        # a name that nobody checks is a name only
        nobody = [line for line in rules if "password_file" not in line]
        assert reload(broker, nobody + ['auth.super_users = "clear"', "auth.allow_anonymous = true"])["ok"]
        client = Who(broker, "tcp", folder, broker.client_id_on(0, fresh("super")), username="clear", password="x")
        assert not may(client, "secret/x")
        client.close()
    finally:
        assert reload(broker, good)["ok"]


def test_hashed_once(broker, folder, _deadline_s):
    """What is right is remembered on the shard, what is wrong is not; many that come at once are one hash."""
    same = broker.client_id_on(0, fresh("again"))
    assert reload(broker, broker.conf)["ok"]  # forgets
    for repeat in range(3):
        before = broker.counters()
        assert knock(broker, "tcp", folder, same, "scrypt", SECRET + "scrypt") == 0
        assert grew(broker, before, "work_submitted") == (repeat == 0)
        assert grew(broker, before, "authn_remembered") == (repeat != 0)
        before = broker.counters()
        assert knock(broker, "tcp", folder, same, "scrypt", "wrong") == BAD_CREDENTIALS
        assert grew(broker, before, "work_submitted") == 1
    write_passwords(folder, {"slow": SLOW})
    assert broker.control("reload")["ok"]
    before = broker.counters()
    codes, threads = [], []
    while len(threads) < 30:
        name = broker.client_id_on(0, fresh("many"))
        threads.append(threading.Thread(
            target=lambda name=name: codes.append(knock(broker, "tcp", folder, name, "slow", SECRET))))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0] * 30, codes
    assert grew(broker, before, "work_submitted") < 30
    conf(folder)
    assert broker.control("reload")["ok"]


def test_who_tries_waits(broker, folder, _deadline_s):
    """After some wrong passwords the answers are held back; others come in meanwhile, also from the same address and with
    the same name, if their password was right a moment ago."""
    good = broker.conf
    slow = [line for line in good if line != QUICK] + ["auth.slow_down { after = 2, delay = 1500ms, max_delay = 1500ms, held = 2 }"]
    assert reload(broker, slow)["ok"]
    try:
        client_id = broker.client_id_on(0, fresh("tries"))
        assert knock(broker, "tcp", folder, client_id, "pbkdf2", SECRET + "pbkdf2") == 0
        for _ in range(2):
            begin = time.monotonic()
            assert knock(broker, "tcp", folder, client_id, "pbkdf2", "wrong") == BAD_CREDENTIALS
            assert time.monotonic() - begin < 1.4
        before = broker.counters()
        held = []
        begin = time.monotonic()

        def guess():
            code = knock(broker, "tcp", folder, client_id, "pbkdf2", "wrong")
            held.append((code, time.monotonic() - begin))

        guesses = [threading.Thread(target=guess) for _ in range(2)]
        for thread in guesses:
            thread.start()
        while grew(broker, before, "authn_held_back") < 2:
            assert time.monotonic() - begin < 10
        if not held:  # both are still waiting: a third is not looked at, and what is remembered comes in
            submitted = broker.counters()["work_submitted"]
            assert knock(broker, "tcp", folder, client_id, "sha512", "wrong") == RATE_EXCEEDED
            assert knock(broker, "tcp", folder, client_id, "pbkdf2", SECRET + "pbkdf2", version=wire.V311) == 0
            assert broker.counters()["work_submitted"] == submitted
            assert held or grew(broker, before, "authn_unchecked") >= 1
        for thread in guesses:
            thread.join()
        assert [code for code, _ in held] == [BAD_CREDENTIALS] * 2 and min(took for _, took in held) >= 1.4, held
        assert knock(broker, "tcp", folder, client_id, "scrypt", SECRET + "scrypt") == 0  # nobody is held back any more
    finally:
        assert reload(broker, good)["ok"]


def test_shards_count_together(broker, folder, _deadline_s):
    """Whoever spreads his tries over connections of several shards gets what he gets of one. By way of the UNIX socket, where
    his name alone counts: from 127.0.0.1 others have tried passwords before."""
    good = broker.conf
    slow = [line for line in good if line != QUICK] + ["auth.slow_down { after = 3, delay = 100ms, max_delay = 100ms }"]
    assert reload(broker, slow)["ok"]
    try:
        before = broker.counters()
        for shard in (0, 1, 0, 1):
            assert knock(broker, "unix", folder, broker.client_id_on(shard % broker.shards, fresh("spread")), "spread", "x") == BAD_CREDENTIALS
        assert grew(broker, before, "authn_held_back") == 1
    finally:
        assert reload(broker, good)["ok"]


def test_held_back_to_the_end(broker, folder, _deadline_s):
    """A refusal is never held back for longer than CONNECT may take, and one whose client has gone is not missed."""
    good = broker.conf
    slow = [line for line in good if line != QUICK] + ["auth.slow_down { after = 0, delay = 1m, max_delay = 10m }",
                                                       "mqtt.connect_timeout = 1s"]
    assert reload(broker, slow)["ok"]
    try:
        ask_all_shards(broker)  # before that the time that CONNECT may take is still fifteen seconds
        begin = time.monotonic()
        assert knock(broker, "tcp", folder, "c", "scrypt", "wrong") == BAD_CREDENTIALS and time.monotonic() - begin > 0.5
        before = broker.counters()
        client = Client("c", ("127.0.0.1", broker.port), wire.V5, b"gone")
        client.open()
        client.write(wire.frame(0x10, wire.connect(wire.V5, {"id": b"gone", "username": b"clear", "password": b"wrong"}, (), ())),
                     time.monotonic() + 5)
        client.close()
        deadline = time.monotonic() + 20
        while grew(broker, before, "connection_refused") < 1:
            assert time.monotonic() < deadline
    finally:
        assert reload(broker, good)["ok"]


def test_a_password_that_changes_while_it_is_hashed(broker, folder, _deadline_s):
    """What a worker found right by the former file is wrong by this one, and not remembered either."""
    path = password_path(folder)
    with open(path, encoding="utf-8") as file:
        whole = file.read()
    slow, old, new = scrypt("x", 15), scrypt("old"), scrypt("new")
    busy = "".join("busy-%d:%s\n" % (number, slow) for number in range(20))

    def change(password, probes=itertools.count()):
        """A reload that has come to the shard: somebody whom this file alone has is let in."""
        probe, deadline = "probe-%d" % next(probes), time.monotonic() + 10
        with open(path, "w", encoding="utf-8") as out:
            out.write("%s%schanges:%s\n%s:here\n" % (whole, busy, password, probe))
        assert broker.control("reload")["ok"]
        while knock(broker, "tcp", folder, name, probe, "here"):
            assert time.monotonic() < deadline

    try:
        name = broker.client_id_on(0, fresh("hashed"))
        for _ in range(10):  # until the worker was slower than the reload
            change(old)
            queue = [Who(broker, "tcp", folder, name, "busy-%d" % number, "x", waits=False) for number in range(20)]
            target = Who(broker, "tcp", folder, name, "changes", "old", waits=False)
            change(new)
            in_time = not select.select([target.sock], [], [], 0)[0]
            code = target.answered()
            for client in (*queue, target):
                client.close()
            if in_time:
                break
        assert in_time and code == BAD_CREDENTIALS, (in_time, code)
        assert knock(broker, "tcp", folder, name, "changes", "old") == BAD_CREDENTIALS
        assert knock(broker, "tcp", folder, name, "changes", "new") == 0
    finally:
        with open(path, "w", encoding="utf-8") as out:
            out.write(whole)
        assert broker.control("reload")["ok"]


def test_who_came_before_the_door_was_opened(broker, folder, _deadline_s):
    """A connection goes by what its listener said when it was made: who was not to come in without a name still is not."""
    good, before = broker.conf, broker.counters()
    early = [Client("c", ("127.0.0.1", broker.port), wire.V5, b"early") for _ in range(8)]
    for client in early:
        client.open()
    deadline = time.monotonic() + 10
    while grew(broker, before, "connection_accepted") < len(early):
        assert time.monotonic() < deadline
    assert reload(broker, [line for line in good if "password" not in line] + ["auth.allow_anonymous = true"])["ok"]
    try:
        opens(broker, folder)
        for client in early:
            client.write(wire.frame(0x10, wire.connect(wire.V5, {"id": b"early"}, (), ())), deadline)
            assert client.receive(deadline)["rc"] == BAD_CREDENTIALS
            client.close()
    finally:
        assert reload(broker, good)["ok"]


BAD_FILES = {
    "a line without a password": b"good:x\nbad\n",
    "an empty password": b"bad:\n",
    "an empty user name": b":secret\n",
    "a NUL": b"good:x\nbad:a\0b\n",
    "not UTF-8": b"\xff\xfe:secret\n",
    "a hash that is cut off": b"bad:" + scrypt("x").encode()[:40] + b"\n",
    "an unknown hash": b"bad:$9$abc$def\n",
    "a name twice": b"twice:a\ntwice:b\n",
    "a name that the configuration has": b"listed:b\n",
    "nothing at all": b"",
    "comments alone": b"# nobody\n\n",
}


def test_bad_files(broker, folder, _deadline_s):
    """At a reload, however it is asked for, the former state stays and the answer says so; nobody starts with one."""
    path = password_path(folder)
    with open(path, "rb") as file:
        whole = file.read()
    try:
        for name, text in BAD_FILES.items():
            with open(path, "wb") as out:
                out.write(text)
            mark = len(broker.log)
            answer = broker.control("reload")
            assert not answer["ok"] and path in answer["error"] or "listed" in answer["error"], (name, answer)
            status, answer = api(broker, "reload", {})
            assert status != 200 and answer.get("code") != 0, (name, status, answer)
            broker.signal(signal.SIGHUP)
            assert broker.wait_log(r'ERROR reload: {"ok":false', time.monotonic() + 10, mark, 3), name
            for kind in KINDS:
                assert knock(broker, kind, folder, "c", "sha512", SECRET + "sha512") == 0, (name, kind)
                assert knock(broker, kind, folder, "c", "bad", "x") == BAD_CREDENTIALS, (name, kind)
                assert knock(broker, kind, folder, "c") == BAD_CREDENTIALS, (name, kind)
            check = subprocess.run([broker.executable, "start", "--check-config", "--conf", broker.conf_path],
                                   capture_output=True, text=True, timeout=60, check=False)
            assert check.returncode != 0 and check.stderr.count("\n") == 1, (name, check)
            started = start_another(broker, folder)
            assert started.returncode != 0 and ("listed" if "configuration" in name else path) in started.stderr, (name, started)
        os.remove(path)
        assert not broker.control("reload")["ok"]
        os.mkdir(path)
        assert not broker.control("reload")["ok"]
        os.rmdir(path)
    finally:
        with open(path, "wb") as out:
            out.write(whole)
    assert broker.control("reload")["ok"]


def test_check_config_warns(broker, folder, _deadline_s):
    """--check-config says what the start would say of passwords that anybody can read, with the line, and never which."""
    check = subprocess.run([broker.executable, "start", "--check-config", "--conf", broker.conf_path], capture_output=True, text=True,
                           timeout=60, check=False)
    assert check.returncode == 0 and "configuration OK" in check.stdout, check
    for sentence in ('passwords:4: the password of "clear" is in clear text', 'broker.conf:17: the password of "listed" is in clear text',
                     'passwords:3: the password of "sha512" is hashed once only'):
        assert check.stderr.count(sentence) == 1, (sentence, check.stderr)
    assert SECRET not in check.stderr and "in the configuration" not in check.stderr, folder


def other_value(value, kind):
    """One that the option takes and does not have; None: this test knows none, as for a path."""
    if kind == "true or false":
        return "false" if value == "true" else "true"
    if re.fullmatch(r"[a-z0-9_]+(, [a-z0-9_]+)+", kind):
        return next(choice for choice in kind.split(", ") if choice != value)
    if re.search(r"\d+(ms|s|m|h|d) to ", kind):
        return "2s"
    if re.match(r"\d+ to ", kind):
        return "9"
    return '"x"' if kind == "user names" else None


def test_every_option_is_applied(broker, _folder, _deadline_s):
    """What a reload changes of auth.* is told as applied, and the API shows it; no option is read and forgotten."""
    good = [line for line in broker.conf if "slow_down" not in line]
    listed = subprocess.run([broker.executable, "start", "--list-options"], capture_output=True, text=True, timeout=60, check=True).stdout
    changes = [(name, other_value(value, kind)) for name, value, kind in
               re.findall(r"^(auth\.\S+) = (.*?)  \((.*); reload\)$", listed, re.M)]
    changes = [(name, value) for name, value in changes if value is not None]
    assert len(changes) > 25, changes
    kept = broker.conf
    try:
        assert reload(broker, good)["ok"]
        answer = reload(broker, good + ["%s = %s" % change for change in changes])
        assert answer["ok"] and {name for name, _ in changes} <= set(answer["applied"]), (answer, changes)
        status, shown = api(broker, "configuration/auth")
        assert status == 200
        for name, value in changes:
            found = shown["data"]
            for part in name.split("."):
                found = found[part]
            assert json.dumps(found).strip('"') == value.strip('"'), (name, found, value)
    finally:
        assert reload(broker, kept)["ok"]


def test_without_descriptors(broker, folder, _deadline_s):
    """A reload that can open no file changes nothing, least of all who may come in."""
    good, client = broker.conf, Who(broker, "tcp", folder, "stays", "clear", SECRET + "clear")
    assert client.rc == 0
    keeper = Who(broker, "tcp", folder, "keeps", "clear", SECRET + "clear")
    limits = resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE)
    try:
        resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE, (0, limits[1]))
        mark = len(broker.log)
        broker.signal(signal.SIGHUP)
        assert broker.wait_log(r'reload: {"ok":false', time.monotonic() + 10, mark)
    finally:
        resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE, limits)
    client.ping(client.deadline)
    keeper.close()
    client.close()
    for kind in KINDS:
        assert knock(broker, kind, folder, "c") == BAD_CREDENTIALS, kind
        assert knock(broker, kind, folder, "c", "clear", SECRET + "clear") == 0, kind
    assert reload(broker, good)["ok"]


def test_changed_users(broker, folder, _deadline_s):
    """Whose user is gone, or has another password, is disconnected by the reload; everybody else stays."""
    names = {"stays": scrypt("1"), "goes": scrypt("2"), "changes": scrypt("3")}
    good = broker.conf
    write_passwords(folder, names)
    assert reload(broker, good)["ok"]
    try:
        for kind in KINDS:
            clients = {name: Who(broker, kind, folder, "%s-%s" % (name, kind), name, password)
                       for name, password in (("stays", "1"), ("goes", "2"), ("changes", "3"), ("listed", "in the configuration"))}
            assert [client.rc for client in clients.values()] == [0] * 4
            before = broker.counters()
            write_passwords(folder, {"stays": names["stays"], "changes": scrypt("another")})
            assert broker.control("reload")["ok"]
            assert clients["goes"].ended() == NOT_AUTHORIZED and clients["changes"].ended() == NOT_AUTHORIZED
            clients["stays"].ping(clients["stays"].deadline)
            clients["listed"].ping(clients["listed"].deadline)
            assert grew(broker, before, "authn_revoked") == 2
            assert knock(broker, kind, folder, "c", "goes", "2") == BAD_CREDENTIALS
            assert knock(broker, kind, folder, "c", "changes", "3") == BAD_CREDENTIALS
            assert knock(broker, kind, folder, "c", "changes", "another") == 0
            clients["stays"].close()
            clients["listed"].close()
            write_passwords(folder, names)
            assert broker.control("reload")["ok"]
    finally:
        conf(folder)
        assert reload(broker, good)["ok"]


def test_anonymous(broker, folder, _deadline_s):
    """Who names no user comes in where it is allowed; who names one is checked, there too. A reload that takes it back ends
    those connections."""
    good = broker.conf
    try:
        assert reload(broker, [*good, "auth.allow_anonymous = true"])["ok"]
        opens(broker, folder, KINDS * 3)
        for kind in KINDS:
            assert knock(broker, kind, folder, "c") == 0
            assert knock(broker, kind, folder, "c", "scrypt", "wrong") == BAD_CREDENTIALS
            assert knock(broker, kind, folder, "c", "nobody", "wrong") == BAD_CREDENTIALS
            assert knock(broker, kind, folder, "c", password="wrong") == BAD_CREDENTIALS
            assert knock(broker, kind, folder, "c", "clear", SECRET + "clear") == 0
        status, answer = api(broker, "configuration/basic")
        assert status == 200 and answer["data"]["basic"]["allow_anonymous"] is True, answer
        stays = Who(broker, "ws", folder, "named", "clear", SECRET + "clear")
        nameless = [Who(broker, kind, folder, "n-" + kind) for kind in KINDS]
        assert reload(broker, [*good, "auth.allow_anonymous = true", "listeners.ws.allow_anonymous = false"])["ok"]
        assert nameless[2].ended() == NOT_AUTHORIZED
        assert [knock(broker, kind, folder, "c") for kind in KINDS] == [0, 0, BAD_CREDENTIALS, 0, 0]
        assert reload(broker, [*good, "listeners.tcp.allow_anonymous = true"])["ok"]
        opens(broker, folder)
        assert [nameless[i].ended() for i in (1, 3, 4)] == [NOT_AUTHORIZED] * 3
        assert [knock(broker, kind, folder, "c") for kind in KINDS] == [0] + [BAD_CREDENTIALS] * 4
        nameless[0].ping(nameless[0].deadline)
        stays.ping(stays.deadline)
        assert reload(broker, good)["ok"]
        assert nameless[0].ended() == NOT_AUTHORIZED
        stays.close()
        assert reload(broker, [*good, "auth.enable = false"])["ok"]  # loopback only: as without a configuration
        opens(broker, folder)
        assert knock(broker, "tcp", folder, "c") == 0 and knock(broker, "tcp", folder, "c", "a", "b") == 0
        client = Who(broker, "tcp", folder, "unchecked", "scrypt", "wrong")
        assert client.rc == 0
        assert reload(broker, good)["ok"]
        assert client.ended() == NOT_AUTHORIZED  # nobody had checked it
    finally:
        assert reload(broker, good)["ok"]


def test_opening_the_door(broker, folder, _deadline_s):
    """A reload after which everybody could come in from the network is refused, and by the API too."""
    good = broker.conf
    bare = [line for line in good if "auth" not in line]
    answer = reload(broker, [*bare, 'listeners.tcp.lan.bind = "192.0.2.1:18830"'])
    assert not answer["ok"] and "listeners.tcp.lan" in answer["error"] and "allow_anonymous" in answer["error"], answer
    assert [knock(broker, kind, folder, "c") for kind in KINDS] == [BAD_CREDENTIALS] * 5
    assert reload(broker, good)["ok"]
    status, answer = api(broker, "configuration/auth")
    assert status == 200 and answer["data"]["auth"]["allow_anonymous"] == "auto" and SECRET not in json.dumps(answer), answer


def test_certificates(broker, folder, _deadline_s):
    """A verified certificate that names its client is enough, and its name is the user's; one that only lets in is not."""
    named, must = broker.ports["ssl"][1:3]

    def come(port, props=(), **fields):
        client = Client("c", ("127.0.0.1", port), wire.V5, b"cert")
        client.transport, client.tls_context = "ssl", client_context(folder, "client")
        client.open()
        client.note_connect(props)
        client.write(wire.frame(0x10, wire.connect(wire.V5, {"id": b"cert", **fields}, props, ())), time.monotonic() + 10)
        connack = client.receive(time.monotonic() + 10)
        return client, connack["rc"]

    client, code = come(named)
    assert code == 0
    status, answer = api(broker, "clients/cert")
    assert status == 200 and answer["data"][0]["username"] == "trial-client", answer
    client.close()
    client, code = come(named, username=b"scrypt", password=b"wrong")  # the certificate prevails
    assert code == 0
    client.close()
    client, code = come(named, [("authentication_method", "NONE")])  # it wants to be asked, and there is nobody who could
    assert code == BAD_METHOD
    client.close()
    for fields, wanted in (({}, BAD_CREDENTIALS), ({"username": b"clear", "password": b"x"}, BAD_CREDENTIALS),
                           ({"username": b"clear", "password": (SECRET + "clear").encode()}, 0)):
        client, code = come(must, **fields)
        assert code == wanted, (fields, code)
        client.close()


def test_defaults(broker, folder, _deadline_s):
    """Who may come in, for every combination of address, allow_anonymous (there and everywhere) and a method."""
    path = os.path.join(folder, "matrix.conf")
    addresses = {"127.0.0.1:0": False, "[::1]:0": False, "0.0.0.0:0": True, "192.0.2.7:1883": True, "[::]:0": True}
    options = ["", "mqtt.max_qos = 1", "listeners.ssl.enable = false", "listeners.tcp.max_connections = 5"]
    for address, everywhere, there, method in itertools.product(
            addresses, (None, "true", "false", "auto"), (None, "true", "false"), (None, "auth.password.a = b")):
        lines = ['listeners.tcp.bind = "%s"' % address, method or ""]
        lines += ["auth.allow_anonymous = %s" % everywhere] if everywhere else []
        lines += ["listeners.tcp.allow_anonymous = %s" % there] if there else []
        lines.append(options[len(lines) % len(options)])
        with open(path, "w", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n")
        check = subprocess.run([broker.executable, "start", "--check-config", "--conf", path], capture_output=True, text=True,
                               timeout=60, check=False)
        said = everywhere in ("true", "false") or there is not None or method is not None
        assert (check.returncode == 0) == (said or not addresses[address]), (lines, check)
        if check.returncode:
            assert "auth.allow_anonymous = true" in check.stderr and "auth.password_file" in check.stderr, check.stderr
    keys = ', certfile = "%s/server.pem", keyfile = "%s/server.key"' % (folder, folder)
    for kind, address, method in itertools.product(("ssl", "ws", "wss"), ("127.0.0.1:0", "0.0.0.0:0"), ("", "auth.password.a = b")):
        with open(path, "w", encoding="utf-8") as out:
            out.write('listeners.%s { bind = "%s"%s }\n%s\n' % (kind, address, "" if kind == "ws" else keys, method))
        check = subprocess.run([broker.executable, "start", "--check-config", "--conf", path], capture_output=True, text=True,
                               timeout=60, check=False)
        assert (check.returncode == 0) == (method != "" or not addresses[address]), (kind, address, method, check)
    dump = subprocess.run([broker.executable, "start", "--dump-config"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert 'bind = "127.0.0.1:1883"' in dump and "allow_anonymous = auto" in dump, dump
    old = subprocess.run([broker.executable, "start", "--check-config"], capture_output=True, text=True, timeout=60, check=False,
                         env={**os.environ, "NANOMQ_BROKER_URL": "nmq-tcp://0.0.0.0:1883", "NANOMQ_ALLOW_ANONYMOUS": "true"})
    assert old.returncode == 0, old
    with open(path, "w", encoding="utf-8") as out:
        out.write("url=nmq-tcp://0.0.0.0:1883\nauth.1.login=admin\nauth.1.password=public\nauth.2.login=half\n")
    half = subprocess.run([broker.executable, "start", "--check-config", "--conf", path], capture_output=True, text=True, timeout=60,
                          check=False)
    assert half.returncode != 0 and "auth.2.password" in half.stderr and "matrix.conf:4" in half.stderr, half.stderr


TESTS = [test_good_passwords, test_bad_passwords, test_a_password_is_good_for_nobody_else, test_nothing_to_check, test_the_same_work,
         test_super_users, test_hashed_once, test_who_tries_waits, test_shards_count_together,
         test_held_back_to_the_end, test_a_password_that_changes_while_it_is_hashed, test_who_came_before_the_door_was_opened,
         test_bad_files, test_check_config_warns, test_every_option_is_applied, test_without_descriptors, test_changed_users, test_anonymous,
         test_opening_the_door, test_certificates]

if __name__ == "__main__":
    sys.exit(run(TESTS, conf) | run([test_defaults], conf, (1,)))  # the latter looks at configurations, not at shards
