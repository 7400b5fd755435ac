#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The load tool against shardmq_sink, with which its own speed is measured: both count the same, for every QoS and version."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

from clients import Process

DEADLINE_S = 60


def run_once(options, qos, version, folder):
    sink = Process([options.sink, "--relay"])
    result = os.path.join(folder, "result.json")
    try:
        port = sink.wait_for("listening on", DEADLINE_S).rpartition(":")[2]
        command = [options.broker, "bench", "run", "p2p", "--host", "127.0.0.1", "--port", port, "--pairs", "3", "--qos", str(qos),
                   "--version", str(version), "--duration", "0.2", "--warmup", "0", "--json", result]
        tool = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_S)
        assert tool.returncode == 0, tool.stdout + tool.stderr
        sink.process.terminate()
        counted = dict(re.findall(r"(\w+)=(\d+)", " ".join(sink.finish(DEADLINE_S))))
    finally:
        sink.end()
    with open(result, encoding="utf-8") as file:
        reported = json.load(file)
    assert reported["sent"] > 0
    assert int(counted["messages"]) == reported["sent"], (counted, reported["sent"])
    assert int(counted["relayed"]) == reported["received"], (counted, reported["received"])
    assert int(counted["connections"]) == 6, counted


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True, help="shardmq, of which the load tool is a part")
    parser.add_argument("--sink", required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for version in (3, 4, 5):
            for qos in (0, 1, 2):
                run_once(options, qos, version, folder)
                print("version %d, QoS %d: ok" % (version, qos))


if __name__ == "__main__":
    sys.exit(main())
