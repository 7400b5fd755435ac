# SPDX-License-Identifier: MIT
"""What a core file of a process would hold: its memory, read while it runs. Like a debugger it needs to be allowed to."""

import os
import re
import subprocess
import tempfile

READ_AT_ONCE = 1 << 18
SHADOW_SIZE = 1 << 32  # a sanitizer keeps its notes about all addresses in mappings of terabytes; ours are smaller


def find_in_memory(pid, words):
    """The words that are there, each with the places: {word: ["address mapping: surroundings", ...]}. A process may look at
    the memory of its children unless the system forbids it to all but the superuser: then this is a PermissionError."""
    try:
        memory = open("/proc/%d/mem" % pid, "rb", buffering=0)
    except PermissionError as error:
        raise PermissionError("the memory of our own child cannot be read, so nothing is known of what is in it: run this as root, or "
                              "where kernel.yama.ptrace_scope is 0 or 1") from error
    with memory:
        found = _which(memory, pid, words)
        return _where(memory, pid, found) if found else {}


def _which(memory, pid, words):
    """Those that are there. Hundreds of words in as many megabytes: grep does that in a second."""
    pieces = {max(word.split(b"\n"), key=len): word for word in words}  # grep goes by lines
    assert all(len(piece) >= 6 for piece in pieces), "too short to be told from what is there by chance"
    with tempfile.NamedTemporaryFile() as patterns, tempfile.TemporaryFile() as said:
        patterns.write(b"\n".join(pieces) + b"\n")
        patterns.flush()
        with subprocess.Popen(["grep", "-aoUF", "-f", patterns.name], stdin=subprocess.PIPE, stdout=said,
                              env={**os.environ, "LC_ALL": "C"}) as grep:
            for _start, _name, data in _contents(memory, pid):
                grep.stdin.write(data if data is not None else b"\n")
        assert grep.returncode in (0, 1), "grep cannot search"
        said.seek(0)
        return {pieces[line] for line in said.read().split(b"\n") if line in pieces}


def _where(memory, pid, words):
    pattern = re.compile(b"|".join(re.escape(word) for word in words))
    longest, found, tail = max(len(word) for word in words), {}, b""
    for start, name, data in _contents(memory, pid):
        if data is None:
            tail = b""
            continue
        text = tail + data
        for match in pattern.finditer(text):
            around = text[max(0, match.start() - 40):match.end() + 20]
            found.setdefault(match.group(), []).append("%x %s: %r" % (start - len(tail) + match.start(), name, around))
        tail = text[-(longest - 1):]
    return found or dict.fromkeys(words, ["there a moment ago"])


def _regions(pid):
    """What a core has: everything that can be read and written, or is the process' own."""
    with open("/proc/%d/maps" % pid, encoding="utf-8") as maps:
        for line in maps:
            fields = line.split(maxsplit=5)
            name = fields[5].strip() if len(fields) > 5 else "anonymous"
            if "r" in fields[1] and name not in ("[vvar]", "[vsyscall]", "[vvar_vclock]") and not name.startswith("/usr/"):
                start, end = (int(part, 16) for part in fields[0].split("-"))
                if end - start < SHADOW_SIZE:
                    yield start, end, name


def _contents(memory, pid):
    """(address, mapping, bytes), piece by piece; bytes None: what follows does not stand behind what was before. Most of the
    memory was never used, and is passed over."""
    for start, end, name in _regions(pid):
        yield start, name, None
        while start < end:
            try:
                memory.seek(start)
                data = memory.read(min(READ_AT_ONCE, end - start))
            except (OSError, OverflowError):
                break  # a mapping without memory behind it
            if not data:
                break
            yield start, name, data if data.strip(b"\0") else None
            start += len(data)
