#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Tokens as the credential of MQTT clients, on every kind of listener.

  B61   a key file that is missing, broken or weak; none, HS256 with the RSA key, expired, not yet, another audience
"""

import json
import os
import select
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import tokens  # noqa: E402
from auth import BAD_CREDENTIALS, EXPIRED, KINDS, NOT_AUTHORIZED, Who, knock, listeners, start_another  # noqa: E402
from doors import run  # noqa: E402
from mqs import wire  # noqa: E402
from passwords import scrypt, write_file  # noqa: E402


def conf(folder):
    tokens.make_keys(folder)
    with open(os.path.join(folder, "jwks.json"), "w", encoding="utf-8") as out:
        json.dump({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
                            {"kty": "oct", "kid": "second", "k": tokens.encode(b"another secret of the tests, long").decode()}]}, out)
    return [*listeners(folder), *keys(folder), 'auth.jwt.audience = "mqtt"', 'auth.jwt.issuer = "tests"',
            'auth.jwt.superuser_claim = "is_superuser"', "auth.jwt.leeway = 0s", "workers.threads = 1", "workers.queue = 2",
            "auth.slow_down.delay = 0s"]  # or what is refused here would be held back for seconds


def keys(folder):
    return ['auth.jwt.secret_file = "%s/jwt.secret"' % folder,
            'auth.jwt.public_key = "%s/jwt-rsa.pub, %s/jwt-ec.pub"' % (folder, folder),
            'auth.jwt.jwks_file = "%s/jwks.json"' % folder]


def claims(seconds=3600, **more):
    return {"iss": "tests", "aud": ["web", "mqtt"], "sub": "u1", "exp": time.time() + seconds, **more}


def test_good_tokens(broker, folder, _deadline_s):
    for kind in KINDS:
        for token in (tokens.hs256(claims()), tokens.rs256(claims(), folder), tokens.es256(claims(), folder),
                      tokens.hs256(claims(), b"another secret of the tests, long", {"alg": "HS256", "kid": "second"})):
            assert knock(broker, kind, folder, "c", password=token) == 0, kind
            assert knock(broker, kind, folder, "c", username="any", password=token, version=wire.V311) == 0, kind


def test_bad_tokens(broker, folder, _deadline_s):
    """What is refused is refused everywhere, and nobody hears why."""
    with open(os.path.join(folder, "jwt-rsa.pub"), "rb") as file:
        public = file.read()
    good = tokens.hs256(claims())
    bad = {
        "none": tokens.message({"alg": "none"}, claims()) + b".",
        "NoNe": tokens.message({"alg": "NoNe"}, claims()) + b".",
        "the public key as a secret": tokens.hs256(claims(), public),
        "its secret is another": tokens.hs256(claims(), b"x" * 32),
        "no signature": good[:good.rindex(b".") + 1],
        "the key of somebody else": tokens.rs256(claims(), folder, "jwt-weak.key"),
        "RS256 on an EC key": tokens.es256(claims(), folder, header={"alg": "RS256"}),
        "expired": tokens.hs256(claims(-1)),
        "never expires": tokens.hs256({"iss": "tests", "aud": "mqtt", "sub": "u1"}),
        "not yet": tokens.hs256(claims(nbf=time.time() + 600)),
        "issued in the future": tokens.hs256(claims(iat=time.time() + 600)),
        "another audience": tokens.hs256({**claims(), "aud": "web"}),
        "no audience": tokens.hs256({"iss": "tests", "sub": "u1", "exp": time.time() + 600}),
        "another issuer": tokens.hs256({**claims(), "iss": "somebody"}),
        "crit": tokens.hs256(claims(), header={"alg": "HS256", "crit": ["exp"]}),
        "another kid": tokens.hs256(claims(), b"another secret of the tests, long", {"alg": "HS256", "kid": "third"}),
        "a member twice": tokens.hs256(b'{"iss":"tests","aud":"mqtt","sub":"u1","exp":1,"exp":9999999999}'),
        "no user name": tokens.hs256({"iss": "tests", "aud": "mqtt", "exp": time.time() + 600}),
        "a user name that is none": tokens.hs256(claims(sub=7)),
        "rules that are none": tokens.hs256(claims(acl={"pub": [7]})),
        "rules with more than we know": tokens.hs256(claims(acl=[{"permission": "allow", "action": "all", "topic": "#", "qos": 0}])),
        "too long": tokens.hs256(claims(more="x" * 9000)),
    }
    for kind in KINDS:
        for name, token in bad.items():
            mark = len(broker.log)
            client = Who(broker, kind, folder, "c", password=token)
            assert client.rc == BAD_CREDENTIALS, (kind, name, client.connack)
            assert dict(client.connack["props"]).get("reason_string", b"not let in") == b"not let in", client.connack
            client.ended()
            assert knock(broker, kind, folder, "c", username="u", password=token, version=wire.V311) == 5, (kind, name)
            lines = broker.wait_log(r"refused: event=connect .* by=\"jwt: ", time.monotonic() + 10, mark, 2)
            assert lines and token.split(b".")[1].decode() not in "".join(broker.log[mark:]), (name, lines)


def test_no_token(broker, folder, _deadline_s):
    """A password is left to others, of which there are none here."""
    for kind in KINDS:
        for password in ("secret", "a.b.c", "eyes.open.wide", ""):
            assert knock(broker, kind, folder, "c", username="u", password=password) == BAD_CREDENTIALS, (kind, password)
        assert knock(broker, kind, folder, "c", username="u") == BAD_CREDENTIALS, kind


def test_who_it_is(broker, folder, _deadline_s):
    """The user name is the token's; its rules are all that its client may do, unless it is a super user."""
    rules = {"pub": ["a/${clientid}/+", "u/${username}"], "sub": ["b/#"], "all": ["both"]}
    for kind in KINDS:
        client = Who(broker, kind, folder, "c-" + kind, username="somebody else", password=tokens.rs256(claims(acl=rules), folder))
        assert client.rc == 0, client.connack
        assert [client.publish(topic) & 0x80 for topic in ("a/c-%s/x" % kind, "u/u1", "both")] == [0, 0, 0]
        for topic in ("a/c-%s/x/y" % kind, "a/other/x", "u/somebody else", "u/u2", "b/x", "c"):
            assert client.publish(topic) == NOT_AUTHORIZED, topic
            assert client.publish(topic, qos=2) == NOT_AUTHORIZED, topic
        assert client.subscribe("b/#", "b/+/x", "both", "#", "a/#", "$share/g/b/x", "$share/g/a") == \
            [0, 0, 0, NOT_AUTHORIZED, NOT_AUTHORIZED, 0, NOT_AUTHORIZED]
        client.close()
        client = Who(broker, kind, folder, "c", password=tokens.hs256(claims(acl=rules, is_superuser=True)))
        assert client.publish("anything") & 0x80 == 0 and client.subscribe("#") == [0]
        client.close()
        client = Who(broker, kind, folder, "c", password=tokens.hs256(claims(is_superuser="true", acl={})))
        assert client.publish("anything") == NOT_AUTHORIZED and client.subscribe("#") == [NOT_AUTHORIZED]
        client.close()
        client = Who(broker, kind, folder, "c", password=tokens.hs256(claims()))  # a token without rules
        assert client.publish("anything") & 0x80 == 0 and client.subscribe("#") == [0]
        client.close()


