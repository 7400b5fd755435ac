#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The normative statements of MQTT 3.1.1 and 5.0 for servers: where each is enforced, and which test proves it.

Reads ci/mqtt-normative.tsv (version, id, side, requirement), looks for the identifiers in src, shards and conf (code) and in test
(tests), prints statement, code and test, and fails when a statement has lost one of the two. Statements that a
later issue brings are listed with their reason in ci/conformance-deferred.txt: `version id reason`. An entry there that
has both citations, or that names no statement, is an error as well.
"""

import argparse
import collections
import os
import re
import sys

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
CODE = ("src", "shards", "conf")
TESTS = ("test",)
# The client's side: it cites statements about clients, which are not in the table, and enforces none of a server.
CLIENT = {"src/client", "shards/driver", "test/unit/client", "test/unit/driver"}
SUFFIXES = (".c", ".h", ".def", ".mqs", ".py", ".js", ".sh")
CITATION = re.compile(r"\[MQTT-[0-9]+[.-][0-9]+(?:\.[0-9]+)*-[0-9]+\]")


def read_statements(path):
    with open(path, encoding="utf-8") as rows:
        next(rows)
        return [tuple(row.rstrip("\n").split("\t")) for row in rows if row.strip()]


def read_deferred(path):
    deferred = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                version, identifier, reason = line.split(None, 2)
                deferred[version, identifier] = reason.strip()
    return deferred


def find_citations(folders):
    """identifier -> the places that cite it, "path:line", in order."""
    places = collections.defaultdict(list)
    for folder in folders:
        for directory, _, names in sorted(os.walk(os.path.join(TOP, folder))):
            if os.path.relpath(directory, TOP) in CLIENT:
                continue
            for name in sorted(names):
                if name.endswith(SUFFIXES):
                    cite_file(os.path.join(directory, name), places)
    return places


def cite_file(path, places):
    with open(path, encoding="utf-8", errors="replace") as source:
        for number, line in enumerate(source, 1):
            for identifier in dict.fromkeys(CITATION.findall(line)):
                places[identifier].append("%s:%d" % (os.path.relpath(path, TOP), number))


def summary(places):
    if not places:
        return "-"
    return places[0] + (" (+%d)" % (len(places) - 1) if len(places) > 1 else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quiet", action="store_true", help="print only what is wrong")
    arguments = parser.parse_args()

    statements = read_statements(os.path.join(TOP, "ci/mqtt-normative.tsv"))
    deferred = read_deferred(os.path.join(TOP, "ci/conformance-deferred.txt"))
    code, tests = find_citations(CODE), find_citations(TESTS)
    problems = []
    for version, identifier, _, requirement in statements:
        excuse = deferred.pop((version, identifier), None)
        missing = [kind for kind, places in (("code", code), ("test", tests)) if not places[identifier]]
        if not arguments.quiet:
            print("%-6s %-16s %s\n       code %s\n       test %s%s" % (
                version, identifier, requirement, summary(code[identifier]), summary(tests[identifier]),
                "\n       deferred: " + excuse if excuse else ""))
        if missing and not excuse:
            problems.append("%s %s has no %s: %s" % (version, identifier, " and no ".join(missing), requirement))
        if excuse and not missing:
            problems.append("%s %s is listed as deferred, but has code and test" % (version, identifier))
    problems += ["conformance-deferred.txt names %s %s, which is no statement" % key for key in deferred]
    known = {identifier for _, identifier, _, _ in statements}
    problems += ["%s cites %s, which is no statement for servers" % (places[0], identifier)
                 for identifier, places in sorted({**code, **tests}.items()) if places and identifier not in known]
    for problem in problems:
        print("conformance: " + problem, file=sys.stderr)
    print("%d statements, %d problems" % (len(statements), len(problems)))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
