# SPDX-License-Identifier: MIT
"""What a core file of a process would hold: its memory, read while it runs. Like a debugger it needs to be allowed to."""

import re

READ_AT_ONCE = 1 << 24
SHADOW_SIZE = 1 << 32  # a sanitizer keeps its notes about all addresses in mappings of terabytes; ours are smaller


class NotAllowed(Exception):
    """The system does not let us look."""


def find_in_memory(pid, words):
    """The words that are there, each with the places: {word: ["address mapping: surroundings", ...]}."""
    pattern = re.compile(b"|".join(re.escape(word) for word in words))
    longest = max(len(word) for word in words)
    found = {}
    try:
        with open("/proc/%d/mem" % pid, "rb", buffering=0) as memory:
            for start, end, name in _regions(pid):
                _search(memory, start, end, name, pattern, longest, found)
    except PermissionError as error:
        raise NotAllowed(error) from error
    return found


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


def _search(memory, start, end, name, pattern, longest, found):
    tail = b""
    while start < end:
        try:
            memory.seek(start)
            data = memory.read(min(READ_AT_ONCE, end - start))
        except (OSError, OverflowError):
            return  # a mapping without memory behind it
        if not data:
            return
        text = tail + data
        for match in pattern.finditer(text):
            around = text[max(0, match.start() - 40):match.end() + 20]
            found.setdefault(match.group(), []).append("%x %s: %r" % (start - len(tail) + match.start(), name, around))
        tail = text[-(longest - 1):] if longest > 1 else b""
        start += len(data)
