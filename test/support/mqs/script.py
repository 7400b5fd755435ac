# SPDX-License-Identifier: MIT
"""Running one instance of a script against a broker.

  client NAME [on-shard N] [id=TEXT] connect VERSION [FIELDS] [-> CONNACK FIELDS]
  client NAME [on-shard N] [id=TEXT] VERSION              declared, `NAME open` connects the socket
  NAME > PACKET ...         send                 NAME >> PACKET ...    send together with the next packet
  NAME < PACKET ...         the next packet      NAME <~ PACKET ...    the next one that fits, others wait
  NAME < nothing            all clients exchange PINGREQ and PINGRESP several times; still nothing came
  NAME < close              the broker closes the connection and sends nothing more
  NAME < error RC           DISCONNECT RC to a 5.0 client, then (and to 3.x at once) the connection is closed
  NAME < refused RC [v3=N]  CONNACK RC to a 5.0 client, CONNACK N (or nothing) to 3.x, then closed
  NAME < refused-or-closed  either, with any code
  NAME < bytes x:2002...    exactly these bytes come next
  NAME subscribes "f" ..    SUBSCRIBE, and SUBACK grants what was asked for
  NAME publishes ...        PUBLISH with the whole acknowledgement that its QoS has; retained at QoS 0: settles
  NAME < PUBLISH .. ack     acknowledge what came, to the end
  NAME last PUBLISH ..      of all publications that come this is the last, and no retained one follows a live one
  NAME reconnect [VERSION] [FIELDS] [-> ...]     a new connection with the same client identifier; everything
                            sent on the old one has been taken before
  NAME open | close | rst | half-close | dribble on | dribble off | ping
  one-of A B .. < PACKET .. as WHO               exactly one of them gets it: its name in $WHO
  settle                    as for `nothing`, with no expectation
  stat mark | stat + NAME N ..                   counters since the start of the script or the mark
  until + NAME N            wait until a counter has grown by at least N
  clock start | clock between A B                seconds since the start
  log [N] TEXT              N lines (at least one) match the expression, from the start of the script on
  control LINE [json.F=..]  the broker's control socket
  conf TEXT ..              rewrite the configuration file with these lines
  signal NAME | exit STATUS
  set NAME TEXT
"""

import json
import random
import select
import signal as signals
import string
import threading
import time

from . import fields, wire
from .broker import BrokerDied
from .client import Client, Closed, Timeout, Violation
from .parse import ScriptError, key_value, substitute, text_value
from .wire import Malformed

PING_ROUNDS = 4  # hops between shards that a message can need: interest, owner, member, answer
DEADLINE_S = 5.0

anchor_lock = threading.Lock()


class Failure(Exception):
    """A scenario failed: the line, what was wanted, what came."""

    def __init__(self, line, expected, got):
        super().__init__("line %d: %s\n    expected: %s\n    got:      %s" % (line.number, line.text, expected, got))


