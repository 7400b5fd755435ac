#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs scenario scripts: every script, each combination of its loops, on each number of shards.

Scripts with the same configuration share a broker process, one after the other (so that they can look at
counters); scripts marked `slow` wait for time to pass and run side by side in one. A broker must end with status 0 on
SIGTERM, which under a sanitizer means that it had nothing to report.
"""

import argparse
import concurrent.futures
import glob
import multiprocessing
import os
import random
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))

from mqs.broker import Broker, BrokerDied, Mosquitto  # noqa: E402
from mqs.client import Client  # noqa: E402
from mqs.parse import ScriptError, parse_script  # noqa: E402
from mqs.script import run_instance  # noqa: E402
from mqs.transport import client_context, make_certificates  # noqa: E402

JOB_SIZE = 40  # script instances that share a broker


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scripts", nargs="*", help="scripts or the beginnings of their names (default: all)")
    parser.add_argument("--broker", default=os.path.join(HERE, "../../build/release/shardmq"))
    parser.add_argument("--reference", action="store_true", help="--broker is mosquitto: check the scripts")
    parser.add_argument("--shards", default="1,2,4", help="numbers of shards to run with (default: %(default)s)")
    parser.add_argument("-j", "--jobs", type=int, default=max(2, os.cpu_count() or 1))
    parser.add_argument("--transport", choices=("tcp", "unix", "ssl", "ws", "wss"), default="tcp",
                        help="what the clients speak below MQTT")
    parser.add_argument("--mountpoint", default="", help="of the listener: the scripts notice nothing of it")
    parser.add_argument("--timeout-scale", type=float, default=1.0, help="lengthens every deadline")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--verbose", action="store_true", help="one line for each script with its time")
    return parser.parse_args()


def find_scripts(names):
    paths = sorted(glob.glob(os.path.join(HERE, "*.mqs")))
    if names:
        bases = [os.path.basename(name) for name in names]
        paths = [path for path in paths if any(os.path.basename(path).startswith(base) for base in bases)]
    if not paths:
        sys.exit("no script fits %s" % " ".join(names))
    return [parse_script(path) for path in paths]


def make_jobs(scripts, shard_counts, seed):
    """Groups script instances by the broker they need: (conf, descriptors, shards, slow, [(script, variables, seed)])."""
    groups, jobs = {}, []
    for script in scripts:
        for shards in shard_counts:
            if script.shards and shards not in script.shards:
                continue
            for index, variables in enumerate(script.instances()):
                own = (script.name, index) if script.alone else None
                key = (script.conf, script.descriptors, shards, script.slow, own)
                groups.setdefault(key, []).append((script, variables, "%d/%s/%d" % (seed, script.name, index)))
    for (conf, descriptors, shards, slow, _), instances in groups.items():
        size = len(instances) if slow else JOB_SIZE
        for start in range(0, len(instances), size):
            jobs.append((conf, descriptors, shards, slow, instances[start:start + size]))
    return sorted(jobs, key=lambda job: (not job[3], -len(job[4])))  # those that wait begin first


class Worker:
    """Runs jobs in a process of its own."""

    def __init__(self, arguments):
        self.arguments = arguments

    def start_broker(self, conf, descriptors, shards):
        kind = Mosquitto if self.arguments.reference else Broker
        broker = kind(os.path.abspath(self.arguments.broker), shards, conf, self.arguments.timeout_scale,
                      descriptors or None)
        try:
            return broker.start()
        except BrokerDied:
            broker.stop()
            raise

    def run_job(self, job):
        """Returns [(name, seconds, problem or None)], one for each instance, and for the broker's end."""
        conf, descriptors, shards, slow, instances = job
        try:
            if slow:
                return self.run_side_by_side(conf, descriptors, shards, instances)
            return self.run_in_turn(conf, descriptors, shards, instances)
        except BrokerDied as error:
            return [("broker", 0, "%s shards=%d: %s" % (instances[0][0].name, shards, error))]

    def run_in_turn(self, conf, descriptors, shards, instances):
        results, broker = [], None
        for script, variables, seed in instances:
            broker = broker or self.start_broker(conf, descriptors, shards)
            results.append(self.timed(script, broker, variables, seed))
            if not broker.alive():
                results.append(self.end(broker, script.name))
                broker = None
        if broker is not None:
            results.append(self.end(broker, "%s to %s" % (instances[0][0].name, instances[-1][0].name)))
        return results

    def run_side_by_side(self, conf, descriptors, shards, instances):
        broker = self.start_broker(conf, descriptors, shards)
        with concurrent.futures.ThreadPoolExecutor(len(instances)) as pool:
            futures = [pool.submit(self.timed, script, broker, variables, seed)
                       for script, variables, seed in instances]
            results = [future.result() for future in futures]
        if broker.alive():
            results.append(("laws", 0, broker.wait_law(time.monotonic() + 5 * self.arguments.timeout_scale)))
        return results + [self.end(broker, "slow scripts")]

    @staticmethod
    def timed(script, broker, variables, seed):
        started = time.monotonic()
        problem = run_instance(script, broker, variables, seed)
        name = " ".join([script.name, "shards=%d" % broker.shards] + ["%s=%s" % pair for pair in variables.items()])
        return (name, time.monotonic() - started, problem)

    @staticmethod
    def end(broker, name):
        log = broker.log
        problem = broker.stop()
        if problem:
            problem = "%s shards=%d: %s\n%s" % (name, broker.shards, problem,
                                                "\n".join("      " + line for line in log[-40:]))
        return ("end of " + name, 0, problem)


def main():
    arguments = options()
    try:
        scripts = find_scripts(arguments.scripts)
    except ScriptError as error:
        sys.exit(str(error))
    shard_counts = [int(count) for count in arguments.shards.split(",")]
    if arguments.reference:
        shard_counts = [1]
        scripts = [script for script in scripts if not script.shardmq_only and not script.conf]
    if arguments.mountpoint:
        scripts = [script for script in scripts if not script.whole_topics]
    with tempfile.TemporaryDirectory(prefix="smq-certificates-") as folder:
        speak(arguments.transport, folder)
        Broker.mountpoint = arguments.mountpoint
        return run(arguments, make_jobs(scripts, shard_counts, arguments.seed))


def speak(transport, folder):
    """All clients and brokers of this run speak that."""
    Client.transport = Broker.transport = transport
    if transport in ("ssl", "wss"):
        Broker.certificates = make_certificates(folder)
        Client.tls_context = client_context(folder)


def run(arguments, jobs):
    started, passed, problems = time.monotonic(), 0, []
    with concurrent.futures.ProcessPoolExecutor(
            arguments.jobs, mp_context=multiprocessing.get_context("fork")) as pool:
        for future in concurrent.futures.as_completed([pool.submit(Worker(arguments).run_job, job) for job in jobs]):
            for name, seconds, problem in future.result():
                passed += problem is None
                if arguments.verbose:
                    print("%-6s %6.3f s  %s" % ("FAIL" if problem else "ok", seconds, name))
                if problem:
                    problems.append(problem)
                    print("FAILED " + problem + "\n", flush=True)
    print("%d passed, %d failed in %.1f s, seed %d" % (passed, len(problems), time.monotonic() - started,
                                                       arguments.seed))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
