#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`shardmq passwd`: what it makes of a file, what mosquitto_passwd and it read of each other, and what mistakes in its
words come to. B65 of the list of bad inputs: no order of the words makes a user of a file or a password of a user."""

import argparse
import os
import pty
import re
import select
import stat
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = ""
ALICE = "$6$U1Ql7dIH1sv2zsLj$sRG0FETQoQCPiG1NqIqzB7EESuMijJ6hTGzukM09GNrV4guCjF2R++aeuLWxKB9K6lAQ/DeXYKe7fmh2sOybeA=="


class PasswdTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="shardmq-passwd-")
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "users")

    def passwd(self, *words, given="", status=0):
        """Runs it in the folder; returns what it printed to both."""
        done = subprocess.run([PROGRAM, "passwd", *words], input=given, cwd=self.folder.name, capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def write(self, text, name="users"):
        with open(os.path.join(self.folder.name, name), "w", encoding="utf-8", newline="") as to:
            to.write(text)

    def read(self, name="users"):
        with open(os.path.join(self.folder.name, name), encoding="utf-8", newline="") as text:
            return text.read()

    def assert_password(self, user, password, name="users"):
        self.assertEqual(self.passwd("--verify", name, user, given=password + "\n"), "The password is right.\n")
        self.assertIn("wrong", self.passwd("--verify", name, user, given=password + "x\n", status=1))

    # ---- adding, changing, removing ----

    def test_users_come_change_and_go(self):
        self.passwd("-c", "users", "alice", given="first\n")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        self.passwd("users", "bob", "-b", "second")
        self.assert_password("alice", "first")
        self.assert_password("bob", "second")
        self.passwd("users", "alice", given="third\r\nnot read\n")
        self.assert_password("alice", "third")
        self.assertRegex(self.read(), r"\Aalice:\$scrypt\$ln=14,r=8,p=1\$[^:]*:\$scram-sha-256\$i=15000\$.*\nbob:.*\n\Z")
        self.assertEqual(self.passwd("--list", "users"), "alice\tscrypt, scram-sha-256\nbob\tscrypt, scram-sha-256\n")
        self.passwd("-D", "users", "alice")
        self.assertEqual(self.passwd("-l", "users"), "bob\tscrypt, scram-sha-256\n")
        self.assertIn('no user "alice"', self.passwd("-D", "users", "alice", status=1))
        self.assertIn("no user in it any more", self.passwd("-D", "users", "bob"))

    def test_options_decide_how_it_is_kept(self):
        self.passwd("-c", "--cost", "10", "--no-scram", "users", "a", given="x\n")
        self.passwd("--cost", "11", "--scram-iterations", "4096", "users", "b", given="x\n")
        self.passwd("-H", "sha512-pbkdf2", "-I", "1000", "users", "c", given="x\n")
        self.assertRegex(self.read(), r"\Aa:\$scrypt\$ln=10,[^:]*\nb:\$scrypt\$ln=11,[^:]*:\$scram-sha-256\$i=4096\$.*\n"
                                      r"c:\$7\$1000\$[^:]*\n\Z")
        for user in "abc":
            self.assert_password(user, "x")

    def test_everything_else_stays(self):
        before = "# the staff\r\n\nold:%s\n  \nnot good\n# the rest\nlast:%s" % (ALICE, ALICE)
        self.write(before)
        os.chmod(self.path, 0o640)
        said = self.passwd("-b", "users", "new", "x")
        self.assertIn("users:5: there is no colon in the line", said)
        self.assertTrue(self.read().startswith(before + "\nnew:$scrypt$"))
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o640)
        self.passwd("-b", "users", "old", "y")
        self.assertRegex(self.read(), r"\A# the staff\r\n\nold:\$scrypt\$.*\n  \nnot good\n# the rest\nlast:\$6\$")
        self.passwd("-D", "users", "new")
        os.chmod(self.path, 0o644)
        self.assertIn("lets others read", self.passwd("-b", "users", "new", "x"))

    def test_clear_text_is_hashed_in_place(self):
        self.write("a:one\n# -\nb: two\nc:%s\n" % ALICE)
        self.assertEqual(self.passwd("-U", "users").splitlines()[0], "2 passwords hashed.")
        self.assertRegex(self.read(), r"\Aa:\$scrypt.*\n# -\nb:\$scrypt.*\nc:\$6\$.*\n\Z")
        self.assert_password("a", "one")
        self.assert_password("b", "two")
        self.assert_password("c", "secret")

    # ---- other files ----

    def test_nanomq_files_are_imported(self):
        self.write('# NanoMQ\n"admin": "public"\nclient = "secret:1"\n"with:no" : x\n', "pwd.conf")
        self.assertIn("cannot have a colon", self.passwd("-c", "--import", "pwd.conf", "users", status=1))
        self.assertFalse(os.path.exists(self.path))
        self.write('# NanoMQ\n"admin": "public"\nclient = "secret:1"\n', "pwd.conf")
        self.assertEqual(self.passwd("-c", "--import", "pwd.conf", "users"), "2 users imported.\n")
        self.assert_password("admin", "public")
        self.assert_password("client", "secret:1")
        self.write("auth.1.login=one\nauth.1.password=1\nauth.2.login=two\nauth.2.password=2\n", "auth_username.conf")
        self.passwd("--import", "auth_username.conf", "users")
        self.assert_password("two", "2")
        self.write('auth { password { three = "3" } }\n', "hocon.conf")
        self.passwd("--import", "hocon.conf", "users")
        self.assert_password("three", "3")
        self.write("four: 4\n", "lines")
        self.passwd("--import", "lines", "users")
        self.assert_password("four", "4")
        before = self.read()
        self.assertIn('"four": is there already', self.passwd("--import", "lines", "users", status=1))
        self.write("good:1\nbad\n", "lines")
        self.assertIn("lines:2: there is no colon", self.passwd("--import", "lines", "users", status=1))
        self.write('auth.1.login=alone\n', "auth_username.conf")
        self.assertIn("auth.1", self.passwd("--import", "auth_username.conf", "users", status=1))
        self.assertEqual(self.read(), before)

    def mosquitto(self, *words):
        subprocess.run(["mosquitto_passwd", *words], cwd=self.folder.name, check=True, capture_output=True, timeout=60)

    def test_mosquitto_and_this_read_each_other(self):
        self.mosquitto("-c", "-b", "theirs", "bob", "secret")
        self.mosquitto("-b", "-H", "sha512", "theirs", "old", "older")
        self.assertEqual(self.passwd("-l", "theirs"), "bob\tpbkdf2-sha512\nold\tsha512\n")
        self.assert_password("bob", "secret", "theirs")
        self.assert_password("old", "older", "theirs")
        self.passwd("-c", "--import", "theirs", "users")
        self.assert_password("bob", "secret")
        # ... and the other way: their broker lets a user of ours in
        self.passwd("-H", "sha512-pbkdf2", "-b", "theirs", "ours", "word")
        self.assert_mosquitto_lets_in("theirs", "ours", "word")

    def assert_mosquitto_lets_in(self, name, user, password):
        socket = os.path.join(self.folder.name, "m")
        self.write("listener 0 %s\nallow_anonymous false\npassword_file %s/%s\nuser root\n"
                   % (socket, self.folder.name, name), "mosquitto.conf")
        os.chmod(self.folder.name, 0o755)
        broker = subprocess.Popen(["/usr/sbin/mosquitto", "-c", "mosquitto.conf"], cwd=self.folder.name,
                                  stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 20
            while not os.path.exists(socket) and time.monotonic() < deadline:
                self.assertIsNone(broker.poll())
                select.select([], [], [], 0.02)
            for word, status in ((password, 0), (password + "x", 5)):
                done = subprocess.run(["mosquitto_pub", "--unix", socket, "-u", user, "-P", word, "-t", "t", "-m", "x"],
                                      capture_output=True, timeout=20)
                self.assertEqual(done.returncode, status, done.stderr)
        finally:
            broker.terminate()
            broker.wait(20)

    # ---- mistakes ----

    def test_words_in_the_wrong_order_are_errors(self):
        self.passwd("-c", "users", "alice", given="x\n")
        before = self.read()
        for words, status in ((("users", "alice", "secret"), 2), (("alice", "users"), 1), (("-b", "users", "alice"), 2),
                              (("-b", "alice", "users", "x"), 1), (("-b", "alice", "secret", "users"), 1),
                              (("users",), 2), ((), 2), (("-c", "alice", "users"), 2), (("-c", "users", "bob"), 1),
                              (("users", os.path.abspath(self.path)), 2), (("-D", "users"), 2), (("-U", "users", "alice"), 2),
                              (("-D", "-U", "users", "alice"), 2), (("-b", "-U", "users", "x"), 2), (("-D", "-c", "u", "a"), 2),
                              (("users", ""), 2), (("users", "a:b"), 2), (("users", "#a"), 2), (("users", " a"), 2),
                              (("users", "a\nb"), 2), (("-H", "sha512", "users", "a"), 2), (("-H", "md5", "users", "a"), 2),
                              (("--cost", "9", "users", "a"), 2), (("--scram-iterations", "1", "users", "a"), 2),
                              (("--no-scram", "--scram-iterations", "5000", "users", "a"), 2), (("--nothing", "users", "a"), 2),
                              (("users", "alice", "-b", ""), 1), (("users", "bob", "-b", "x" * 1025), 1)):
            self.assertNotEqual(self.passwd(*words, given="word\n", status=status), "")
            self.assertEqual(self.read(), before, words)
        self.assertEqual(os.listdir(self.folder.name), ["users"])

    def test_what_is_no_password_file_is_left_alone(self):
        self.write("127.0.0.1 localhost\n::1 ip6-localhost\n", "hosts")
        self.assertIn("no password file", self.passwd("hosts", "alice", given="x\n", status=1))
        self.assertIn("regular", self.passwd(".", "alice", given="x\n", status=1))
        self.assertIn("-c makes a new file", self.passwd("nowhere", "alice", given="x\n", status=1))
        self.assertEqual(self.read("hosts"), "127.0.0.1 localhost\n::1 ip6-localhost\n")

    def test_a_password_must_be_one(self):
        for given in ("", "\n", "x" * 1025 + "\n", "a\0b\n"):
            self.assertIn("password", self.passwd("-c", "users", "a", given=given, status=1))
            self.assertFalse(os.path.exists(self.path))
        self.write("x" * 1024 + "\nnot this\n", "word")
        self.passwd("-c", "--password-file", "word", "users", "a")
        self.passwd("--verify", "--password-file", "word", "users", "a")
        self.passwd("--verify", "users", "a", given="x" * 1023 + "\n", status=1)

    # ---- the terminal ----

    def at_terminal(self, *words, answers):
        """Returns the status and everything that the terminal showed."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder.name)
            os.execv(PROGRAM, [PROGRAM, "passwd", *words])
        shown = b""
        for prompt, answer in answers:
            shown += self.read_until(terminal, prompt)
            os.write(terminal, answer)
        shown += self.read_until(terminal, None)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown

    def read_until(self, terminal, prompt):
        shown, deadline = b"", time.monotonic() + 30
        while prompt is None or prompt not in shown:
            self.assertTrue(select.select([terminal], [], [], deadline - time.monotonic())[0], shown)
            try:
                more = os.read(terminal, 4096)
            except OSError: # the program has ended
                return shown
            shown += more
        return shown

    def test_a_terminal_is_asked_twice_and_shows_nothing(self):
        status, shown = self.at_terminal("-c", "users", "alice",
                                         answers=((b"Password: ", b"hunter2\n"), (b"again: ", b"hunter2\n")))
        self.assertEqual(status, 0, shown)
        self.assertNotIn(b"hunter2", shown)
        self.assert_password("alice", "hunter2")
        before = self.read()
        status, shown = self.at_terminal("users", "alice",
                                         answers=((b"Password: ", b"one\n"), (b"again: ", b"two\n")))
        self.assertEqual(status, 1, shown)
        self.assertIn(b"the second password is another one", shown)
        self.assertEqual(self.read(), before)
        status, shown = self.at_terminal("users", "alice", answers=((b"Password: ", b"\x03"),))
        self.assertEqual(status, -2, shown)
        self.assertEqual(self.read(), before)

    def test_two_at_once_both_have_their_way(self):
        self.passwd("-c", "users", "first", given="x\n")
        started = [subprocess.Popen([PROGRAM, "passwd", "-b", self.path, "user%d" % n, "x"]) for n in range(8)]
        self.assertEqual([process.wait(60) for process in started], [0] * 8)
        names = re.findall(r"(?m)^(\w+):", self.read())
        self.assertEqual(sorted(names), ["first"] + ["user%d" % n for n in range(8)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1, help="of the tests around it; not needed here")
    known, rest = parser.parse_known_args()
    PROGRAM = os.path.abspath(known.broker)
    unittest.main(argv=[sys.argv[0]] + rest)
