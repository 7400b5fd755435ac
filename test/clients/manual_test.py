#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The manual pages and completions that the program makes: read by man, groff, bash and zsh, and used."""

import argparse
import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import time


def output(*command, **keywords):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100"}, **keywords)
    assert done.returncode == 0 and done.stderr == b"", (command, done.returncode, done.stderr)
    return done.stdout.decode()


def pages(program):
    return output(program, "man", "--list").split()


def test_manual_pages(program, folder):
    assert "shardmq.1" in pages(program) and "shardmq.conf.5" in pages(program)
    for page in pages(program):
        path = os.path.join(folder, page)
        with open(path, "w", encoding="utf-8") as file:
            file.write(output(program, "man", page[:-2]))
        output("man", "--warnings", "-l", path)
        shown = output("groff", "-man", "-ww", "-Tascii", "-P-cbou", path)
        assert shown.startswith("SHARDMQ") or shown.startswith("shardmq"), shown[:80]
        for word in ("NAME", "SEE ALSO"):
            assert word in shown, (page, word)


def test_every_option_is_in_the_manual(program, _folder):
    for command in (["pub"], ["sub"], ["conn"], ["bench", "pub"], ["bench", "run"], ["start"]):
        page = "shardmq" if command == ["start"] else "shardmq-" + command[0]
        text = output(program, "man", page).replace("\\-", "-")
        for line in output(program, *command, "--help").splitlines():
            for word in line.split():
                if line.startswith("  ") and word.startswith("--") and line.index(word) < 12 and "not in this version" not in line:
                    assert "\\fB%s\\fR" % word.rstrip(",") in text, (page, word)
    text = output(program, "man", "shardmq.conf").replace("\\-", "-")
    for line in output(program, "start", "--list-options").splitlines():
        if not line.startswith(" "):
            assert "\\fB%s\\fR" % line.split(" = ")[0] in text, line


def complete_bash(script, *words):
    """What bash offers for the last word."""
    program = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _shardmq; printf "%s\\n" "${COMPREPLY[@]}"'
    return output("bash", "-c", program, script, "shardmq", *words).split()


def test_bash(program, folder):
    script = os.path.join(folder, "completion.bash")
    with open(script, "w", encoding="utf-8") as file:
        file.write(output(program, "completion", "bash"))
    output("bash", "-n", script)
    assert complete_bash(script, "be") == ["bench"]
    assert set(complete_bash(script, "")) >= {"broker", "start", "stop", "pub", "sub", "conn", "bench", "man", "completion"}
    assert complete_bash(script, "bench", "r") == ["run"]
    assert "fan-out" in complete_bash(script, "bench", "run", "fan-")
    assert complete_bash(script, "broker", "rel") == ["reload"]
    assert complete_bash(script, "pub", "--stdin-l") == ["--stdin-line"]
    assert complete_bash(script, "pub", "start", "--stdin-l") == ["--stdin-line"]
    assert complete_bash(script, "sub", "--format-nothing") == []
    assert complete_bash(script, "sub", "-q", "") == ["0", "1", "2"]
    assert complete_bash(script, "conn", "--version", "") == ["3", "4", "5"]
    assert complete_bash(script, "bench", "start", "pub", "--startn") == ["--startnumber"]
    assert complete_bash(script, "bench", "conn", "--topi") == [], "conn has no topic"
    open(os.path.join(folder, "ca-file.pem"), "w", encoding="ascii").close()
    assert complete_bash(script, "pub", "--cafile", folder + "/ca-") == [folder + "/ca-file.pem"]
    assert complete_bash(script, "pub", "--msg", "") == []
    assert complete_bash(script, "completion", "z") == ["zsh"]


def test_zsh(program, folder):
    """A zsh on a terminal: the tab key."""
    if shutil.which("zsh") is None:
        print("no zsh here")
        return
    script = os.path.join(folder, "_shardmq")
    with open(script, "w", encoding="utf-8") as file:
        file.write(output(program, "completion", "zsh"))
    output("zsh", "-n", script)
    master, slave = pty.openpty()
    shell = subprocess.Popen(["zsh", "-f", "-i"], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                             env={"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": folder, "LC_ALL": "C.UTF-8"})
    os.close(slave)

    def expect(text, seconds=30):
        seen, end = b"", time.monotonic() + seconds
        while text not in seen:
            left = end - time.monotonic()
            assert left > 0 and select.select([master], [], [], left)[0], "%r did not come, but %r" % (text, seen)
            seen += os.read(master, 4096)

    try:
        os.write(master, b"unsetopt zle_bracketed_paste; PS1='> '; fpath=(%s $fpath); autoload -U compinit; compinit -u -D; "
                 b"zstyle ':completion:*' verbose no; echo rea''dy\n" % folder.encode())
        expect(b"ready")
        for typed, expected in ((b"shardmq ben\t", b"bench "), (b"shardmq pub --stdin-l\t", b"--stdin-line"),
                                (b"shardmq bench start pub --startn\t", b"--startnumber"), (b"shardmq broker relo\t", b"reload "),
                                (b"shardmq bench run fan-o\t", b"fan-out"), (b"shardmq sub -q 1 --ret\t", b"retain"),
                                (b"shardmq conn --tls-version tlsv1.\t", b"tlsv1.2")):
            os.write(master, b"\x15" + typed)
            expect(expected)
    finally:
        shell.kill()
        shell.wait()
        os.close(master)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    program = os.path.abspath(parser.parse_args().broker)
    failed = 0
    for test in (test_manual_pages, test_every_option_is_in_the_manual, test_bash, test_zsh):
        problem = None
        with tempfile.TemporaryDirectory() as folder:
            try:
                test(program, folder)
            except (AssertionError, OSError) as error:
                problem = "%s: %s" % (type(error).__name__, error)
        failed += problem is not None
        print("%-40s %s" % (test.__name__, problem or "ok"), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
