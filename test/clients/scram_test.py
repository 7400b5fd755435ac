#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""SCRAM-SHA-256 by the tools' own client and by MQTT.js, against users that `shardmq passwd` made and one in clear text."""

import argparse
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from mqs.broker import Broker  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SCALE, PROGRAM, NODE_MODULES = 1.0, "", ""
METHOD = ("--auth-method", "SCRAM-SHA-256")


def run(*words, **more):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60 * SCALE, check=False, **more)


class ScramTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="shardmq-scram-")
        path = os.path.join(cls.folder.name, "users")
        with open(path, "w", encoding="utf-8") as users:
            users.write("clear,=:open text\n")
        os.chmod(path, 0o600)
        done = run(PROGRAM, "passwd", "-b", path, "alice", "secret")
        assert done.returncode == 0, done.stderr
        cls.broker = Broker(PROGRAM, 2, ['auth.password_file = "%s"' % path, "auth.slow_down.after = 1000000"], SCALE).start()

    @classmethod
    def tearDownClass(cls):
        problem = cls.broker.stop()
        cls.folder.cleanup()
        assert not problem, problem

    def tool(self, name, *words, user="alice", password="secret", method=METHOD):
        return run(PROGRAM, name, "-h", "127.0.0.1", "-p", self.broker.port, "-u", user, "-P", password, *method, *words)

    def test_pub_sub_and_conn_log_in(self):
        for user, password in (("alice", "secret"), ("clear,=", "open text")):
            for words in (("pub", "-t", "t", "-m", "x", "-q", "1"), ("sub", "-t", "t", "-E"), ("conn", "-W", "1")):
                done = self.tool(*words, user=user, password=password)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_others_do_not(self):
        for user, password in (("alice", "Secret"), ("nobody", "secret"), ("clear,=", "secret")):
            done = self.tool("pub", "-t", "t", "-m", "x", user=user, password=password)
            self.assertEqual(done.returncode, 0x86, done.stderr)

    def test_the_password_alone_is_good_for_the_same_user(self):
        self.assertEqual(self.tool("pub", "-t", "t", "-m", "x", method=()).returncode, 0)
        self.assertNotEqual(self.tool("pub", "-t", "t", "-m", "x", method=(), password="x").returncode, 0)

    def test_what_cannot_be_is_said(self):
        for words, sentence in ((("--auth-method", "PLAIN"), "the only one"), ((*METHOD, "-V", "4"), "5"),
                                (("-D", "connect", "authentication-method", "SCRAM-SHA-1"), "the only one")):
            done = self.tool("pub", "-t", "t", "-m", "x", *words, method=())
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(sentence, done.stderr)
        done = run(PROGRAM, "pub", "-t", "t", "-m", "x", "-u", "alice", *METHOD)
        self.assertIn("needs a user name and a password", done.stderr)

    def test_the_load_tool(self):
        done = run(PROGRAM, "bench", "conn", "-h", "127.0.0.1", "-p", self.broker.port, "-c", 20, "-V", 5, "-u", "alice", "-P",
                   "secret", "--interval", 0, "--duration", 1, *METHOD)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_mqttjs(self):
        self.assertTrue(os.path.isdir(os.path.join(NODE_MODULES, "mqtt")), "MQTT.js: npm install --prefix build/node mqtt@5")
        done = run("node", os.path.join(HERE, "scram_test.js"), self.broker.port, "alice", "secret", "clear,=", "open text",
                   env={**os.environ, "NODE_PATH": NODE_MODULES})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    parser.add_argument("--node-modules", default=os.path.join(HERE, "..", "..", "build", "node", "node_modules"))
    known, rest = parser.parse_known_args()
    PROGRAM, SCALE, NODE_MODULES = os.path.abspath(known.broker), known.timeout_scale, known.node_modules
    unittest.main(argv=[sys.argv[0]] + rest)
