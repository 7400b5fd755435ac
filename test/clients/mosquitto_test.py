#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mosquitto_pub and mosquitto_sub from Debian against the broker."""

from clients import Process, run


def pub(broker, deadline_s, *words):
    Process(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), *words]).finish(deadline_s)


def sub(broker, deadline_s, *words, wait=True):
    """A subscriber; returns when its SUBACK came (it says so with -d)."""
    process = Process(["stdbuf", "-oL", "mosquitto_sub", "-d", "-h", "127.0.0.1", "-p", str(broker.port), *words])
    if wait:
        process.wait_for("Subscribed (mid", deadline_s)
    return process


def messages(process, deadline_s):
    """The lines that -F "message ..." wrote, at the end of the program."""
    return [line[8:] for line in process.finish(deadline_s) if line.startswith("message ")]


def each_version(body):
    for version in ("mqttv31", "mqttv311", "mqttv5"):
        body(version)


def test_qos_levels_and_versions(broker, _options, deadline_s):
    def body(version):
        topic = "mosquitto/" + version
        receiver = sub(broker, deadline_s, "-V", version, "-q", "2", "-t", topic + "/+", "-C", "9", "-F", "message %t %q %p")
        for sender in ("mqttv31", "mqttv311", "mqttv5"):
            for qos in ("0", "1", "2"):
                pub(broker, deadline_s, "-V", sender, "-q", qos, "-t", topic + "/" + sender, "-m", "x" + qos)
        expected = ["%s/%s %s x%s" % (topic, sender, qos, qos)
                    for sender in ("mqttv31", "mqttv311", "mqttv5") for qos in ("0", "1", "2")]
        # one client each, on whatever shard: between them there is no order
        assert sorted(messages(receiver, deadline_s)) == sorted(expected)
    each_version(body)


def test_many_lines_in_order(broker, _options, deadline_s):
    receiver = sub(broker, deadline_s, "-q", "2", "-t", "lines", "-C", "500", "-F", "message %p")
    lines = "".join("%d\n" % number for number in range(500))
    Process(["sh", "-c", "printf '%s' \"$0\" | mosquitto_pub -h 127.0.0.1 -p " + str(broker.port) + " -q 2 -t lines -l",
             lines]).finish(deadline_s)
    assert messages(receiver, deadline_s) == [str(number) for number in range(500)]


def test_retained(broker, _options, deadline_s):
    def body(version):
        topic = "retained/" + version
        pub(broker, deadline_s, "-V", version, "-q", "1", "-r", "-t", topic, "-m", "kept")
        receiver = sub(broker, deadline_s, "-V", version, "-q", "1", "-t", topic, "-C", "1", "-F", "message %r %q %p",
                       wait=False)
        assert messages(receiver, deadline_s) == ["1 1 kept"]
        pub(broker, deadline_s, "-V", version, "-q", "1", "-r", "-n", "-t", topic)
        empty = sub(broker, deadline_s, "-V", version, "-t", topic, "-C", "1", "-F", "message %r %p")
        pub(broker, deadline_s, "-V", version, "-t", topic, "-m", "live")
        assert messages(empty, deadline_s) == ["0 live"]
    each_version(body)


def test_will(broker, _options, deadline_s):
    def body(version):
        topic = "will/" + version
        receiver = sub(broker, deadline_s, "-V", version, "-q", "1", "-t", topic, "-C", "1", "-F", "message %q %p")
        dying = sub(broker, deadline_s, "-V", version, "-t", "nothing", "--will-topic", topic, "--will-payload", "gone",
                    "--will-qos", "1")
        dying.end()
        assert messages(receiver, deadline_s) == ["1 gone"]
    each_version(body)


def test_offline_queue(broker, _options, deadline_s):
    identity = ("-i", "mosquitto-offline", "-c", "-q", "1", "-t", "offline")
    pub_now = sub(broker, deadline_s, *identity, "-E")
    pub_now.finish(deadline_s)
    for number in range(5):
        pub(broker, deadline_s, "-q", "1", "-t", "offline", "-m", str(number))
    receiver = sub(broker, deadline_s, *identity, "-C", "5", "-F", "message %p", wait=False)
    assert messages(receiver, deadline_s) == ["0", "1", "2", "3", "4"]
    sub(broker, deadline_s, "-i", "mosquitto-offline", "-t", "offline", "-E", wait=False).finish(deadline_s)


