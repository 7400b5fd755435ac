# SPDX-License-Identifier: MIT
"""A broker process: started on a port that the kernel chooses, watched, asked for its counters, stopped.

Broker is ShardMQ; Mosquitto is Debian's mosquitto behind the same interface, with which the harness and the scripts
themselves are checked (`run.py --reference`).
"""

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from .transport import listener_lines

SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "abort_on_error=0:exitcode=97:detect_leaks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:exitcode=97",
    "TSAN_OPTIONS": "halt_on_error=1:exitcode=97:second_deadlock_stack=1",
}


def chosen_shards(*counts):
    """The numbers of shards that a test runs with: these, or, where TEST_SHARDS is "most", the largest of them (the
    sanitizers, which find nothing in fewer that they do not find in more)."""
    return (max(counts),) if os.environ.get("TEST_SHARDS") == "most" else counts


class BrokerDied(Exception):
    """The broker process ended when nobody asked it to, or did not start."""


class Broker:
    counts = True  # has counters and a control socket
    transport, certificates = "tcp", None  # what the clients speak, and the folder of mqs/transport.py
    mountpoint = ""  # of the listener

    def __init__(self, executable, shards=1, conf=(), time_scale=1.0, descriptors=None):
        self.executable, self.shards, self.conf, self.time_scale = executable, shards, list(conf), time_scale
        self.descriptors = descriptors
        self.directory = tempfile.mkdtemp(prefix="smq-")
        self.log, self.log_changed = [], threading.Condition()
        self.port = self.process = self.reader = None
        self.ports, self.anchors = {}, []
        self.expected_status = 0

    # ---------------------------------------------------------------------------------------------- life

    def base_conf(self):
        return [*listener_lines(self.transport, self.certificates, self.socket_path),
                *(['listeners.%s.mountpoint = "%s"' % (self.transport, self.mountpoint)] if self.mountpoint else []),
                "shards.count = %d" % self.shards, "log.to = [console]",
                "log.level = info", 'control.socket = "%s/control.sock"' % self.directory,
                'system.pid_file = "%s/shardmq.pid"' % self.directory, "sys.interval = 1s",
                "log.rate_limit = 0"]

    @property
    def conf_path(self):
        return os.path.join(self.directory, "broker.conf")

    @property
    def socket_path(self):
        return os.path.join(self.directory, "mqtt.sock")

    @property
    def address(self):
        return self.socket_path if self.transport == "unix" else ("127.0.0.1", self.port)

    def write_conf(self, lines):
        with open(self.conf_path, "w", encoding="utf-8") as out:
            out.write("\n".join(self.base_conf() + list(lines)) + "\n")

    def command(self):
        return [self.executable, "start", "--conf", self.conf_path]

    def start(self, deadline_s=20):
        self.write_conf(self.conf)
        limits = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))) \
            if self.descriptors else None
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, cwd=self.directory, preexec_fn=limits,
                                        env={**SANITIZER_OPTIONS, **os.environ})
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()
        self.wait_ready(time.monotonic() + deadline_s * self.time_scale)
        return self

    def wait_ready(self, deadline):
        if not self.wait_log(r"started successfully", deadline):
            self.fail("the broker did not start")
        if self.transport != "unix":
            listening = re.search(r"listening on %s://127\.0\.0\.1:(\d+)" % self.transport, "\n".join(self.log))
            if listening is None:
                self.fail("the broker did not name its port")
            self.port = int(listening.group(1))
        self.ports = {}  # those of each kind, in the order of the configuration
        for kind, port in re.findall(r"listening on (\w+)://(?:[\d.]+|\[[\da-f:.]+\]):(\d+)", "\n".join(self.log)):
            if int(port) not in self.ports.setdefault(kind, []):
                self.ports[kind].append(int(port))

    def fail(self, why):
        raise BrokerDied("%s (exit status %s)\n%s" % (why, self.process.poll(), "\n".join(self.log[-30:])))

    def _read_log(self):
        for line in self.process.stdout:
            with self.log_changed:
                self.log.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))
                self.log_changed.notify_all()
        with self.log_changed:
            self.log_changed.notify_all()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def wait_log(self, pattern, deadline, start=0, count=1):
        """Waits until `count` lines from line `start` on match; the matching lines, or [] at the deadline."""
        expression = re.compile(pattern)
        with self.log_changed:
            while True:
                found = [line for line in self.log[start:] if expression.search(line)]
                if len(found) >= count:
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or (not self.reader.is_alive() and not self.alive()):
                    return []
                self.log_changed.wait(min(left, 0.1))

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, deadline_s):
        """The exit status, negative for a signal; None when it still runs at the deadline."""
        try:
            self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            return None
        self.reader.join(5)
        return self.process.returncode

    def stop(self):
        """Ends the broker with SIGTERM. Returns what was wrong with the way it ended, or None."""
        self.drop_anchors()
        problem = None
        if self.alive():
            self.signal(signal.SIGTERM)
            status = self.wait_exit(15 * self.time_scale)
            if status is None:
                problem = "the broker did not stop on SIGTERM"
                self.process.kill()
                self.process.wait()
            elif status != 0:
                problem = "the broker ended with status %d" % status
        elif self.process is not None and self.process.returncode != self.expected_status:
            problem = "the broker died with status %s" % self.process.returncode
        if self.reader is not None:
            self.reader.join(5)
        shutil.rmtree(self.directory, ignore_errors=True)
        return problem

    # ------------------------------------------------------------------------------------------- control

    def control(self, line):
        """Sends one line to the control socket, returns the JSON answer."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10 * self.time_scale)
            sock.connect(os.path.join(self.directory, "control.sock"))
            sock.sendall(line.encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                data = sock.recv(1 << 16)
                if not data:
                    break
                answer += data
        return json.loads(answer)

    def counters(self):
        """Every counter by name, summed over the shards, and the two that are defined as sums."""
        answer = self.control("stats")
        return {**answer["counters"], "message_drop": answer["message_drop"],
                "delivery_pending": answer["delivery_pending"]}

    def shard_of(self, client_id):
        return self.control("shard-of " + client_id)["shard"]

    def client_id_on(self, shard, make_id):
        """Tries the identifiers that make_id() makes until one has its home on the shard (modulo their number)."""
        for _ in range(1000):
            client_id = make_id()
            if self.shard_of(client_id) == shard % self.shards:
                return client_id
        raise AssertionError("no identifier hashes to shard %d" % shard)

    def law_broken(self):
        """The conservation laws of src/base/stats.def: None when they hold, else a sentence."""
        now = self.counters()
        left = now["delivery_matched"] + now["drop_forward_full"]
        right = now["message_out"] + now["message_drop"] + now["delivery_pending"]
        if left != right:
            return ("delivery_matched %d + drop_forward_full %d != message_out %d + message_drop %d + "
                    "delivery_pending %d" % (now["delivery_matched"], now["drop_forward_full"], now["message_out"],
                                             now["message_drop"], now["delivery_pending"]))
        if now["forward_out"] != now["forward_in"]:
            return "forward_out %d != forward_in %d" % (now["forward_out"], now["forward_in"])
        return None

    def wait_law(self, deadline):
        """Waits for the laws to hold, which they do at rest. None, or what is wrong at the deadline."""
        while (problem := self.law_broken()) is not None:
            if time.monotonic() > deadline:
                return problem
            threading.Event().wait(0.005)
        return None

    def cpu_seconds(self):
        """User and system time of the process so far."""
        with open("/proc/%d/stat" % self.process.pid, encoding="utf-8") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        with open("/proc/%d/statm" % self.process.pid, encoding="utf-8") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptor_count(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def drop_anchors(self):
        for anchor in self.anchors:
            anchor.close()
        self.anchors = []


class Mosquitto(Broker):
    """Debian's mosquitto: only protocol behaviour can be asked of it."""

    counts = False

    def base_conf(self):
        return ["listener %d 127.0.0.1" % self.port, "allow_anonymous true", "sys_interval 1", "log_dest stderr",
                "max_queued_messages 0", "set_tcp_nodelay true"]

    def command(self):
        return [self.executable, "-c", self.conf_path]

    def start(self, deadline_s=20):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.conf = []
        return super().start(deadline_s)

    def wait_ready(self, deadline):
        if not self.wait_log(r"mosquitto version .* running", deadline):
            self.fail("mosquitto did not start")

    def shard_of(self, client_id):
        return 0

    def client_id_on(self, shard, make_id):
        return make_id()

    def law_broken(self):
        return None
