#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Real clients at the doors: mosquitto_pub and mosquitto_sub with certificates, MQTT.js over TLS, WebSocket and both, and a
page in headless Chromium."""

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from clients import Process
from mqttjs_test import DEFAULT, run_mqttjs

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from doors import open_client, run  # noqa: E402
from mqs import wire  # noqa: E402


def conf(folder):
    keys = 'bind = "127.0.0.1:0", certfile = "%s/server.pem", keyfile = "%s/server.key"' % (folder, folder)
    return ['listeners.unix.bind = "%s/mqtt.sock"' % folder, "listeners.ssl { %s }" % keys,
            'listeners.ssl.must { %s, cacertfile = "%s/ca.pem", verify_peer = true, fail_if_no_peer_cert = true }' %
            (keys, folder), 'listeners.ws.bind = "127.0.0.1:0/mqtt"', "listeners.wss { %s }" % keys]


def mosquitto(program, broker, door, folder, *words, certificate=None):
    command = ["stdbuf", "-oL", program, "-h", "localhost", "-p", str(broker.ports["ssl"][door]),
               "--cafile", os.path.join(folder, "ca.pem"), *words]
    if certificate:
        command += ["--cert", "%s/%s.pem" % (folder, certificate), "--key", "%s/%s.key" % (folder, certificate)]
    return Process(command)


def test_mosquitto_with_certificates(broker, folder, deadline_s):
    for version in ("mqttv31", "mqttv311", "mqttv5"):
        receiver = mosquitto("mosquitto_sub", broker, 1, folder, "-d", "-V", version, "-q", "2", "-t", "tls/" + version, "-C",
                             "40", "-F", "message %p", certificate="client")
        receiver.wait_for("Subscribed (mid", deadline_s)
        lines = "".join("%d\n" % number for number in range(20))
        for door, certificate in ((0, None), (1, "named")):
            sender = Process(
                ["sh", "-c", "printf '%s' \"$0\" | mosquitto_pub -h localhost -p " + str(broker.ports["ssl"][door]) +
                 " --cafile " + folder + "/ca.pem -V " + version + " -q 2 -l -t tls/" + version +
                 (" --cert %s/%s.pem --key %s/%s.key" % (folder, certificate, folder, certificate) if certificate else ""),
                 lines])
            sender.finish(deadline_s)
        got = [line[8:] for line in receiver.finish(deadline_s) if line.startswith("message ")]
        assert got == 2 * [str(number) for number in range(20)], got


def test_unix_sockets(broker, folder, deadline_s):
    """mosquitto's clients at our socket, and ours at mosquitto's."""
    ours, theirs = os.path.join(folder, "mqtt.sock"), os.path.join(folder, "mosquitto.sock")
    with open(os.path.join(folder, "mosquitto.conf"), "w", encoding="utf-8") as out:
        out.write("listener 0 %s\nallow_anonymous true\nlog_dest stderr\nuser root\n" % theirs)
    peer = Process(["/usr/sbin/mosquitto", "-c", out.name])
    deadline = time.monotonic() + deadline_s
    while not os.path.exists(theirs):
        assert time.monotonic() < deadline, "mosquitto does not listen"
        time.sleep(0)
    shardmq = broker.executable
    try:
        for path, receive, send in (
                (ours, ["mosquitto_sub", "--unix", ours], ["mosquitto_pub", "--unix", ours]),
                (ours, [shardmq, "sub", "--unix", ours], ["mosquitto_pub", "--unix", ours]),
                (theirs, [shardmq, "sub", "--url", "unix://" + theirs], [shardmq, "pub", "--unix", theirs])):
            receiver = Process([*receive, "-q", "1", "-t", "unix/#", "-C", "1", "-F", "message %p", "-R"])
            while receiver.process.poll() is None:  # until the subscription is there
                Process([*send, "-q", "1", "-t", "unix/x", "-m", "by path"]).finish(deadline_s)
                assert time.monotonic() < deadline, "nothing comes over %s" % path
            assert "message by path" in receiver.finish(deadline_s)
    finally:
        peer.end()


def test_mosquitto_is_refused(broker, folder, deadline_s):
    for certificate in (None, "stranger", "expired"):
        process = mosquitto("mosquitto_pub", broker, 1, folder, "-t", "x", "-m", "y", "-q", "1", certificate=certificate)
        process.process.communicate(timeout=deadline_s)
        assert process.process.returncode != 0, "%s came in" % certificate


def test_mqttjs(broker, folder, deadline_s):
    ca = os.path.join(folder, "ca.pem")
    run_mqttjs("mqtts://localhost:%d" % broker.ports["ssl"][0], broker.options, deadline_s, ca)
    run_mqttjs("ws://localhost:%d/mqtt" % broker.ports["ws"][0], broker.options, deadline_s)
    run_mqttjs("wss://localhost:%d/mqtt" % broker.ports["wss"][0], broker.options, deadline_s, ca)


def test_load_tool(broker, folder, deadline_s):
    """The announced command lines with TLS: -S alone, and a client's certificate, whose name turns TLS on."""
    def bench(words, port, status=0):
        command = [broker.executable, "bench", *words.split(), "-h", "localhost", "-p", str(port)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=6 * deadline_s)
        assert done.returncode == status, (command, done.stdout, done.stderr)
        return done.stdout + done.stderr

    ssl, must = broker.ports["ssl"]
    pub = "start pub -t msg -s 16 -q 1 -c 5 -i 1 -I 10 -L 50"
    client = "--certfile %s/client.pem --keyfile %s/client.key" % (folder, folder)
    bench(pub + " -S", ssl)
    bench(pub + " --cafile %s/ca.pem" % folder, ssl)
    bench(pub + " " + client, must)
    bench(pub + " --ws", broker.ports["ws"][0])
    bench(pub + " --ws -S", broker.ports["wss"][0])
    assert "could not connect" in bench(pub + " -S --timeout 1", must, status=1)
    for words, port in (("", ssl), (" --ws", broker.ports["wss"][0])):
        result = bench("run fan-out --subscribers 4 -q 1 --warmup 0.1 --duration 0.3 -S" + words, port)
        assert re.search(r"result +good", result), result
        result = bench("run connection-storm --resume --count 4 --warmup 0.1 --duration 0.3 -S" + words, port)
        assert re.search(r"result +good", result) and re.search(r"resumed a session +[1-9]", result), result