def test_shared(broker, _options, deadline_s):
    def body(version):
        topic = "shared/" + version
        members = [sub(broker, deadline_s, "-V", version, "-q", "1", "-t", "$share/group/" + topic, "-C", "5", "-F", "message %p")
                   for _ in range(2)]
        for number in range(10):
            pub(broker, deadline_s, "-V", version, "-q", "1", "-t", topic, "-m", str(number))
        got = [messages(member, deadline_s) for member in members]
        assert sorted(map(int, sum(got, []))) == list(range(10)), got
    each_version(body)


def test_v5_properties(broker, _options, deadline_s):
    receiver = sub(broker, deadline_s, "-V", "mqttv5", "-t", "properties", "-C", "1", "-D", "subscribe", "subscription-identifier", "42",
                   "-F", "message %A|%C|%D|%E|%F|%P|%R|%S|%p")
    pub(broker, deadline_s, "-V", "mqttv5", "-t", "properties", "-m", "x", "-D", "publish", "content-type", "text/plain",
        "-D", "publish", "correlation-data", "abc", "-D", "publish", "message-expiry-interval", "100",
        "-D", "publish", "payload-format-indicator", "1", "-D", "publish", "response-topic", "answers",
        "-D", "publish", "user-property", "one", "1", "-D", "publish", "user-property", "two", "2")
    [message] = messages(receiver, deadline_s)
    alias, content, correlation, expiry, payload_format, users, response, identifier, payload = message.split("|")
    assert (content, correlation, payload_format, response, identifier, payload) == \
        ("text/plain", "abc", "1", "answers", "42", "x"), message
    assert expiry in ("99", "100") and "one:1" in users and "two:2" in users, message


def test_v5_session_and_limits(broker, _options, deadline_s):
    first = sub(broker, deadline_s, "-V", "mqttv5", "-i", "mosquitto-v5", "-c", "-x", "100", "-q", "2", "-t", "session5", "-E",
                "-D", "connect", "receive-maximum", "3")
    first.finish(deadline_s)
    for number in range(10):
        pub(broker, deadline_s, "-V", "mqttv5", "-q", "2", "-t", "session5", "-m", str(number))
    receiver = sub(broker, deadline_s, "-V", "mqttv5", "-i", "mosquitto-v5", "-c", "-x", "1", "-q", "2", "-t", "session5",
                   "-D", "connect", "receive-maximum", "3", "-C", "10", "-F", "message %p", wait=False)
    assert messages(receiver, deadline_s) == [str(number) for number in range(10)]


def test_request_and_response(broker, _options, deadline_s):
    """mosquitto_rr asks over a response topic, and is answered there."""
    answering = sub(broker, deadline_s, "-V", "mqttv5", "-t", "question", "-C", "1", "-F", "message %R %p")
    asking = Process(["mosquitto_rr", "-V", "mqttv5", "-h", "127.0.0.1", "-p", str(broker.port), "-t", "question",
                      "-e", "answer", "-m", "how much?", "-W", "10"])
    assert messages(answering, deadline_s) == ["answer how much?"]
    pub(broker, deadline_s, "-V", "mqttv5", "-t", "answer", "-m", "42")
    assert "42" in asking.finish(deadline_s)


def test_large_payload(broker, _options, deadline_s):
    receiver = sub(broker, deadline_s, "-q", "1", "-t", "large", "-C", "1", "-F", "message %l")
    Process(["sh", "-c", "head -c 3000000 /dev/zero | mosquitto_pub -h 127.0.0.1 -p %d -q 1 -t large -s" % broker.port]
            ).finish(deadline_s)
    assert messages(receiver, deadline_s) == ["3000000"]


def test_sys(broker, _options, deadline_s):
    receiver = sub(broker, deadline_s, "-t", "$SYS/broker/version", "-C", "1", "-F", "message %p", wait=False)
    assert messages(receiver, deadline_s)[0].startswith("ShardMQ ")


if __name__ == "__main__":
    run([test for name, test in sorted(globals().items()) if name.startswith("test_")])
