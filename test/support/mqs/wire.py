# SPDX-License-Identifier: MIT
"""MQTT 3.1, 3.1.1 and 5.0 on the wire, written for the tests alone.

Nothing here is shared with the broker's codec: a mistake there must not be repeated here. The encoder
does what it is told, also when that is wrong (tests need wrong packets); the decoder accepts from a server only what
the specifications allow, and raises Malformed for everything else.
"""

V31, V311, V5 = 3, 4, 5
VERSIONS = {"v31": V31, "v311": V311, "v5": V5}

TYPES = ["RESERVED", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE",
         "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"]
TYPE_NUMBERS = {name: number for number, name in enumerate(TYPES)}
FLAGS = {"PUBREL": 2, "SUBSCRIBE": 2, "UNSUBSCRIBE": 2}

# name -> (identifier, kind, packets in which a server may send it)
PROPERTIES = {
    "payload_format": (1, "byte", "PUBLISH"),
    "message_expiry": (2, "u32", "PUBLISH"),
    "content_type": (3, "string", "PUBLISH"),
    "response_topic": (8, "string", "PUBLISH"),
    "correlation_data": (9, "binary", "PUBLISH"),
    "subscription_identifier": (11, "varint", "PUBLISH"),
    "session_expiry": (17, "u32", "CONNACK"),
    "assigned_client_identifier": (18, "string", "CONNACK"),
    "server_keep_alive": (19, "u16", "CONNACK"),
    "authentication_method": (21, "string", "CONNACK AUTH"),
    "authentication_data": (22, "binary", "CONNACK AUTH"),
    "request_problem_information": (23, "byte", ""),
    "will_delay": (24, "u32", ""),
    "request_response_information": (25, "byte", ""),
    "response_information": (26, "string", "CONNACK"),
    "server_reference": (28, "string", "CONNACK DISCONNECT"),
    "reason_string": (31, "string", "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH"),
    "receive_maximum": (33, "u16", "CONNACK"),
    "topic_alias_maximum": (34, "u16", "CONNACK"),
    "topic_alias": (35, "u16", "PUBLISH"),
    "maximum_qos": (36, "byte", "CONNACK"),
    "retain_available": (37, "byte", "CONNACK"),
    "user": (38, "pair", "CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH"),
    "maximum_packet_size": (39, "u32", "CONNACK"),
    "wildcard_available": (40, "byte", "CONNACK"),
    "subscription_identifier_available": (41, "byte", "CONNACK"),
    "shared_available": (42, "byte", "CONNACK"),
}
PROPERTY_NAMES = {row[0]: name for name, row in PROPERTIES.items()}
REPEATABLE = {"user", "subscription_identifier"}
ZERO_OR_ONE = {"payload_format", "maximum_qos", "retain_available", "wildcard_available",
               "subscription_identifier_available", "shared_available"}
NOT_ZERO = {"receive_maximum", "topic_alias", "maximum_packet_size", "subscription_identifier"}

