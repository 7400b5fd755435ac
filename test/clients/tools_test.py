#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""shardmq pub, sub and conn as a user has them, against ShardMQ, Debian's mosquitto, and servers that misbehave."""

import argparse
import contextlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import clients  # noqa: F401  (finds mqs)
from mqs.broker import Broker, Mosquitto

TOOL = None      # the program
SCALE = 1.0      # of deadlines
STARTED = []     # processes of the test that runs: ended with it, however it ends


def deadline(seconds=20):
    return seconds * SCALE


class Tool:
    """A running tool: its standard output goes to a file, its standard error is read as it comes."""

    def __init__(self, *words, stdin=None, stdout=None):
        self.words = [str(word) for word in words]
        self.output = stdout if stdout is not None else tempfile.TemporaryFile()
        self.process = subprocess.Popen([TOOL, *self.words], stdin=stdin if stdin is not None else subprocess.DEVNULL,
                                        stdout=self.output, stderr=subprocess.PIPE, bufsize=0)
        self.errors = b""
        STARTED.append(self.process)

    def wait_error(self, text, seconds=20):
        """Waits until the text stands in standard error."""
        end = time.monotonic() + deadline(seconds)
        while text.encode() not in self.errors:
            left = end - time.monotonic()
            ready = left > 0 and select.select([self.process.stderr], [], [], left)[0]
            data = os.read(self.process.stderr.fileno(), 1 << 16) if ready else b""
            assert data, "%s: %r did not come, but %r" % (self.words, text, self.errors)
            self.errors += data
        return self

    def finish(self, status=0, seconds=20):
        """Waits for the end with this status; returns what was printed, as bytes."""
        try:
            self.errors += self.process.communicate(timeout=deadline(seconds))[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("%s does not end: %r" % (self.words, self.errors)) from None
        assert self.process.returncode == status, \
            "%s: status %d, not %d: %r" % (self.words, self.process.returncode, status, self.errors)
        self.output.seek(0)
        return self.output.read()

    def signal(self, number):
        self.process.send_signal(number)


def at(broker):
    return ("-h", "127.0.0.1", "-p", broker.port)


def run(*words, status=0, data=None, seconds=20):
    """A tool that ends by itself; what it printed."""
    with tempfile.TemporaryFile() as stdin:
        stdin.write(data or b"")
        stdin.seek(0)
        tool = Tool(*words, stdin=stdin)
        printed = tool.finish(status, seconds)
    return printed, tool.errors.decode()


def pub(broker, *words, **keywords):
    return run("pub", *at(broker), *words, **keywords)


def sub(broker, *words):
    """A subscriber whose subscription is confirmed."""
    return Tool("sub", *at(broker), "-d", *words).wait_error("subscription to")


# --- against a broker ---------------------------------------------------------------------------------------------

def test_payloads_of_many_sizes_arrive_as_they_were(broker):
    sizes = [0, 1, 2, 127, 128, 4095, 16383, 16384, 65535, 65536, 300000, 2000000]
    chooser = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        for version in (3, 4, 5):
            receiver = sub(broker, "-V", version, "-t", "bytes/%d" % version, "-C", len(sizes), "-N", "-F", "%l:%p,")
            expected = b""
            for number, size in enumerate(sizes):
                payload = chooser.randbytes(size)
                path = os.path.join(folder, "payload")
                with open(path, "wb") as file:
                    file.write(payload)
                source = [("-f", path), ("-s",), ("-f", "-")][number % 3]
                pub(broker, "-V", version, "-q", number % 3, "-t", "bytes/%d" % version, *source,
                    data=payload)
                expected += b"%d:%s," % (size, payload)
            assert receiver.finish() == expected, version


def test_lines_and_what_is_printed(broker):
    receiver = sub(broker, "-t", "lines/#", "-C", 5, "-v")
    pub(broker, "-t", "lines/a", "-q", 1, "-l", data=b"one\n\nthr\0ee\n  last")
    pub(broker, "-t", "lines/b", "-q", 1, "-n")
    assert receiver.finish() == b"lines/a: one\nlines/a: \nlines/a: thr\0ee\nlines/a:   last\nlines/b: \n"
    plain = sub(broker, "-t", "lines/#", "-C", 2)
    pub(broker, "-t", "lines/a", "-t", "lines/b", "-q", 2, "-m", "x")
    assert plain.finish() == b"x\nx\n"


def test_as_nanomq_0_6_6_writes_it(broker):
    url = "mqtt-tcp://127.0.0.1:%d" % broker.port
    receiver = Tool("sub", "start", "--url", url, "-t", "nano", "-q", "1")
    end = time.monotonic() + deadline()
    while b"connect_cb: connected!" not in receiver_text(receiver):
        assert time.monotonic() < end
    for _ in range(200):  # the line is there before the subscription is
        run("pub", "start", "--url", url, "-t", "nano", "-m", "payload", "-q", "1", "-i", "1", "-L", "2")
        if b"payload" in receiver_text(receiver):
            break
    receiver.signal(signal.SIGINT)
    lines = receiver.finish().splitlines()
    assert lines[0] == b"connect_cb: connected!" and lines[1] == b"nano: payload" and lines[-1] == b"disconnected", lines
    printed, _ = run("conn", url, "-C", "3", "-W", 1.5 * SCALE)
    assert printed == b"connect_cb: connected!\n" * 3 + b"disconnected\n" * 3, printed


def receiver_text(tool):
    return os.pread(tool.output.fileno(), 1 << 24, 0)


def test_properties_and_json(broker):
    receiver = sub(broker, "-V", 5, "-t", "props", "-C", 1, "--subscription_identifier", 42, "-q", 1,
                   "-F", "%j\\n%t|%C|%D|%F|%P|%R|%S|%q|%p|%x|%X")
    pub(broker, "-t", "props", "-m", '{"a": 1}', "-q", 1, "--content_type", "application/json",
        "--correlation_data", "abc", "--message_expiry_interval", 100, "--payload_format_indicator", 1,
        "--response_topic", "answers", "--user_property", "one=1", "-D", "publish", "user-property", "two", "b=2")
    document, line = receiver.finish().decode().splitlines()
    message = json.loads(document)
    assert message["topic"] == "props" and message["payload"] == '{"a": 1}' and message["qos"] == 1
    properties = message["properties"]
    assert properties.pop("message-expiry-interval") in (99, 100)
    assert properties == {"payload-format-indicator": 1, "content-type": "application/json", "response-topic": "answers",
                          "correlation-data": "abc", "subscription-identifiers": [42],
                          "user-properties": {"one": "1", "two": "b=2"}}, properties
    payload = '{"a": 1}'.encode().hex()
    assert line == 'props|application/json|abc|1|one:1 two:b=2|answers|42|1|{"a": 1}|%s|%s' % (payload, payload.upper())
    embedded = sub(broker, "-t", "props", "-C", 2, "-F", "%J")
    pub(broker, "-q", 1, "-t", "props", "-m", "not JSON")
    pub(broker, "-q", 1, "-t", "props", "-m", '{"a": [1,\n 2]}')
    assert json.loads(embedded.finish())["payload"] == {"a": [1, 2]}
    assert "is not JSON" in embedded.errors.decode()


def test_the_will_and_its_properties(broker):
    receiver = sub(broker, "-V", 5, "-t", "will", "-C", 1, "-F", "%p|%q|%C|%P|%R")
    dying = Tool("conn", *at(broker), "-V", 5, "-d", "--will-topic", "will", "--will-msg", "gone", "--will-qos", 1,
                 "--will_content_type", "text", "--will_user_property", "a=b", "--will_response_topic", "r")
    dying.wait_error("received CONNACK")
    dying.signal(signal.SIGKILL)
    dying.finish(-signal.SIGKILL)
    assert receiver.finish() == b"gone|1|text|a:b|r\n"


def test_retained(broker):
    pub(broker, "-t", "kept/1", "-m", "a", "-r", "-q", 1)
    pub(broker, "-t", "kept/2", "-m", "b", "-r", "-q", 1)
    printed, _ = run("sub", *at(broker), "-t", "kept/+", "-C", 2, "-F", "%r %p")
    assert sorted(printed.split(b"\n")) == [b"", b"1 a", b"1 b"]
    fresh = sub(broker, "-t", "kept/+", "-R", "-C", 1)
    pub(broker, "-t", "kept/1", "-m", "live", "-q", 1)
    assert fresh.finish() == b"live\n"
    printed, _ = run("sub", *at(broker), "-t", "kept/+", "-T", "kept/1", "-C", 1, "-v")
    assert printed == b"kept/2: b\n"
    remover = sub(broker, "-t", "kept/+", "--retained-only", "--remove-retained", "-v", "-q", 1)
    pub(broker, "-t", "kept/1", "-m", "end", "-q", 1)
    assert sorted(remover.finish().splitlines()) == [b"kept/1: a", b"kept/2: b"]
    printed, _ = run("sub", *at(broker), "-t", "kept/+", "-W", 0.4, status=27)
    assert printed == b""


def test_sessions_and_unsubscribing(broker):
    for version in (4, 5):
        session = ("-V", version, "-c", "-i", "tools-session-%d" % version, "-q", 1)
        run("sub", *at(broker), *session, "-t", "away", "-E")
        pub(broker, "-t", "away", "-m", "while you were away", "-q", 1)
        printed, _ = run("sub", *at(broker), *session, "-t", "away", "-C", 1)
        assert printed == b"while you were away\n"
        run("sub", *at(broker), *session, "-U", "away")
        pub(broker, "-t", "away", "-m", "nobody", "-q", 1)
        run("sub", *at(broker), *session, "-t", "other", "-W", 0.3, status=27)
        clean = Tool("conn", *at(broker), "-V", version, "-i", "tools-session-%d" % version, "-d").wait_error("received CONNACK")
        clean.signal(signal.SIGINT)
        clean.finish()


def test_shared_subscriptions(broker):
    members = [sub(broker, "-V", 5, "-t", "$share/g/work", "-q", 1, "-C", 5) for _ in range(2)]
    pub(broker, "-t", "work", "-q", 1, "-l", data=b"".join(b"%d\n" % number for number in range(10)))
    got = b"".join(member.finish() for member in members)
    assert sorted(got.split()) == [b"%d" % number for number in range(10)], got


def test_repeating(broker):
    receiver = sub(broker, "-t", "again", "-C", 12)
    pub(broker, "-t", "again", "-m", "x", "-L", 5, "-I", 1, "-q", 1)
    pub(broker, "-t", "again", "-m", "x", "--repeat", 5, "--repeat-delay", 0, "-q", 2)
    pub(broker, "-t", "again", "-m", "x", "-C", 2, "-q", 1)
    assert receiver.finish() == b"x\n" * 12
    endless = Tool("pub", *at(broker), "-t", "again", "-m", "x", "-L", 0, "-I", 1, "-v")
    endless.wait_error("connect_cb: connected!")
    endless.signal(signal.SIGTERM)
    endless.finish()


def test_interrupted_and_without_a_reader(broker):
    for number in (signal.SIGINT, signal.SIGTERM):
        receiver = sub(broker, "-t", "nothing")
        receiver.signal(number)
        receiver.finish()
    reader, writer = os.pipe()
    receiver = Tool("sub", *at(broker), "-t", "flood", "-d", stdout=os.fdopen(writer, "wb"))
    receiver.output.close()
    receiver.wait_error("subscription to")
    os.close(reader)
    pub(broker, "-t", "flood", "-q", 1, "-m", "x")
    assert receiver.process.wait(deadline()) == 0
    receiver.process.stderr.close()
    waiting = Tool("pub", *at(broker), "-t", "x", "-l", "-v", stdin=subprocess.PIPE)
    waiting.wait_error("connected!")
    waiting.signal(signal.SIGINT)
    waiting.finish(1)
    assert b"interrupted after 0 messages" in waiting.errors


def test_a_slow_pipe_keeps_the_connection(broker):
    receiver = sub(broker, "-t", "slow", "-C", 2)
    sender = Tool("pub", *at(broker), "-k", 1, "-t", "slow", "-l", "-q", 1, "-v", stdin=subprocess.PIPE)
    sender.process.stdin.write(b"first\n")
    time.sleep(2.2)  # longer than the broker would wait without a PINGREQ: the pause is what is tested
    sender.process.stdin.write(b"second")
    sender.process.stdin.close()
    sender.process.stdin = None
    assert receiver.finish() == b"first\nsecond\n"
    sender.finish()
    assert b"disconnected" in sender.errors and b"again" not in sender.errors


def test_many_lines_at_line_rate(broker):
    count = 50000
    lines = b"".join(b"line %d\n" % number for number in range(count))
    receiver = sub(broker, "-t", "many", "-q", 1, "-C", count)
    pub(broker, "-t", "many", "-q", 1, "-l", data=lines, seconds=60)
    assert receiver.finish(seconds=60) == lines


# --- only against ShardMQ ---------------------------------------------------------------------------------------------

def test_statuses_are_reason_codes(_broker):
    strict = Broker(TOOL, 1, ["mqtt.max_qos = 1", "mqtt.retain_available = false", "mqtt.wildcard_subscription = false",
                              "mqtt.max_packet_size = 1KB"], SCALE).start()
    try:
        _, why = pub(strict, "-V", 5, "-t", "a", "-m", "x", "-q", 2, status=0x9B)
        assert "QoS 1 only" in why, why
        pub(strict, "-V", 5, "-t", "a", "-m", "x", "-r", status=0x9A)
        pub(strict, "-V", 5, "-t", "a", "-m", "x" * 2000, status=0x95)
        pub(strict, "-V", 5, "-t", "a", "-m", "x", "--topic_alias", 9999, status=0x94)
        _, why = run("sub", *at(strict), "-V", 5, "-t", "a/#", status=0xA2)
        assert 'refused the subscription to "a/#": Wildcard Subscriptions not supported' in why, why
        run("sub", *at(strict), "-V", 4, "-t", "a/#", status=0x80)
    finally:
        problem = strict.stop()
    assert problem is None, problem


def test_lost_and_taken_over(broker):
    first = Tool("conn", *at(broker), "-V", 5, "-i", "twin", "-d").wait_error("received CONNACK")
    second = Tool("conn", *at(broker), "-V", 5, "-i", "twin", "-d").wait_error("received CONNACK")
    first.finish(0x8E)
    assert b"Session taken over" in first.errors
    second.signal(signal.SIGINT)
    second.finish()


# --- a restart ----------------------------------------------------------------------------------------------------------

class Recorder:
    """Between a publisher and a broker: remembers which payloads the broker has acknowledged."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.target, self.acknowledged, self.sent = None, set(), 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            waiting = {}
            for source, sink, look in ((client, server, self.published), (server, client, self.answered)):
                threading.Thread(target=self.carry, args=(source, sink, look, waiting), daemon=True).start()

    @staticmethod
    def carry(source, sink, look, waiting):
        data = b""
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                data = look(data + piece, waiting)
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def published(self, data, waiting):
        """PUBLISH of QoS 1 with a payload that fits into one byte of Remaining Length."""
        place = 0
        while place + 2 <= len(data) and place + 2 + data[place + 1] <= len(data):
            body = data[place + 2:place + 2 + data[place + 1]]
            if data[place] >> 4 == 3:
                topic = int.from_bytes(body[:2], "big")
                waiting[body[2 + topic:4 + topic]] = body[4 + topic:]
                self.sent += 1
            place += 2 + data[place + 1]
        return data[place:]

    def answered(self, data, waiting):
        place = 0
        while place + 2 <= len(data) and place + 2 + data[place + 1] <= len(data):
            if data[place] == 0x40:
                self.acknowledged.add(waiting[data[place + 2:place + 4]])
            place += 2 + data[place + 1]
        return data[place:]


def test_no_line_is_lost_when_the_broker_restarts(_broker):
    """What the broker has not acknowledged when it goes is sent to the next one: each line is acknowledged by one of them."""
    count = 60000
    lines = [b"%d" % number for number in range(count)]
    for version, ending in ((4, signal.SIGKILL), (4, signal.SIGTERM)):
        recorder = Recorder()
        first = Broker(TOOL, 1, (), SCALE).start()
        recorder.target = first.port
        with tempfile.TemporaryFile() as stdin:
            stdin.write(b"\n".join(lines))
            stdin.seek(0)
            sender = Tool("pub", "-p", recorder.port, "-V", version, "-t", "t", "-q", 1, "-l", stdin=stdin)
            end = time.monotonic() + deadline()
            while len(recorder.acknowledged) < count // 10:
                assert time.monotonic() < end and sender.process.poll() is None, sender.finish()
            first.expected_status = -ending if ending == signal.SIGKILL else 0
            first.signal(ending)
            first.wait_exit(deadline())
            assert len(recorder.acknowledged) < count, "all was sent before the broker ended"
            sender.wait_error("connecting again")
            second = Broker(TOOL, 1, (), SCALE).start()
            recorder.target = second.port
            sender.finish(seconds=60)
        assert recorder.acknowledged == set(lines), "%d of %d" % (len(recorder.acknowledged), count)
        assert recorder.sent >= count
        problem = second.stop()
        assert problem is None, problem


def test_each_line_arrives_when_a_broker_that_remembers_restarts(_broker):
    """mosquitto keeps sessions in a file: with QoS 1 no line is missing, with QoS 2 each arrives once, in order.

    mosquitto 2.0.11 lets more messages be under way to a receiver than max_inflight_messages. After a restart it takes that many of
    them to be so, in order, and sends the others as PUBLISH again, also those whose PUBREL it has sent (against 4.3.3): its log had
    108 messages of a window of 100 with "Sending PUBREL" and without "Received PUBCOMP" when it ended, and 8 came twice; 125 and 25,
    314 and 214 in other runs. So the window is as large as all messages here."""
    count = 20000
    lines = b"".join(b"%d\n" % number for number in range(count))
    for version, qos, words in ((5, 2, ("-c", "-i", "sender")), (4, 2, ("-c", "-i", "sender")), (4, 1, ()), (5, 1, ())):
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as stdin:
            [port] = free_ports(1)
            path = os.path.join(folder, "mosquitto.conf")
            with open(path, "w", encoding="ascii") as file:
                file.write("%s\nlistener %d 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\n"
                           "max_queued_messages 0\nmax_inflight_messages %d\n"
                           % ("user root" if os.geteuid() == 0 else "", port, folder, count))
            stdin.write(lines)
            stdin.seek(0)
            broker = argparse.Namespace(port=port)
            first = start_mosquitto(path, [port])
            receiver = sub(broker, "-V", version, "-c", "-i", "receiver", "-q", 2, "-t", "t")
            sender = Tool("pub", *at(broker), "-V", version, "-t", "t", "-q", qos, "-l", *words, stdin=stdin)
            end = time.monotonic() + deadline()
            while receiver_text(receiver).count(b"\n") < count // 20:
                assert time.monotonic() < end, receiver.errors
            first.terminate()
            first.wait()
            first.stdout.close()
            sender.wait_error("connecting again")
            second = start_mosquitto(path, [port])
            sender.finish(seconds=60)
            while (got := receiver_text(receiver)).count(b"\n") < count or not got.endswith(b"%d\n" % (count - 1)):
                assert time.monotonic() < end + deadline(60), "%d lines of %d" % (got.count(b"\n"), count)
            receiver.signal(signal.SIGINT)
            got = receiver.finish()
            assert got == lines if qos == 2 else set(got.split()) == set(lines.split()), (version, qos, got.count(b"\n"))
            second.kill()
            second.wait()
            second.stdout.close()


def test_lines_of_qos_2_before_5_0(_broker):
    """mosquitto as it is installed takes 20 messages of QoS 2 at a time, cannot say so before 5.0, and acknowledges and loses more."""
    count = 900  # less than its queue to a receiver
    lines = b"".join(b"%d\n" % number for number in range(count))
    with tempfile.TemporaryDirectory() as folder:
        [port] = free_ports(1)
        path = os.path.join(folder, "mosquitto.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write("%s\nlistener %d 127.0.0.1\nallow_anonymous true\n" % ("user root" if os.geteuid() == 0 else "", port))
        server = start_mosquitto(path, [port])
        broker = argparse.Namespace(port=port)
        receiver = sub(broker, "-V", 4, "-q", 2, "-t", "t", "-C", count)
        pub(broker, "-V", 4, "-q", 2, "-t", "t", "-l", data=lines)
        assert receiver.finish() == lines
        server.kill()
        server.wait()
        server.stdout.close()


# --- misbehaving servers ---------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def scripted(answers, connections=1):
    """A server that sends these bytes, one piece for each time that something comes, then closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        for _ in range(connections):
            with contextlib.suppress(OSError):
                peer, _ = listener.accept()
                with peer:
                    for answer in answers:
                        peer.recv(65536)
                        if answer is None:
                            peer.recv(65536)  # until the client gives up
                        else:
                            peer.sendall(answer)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    listener.settimeout(deadline())
    server = argparse.Namespace(port=listener.getsockname()[1])
    yield server
    listener.close()
    thread.join(deadline())


CONNACK = b"\x20\x02\0\0"


def test_subscribes_again_when_nobody_has_answered(_broker):
    """The session is there when the client comes back, but its SUBSCRIBE went down with the first connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(deadline())
        tool = Tool("sub", "-h", "127.0.0.1", "-p", listener.getsockname()[1], "-t", "a", "-c", "-i", "again")
        for connack in (CONNACK, b"\x20\x02\x01\0"):
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(deadline())
                assert peer.recv(65536)[0] == 0x10
                peer.sendall(connack)
                assert peer.recv(65536)[:1] == b"\x82"
        tool.signal(signal.SIGTERM)
        tool.finish()


def test_servers_that_misbehave(_broker):
    cases = [
        ("pub", [b"HTTP/1.0 400 Bad Request\r\nServer: not a broker\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<p>no</p>"], 9, "is it MQTT that is spoken on this port"),
        ("pub", [], 3, "closed the connection before it answered CONNECT"),
        ("pub", [b"\x20\x02\0\5"], 0x87, "refused the connection: Not authorized (0x87)"),
        ("pub", [b"\x20\x02\0\1"], 0x84, "Unsupported Protocol Version"),
        ("pub", [CONNACK + CONNACK], 9, "CONNACK"),
        ("pub", [CONNACK], 7, "closed the connection"),
        ("pub", [CONNACK, b"\x40\x02\x77\x77"], 9, "PUBACK"),
        ("pub", [b"\x30\xff\xff\xff\xff\x01"], 9, ""),
        ("sub", [CONNACK, b"\x90\x03\0\0\0"], 9, "SUBACK"),
        ("sub", [CONNACK + b"\x30\x04\0\x09aa"], 9, "PUBLISH"),
        ("sub", [CONNACK, CONNACK], 9, "CONNACK"),
    ]
    for command, answers, status, sentence in cases:
        with scripted(answers) as server:
            words = ("-t", "a", "-m", "x", "-q", 1) if command == "pub" else ("-t", "a", "--reconnect", "false")
            _, why = run(command, *at(server), *words, status=status)
            assert sentence in why and why.count("\n") == 1, (command, answers, why)
    with scripted([None]) as server:
        _, why = pub(server, "-t", "a", "-m", "x", "--connect_timeout", 0.3, status=3)
        assert "did not answer within 300 ms" in why
    with scripted([None]) as server:
        pub(server, "-t", "a", "-m", "x", "-W", 0.3, status=27)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    _, why = run("pub", "-p", port, "-t", "a", "-m", "x", status=3)
    assert "Connection refused" in why
    _, why = run("pub", "-p", port, "-t", "a", "-m", "x", "--quiet", status=3)
    assert why == ""


def test_wrong_options_are_one_sentence(_broker):
    for words in (["pub"], ["pub", "-t", "a"], ["pub", "-t", "a", "-m", "x", "-q", "3"], ["sub", "--nonsense"],
                  ["sub", "-t", "a", "-F", "%z"], ["conn", "-p", "x"], ["conn", "--url", "http://localhost"],
                  ["pub", "-t", "a", "-f", "/does/not/exist", "-m", "x"], ["conn", "--cafile", "/does/not/exist"]):
        printed, why = run(*words, status=2)
        assert printed == b"" and why.count("\n") == 1 and why.startswith("shardmq %s: " % words[0]), (words, why)
    _, why = run("pub", "-t", "a", "-f", "/does/not/exist", status=1)
    assert why == "shardmq pub: cannot open /does/not/exist: No such file or directory\n"
    for command in ("pub", "sub", "conn"):
        printed, why = run(command, "--help")
        assert why == "" and b"--will-topic" in printed


# --- TLS and WebSocket --------------------------------------------------------------------------------------------------------

def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_mosquitto(conf, ports):
    """Debian's mosquitto with that file, when it listens."""
    process = subprocess.Popen(["mosquitto", "-c", conf], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    STARTED.append(process)
    end = time.monotonic() + deadline()
    for port in ports:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert time.monotonic() < end and process.poll() is None, process.stdout.read()
    return process


@contextlib.contextmanager
def secure_mosquitto(folder):
    """Debian's mosquitto with a listener for each way in; their ports by name."""
    names = ("plain", "tls", "ws", "wss", "wrong_name", "expired", "two_way")
    ports = dict(zip(names, free_ports(len(names))))
    certificate = {"tls": "server", "wss": "server", "wrong_name": "wrong-name", "expired": "expired-server", "two_way": "server"}
    conf = ["user root" if os.geteuid() == 0 else "", "per_listener_settings false", "allow_anonymous true", "max_queued_messages 0"]
    for name, port in ports.items():
        conf.append("listener %d 127.0.0.1" % port)
        if name in ("ws", "wss"):
            conf.append("protocol websockets")
        if name in certificate:
            conf += ["cafile %s/ca.pem" % folder, "certfile %s/%s.pem" % (folder, certificate[name]),
                     "keyfile %s/%s.key" % (folder, certificate[name])]
        if name == "two_way":
            conf.append("require_certificate true")
    path = os.path.join(folder, "mosquitto.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join(conf) + "\n")
    process = start_mosquitto(path, ports.values())
    try:
        yield argparse.Namespace(**ports)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def secure_shardmq(folder):
    keys = 'bind = "127.0.0.1:0", certfile = "%s/server.pem", keyfile = "%s/server.key"' % (folder, folder)
    broker = Broker(TOOL, 1, ["listeners.ssl { %s }" % keys, 'listeners.ws.bind = "127.0.0.1:0/mqtt"', "listeners.wss { %s }" % keys,
                              'listeners.ssl.must { %s, cacertfile = "%s/ca.pem", verify_peer = true, fail_if_no_peer_cert = true }'
                              % (keys, folder)], SCALE).start()
    try:
        yield argparse.Namespace(tls=broker.ports["ssl"][0], two_way=broker.ports["ssl"][1], ws=broker.ports["ws"][0],
                                 wss=broker.ports["wss"][0])
    finally:
        problem = broker.stop()
    assert problem is None, problem


def each_way_in(ports, trust, client):
    """TLS, WebSocket and both, with all three versions, and payloads both ways."""
    for port, words in ((ports.tls, trust), (ports.ws, ("--ws",)), (ports.wss, ("--ws", *trust)),
                        (ports.two_way, (*trust, *client))):
        size = 10000 if "--ws" in words else 500000  # Debian's mosquitto sends 4 KB each tenth of a second on a WebSocket
        for version in (3, 4, 5):
            receiver = Tool("sub", "-h", "localhost", "-p", port, *words, "-V", version, "-t", "secure", "-C", 2, "-d",
                            "-F", "%l").wait_error("subscription to")
            run("pub", "-h", "localhost", "-p", port, *words, "-V", version, "-t", "secure", "-q", 2, "-s", data=b"x" * size)
            run("pub", "-p", port, *words, "-V", version, "-t", "secure", "-q", 1, "-m", "abc")
            assert receiver.finish() == b"%d\n3\n" % size


def make_certificates(folder):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "certificates.sh")
    subprocess.run([script, folder], check=True, stdout=subprocess.DEVNULL)


def test_tls_and_websocket(_broker):
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(folder)
        trust = ("--cafile", folder + "/ca.pem")
        client = ("--cert", folder + "/client.pem", "--key", folder + "/client.key")
        message = ("-t", "a", "-m", "x", "-q", 1)
        with secure_shardmq(folder) as ports:
            each_way_in(ports, trust, client)
            _, why = run("pub", "-p", ports.two_way, *trust, *message, status=8)
            assert "refused the connection: certificate required" in why, why
            _, why = run("pub", "-p", ports.ws, "--ws", "--path", "/other", *message, status=8)
            assert "404" in why, why
        with secure_mosquitto(folder) as ports:
            each_way_in(ports, trust, client)
            run("pub", "--url", "tls+mqtt-tcp://localhost:%d" % ports.tls, *trust, *message)
            run("pub", "wss://localhost:%d/mqtt" % ports.wss, *trust, *message)
            run("pub", "-p", ports.tls, *trust, "--tls-version", "tlsv1.3", *message)
            run("pub", "-p", ports.tls, "-s", "--insecure", *message)
            os.makedirs(folder + "/trusted")
            _, why = run("pub", "-p", ports.tls, "--capath", folder + "/trusted", *message, status=2)
            assert "no file with a CA certificate" in why
            os.symlink(folder + "/ca.pem", folder + "/trusted/ca.pem")
            os.symlink(folder + "/ca.pem", folder + "/trusted/0123abcd.0")
            run("pub", "-p", ports.tls, "--capath", folder + "/trusted", *message)
            run("pub", "-p", ports.wrong_name, *trust, "--insecure", *message)
            run("pub", "-p", ports.wrong_name, *trust, "--servername", "elsewhere.test", *message)
            # and what is refused, with which words
            for port, words, status, sentence in (
                    (ports.tls, ("--cafile", folder + "/other-ca.pem"), 8, "certificate was refused"),
                    (ports.tls, ("-s",), 8, "certificate was refused"),
                    (ports.wrong_name, trust, 8, "mismatch"),
                    (ports.expired, trust, 8, "expired"),
                    (ports.expired, (*trust, "--insecure"), 8, "expired"),
                    (ports.two_way, trust, 8, "TLS"),
                    (ports.plain, trust, 8, "does it speak that on this port?"),
                    (ports.plain, ("--ws",), 8, "does it speak that on this port?"),
                    (ports.tls, (), 3, "without TLS (--secure)"),
                    (ports.ws, (), 9, "or WebSocket (--ws)"),
                    (ports.tls, ("--cafile", folder + "/does-not-exist"), 2, "does-not-exist: No such file"),
                    (ports.tls, ("--cafile", folder + "/garbage.pem"), 2, "garbage.pem"),
                    (ports.tls, ("--cafile", folder + "/empty.pem"), 2, "empty.pem"),
                    (ports.tls, (*trust, "--cert", folder + "/client.pem", "--key", folder + "/server.key"), 2,
                     "not the key of the certificate"),
                    (ports.tls, (*trust, "--cert", folder + "/client.pem", "--key", folder + "/locked.key"), 2, "locked.key")):
                for _ in range(2):  # every time, not only the first
                    _, why = run("pub", "-p", port, *words, *message, status=status)
                    assert sentence in why and why.count("\n") == 1, (words, why)
            # the load tool takes the same ways
            for port, words in ((ports.tls, trust), (ports.tls, ("-S", "--insecure")), (ports.ws, ("--ws",)),
                                (ports.wss, ("--ws", *trust)), (ports.two_way, (*trust, "--certfile", client[1], "--keyfile", client[3]))):
                run("bench", "start", "pub", "-h", "127.0.0.1", "-p", port, *words, "-t", "b/%i", "-c", 5, "-i", 0, "-I", 0, "-q", 1,
                    "-L", 500)
            run("bench", "run", "p2p", "-h", "127.0.0.1", "-p", ports.wss, "--ws", *trust, "--duration", 0.3, "--warmup", 0.1)


BOTH = [test for name, test in list(globals().items()) if name.startswith("test_")]
ONCE = {test_statuses_are_reason_codes, test_lines_of_qos_2_before_5_0, test_no_line_is_lost_when_the_broker_restarts,
        test_each_line_arrives_when_a_broker_that_remembers_restarts, test_servers_that_misbehave,
        test_wrong_options_are_one_sentence, test_tls_and_websocket}
SHARDMQ = ONCE | {test_lost_and_taken_over}


def run_all(name, broker, tests):
    failed = 0
    for test in tests:
        problem = None
        began = time.monotonic()
        try:
            test(broker)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            problem = "%s: %s" % (type(error).__name__, error)
        for process in STARTED:
            if process.poll() is None:
                process.kill()
                process.wait()
        STARTED.clear()
        failed += problem is not None
        print("%-56s %-10s %5.1f s: %s" % (test.__name__, name, time.monotonic() - began, problem or "ok"), flush=True)
    return failed


def main():
    global TOOL, SCALE
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    parser.add_argument("filter", nargs="?", default="")
    options = parser.parse_args()
    TOOL, SCALE = os.path.abspath(options.broker), options.timeout_scale
    tests = [test for test in BOTH if options.filter in test.__name__]
    failed = run_all("", None, [test for test in tests if test in ONCE])
    broker = Broker(TOOL, 2, (), SCALE).start()
    failed += run_all("ShardMQ", broker, [test for test in tests if test not in ONCE])
    problem = broker.stop()
    failed += problem is not None
    print(problem or "the broker ended well")
    mosquitto = Mosquitto("mosquitto", 1, (), SCALE).start()
    failed += run_all("mosquitto", mosquitto, [test for test in tests if test not in SHARDMQ])
    mosquitto.stop()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
