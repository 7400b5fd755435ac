#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The house rules that a machine can check. Prints every violation as file:line: what; fails if there is one.

Rules: top-level names, floors (floors.txt), banned calls (banned.txt), length of files and functions, headers
that compile alone, licence lines, open ends in the text, paths of somebody's machine and addresses of strange
ones, code that stands twice.
"""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOP_LEVEL = {"CMakeLists.txt", "CMakePresets.json", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md",
             "include", "src", "shards", "api", "bench", "perf", "conf", "test", "ci"}
FILE_LINES_LONG = 700
FILE_LINES_MAX = 900
FUNCTION_LINES_MAX = 100
TWICE_LINES = 20
# Left open, or of one machine or person: neither belongs in the repository.
OPEN_ENDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\()|not implemented")
LOCAL_PATHS = re.compile(r"(?<![\w./$}-])/(?:work|home|root|opt|mnt|data)/[\w.]")
PRODUCT = ("src/", "shards/", "api/", "bench/", "conf/", "include/")

# The only machines the repository may name: where standards, licences and documentation live, and examples.
ADDRESSES = re.compile(r"https?://([\w.-]+)")
ADDRESSES_KNOWN = re.compile(r"^(localhost|127\.0\.0\.1|0\.0\.0\.0|.*\.?example(\.\w+)?|docs\.oasis-open\.org|mqtt\.org|"
                             r"(man7|kernel|freedesktop|keepachangelog|semver)\.(org|com))$")

problems = []
long_files = []


def report(path, line, text):
    problems.append(f"{path}:{line}: {text}")


def tracked():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True,
                         check=True).stdout.split("\n")
    return [name for name in out if name and os.path.isfile(os.path.join(ROOT, name))]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def code_only(text):
    """The text with comments and string contents blanked, lines kept."""
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def check_top_level(files):
    for name in sorted({path.split("/")[0] for path in files}):
        if not name.startswith(".") and name not in TOP_LEVEL:
            report(name, 1, "is not one of the top-level names")


def load_table(name):
    rows = []
    for line in read(f"ci/{name}").split("\n"):
        if line and not line.startswith("# "):
            rows.append(line)
    return rows


def check_floors(sources):
    floors = {}
    for row in load_table("floors.txt"):
        folder, allowed = row.split(":")
        floors[folder] = set(allowed.split()) | {folder}
    roots = {os.path.basename(folder): folder for folder in floors}
    for path, text in sources.items():
        folder = os.path.dirname(path)
        if folder not in floors:
            continue
        for match in re.finditer(r'^\s*#\s*include\s+"([^"/]+)/([^"]+)"', text, flags=re.M):
            below = os.path.dirname("/".join(match.groups()))
            target = below if below in floors else roots.get(match.group(1))
            if target is None:
                report(path, line_of(text, match.start()), f"includes from an unknown folder {match.group(1)}")
            elif target not in floors[folder] and "/".join(match.groups()) not in floors[folder]:
                report(path, line_of(text, match.start()), f"{folder} must not include {target} (ci/floors.txt)")
            if match.group(2).endswith("_priv.h") and target != folder:
                report(path, line_of(text, match.start()), "a private header of another folder")


def check_banned(codes):
    rules = []
    for row in load_table("banned.txt"):
        # the first | with blanks around it ends the pattern
        pattern, allowed, instead = [part.strip() for part in re.split(r"\s\|(?=\s)", row)]
        rules.append((re.compile(pattern), allowed.split(), instead))
    for path, code in codes.items():
        for pattern, allowed, instead in rules:
            if any(path.startswith(prefix) for prefix in allowed):
                continue
            for match in pattern.finditer(code):
                report(path, line_of(code, match.start()), f"{match.group(0).strip()}: use {instead}")


def check_lengths(sources, codes):
    for path, text in sources.items():
        lines = text.count("\n")
        if lines > FILE_LINES_MAX:
            report(path, lines, f"{lines} lines in one file, at most {FILE_LINES_MAX}")
        elif lines > FILE_LINES_LONG:
            long_files.append(f"{path} ({lines})")
        start = None
        for number, line in enumerate(codes[path].split("\n"), 1):
            if line.startswith("{"):
                start = number
            elif line.startswith("}") and start is not None:
                if number - start > FUNCTION_LINES_MAX:
                    report(path, start, f"{number - start} lines in one function, at most {FUNCTION_LINES_MAX}")
                start = None


def check_text(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if path != "ci/tidy.py" and OPEN_ENDS.search(line):
            report(path, number, "something left open")
        if path != "ci/tidy.py" and LOCAL_PATHS.search(line):
            report(path, number, "a path of somebody's machine")
        for match in ADDRESSES.finditer(line):
            if not ADDRESSES_KNOWN.match(match.group(1)):
                report(path, number, f"names the machine {match.group(1)} (ADDRESSES_KNOWN in ci/tidy.py)")
    if (path.endswith((".c", ".h", ".cc", ".py", ".sh")) or text.startswith("#!")) and "SPDX-License-Identifier" not in text[:200]:
        report(path, 1, "no SPDX-License-Identifier")


def check_header(path):
    flags = ["-std=gnu11", "-D_GNU_SOURCE", '-DSHARDMQ_VERSION="0"', '-DSOURCE_DIR="."', "-isystem/usr/include/android",
             "-fsyntax-only", "-Iinclude", "-Isrc", "-I.",
             "-I/usr/include/mimalloc-2.0", "-x"]
    languages = ["c", "c++"] if path.startswith("include/") else ["c"]
    for language in languages:
        options = [flag for flag in flags if not (language == "c++" and flag == "-std=gnu11")]
        done = subprocess.run(["gcc", *options, language, "-include", path, "/dev/null"], cwd=ROOT,
                              capture_output=True, text=True)
        if done.returncode != 0:
            report(path, 1, f"does not compile alone as {language}: {done.stderr.strip().splitlines()[0]}")


def check_twice(sources):
    seen = {}
    reported = set()
    for path, text in sorted(sources.items()):
        if not path.startswith(PRODUCT) or not path.endswith(".c"):
            continue
        code = re.sub(r"/\*.*?\*/", blank, text, flags=re.S)
        lines = [(number, re.sub(r"\s+", "", line)) for number, line in enumerate(code.split("\n"), 1)]
        lines = [(number, line) for number, line in lines if len(line) > 2 and not line.startswith("#include")]
        for i in range(len(lines) - TWICE_LINES + 1):
            key = "\n".join(line for _, line in lines[i:i + TWICE_LINES])
            where = seen.setdefault(key, (path, lines[i][0]))
            if where != (path, lines[i][0]) and (path, where[0]) not in reported:
                reported.add((path, where[0]))
                report(path, lines[i][0], f"{TWICE_LINES} lines that stand at {where[0]}:{where[1]} too")


def main():
    files = tracked()
    sources = {path: read(path) for path in files if path.endswith((".c", ".h", ".cc"))}
    codes = {path: code_only(text) for path, text in sources.items()}
    check_top_level(files)
    check_floors(sources)
    check_banned(codes)
    check_lengths(sources, codes)
    check_twice(sources)
    for path in files:
        if path.endswith((".c", ".h", ".cc", ".def", ".py", ".sh", ".md", ".txt", ".json", ".conf", ".mqs")) or \
                path in ("ci/start", "ci/test", ".ci/run", "bench/compare"):
            check_text(path, read(path))
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        list(pool.map(check_header, [path for path in sources if path.endswith(".h")]))
    if long_files:
        print(f"tidy: more than {FILE_LINES_LONG} lines, think of splitting: {', '.join(sorted(long_files))}")
    for problem in sorted(problems):
        print(problem)
    print(f"tidy: {len(files)} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
