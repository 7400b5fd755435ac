#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The API over TLS."""

import argparse
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile

from api_client import Api, ApiBroker
from mqs.transport import make_certificates
from raw_http import Raw


class HttpsBroker(ApiBroker):
    @property
    def http_port(self):
        return int(re.search(r"listening on https:/" r"/127\.0\.0\.1:(\d+)", "\n".join(self.log)).group(1))


class HttpsApi(Api):
    def __init__(self, port, folder, deadline_s):
        super().__init__(port, deadline_s)
        self.context = ssl.create_default_context(cafile=folder + "/ca.pem")
        self.connection = http.client.HTTPSConnection("localhost", port, timeout=deadline_s, context=self.context)
        self.connection._create_connection = lambda _address, *rest: socket.create_connection(("127.0.0.1", port), *rest)

    def serial(self):
        self.connection.close()
        self.connection.connect()
        return self.connection.sock.getpeercert()["serialNumber"]


def test_requests(broker, api, _folder):
    for _ in range(3):
        assert api.ask("GET", "/api/v4/brokers")[0] == 200
    for i in range(50):
        assert api.code(2, i) is not None
    status, answer = api.ask("GET", "/api/v4/openapi.json")
    assert status == 200 and len(json.dumps(answer)) > 10000
    assert api.ask("POST", "/api/v1", b'{"req":2,"seq":1}'.ljust(1048576))[0] == 200
    assert api.ask("POST", "/api/v1", b"x" * 1048577)[0] == 413
    api.connection.close()
    assert not any("public" in line for line in broker.log)


def test_pipelined_and_half_closed(broker, api, _folder):
    raw = Raw(broker.http_port)
    raw.sock = api.context.wrap_socket(raw.sock, server_hostname="localhost")
    for i in range(100):
        raw.request("POST", "/api/v1", "", json.dumps({"req": 2, "seq": i}))
    for i in range(100):
        assert json.loads(raw.answer()[2])["seq"] == i
    raw.request("GET", "/health/live", "Connection: close\r\n")
    assert raw.answer()[0] == 200
    raw.closed()


def test_curl(broker, _api, folder):
    done = subprocess.run(["curl", "-sS", "--cacert", folder + "/ca.pem", "-u", "admin:public", "-d", '{"req":2,"seq":1}',
                           "--resolve", "localhost:%d:127.0.0.1" % broker.http_port,
                           "https://localhost:%d/api/v1" % broker.http_port],
                          capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.startswith('{"code":0,"seq":1,"rep":2,"data":{'), done


def test_without_tls_there_is_nothing(broker, _api, _folder):
    raw = Raw(broker.http_port)
    raw.request("GET", "/health/live")
    try:
        data = raw.sock.recv(1000)
        assert not data.startswith(b"HTTP"), data
    except ConnectionResetError:
        pass


def test_certificates_are_read_again(broker, api, folder):
    before = api.serial()
    shutil.copy(folder + "/garbage.pem", folder + "/used.pem")
    report = broker.control("reload")
    assert not report["ok"] and "http_server" in report["error"], report
    assert api.serial() == before
    shutil.copy(folder + "/rsa.pem", folder + "/used.pem")
    shutil.copy(folder + "/rsa.key", folder + "/used.key")
    assert broker.control("reload")["ok"]
    assert api.serial() != before
    assert api.ask("GET", "/api/v4/brokers")[0] == 200


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(folder)
        shutil.copy(folder + "/server.pem", folder + "/used.pem")
        shutil.copy(folder + "/server.key", folder + "/used.key")
        conf = ['http_server.certfile = "%s/used.pem"' % folder, 'http_server.keyfile = "%s/used.key"' % folder]
        broker = HttpsBroker(os.path.abspath(options.broker), 2, conf, options.timeout_scale).start()
        for test in [value for name, value in globals().items() if name.startswith("test_")]:
            problem = None
            try:
                test(broker, HttpsApi(broker.http_port, folder, 30 * options.timeout_scale), folder)
            except (AssertionError, OSError, http.client.HTTPException) as error:
                problem = "%s: %s" % (type(error).__name__, error)
            failed += problem is not None
            print("%-40s %s" % (test.__name__, problem or "ok"), flush=True)
        problem = broker.stop()
        if problem:
            failed += 1
            print(problem + "\n" + "\n".join(broker.log[-30:]))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