def test_super_users(broker, folder, deadline_s):
    """For a super user no rules of the configuration hold either."""
    assert reload(broker, [*broker.conf, "auth.acl.rules = [{permit = deny}]"])["ok"]
    try:
        for kind in KINDS:
            for is_superuser, code in ((True, 0), (False, NOT_AUTHORIZED), ("true", NOT_AUTHORIZED), (1, NOT_AUTHORIZED)):
                client = Who(broker, kind, folder, "c", password=tokens.hs256(claims(is_superuser=is_superuser)))
                assert client.rc == 0 and client.subscribe("#") == [code], (kind, is_superuser)
                client.close()
        # a name of auth.super_users is good as long as the token proves it
        for lines, claim, code in ((["auth.jwt.username_claim = sub"], {"sub": "boss"}, 0),
                                   (['auth.jwt.username_claim = ""'], {"sub": "boss"}, NOT_AUTHORIZED),
                                   (['auth.jwt.username_claim = ""', 'auth.jwt.verify_claims { name = "${username}" }'], {"name": "boss"}, 0),
                                   (['auth.jwt.username_claim = ""', 'auth.jwt.verify_claims { name = any }'], {"name": "any"},
                                    NOT_AUTHORIZED)):
            assert reload(broker, [*broker.conf, "auth.acl.rules = [{permit = deny}]", 'auth.super_users = "boss"', *lines])["ok"]
            deadline, codes = time.monotonic() + deadline_s, None
            while codes != [code]:  # the reload may not have come to the shard yet
                assert time.monotonic() < deadline, (lines, codes)
                client = Who(broker, "tcp", folder, "c", username="boss", password=tokens.hs256(claims(**claim)))
                codes = client.subscribe("#") if client.rc == 0 else client.rc
                client.close()
    finally:
        assert reload(broker, broker.conf)["ok"]