# Reason codes a server may send, by packet (MQTT 5.0, 2.4).
REASONS = {
    "CONNACK": {0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97,
                0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F},
    "PUBACK": {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
    "PUBREC": {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
    "PUBREL": {0x00, 0x92},
    "PUBCOMP": {0x00, 0x92},
    "SUBACK": {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2},
    "UNSUBACK": {0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91},
    "DISCONNECT": {0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96,
                   0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2},
    "AUTH": {0x00, 0x18},
}


class Malformed(Exception):
    """The broker sent something no server may send."""


class Incomplete(Exception):
    """More bytes are needed."""


class Packet(dict):
    """A decoded packet: `type`, its fields, `props` as a list of (name, value), `raw` as received."""

    def prop(self, name):
        return [value for key, value in self.get("props", []) if key == name]

    def __str__(self):
        parts = [self["type"]]
        for key, value in self.items():
            if key in ("type", "props", "raw"):
                continue
            if key == "payload" and len(value) > 80:
                value = value[:60] + b"... (%d bytes)" % len(value)
            if key == "rc":
                value = ",".join("0x%02x" % code for code in value) if isinstance(value, list) else "0x%02x" % value
            parts.append("%s=%s" % (key, value.decode("utf-8", "backslashreplace").__repr__()
                                    if isinstance(value, bytes) else value))
        parts += ["%s=%r" % prop for prop in self.get("props", [])]
        return " ".join(parts)


# ------------------------------------------------------------------------------------------------ encoding

def u16(value):
    return value.to_bytes(2, "big")


def u32(value):
    return value.to_bytes(4, "big")


def varint(value):
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (128 if value else 0))
        if not value:
            return bytes(out)


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return u16(len(value)) + value


def encode_property(name, value):
    number, kind, _ = PROPERTIES[name]
    if kind == "byte":
        body = bytes([value])
    elif kind == "u16":
        body = u16(value)
    elif kind == "u32":
        body = u32(value)
    elif kind == "varint":
        body = varint(value)
    elif kind == "pair":
        body = text(value[0]) + text(value[1])
    else:
        body = text(value)
    return bytes([number]) + body


def encode_properties(props):
    block = b"".join(encode_property(name, value) for name, value in props)
    return varint(len(block)) + block


def frame(first_byte, body):
    return bytes([first_byte]) + varint(len(body)) + body


def connect(version, fields, props=(), will_props=()):
    protocol = fields.get("protocol", b"MQIsdp" if version == V31 else b"MQTT")
    flags = 0
    flags |= 0x02 if fields.get("clean", 1) else 0
    payload = text(fields.get("id", b""))
    if "will_topic" in fields:
        flags |= 0x04 | fields.get("will_qos", 0) << 3 | (0x20 if fields.get("will_retain") else 0)
        if version == V5:
            payload += encode_properties(will_props)
        payload += text(fields["will_topic"]) + text(fields.get("will_payload", b""))
    if "username" in fields:
        flags |= 0x80
        payload += text(fields["username"])
    if "password" in fields:
        flags |= 0x40
        payload += text(fields["password"])
    flags = fields.get("connect_flags", flags)
    head = text(protocol) + bytes([fields.get("level", version), flags]) + u16(fields.get("keepalive", 60))
    if version == V5:
        head += encode_properties(props)
    return head + payload


def publish(version, fields, props=()):
    body = text(fields.get("topic", b""))
    if fields.get("qos", 0):
        body += u16(fields.get("id", 1))
    if version == V5:
        body += encode_properties(props)
    return body + fields.get("payload", b"")


def publish_flags(fields):
    return fields.get("dup", 0) << 3 | fields.get("qos", 0) << 1 | fields.get("retain", 0)


def acknowledge(version, fields, props=()):
    """PUBACK, PUBREC, PUBREL, PUBCOMP: the shortest form that says it."""
    body = u16(fields["id"])
    if version == V5 and (fields.get("rc") is not None or props):
        body += bytes([fields.get("rc") or 0])
        if props:
            body += encode_properties(props)
    return body


def subscribe(version, packet_id, filters, props=()):
    """filters: (text, options byte) pairs."""
    body = u16(packet_id) + (encode_properties(props) if version == V5 else b"")
    return body + b"".join(text(name) + bytes([options]) for name, options in filters)


def unsubscribe(version, packet_id, filters, props=()):
    body = u16(packet_id) + (encode_properties(props) if version == V5 else b"")
    return body + b"".join(text(name) for name in filters)


def reason_packet(version, fields, props=()):
    """DISCONNECT and AUTH."""
    if version != V5 or (fields.get("rc") is None and not props):
        return b""
    return bytes([fields.get("rc") or 0]) + (encode_properties(props) if props else b"")


# ------------------------------------------------------------------------------------------------ decoding

class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def take(self, count):
        if self.left() < count:
            raise Malformed("packet ends %d bytes early" % (count - self.left()))
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, count):
        return int.from_bytes(self.take(count), "big")

    def varint(self):
        value = 0
        for position in range(4):
            byte = self.number(1)
            value |= (byte & 127) << 7 * position
            if byte < 128:
                if byte == 0 and position:
                    raise Malformed("variable byte integer longer than needed [MQTT-1.5.5-1]")
                return value
        raise Malformed("variable byte integer of more than four bytes")

    def string(self):
        value = self.take(self.number(2))
        check_utf8(value)
        return value

    def rest(self):
        return self.take(self.left())


def check_utf8(value):
    try:
        decoded = value.decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        raise Malformed("string is not UTF-8: %r" % value) from error
    if "\0" in decoded:
        raise Malformed("string with U+0000: %r" % value)


def find_frame(data):
    """The first packet of `data` as (first byte, body, total length); Incomplete when it is not all there."""
    length, shift = 0, 0
    for position in range(1, 5):
        if len(data) <= position:
            raise Incomplete()
        byte = data[position]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            if byte == 0 and position > 1:
                raise Malformed("Remaining Length in more bytes than needed [MQTT-1.5.5-1]")
            total = position + 1 + length
            if len(data) < total:
                raise Incomplete()
            return data[0], bytes(data[position + 1:total]), total
    raise Malformed("Remaining Length of more than four bytes")


def decode_properties(reader, packet_type):
    length = reader.varint()
    block = Reader(reader.take(length))
    props, seen = [], set()
    while block.left():
        name = PROPERTY_NAMES.get(block.varint())
        if name is None or packet_type not in PROPERTIES[name][2].split():
            raise Malformed("property %s in %s from a server" % (name, packet_type))
        if name in seen and name not in REPEATABLE:
            raise Malformed("property %s twice" % name)
        seen.add(name)
        kind = PROPERTIES[name][1]
        if kind == "byte":
            value = block.number(1)
        elif kind == "u16":
            value = block.number(2)
        elif kind == "u32":
            value = block.number(4)
        elif kind == "varint":
            value = block.varint()
        elif kind == "pair":
            value = (block.string(), block.string())
        elif kind == "string":
            value = block.string()
        else:
            value = block.take(block.number(2))
        if name in ZERO_OR_ONE and value > 1 or name in NOT_ZERO and value == 0:
            raise Malformed("property %s has the value %r" % (name, value))
        props.append((name, value))
    return props


