# SPDX-License-Identifier: MIT
"""What the tests with real clients share: a broker, and processes that are waited for."""

import argparse
import os
import select
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from mqs.broker import Broker, chosen_shards  # noqa: E402


class Process:
    """A client program; its output is read line by line with a deadline."""

    def __init__(self, command, **keywords):
        self.command = command
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, bufsize=0, **keywords)
        self.buffer = b""

    def line(self, deadline_s):
        deadline = time.monotonic() + deadline_s
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self.process.stdout], [], [], left)[0]
            data = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            if not data:
                raise AssertionError("%s: no line came, only %r" % (" ".join(self.command), self.buffer))
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode("utf-8", "backslashreplace")

    def wait_for(self, text, deadline_s):
        """Skips lines until one contains the text."""
        seen = []
        while text not in (line := self.line(deadline_s)):
            seen.append(line)
            if len(seen) > 100:
                raise AssertionError("%r did not come, but %r" % (text, seen))
        return line

    def finish(self, deadline_s):
        """Waits for the program's end; it must be a good one. Returns the rest of its output."""
        output = self.buffer + self.process.communicate(timeout=deadline_s)[0]
        if self.process.returncode != 0:
            raise AssertionError("%s: status %d, %r" % (" ".join(self.command), self.process.returncode, output))
        return output.decode("utf-8", "backslashreplace").splitlines()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def run(tests, extra_options=()):
    """Runs every test(broker, options, deadline_s) on 1 and 3 shards; the exit status of the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    for option in extra_options:
        parser.add_argument(option)
    options = parser.parse_args()
    failed = 0
    for shards in chosen_shards(1, 3):
        broker = Broker(options.broker, shards, (), options.timeout_scale).start()
        for test in tests:
            problem = None
            try:
                test(broker, options, 10 * options.timeout_scale)
                problem = broker.wait_law(time.monotonic() + 5 * options.timeout_scale)
            except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
                problem = "%s: %s" % (type(error).__name__, error)
            failed += problem is not None
            print("%-40s %d shards: %s" % (test.__name__, shards, problem or "ok"), flush=True)
        problem = broker.stop()
        if problem:
            failed += 1
            print(problem + "\n" + "\n".join(broker.log[-30:]))
    sys.exit(1 if failed else 0)