def test_keys_that_change_while_a_token_is_looked_at(broker, folder, deadline_s):
    """What a worker found good with a key that is gone is not good any more."""
    path = os.path.join(folder, "passwords")
    write_file(path, {"probe": "here", **{"busy-%d" % number: scrypt("x", 15) for number in range(2)}})
    busy = [*broker.conf, 'auth.password_file = "%s"' % path]
    gone = [line for line in busy if "public_key" not in line]
    name, token = broker.client_id_on(0, lambda: os.urandom(4).hex()), tokens.es256(claims(), folder)

    def change(lines, code, **who):
        """A reload that has come to the shard: somebody is answered as it says."""
        assert reload(broker, lines)["ok"]
        deadline = time.monotonic() + deadline_s
        while knock(broker, "tcp", folder, name, **who) != code:
            assert time.monotonic() < deadline

    try:
        for _ in range(20):  # until the worker was slower than the reload
            change(busy, 0, username="probe", password="here")
            queue = [Who(broker, "tcp", folder, name, "busy-%d" % number, "x", waits=False) for number in range(2)]
            target = Who(broker, "tcp", folder, name, password=token, waits=False)
            change(gone, BAD_CREDENTIALS, password=tokens.rs256(claims(), folder))
            in_time = not select.select([target.sock], [], [], 0)[0]
            code = target.answered()
            target.close()
            for client in queue:
                client.answered()  # the worker has nothing to do any more
                client.close()
            assert reload(broker, broker.conf)["ok"]
            if in_time:
                break
        assert in_time and code == BAD_CREDENTIALS, (in_time, code)
    finally:
        assert reload(broker, broker.conf)["ok"]


def test_rules_with_an_order(broker, folder, _deadline_s):
    rules = [{"permission": "deny", "action": "publish", "topic": "a/secret"},
             {"permission": "allow", "action": "all", "topics": ["a/#", "eq plus/+"]},
             {"permit": "allow", "action": "subscribe", "topics": ["n/#"], "clientid": "c"}]
    for kind in KINDS:
        client = Who(broker, kind, folder, "c", password=tokens.hs256(claims(acl=rules)))
        assert [client.publish(topic) for topic in ("a/secret", "plus/x", "n/x")] == [NOT_AUTHORIZED] * 3
        assert client.publish("a/b") & 0x80 == 0
        assert client.subscribe("a/secret", "n/+", "m") == [0, 0, NOT_AUTHORIZED]
        client.close()


def test_wills(broker, folder, _deadline_s):
    """A will is published by the rules of its token, also when the client has been gone for a while."""
    rules = {"pub": ["w/#"]}
    watch = Who(broker, "tcp", folder, "watch", password=tokens.hs256(claims(sub="watch")))
    watch.subscribe("#")
    for kind in KINDS:
        will = {"will_topic": b"w/" + kind.encode(), "will_payload": b"gone"}
        assert knock(broker, kind, folder, "c", password=tokens.hs256(claims(acl=rules)), will_topic=b"x", will_payload=b"") == NOT_AUTHORIZED
        client = Who(broker, kind, folder, "c", password=tokens.hs256(claims(acl=rules)), **will,
                     props=[("session_expiry", 100)], will_props=[("will_delay", 1)])
        assert client.rc == 0, client.connack
        client.reset()
        assert watch.wait("PUBLISH")["topic"] == b"w/" + kind.encode()
    watch.close()