def decode(version, first_byte, body):
    """Decodes one packet that a server sent to a client of this version."""
    name, flags = TYPES[first_byte >> 4], first_byte & 15
    if name != "PUBLISH" and flags != FLAGS.get(name, 0):
        raise Malformed("%s with flags %x [MQTT-2.1.3-1] [MQTT-2.2.2-1]" % (name, flags))
    decoder = DECODERS.get(name)
    if decoder is None:
        raise Malformed("a server does not send %s" % name)
    reader = Reader(body)
    packet = Packet(type=name)
    decoder(version, flags, reader, packet)
    if reader.left():
        raise Malformed("%s: %d bytes behind its end" % (packet, reader.left()))
    return packet


def decode_connack(version, _flags, reader, packet):
    acknowledge_flags = reader.number(1)
    packet["sp"], packet["rc"] = acknowledge_flags & 1, reader.number(1)
    if acknowledge_flags > 1 or (version == V31 and acknowledge_flags):
        raise Malformed("CONNACK flags %02x [MQTT-3.2.2-1]" % acknowledge_flags)
    if packet["rc"] and packet["sp"]:
        raise Malformed("refusing CONNACK with Session Present [MQTT-3.2.2-4] [MQTT-3.2.2-6]")
    if version == V5:
        packet["props"] = decode_properties(reader, "CONNACK")
        check_reason(packet)  # [MQTT-3.2.2-8]
    elif packet["rc"] > 5:
        raise Malformed("CONNACK return code %d" % packet["rc"])


def decode_publish(version, flags, reader, packet):
    packet.update(qos=flags >> 1 & 3, dup=flags >> 3, retain=flags & 1)
    if packet["qos"] == 3:
        raise Malformed("PUBLISH with QoS 3 [MQTT-3.3.1-4]")
    if packet["dup"] and not packet["qos"]:
        raise Malformed("QoS 0 with DUP [MQTT-3.3.1-2]")
    packet["topic"] = reader.string()
    if b"+" in packet["topic"] or b"#" in packet["topic"]:
        raise Malformed("wildcard in the topic %r of a PUBLISH [MQTT-3.3.2-2]" % packet["topic"])
    if packet["qos"]:
        packet["id"] = reader.number(2)
        if packet["id"] == 0:
            raise Malformed("packet identifier 0 [MQTT-2.3.1-1] [MQTT-2.2.1-4]")
    if version == V5:
        packet["props"] = decode_properties(reader, "PUBLISH")
    if not packet["topic"] and not packet.prop("topic_alias"):
        raise Malformed("PUBLISH without topic and alias")
    packet["payload"] = reader.rest()


def decode_acknowledge(version, _flags, reader, packet):
    packet["id"] = reader.number(2)
    if packet["id"] == 0:
        raise Malformed("%s of packet identifier 0" % packet["type"])
    if version == V5:
        packet["rc"] = reader.number(1) if reader.left() else 0
        packet["props"] = decode_properties(reader, packet["type"]) if reader.left() else []
        check_reason(packet)  # [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]


def decode_suback(version, _flags, reader, packet):
    packet["id"] = reader.number(2)
    if version == V5:
        packet["props"] = decode_properties(reader, packet["type"])
    packet["rc"] = list(reader.rest())
    if version == V5:
        check_reason(packet)  # [MQTT-3.9.3-2] [MQTT-3.11.3-2]
    elif packet["type"] == "SUBACK" and not set(packet["rc"]) <= {0, 1, 2, 0x80}:
        raise Malformed("SUBACK return codes %r [MQTT-3.9.3-2]" % packet["rc"])
    if packet["type"] == "SUBACK" and not packet["rc"]:
        raise Malformed("SUBACK without return code")


def decode_unsuback(version, flags, reader, packet):
    if version == V5:
        decode_suback(version, flags, reader, packet)
    else:
        packet["id"] = reader.number(2)


def decode_reason_packet(version, _flags, reader, packet):
    if version != V5:
        raise Malformed("%s from a server to a 3.x client" % packet["type"])
    packet["rc"] = reader.number(1) if reader.left() else 0
    packet["props"] = decode_properties(reader, packet["type"]) if reader.left() else []
    check_reason(packet)  # [MQTT-3.14.2-1] [MQTT-3.15.2-1]


def check_reason(packet):
    codes = packet["rc"] if isinstance(packet["rc"], list) else [packet["rc"]]
    for code in codes:
        if code not in REASONS[packet["type"]]:
            raise Malformed("reason code 0x%02x in %s" % (code, packet["type"]))


def decode_pingresp(_version, _flags, _reader, _packet):
    return


DECODERS = {"CONNACK": decode_connack, "PUBLISH": decode_publish, "PUBACK": decode_acknowledge,
            "PUBREC": decode_acknowledge, "PUBREL": decode_acknowledge, "PUBCOMP": decode_acknowledge,
            "SUBACK": decode_suback, "UNSUBACK": decode_unsuback, "PINGRESP": decode_pingresp,
            "DISCONNECT": decode_reason_packet, "AUTH": decode_reason_packet}