class Pages(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments):
        pass


def test_a_page_in_chromium(broker, _folder, deadline_s):
    modules = os.path.abspath(broker.options.node_modules or DEFAULT)
    program = shutil.which("chromium")
    assert program, "chromium is missing: apt-get install chromium"
    watcher = open_client(broker.ports["tcp"][0], client_id=b"watcher")
    deadline = time.monotonic() + 6 * deadline_s
    watcher.write(wire.frame(0x82, b"\x00\x01\x00\x0apage/shown\x00"), deadline)
    assert watcher.receive(deadline)["type"] == "SUBACK"
    with tempfile.TemporaryDirectory(prefix="smq-page-") as pages:
        shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "page.html"), pages)
        shutil.copy(os.path.join(modules, "mqtt", "dist", "mqtt.min.js"), pages)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Pages, directory=pages))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for kind in ("ws", "wss"):
            url = "http://127.0.0.1:%d/page.html?%s://localhost:%d/mqtt" % (server.server_port, kind, broker.ports[kind][0])
            browser = Process([program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                               "--disable-background-networking", "--disable-component-update", "--no-first-run",
                               "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
                               "--ignore-certificate-errors", "--user-data-dir=" + os.path.join(pages, kind),
                               "--remote-debugging-port=0", url])
            try:
                packet = watcher.receive(deadline)
                assert packet["type"] == "PUBLISH" and packet["payload"] == b"page/in: from the page", packet
            finally:
                browser.end()
        server.shutdown()
    watcher.close()


if __name__ == "__main__":
    sys.exit(run([test_unix_sockets, test_mosquitto_with_certificates, test_mosquitto_is_refused, test_mqttjs, test_load_tool, test_a_page_in_chromium], conf,
                 extra_options=["--node-modules"]))