def test_until_it_expires(broker, folder, _deadline_s):
    """The connection ends with its token, and is not before."""
    clients = []
    for kind in KINDS:
        for version in (wire.V311, wire.V5):
            clients.append(Who(broker, kind, folder, "c-%s-%d" % (kind, version), version=version, username="u",
                               password=tokens.hs256({**claims(), "exp": int(time.time()) + 3})))
    before = broker.counters()["authn_expired"]
    for client in clients:
        assert client.rc == 0
        client.ping(client.deadline)
    for client in clients:
        assert client.ended() == (EXPIRED if client.version == wire.V5 else None)
    assert broker.counters()["authn_expired"] == before + len(clients)


def test_many_at_once(broker, folder, _deadline_s):
    """More tokens than workers take, and clients that do not wait for the answer."""
    good, bad = tokens.es256(claims(), folder), tokens.es256(claims(), folder, "jwt-other.key")
    for kind in KINDS:
        clients = [Who(broker, kind, folder, "c%d" % i, password=bad if i % 3 == 2 else good, waits=False) for i in range(60)]
        for i, client in enumerate(clients):
            if i % 4 == 3:
                client.reset()
            else:
                assert client.answered() == (BAD_CREDENTIALS if i % 3 == 2 else 0), (kind, i)
        for client in clients:
            client.close()
    assert broker.counters()["work_refused"] > 0 and broker.counters()["authn_waited"] > 0


def reload(broker, lines):
    broker.write_conf(lines)
    return broker.control("reload")


def test_bad_key_files(broker, folder, _deadline_s):
    """At a reload the keys that were good stay; at a start nobody is let in by half of them."""
    good = broker.conf
    garbage, absent = os.path.join(folder, "garbage.pem"), os.path.join(folder, "absent")
    half = os.path.join(folder, "half.pub")
    with open(os.path.join(folder, "jwt-rsa.pub"), "rb") as whole, open(half, "wb") as out:
        out.write(whole.read()[:200])
    wrong = {
        'auth.jwt.public_key = "%s"' % absent: "No such file",
        'auth.jwt.public_key = "%s"' % folder: "no regular file",
        'auth.jwt.public_key = "%s"' % garbage: "no public key",
        'auth.jwt.public_key = "%s/empty.pem"' % folder: "no public key",
        'auth.jwt.public_key = "%s"' % half: "not PEM",
        'auth.jwt.public_key = "%s/jwt-weak.pub"' % folder: "1024 bits is too weak",
        'auth.jwt.public_key = "%s/jwt-rsa.key"' % folder: "this is a private key",
        'auth.jwt.public_key = "%s/jwt-rsa.pub, %s"' % (folder, absent): "No such file",
        'auth.jwt.secret_file = "%s"' % absent: "No such file",
        'auth.jwt.secret_file = "%s/empty.pem"' % folder: "too short",
        'auth.jwt.secret_file = "%s/jwt-rsa.pub"' % folder: "this is PEM",
        'auth.jwt.jwks_file = "%s"' % absent: "No such file",
        'auth.jwt.jwks_file = "%s"' % garbage: "not JSON",
    }
    try:
        for line, why in wrong.items():
            lines = [*listeners(folder), line]
            answer = reload(broker, lines)
            assert not answer["ok"] and line.split(" = ")[0] + ": " in answer["error"] and why in answer["error"], (line, answer)
            for kind in KINDS:
                assert knock(broker, kind, folder, "c", password=tokens.hs256(claims())) == 0
                assert knock(broker, kind, folder, "c", password=tokens.hs256(claims(), b"x" * 32)) == BAD_CREDENTIALS
            started = start_another(broker, folder)
            assert started.returncode != 0 and why in started.stdout + started.stderr, (line, started)
        answer = reload(broker, [*listeners(folder), 'auth.jwt.issuer = "tests"'])
        assert not answer["ok"] and "auth.jwt needs a key" in answer["error"], answer
    finally:
        assert reload(broker, good)["ok"]


