# SPDX-License-Identifier: MIT
"""Reading .mqs files: lines into words, words into values, blocks, and the header that says where a script may run.

A script is a list of lines; `#` begins a comment. Words are separated by blanks. Text is quoted ("a\\n", \\xff for a
byte, \\u00e9 for a character), can be repeated ("a"*100) and joined ("a"+"/"*10), and x:00ff is text in hexadecimal.
$name in a word or text is replaced when the variable exists; other dollars ($share, $SYS) stay. Blocks are
`repeat N [as VAR]`, `for VAR in WORDS`, `if WORD == WORDS` (any of them) with `else`; all close with `end`.

Header lines, before anything else:
  foreach VAR in WORDS     the script is run once for each word (several lines: for each combination)
  broker conf TEXT         a line for the broker's configuration
  broker alone             a broker process for this script only
  broker shards LIST       run only with these numbers of shards
  broker descriptors N     RLIMIT_NOFILE of the broker
  slow                     waits for time to pass: runs side by side with others, so it must not look at counters
  shardmq                  asks for more than the specifications: not run against a reference broker
  whole-topics             $SYS, or the length of topics: not run behind a mount point
"""

import itertools
import os
import re
from dataclasses import dataclass, field

BLOCKS = ("repeat", "for", "if")
QUOTED = r'"(?:[^"\\]|\\.)*"'
CHUNK = re.compile(r'(?:%s|[^\s"])+' % QUOTED)
TERM = re.compile(r'(%s|x:(?:[0-9a-fA-F]|\$\w+)*|\$\w+)(?:\*(\d+|\$\w+))?' % QUOTED)
KEY = re.compile(r'([A-Za-z_][\w.]*)=(.*)', re.S)
VARIABLE = re.compile(r'\$(\w+)')
ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "0": b"\0", '"': b'"', "\\": b"\\"}


class ScriptError(Exception):
    """The script is wrong, not the broker."""


@dataclass
class Line:
    number: int
    words: list
    text: str
    block: list = field(default_factory=list)
    otherwise: list = field(default_factory=list)


@dataclass
class Script:
    path: str
    lines: list
    conf: tuple = ()
    alone: bool = False
    shards: tuple = ()
    descriptors: int = 0
    slow: bool = False
    shardmq_only: bool = False
    whole_topics: bool = False
    loops: list = field(default_factory=list)

    @property
    def name(self):
        return os.path.splitext(os.path.basename(self.path))[0]

    def instances(self):
        """One dictionary of loop variables for each run of the script."""
        names = [name for name, _ in self.loops]
        return [dict(zip(names, values)) for values in itertools.product(*(words for _, words in self.loops))]


def split_words(text):
    words, at = [], 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text) or text[at] == "#":
            return words
        match = CHUNK.match(text, at)
        if match is None:
            raise ScriptError("quote without its end: %s" % text[at:])
        words.append(match.group())
        at = match.end()


def is_text(word):
    return word.startswith(('"', "x:", "$"))


def substitute(word, variables):
    """Variables in a bare word."""
    def value_of(match):
        value = variables.get(match.group(1))
        if value is None:
            return match.group()
        return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
    return VARIABLE.sub(value_of, word)


def unescape(quoted, variables):
    """The bytes of one quoted text, escapes and variables replaced."""
    out, body, at = bytearray(), quoted[1:-1], 0
    while at < len(body):
        char = body[at]
        if char == "\\":
            escape = body[at + 1]
            width = {"x": 2, "u": 4}.get(escape)
            if width:
                number = int(body[at + 2:at + 2 + width], 16)
                out += bytes([number]) if escape == "x" else chr(number).encode("utf-8", "surrogatepass")
                at += 2 + width
            else:
                out += ESCAPES[escape]
                at += 2
            continue
        if char == "$":
            match = VARIABLE.match(body, at)
            if match and match.group(1) in variables:
                value = variables[match.group(1)]
                out += value if isinstance(value, bytes) else str(value).encode()
                at = match.end()
                continue
        out += char.encode()
        at += 1
    return bytes(out)


def text_value(word, variables):
    """The bytes that a word stands for: quoted terms, x:hex or $variables, with * and +; or the bare word."""
    if not is_text(word):
        return substitute(word, variables).encode("utf-8", "surrogateescape")
    out, at = b"", 0
    while True:
        match = TERM.match(word, at)
        if match is None:
            raise ScriptError("cannot read %s" % word[at:])
        term, times = match.groups()
        if term.startswith('"'):
            value = unescape(term, variables)
        elif term.startswith("x:"):
            value = bytes.fromhex(substitute(term[2:], variables))
        else:
            value = substitute(term, variables).encode("utf-8", "surrogateescape")
        out += value * (int(substitute(times, variables)) if times else 1)
        at = match.end()
        if at == len(word):
            return out
        if word[at] != "+":
            raise ScriptError("cannot read %s" % word[at:])
        at += 1


def key_value(word):
    """(key, value) of key=value, (None, word) of anything else."""
    match = None if is_text(word) else KEY.fullmatch(word)
    return match.groups() if match else (None, word)


def parse_header(script, words, number):
    """True when the line belonged to the header."""
    if words[0] == "foreach" and len(words) > 3 and words[2] == "in":
        script.loops.append((words[1], [text_value(word, {}).decode() for word in words[3:]]))
    elif words[:2] == ["broker", "conf"]:
        script.conf += tuple(text_value(word, {}).decode() for word in words[2:])
    elif words == ["broker", "alone"]:
        script.alone = True
    elif words[:2] == ["broker", "shards"]:
        script.shards = tuple(int(count) for count in words[2].split(","))
    elif words[:2] == ["broker", "descriptors"]:
        script.descriptors = int(words[2])
    elif words == ["slow"]:
        script.slow = True
    elif words == ["shardmq"]:
        script.shardmq_only = True
    elif words == ["whole-topics"]:
        script.whole_topics = True
    elif words[0] in ("foreach", "slow", "shardmq", "whole-topics"):
        raise ScriptError("%s:%d: cannot read the header line" % (script.path, number))
    else:
        return False
    return True


def parse_script(path):
    with open(path, encoding="utf-8") as source:
        text = source.read()
    script = Script(path, [])
    stack, target, header = [], script.lines, True
    for number, raw in enumerate(text.splitlines(), 1):
        try:
            words = split_words(raw)
        except ScriptError as error:
            raise ScriptError("%s:%d: %s" % (path, number, error)) from None
        if not words or (header and parse_header(script, words, number)):
            continue
        header = False
        line = Line(number, words, raw.strip())
        if words[0] == "end" and stack:
            target = stack.pop()[1]
        elif words[0] == "else" and stack:
            target = stack[-1][0].otherwise
        elif words[0] in ("end", "else"):
            raise ScriptError("%s:%d: %s without a block" % (path, number, words[0]))
        else:
            target.append(line)
            if words[0] in BLOCKS:
                stack.append((line, target))
                target = line.block
    if stack:
        raise ScriptError("%s:%d: block without end" % (path, stack[-1][0].number))
    return script