class Run:
    """One run of a script: its variables, its clients, the broker."""

    def __init__(self, script, broker, loop_variables, generator):
        self.script, self.broker, self.random = script, broker, generator
        self.clients, self.line = {}, None
        letters = string.ascii_lowercase + string.digits
        self.prefix = "".join(self.random.choice(letters) for _ in range(6))
        self.variables = {"T": ("t" + self.prefix).encode(), "id": ("c" + self.prefix).encode(),
                          "shards": broker.shards, "port": broker.port, **loop_variables}
        self.deadline_s = DEADLINE_S * broker.time_scale
        self.log_start = len(broker.log)
        self.clock = time.monotonic()
        self.baseline = self.counters()

    def counters(self):
        return self.broker.counters() if self.broker.counts and self.broker.alive() and not self.script.slow else {}

    def deadline(self):
        return time.monotonic() + self.deadline_s

    def run(self):
        try:
            self.block(self.script.lines)
        except (Malformed, Violation) as error:
            raise Failure(self.line, "what the specification allows", error) from error
        except (Closed, Timeout) as error:
            raise Failure(self.line, self.line.text, error) from error
        except (ScriptError, OSError, KeyError, IndexError) as error:
            raise Failure(self.line, "a line that can be run", repr(error)) from error
        finally:
            for client in self.clients.values():
                client.close()

    def at_rest(self):
        """Waits until the broker has seen our connections end and the laws hold. None or what is wrong."""
        if not self.broker.counts or self.script.slow or not self.broker.alive():
            return None
        deadline = self.deadline()
        while (opened := self.broker.counters()["connection_open"]) > len(self.broker.anchors):
            if time.monotonic() > deadline:
                return "%d connections are open behind the end of the script" % opened
            threading.Event().wait(0.002)
        return self.broker.wait_law(deadline)

    def block(self, lines):
        for line in lines:
            self.line = line
            self.execute(line, line.words)

    def execute(self, line, words):
        verb = words[0]
        if verb in ("repeat", "for", "if"):
            getattr(self, "block_" + verb)(line, words)
            return
        if verb in VERBS:
            getattr(self, "verb_" + verb.replace("-", "_"))(words[1:])
            return
        client = self.clients.get(substitute(verb, self.variables))
        if client is None:
            raise ScriptError("no client and no verb is called %s" % verb)
        self.client_verb(client, words[1], words[2:])

    # --------------------------------------------------------------------------------------------- blocks

    def block_repeat(self, line, words):
        for index in range(fields.number(words[1], self.variables)):
            if words[2:3] == ["as"]:
                self.variables[words[3]] = index
            self.block(line.block)

    def block_for(self, line, words):
        for word in words[3:]:
            self.variables[words[1]] = text_value(word, self.variables)
            self.block(line.block)

    def block_if(self, line, words):
        value = text_value(words[1], self.variables)
        chosen = value in [text_value(word, self.variables) for word in words[3:]]
        self.block(line.block if chosen else line.otherwise)

    # -------------------------------------------------------------------------------------------- clients

    def verb_client(self, words):
        name, words = substitute(words[0], self.variables), words[1:]
        shard = client_id = None
        while words and (words[0] == "on-shard" or words[0].startswith("id=")):
            if words[0] == "on-shard":
                shard, words = fields.number(words[1], self.variables), words[2:]
            else:
                client_id, words = text_value(words[0][3:], self.variables), words[1:]
        if client_id is None:
            client_id = self.make_client_id(name, shard)
        connect = words[0] == "connect"
        if connect:
            words = words[1:]
        version = wire.VERSIONS[substitute(words[0], self.variables)]
        client = Client(name, self.broker.address, version, client_id)
        self.clients[name] = client
        self.variables[name] = client_id
        if connect:
            self.connect(client, words[1:])

    def make_client_id(self, name, shard):
        def make():
            return "c%s%s%06x" % (self.prefix, name[:6], self.random.randrange(1 << 24))
        if shard is None or not self.broker.counts:
            return make().encode()
        return self.broker.client_id_on(shard, make).encode()

    def connect(self, client, words):
        split = words.index("->") if "->" in words else len(words)
        client.open()
        self.send(client, "CONNECT", words[:split])
        expected = words[split + 1:]
        if client.version == wire.V31:
            expected = [word for word in expected if not word.startswith("sp=")]
        self.expect_packet(client, "CONNACK", expected)
        return split

    def client_verb(self, client, verb, words):
        if verb in (">", ">>"):
            self.send(client, words[0], words[1:], hold=verb == ">>")
        elif verb == "<":
            self.expect(client, words)
        elif verb == "<~":
            self.expect_packet(client, words[0], words[1:], search=True)
        elif verb == "reconnect":
            self.client_close(client, [])
            if words and words[0] in wire.VERSIONS:
                client.version, words = wire.VERSIONS[words[0]], words[1:]
            self.connect(client, words)
        elif verb == "dribble":
            client.dribble = words[0] == "on"
        elif verb == "last":
            self.expect_last(client, words[0], words[1:])
        elif verb == "ping":
            client.ping(self.deadline())
        elif verb in ("open", "close", "rst", "half-close", "subscribes", "publishes"):
            getattr(self, "client_" + verb.replace("-", "_"))(client, words)
        else:
            raise ScriptError("a client cannot %s" % verb)

    def client_open(self, client, _words):
        client.open()

    def client_close(self, client, _words):
        """Closes the connection when the broker has taken and sent everything, and waits until it has noticed (`rst`
        does neither)."""
        if client.online and client.sock is not None:
            self.ping_if_open(client)
        opened = self.counters().get("connection_open", 0) if client.online else 0
        client.close()
        deadline = self.deadline()
        while opened and self.broker.alive() and self.broker.counters()["connection_open"] >= opened:
            if time.monotonic() > deadline:
                raise Failure(self.line, "the broker notices that the connection was closed", "it does not")
            threading.Event().wait(0.001)

    def client_rst(self, client, _words):
        client.reset()

    def client_half_close(self, client, _words):
        client.half_close()

    def send(self, client, kind, words, hold=False):
        data, arguments = fields.build(client, kind, words, self.variables)
        if kind == "CONNECT":
            client.note_connect(arguments.props)
        elif kind == "DISCONNECT":
            client.online = False
        elif kind in ("PUBACK", "PUBREC", "PUBCOMP"):
            client.note_acknowledgement(kind, arguments.fields)
        if client.sock is None:
            raise ScriptError("%s has no connection" % client.name)
        if hold:
            client.hold(data)
        else:
            client.write(data, self.deadline())
        return arguments

    def client_subscribes(self, client, words):
        arguments = self.send(client, "SUBSCRIBE", words)
        granted = ",".join(str(options & 3) for _, options in arguments.filters())
        self.expect_packet(client, "SUBACK", ["id=%d" % arguments.fields.get("id", 1), "rc=" + granted],
                           search=True)

    def client_publishes(self, client, words):
        fields_of = self.send(client, "PUBLISH", words).fields
        qos, identifier = fields_of.get("qos", 0), "id=%d" % fields_of.get("id", 1)
        if qos == 0 and fields_of.get("retain"):
            self.verb_settle([])  # nothing acknowledges that it is stored
        elif qos == 1:
            self.expect_packet(client, "PUBACK", [identifier], search=True)
        elif qos == 2:
            self.expect_packet(client, "PUBREC", [identifier], search=True)
            self.send(client, "PUBREL", [identifier])
            self.expect_packet(client, "PUBCOMP", [identifier], search=True)

    # --------------------------------------------------------------------------------------- expectations

    def expect(self, client, words):
        what = words[0]
        if what == "nothing":
            self.expect_nothing(client)
        elif what == "close":
            self.expect_close(client)
        elif what == "error":
            if client.version == wire.V5 and self.broker.counts:
                self.expect_packet(client, "DISCONNECT", ["rc=" + words[1]] + words[2:])
            self.expect_close(client)
        elif what == "refused":
            self.expect_refused(client, words[1], dict(map(key_value, words[2:])).get("v3"))
        elif what == "refused-or-closed":
            self.expect_any_refusal(client)
        elif what == "bytes":
            self.expect_bytes(client, text_value(words[1], self.variables))
        else:
            self.expect_packet(client, what, words[1:])

    def expect_refused(self, client, code, v3_code):
        if not self.broker.counts:  # a reference may or may not say why
            self.expect_any_refusal(client)
        elif client.version == wire.V5:
            self.expect_packet(client, "CONNACK", ["rc=" + code])
        elif v3_code:
            self.expect_packet(client, "CONNACK", ["rc=" + v3_code])
        self.expect_close(client)

    def expect_any_refusal(self, client):
        try:
            packet = client.receive(self.deadline())
        except Closed:
            return
        if packet["type"] != "CONNACK" or not packet["rc"]:
            raise Failure(self.line, "the connection is refused", packet)

    def expect_packet(self, client, kind, words, search=False):
        wanted = " ".join([client.name, "<", kind] + [substitute(word, self.variables) for word in words])
        passed, deadline = [], self.deadline()
        try:
            while True:
                packet = client.receive(deadline)
                problem = fields.mismatch(packet, kind, words, self.variables)
                if problem is None:
                    break
                if not search:
                    raise Failure(self.line, wanted, "%s (%s)" % (packet, problem))
                passed.append(packet)
        except (Closed, Timeout) as error:
            seen = "".join("\n              " + str(packet) for packet in passed)
            raise Failure(self.line, wanted, str(error) + (", but before" + seen if seen else "")) from error
        finally:
            client.inbox.extendleft(reversed(passed))
        if "ack" in words:
            self.acknowledge(client, packet)
        return packet

    def acknowledge(self, client, packet):
        identifier = "id=%d" % packet.get("id", 0)
        if packet["qos"] == 1:
            self.send(client, "PUBACK", [identifier])
        elif packet["qos"] == 2:
            self.send(client, "PUBREC", [identifier])
            self.expect_packet(client, "PUBREL", [identifier], search=True)
            self.send(client, "PUBCOMP", [identifier])

    def expect_last(self, client, kind, words):
        self.verb_settle([])
        live, packet = False, None
        while client.pending():
            packet = client.receive(self.deadline())
            if packet["type"] != kind or (live and packet["retain"]):
                raise Failure(self.line, "%s, and nothing retained behind a live one" % kind, packet)
            live = live or not packet["retain"]
            self.acknowledge(client, packet)
        problem = "nothing came" if packet is None else fields.mismatch(packet, kind, words, self.variables)
        if problem:
            raise Failure(self.line, self.line.text, "%s (%s)" % (packet, problem))

    def expect_nothing(self, client):
        self.verb_settle([])
        pending = client.pending()
        if pending:
            raise Failure(self.line, "nothing for %s" % client.name, "; ".join(map(str, pending)))
        if client.eof:
            raise Failure(self.line, "nothing for %s" % client.name, "the connection was closed")

    def expect_close(self, client):
        try:
            packet = client.receive(self.deadline())
            if packet["type"] == "DISCONNECT" and not self.broker.counts:  # a reference may or may not say why
                packet = client.receive(self.deadline())
        except Closed:
            client.close()
            return
        except Timeout as error:
            raise Failure(self.line, "the connection is closed", "it stays open") from error
        raise Failure(self.line, "the connection is closed", packet)

    def expect_bytes(self, client, wanted):
        deadline = self.deadline()
        while len(client.buffer) < len(wanted) and not client.eof and time.monotonic() < deadline:
            select.select([client.sock], [], [], max(0, deadline - time.monotonic()))
            client._receive_some()
        got = bytes(client.buffer[:len(wanted)])
        if got != wanted:
            raise Failure(self.line, wanted.hex(), got.hex() or "nothing")
        del client.buffer[:len(wanted)]

    def verb_one_of(self, words):
        split = words.index("<")
        names, kind, rest = words[:split], words[split + 1], words[split + 2:]
        who = rest[rest.index("as") + 1]
        rest = rest[:rest.index("as")]
        clients = [self.clients[substitute(name, self.variables)] for name in names]
        deadline = self.deadline()
        while not any(client.pending() for client in clients):
            if time.monotonic() > deadline:
                raise Failure(self.line, "%s for one of %s" % (kind, names), "nothing")
            select.select([client.sock for client in clients], [], [], 0.05)
        receiver = next(client for client in clients if client.inbox)
        self.variables[who] = receiver.name
        self.expect_packet(receiver, kind, rest)

    # ---------------------------------------------------------------------------------------- other verbs

    def anchors(self):
        """A connection on every shard, so that pinging them lets every shard take its turn."""
        if not self.broker.counts:
            return []
        if not self.broker.anchors:
            for shard in range(self.broker.shards):
                name = "anchor%d" % shard
                anchor = Client(name, self.broker.address, wire.V311, self.make_client_id(name, shard))
                anchor.open()
                anchor.write(anchor.send("CONNECT", wire.connect(wire.V311, {
                    "id": anchor.client_id, "keepalive": 0})), self.deadline())
                anchor.receive(self.deadline())
                self.broker.anchors.append(anchor)
        return self.broker.anchors

    def verb_settle(self, _words):
        with anchor_lock:
            for _ in range(PING_ROUNDS):
                for client in self.anchors():
                    client.ping(self.deadline())
                for client in list(self.clients.values()):
                    if client.online and client.sock is not None and not client.eof:
                        self.ping_if_open(client)

    def ping_if_open(self, client):
        try:
            client.ping(self.deadline())
        except Closed:
            client.eof = True

    def verb_stat(self, words):
        if not self.broker.counts:
            return
        if words[0] == "mark":
            self.verb_settle([])
            problem = self.broker.wait_law(self.deadline())
            if problem:
                raise Failure(self.line, "the conservation laws", problem)
            self.baseline = self.broker.counters()
            return
        wanted = {name: fields.number(count, self.variables) for name, count in zip(words[1::2], words[2::2])}
        self.verb_settle([])
        deadline = self.deadline()
        while True:
            now = self.broker.counters()
            delta = {name: now[name] - self.baseline[name] for name in wanted}
            if delta == wanted:
                return
            if time.monotonic() > deadline:
                raise Failure(self.line, wanted, delta)
            threading.Event().wait(0.005)

    def verb_until(self, words):
        name, least = words[1], fields.number(words[2], self.variables)
        deadline = self.deadline()
        while self.broker.counts and (now := self.broker.counters()[name] - self.baseline[name]) < least:
            if time.monotonic() > deadline:
                raise Failure(self.line, "%s to grow by %d" % (name, least), now)
            threading.Event().wait(0.005)

    def verb_clock(self, words):
        if words[0] == "start":
            self.clock = time.monotonic()
            return
        passed = time.monotonic() - self.clock
        low, high = float(words[1]), float(words[2]) + 2 * (self.broker.time_scale - 1)
        if not low <= passed <= high:
            raise Failure(self.line, "%s to %s seconds" % (low, high), "%.3f" % passed)

    def verb_log(self, words):
        count = int(words[0]) if words[0].isdigit() else 0
        pattern = text_value(words[-1], self.variables).decode()
        found = self.broker.wait_log(pattern, self.deadline(), self.log_start, max(count, 1))
        if count:
            found = [line for line in self.broker.log[self.log_start:] if line in found]
        if not found or (count and len(found) != count):
            raise Failure(self.line, "%s log lines matching %s" % (count or "some", pattern), found)

    def verb_control(self, words):
        answer = self.broker.control(text_value(words[0], self.variables).decode())
        for word in words[1:]:
            key, value = key_value(word)
            actual = answer.get(key[5:])
            actual = actual if isinstance(actual, str) or actual is None else json.dumps(actual)
            if not fields.same(value, None if actual is None else actual.encode(), self.variables, False):
                raise Failure(self.line, word, answer)

    def verb_conf(self, words):
        self.broker.write_conf([text_value(word, self.variables).decode() for word in words])

    def verb_signal(self, words):
        self.broker.signal(getattr(signals, "SIG" + words[0]))

    def verb_exit(self, words):
        self.broker.expected_status = int(words[0])
        status = self.broker.wait_exit(self.deadline_s + 10)
        if status != self.broker.expected_status:
            raise Failure(self.line, "exit status " + words[0], status)

    def verb_set(self, words):
        self.variables[words[0]] = text_value(words[1], self.variables)


VERBS = {"client", "one-of", "settle", "stat", "until", "clock", "log", "control", "conf", "signal", "exit", "set"}


def run_instance(script, broker, loop_variables, seed):
    """Runs one instance and asks for the conservation laws at its end. Returns None or what went wrong."""
    label = " ".join("%s=%s" % pair for pair in loop_variables.items())
    run = None
    try:
        run = Run(script, broker, loop_variables, random.Random(seed))
        run.run()
        problem = run.at_rest()
    except (Failure, BrokerDied, ScriptError, OSError, ValueError) as error:
        problem = str(error)
    if problem is None:
        return None
    log = broker.log[run.log_start if run else 0:][-15:]
    return "%s shards=%d %s seed=%s\n  %s\n    broker's log:\n%s" % (
        script.path, broker.shards, label, seed, problem, "\n".join("      " + line for line in log))
