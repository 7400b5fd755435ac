# SPDX-License-Identifier: MIT
"""From the words of a script line to a packet to send, and from a packet received to a verdict.

Names of fields: id qos dup retain topic payload rc sp, of CONNECT also clean keepalive username password will_topic
will_payload will_qos will_retain protocol level connect_flags, and the properties as wire.PROPERTIES calls them (short
names below); will.<property> is a property of the will. In an expectation a value is exact, `any`, `none` (absent),
`a|b`, `a..b`, or `?name` to remember it in $name.
"""

import json
import re

from . import wire
from .parse import ScriptError, is_text, key_value, substitute, text_value

SHORT = {"sub_id": "subscription_identifier", "expiry": "message_expiry", "alias": "topic_alias",
         "reason": "reason_string", "assigned_id": "assigned_client_identifier"}
REASON_NAMES = {"granted_qos0": 0, "granted_qos1": 1, "granted_qos2": 2, "failure": 0x80}
NUMBERS = {"id", "qos", "dup", "retain", "rc", "sp", "clean", "keepalive", "will_qos", "will_retain", "level",
           "connect_flags", "size", "flags", "cut", "remaining", "nl", "rap", "rh", "opts", "topic_length"}
TEXTS = {"topic", "payload", "username", "password", "will_topic", "will_payload", "protocol", "extra",
         "topic_sent"}
