#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""MQTT.js (npm `mqtt`) against the broker. It is installed outside of the repository's files: by `ci/test` into build/node, or by
`npm install --prefix DIRECTORY mqtt@5`; --node-modules names DIRECTORY/node_modules. Missing, the test fails and says so."""

import os
import shutil
import sys

from clients import Process, run

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mqttjs_test.js")
DEFAULT = os.path.join(os.path.dirname(SCRIPT), "../../build/node/node_modules")


def run_mqttjs(url, options, deadline_s, *ca):
    """The whole of mqttjs_test.js against a URL."""
    modules = os.path.abspath(options.node_modules or DEFAULT)
    if shutil.which("node") is None:
        raise AssertionError("node is missing: apt-get install nodejs npm")
    if not os.path.isdir(os.path.join(modules, "mqtt")):
        raise AssertionError("MQTT.js is missing in %s: npm install --prefix build/node mqtt@5" % modules)
    process = Process(["node", SCRIPT, url, str(deadline_s), *ca], env={**os.environ, "NODE_PATH": modules})
    output, _ = process.process.communicate(timeout=6 * deadline_s)
    sys.stdout.write("".join("    " + line + "\n" for line in output.decode().splitlines()))
    assert process.process.returncode == 0, "%d tests of MQTT.js failed" % process.process.returncode


def test_mqttjs(broker, options, deadline_s):
    run_mqttjs("mqtt://127.0.0.1:%d" % broker.port, options, deadline_s)


if __name__ == "__main__":
    run([test_mqttjs], ["--node-modules"])