def test_other_keys(broker, folder, _deadline_s):
    """Keys change at a reload, for those who come next."""
    good = broker.conf
    lines = [*listeners(folder), 'auth.jwt.public_key = "%s/jwt-ec.pub"' % folder, 'auth.jwt.audience = "mqtt"']
    assert reload(broker, lines)["ok"]
    try:
        for kind in KINDS:
            assert knock(broker, kind, folder, "c", password=tokens.hs256(claims())) == BAD_CREDENTIALS
            assert knock(broker, kind, folder, "c", password=tokens.es256(claims(), folder)) == 0
    finally:
        assert reload(broker, good)["ok"]


def test_from_the_user_name(broker, folder, _deadline_s):
    good = broker.conf
    assert reload(broker, [*good, "auth.jwt.from = username"])["ok"]
    try:
        for kind in KINDS:
            mark, token = len(broker.log), tokens.hs256(claims())
            assert knock(broker, kind, folder, "c", username=token) == 0
            assert knock(broker, kind, folder, "c", password=token) == BAD_CREDENTIALS
            wrong = tokens.hs256(claims(-1))
            assert knock(broker, kind, folder, "c", username=wrong, version=wire.V311) == 4
            assert broker.wait_log(r'refused: event=connect client="c" user="\(a token\)"', time.monotonic() + 10, mark)
            log = "".join(broker.log[mark:])
            assert token.decode()[:60] not in log and wrong.decode()[:60] not in log, log
        answer = reload(broker, [*good, "auth.jwt.from = username", 'auth.jwt.username_claim = ""'])
        assert not answer["ok"] and "auth.jwt.username_claim" in answer["error"], answer
    finally:
        assert reload(broker, good)["ok"]


def test_whose_token_it_is(broker, folder, _deadline_s):
    """auth.jwt.verify_claims: a token is good for its client alone."""
    good = broker.conf
    wanted = 'auth.jwt.verify_claims { clientid = "${clientid}", account = "at-${username}", site = north }'
    assert reload(broker, [*good, wanted])["ok"]
    mine = {"clientid": "c-1", "account": "at-u1", "site": ["south", "north"]}
    try:
        for kind in KINDS:
            for sign in (tokens.hs256, lambda said: tokens.es256(said, folder)):  # by the shard, by a worker
                for version in (wire.V311, wire.V5):
                    assert knock(broker, kind, folder, "c-1", username="u1", password=sign(claims(**mine)), version=version) == 0, kind
                for name in ("c-2", "c-", "c-11"):
                    assert knock(broker, kind, folder, name, username="u1", password=sign(claims(**mine))) == BAD_CREDENTIALS, kind
                assert knock(broker, kind, folder, "c-1", username="u2", password=sign(claims(**mine))) == BAD_CREDENTIALS, kind
                assert knock(broker, kind, folder, "c-1", password=sign(claims(**mine))) == BAD_CREDENTIALS, kind
            assert knock(broker, kind, folder, "", username="u1", password=tokens.hs256(claims(**{**mine, "clientid": ""}))) == BAD_CREDENTIALS
            for name in mine:
                less = {key: value for key, value in mine.items() if key != name}
                mark = len(broker.log)
                assert knock(broker, kind, folder, "c-1", username="u1", password=tokens.hs256(claims(**less))) == BAD_CREDENTIALS, name
                assert broker.wait_log(r"auth\.jwt\.verify_claims", time.monotonic() + 10, mark)
        for wrong, why in (('verify_claims { a = "${client}" }', "neither ${clientid} nor ${username}"),
                           ('verify_claims { a = "${username}" }, auth.jwt.from = username', "the token itself")):
            answer = reload(broker, [*good, "auth.jwt." + wrong.split(", ")[0], *wrong.split(", ")[1:]])
            assert not answer["ok"] and "auth.jwt.verify_claims.a" in answer["error"] and why in answer["error"], answer
        answer = reload(broker, [*listeners(folder), "auth.allow_anonymous = true", wanted])
        assert not answer["ok"] and "auth.jwt needs a key" in answer["error"], answer
    finally:
        assert reload(broker, good)["ok"]


TESTS = [test_good_tokens, test_bad_tokens, test_no_token, test_who_it_is, test_super_users, test_rules_with_an_order, test_wills,
         test_until_it_expires, test_many_at_once, test_keys_that_change_while_a_token_is_looked_at,
         test_bad_key_files, test_other_keys, test_from_the_user_name, test_whose_token_it_is]

if __name__ == "__main__":
    sys.exit(run(TESTS, conf))