REASONS_OF_V5 = {"PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "UNSUBACK"}  # 3.x has none there
OPTION_KEYS = ("qos", "nl", "rap", "rh", "opts")


def number(word, variables):
    word = substitute(word, variables)
    if word in REASON_NAMES:
        return REASON_NAMES[word]
    try:
        return int(word, 0)
    except ValueError:
        raise ScriptError("%r is no number" % word) from None


def property_value(name, word, variables):
    kind = wire.PROPERTIES[name][1]
    if kind in ("byte", "u16", "u32", "varint"):
        return number(word, variables)
    value = text_value(word, variables)
    if kind == "pair":
        key, _, rest = value.partition(b":")
        return (key, rest)
    return value


class Arguments:
    """The words behind a packet's name, sorted into texts, flags, fields and properties (in order)."""

    def __init__(self, words, variables, packet_id_is_number=True):
        self.texts, self.flags, self.fields, self.props, self.will_props = [], [], {}, [], []
        self.options = []  # (index of the text it follows, key, number) for SUBSCRIBE
        for word in words:
            key, value = key_value(word)
            if key is None:
                if is_text(word):
                    self.texts.append(text_value(word, variables))
                else:
                    self.flags.append(substitute(word, variables))
                continue
            name = SHORT.get(key, key)
            if key.startswith("will.") and SHORT.get(key[5:], key[5:]) in wire.PROPERTIES:
                name = SHORT.get(key[5:], key[5:])
                self.will_props.append((name, property_value(name, value, variables)))
            elif name in wire.PROPERTIES:
                self.props.append((name, property_value(name, value, variables)))
            elif key in OPTION_KEYS:
                self.options.append((len(self.texts), key, number(value, variables)))
                self.fields[key] = number(value, variables)
            elif key == "id" and not packet_id_is_number:
                self.fields[key] = text_value(value, variables)
            elif key in NUMBERS:
                self.fields[key] = number(value, variables)
            elif key in TEXTS:
                self.fields[key] = text_value(value, variables)
            else:
                raise ScriptError("unknown field %s" % key)

    def filters(self):
        """(filter, options byte) pairs; an option before the first filter holds for all, else for the one before."""
        shifts = {"qos": 0, "nl": 2, "rap": 3, "rh": 4}
        out = []
        for index, name in enumerate(self.texts):
            chosen = {key: value for at, key, value in self.options if at == 0}
            chosen.update((key, value) for at, key, value in self.options if at == index + 1)
            byte = sum(value << shifts[key] for key, value in chosen.items() if key in shifts)
            out.append((name, chosen.get("opts", byte)))
        return out


def build(client, kind, words, variables):
    """The bytes of a packet, and its arguments."""
    if kind == "raw":
        return raw_bytes(words, variables), None
    if kind == "frame":
        return wire.frame(number(words[0], variables), raw_bytes(words[1:], variables)), None
    arguments = Arguments(words, variables, packet_id_is_number=kind != "CONNECT")
    fields, flags = arguments.fields, None
    if kind == "CONNECT":
        fields.setdefault("id", client.client_id)
        body = wire.connect(client.version, fields, arguments.props, arguments.will_props)
    elif kind == "PUBLISH":
        take_texts(arguments, fields)
        body, flags = wire.publish(client.version, fields, arguments.props), wire.publish_flags(fields)
    elif kind in ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP"):
        body = wire.acknowledge(client.version, fields, arguments.props)
    elif kind == "SUBSCRIBE":
        body = wire.subscribe(client.version, fields.get("id", 1), arguments.filters(), arguments.props)
    elif kind == "UNSUBSCRIBE":
        body = wire.unsubscribe(client.version, fields.get("id", 1), arguments.texts, arguments.props)
    elif kind in ("DISCONNECT", "AUTH"):
        body = wire.reason_packet(client.version, fields, arguments.props)
    elif kind == "PINGREQ":
        body = b""
    else:
        raise ScriptError("no packet called %s" % kind)
    body = body[:len(body) - fields.get("cut", 0)] + fields.get("extra", b"")
    flags = fields.get("flags", flags)
    first = wire.TYPE_NUMBERS[kind] << 4 | (wire.FLAGS.get(kind, 0) if flags is None else flags)
    if "remaining" in fields:
        return bytes([first]) + wire.varint(fields["remaining"]) + body, arguments
    return wire.frame(first, body), arguments


def take_texts(arguments, fields):
    """PUBLISH: the first text is the topic, the second the payload; size=N makes a payload."""
    for name, value in zip(("topic", "payload"), arguments.texts):
        fields[name] = value
    if "size" in fields:
        fields["payload"] = (fields.get("payload", b"") + b"x" * fields["size"])[:fields["size"]]


def raw_bytes(words, variables):
    """hex digits (also in a variable), "text", str("text") with its length, u8=N, u16=N, u32=N, var=N."""
    out = b""
    for word in words:
        prefixed = re.fullmatch(r"str\((.*)\)", word, re.S)
        key, value = key_value(word)
        if prefixed:
            out += wire.text(text_value(prefixed.group(1), variables))
        elif key in ("u8", "u16", "u32"):
            out += number(value, variables).to_bytes(int(key[1:]) // 8, "big")
        elif key == "var":
            out += wire.varint(number(value, variables))
        elif is_text(word) and not word.startswith("$"):
            out += text_value(word, variables)
        else:
            out += bytes.fromhex(substitute(word, variables))
    return out


# ----------------------------------------------------------------------------------------------- matching

def same(expected, actual, variables, as_number):
    """Does a field have the value the script wants? Remembers it when the script asks for that."""
    if expected.startswith("?"):
        variables[substitute(expected[1:], variables)] = actual
        return actual is not None
    if expected == "any":
        return actual is not None
    if expected == "none":
        return actual is None
    if actual is None:
        return False
    if not as_number:
        return text_value(expected, variables) == actual
    expected = substitute(expected, variables)
    if isinstance(actual, list):
        words = expected.split(",")
        return len(words) == len(actual) and all(same(word, value, variables, True)
                                                 for word, value in zip(words, actual))
    for choice in expected.split("|"):
        low, dots, high = choice.partition("..")
        if dots and number(low, variables) <= actual <= number(high, variables):
            return True
        if not dots and number(choice, variables) == actual:
            return True
    return False


def mismatch(packet, kind, words, variables):
    """None when the packet is what the script wants, else what differs."""
    if packet["type"] != kind:
        return "another packet"
    wanted, texts, props, relaxed = [], [], [], kind != "PUBLISH"
    for word in words:
        key, value = key_value(word)
        if key is None:
            if is_text(word):
                texts.append(word)
        elif SHORT.get(key, key) in wire.PROPERTIES:
            props.append((SHORT.get(key, key), value))
        elif key == "props":
            relaxed = value == "any"
        else:
            wanted.append((key, value))
    wanted += list(zip(("topic", "payload"), texts))
    named = {key for key, _ in wanted}
    wanted += [pair for pair in defaults(packet, kind) if pair[0] not in named]
    for key, value in wanted:
        problem = field_problem(packet, key, value, variables)
        if problem:
            return problem
    return property_problem(packet, props, relaxed, variables)


def defaults(packet, kind):
    if kind == "PUBLISH":
        return [("qos", "0"), ("dup", "0"), ("retain", "0")]
    if kind in ("PUBACK", "PUBREC") and "rc" in packet:
        return [("rc", "0|0x10")]
    if kind == "CONNACK":
        return [("rc", "0"), ("sp", "0")]
    if kind in ("PUBREL", "PUBCOMP") and "rc" in packet:
        return [("rc", "0")]
    return []


def field_problem(packet, key, value, variables):
    if key.startswith("json."):
        try:
            member = json.loads(packet["payload"])[key[5:]]
        except (ValueError, KeyError, TypeError) as error:
            return "payload has no %s: %r" % (key, error)
        member = member if isinstance(member, str) else json.dumps(member)
        return None if same(value, member.encode(), variables, False) else "%s is %r" % (key, member)
    if key == "match":
        found = re.fullmatch(text_value(value, variables), packet["payload"], re.S)
        return None if found else "payload does not match"
    if key == "size":
        return None if same(value, len(packet["payload"]), variables, True) else "payload has another size"
    if key == "length":
        return None if same(value, len(packet["raw"]), variables, True) else \
            "the packet has %d bytes" % len(packet["raw"])
    if key == "rc" and "rc" not in packet and packet["type"] in REASONS_OF_V5:
        return None
    if key not in NUMBERS and key not in TEXTS:
        raise ScriptError("unknown field %s" % key)
    return None if same(value, packet.get(key), variables, key in NUMBERS) else "%s differs" % key


def property_problem(packet, wanted, relaxed, variables):
    left = list(packet.get("props", []))
    for name, value in wanted:
        have = [prop for prop in left if prop[0] == name]
        if "none" in value.split("|") and not have:
            continue
        if value == "none":
            return "%s is there" % name
        value = value.replace("none|", "")
        if name == "user":
            key, _, rest = text_value(value, variables).partition(b":")
            if not have or (have[0][1] != (key, rest) and not relaxed):
                return "%s differs" % name
            hit = have[0] if not relaxed else next((prop for prop in have if prop[1] == (key, rest)), None)
        else:
            as_number = wire.PROPERTIES[name][1] in ("byte", "u16", "u32", "varint")
            hit = next((prop for prop in have if same(value, prop[1], variables, as_number)), None)
        if hit is None:
            return "%s differs" % name
        left.remove(hit)
    if left and not relaxed:
        return "unexpected properties %r" % left
    return None
