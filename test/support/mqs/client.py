# SPDX-License-Identifier: MIT
"""A client under the control of a test: it sends exactly what it is told and watches what the broker sends.

Every packet received is decoded strictly (wire.py) and held against the rules that a server must keep towards every
client at all times; a broker that breaks one fails whatever scenario is running:

  first CONNACK, once, and nothing behind DISCONNECT                [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT-3.14.4-1]
  no packet above the client's Maximum Packet Size                  [MQTT-3.1.2-24]
  no more unacknowledged publications than its Receive Maximum      [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
  a new publication has an identifier that is not in use            [MQTT-2.2.1-4] [MQTT-2.3.1-4] [MQTT-4.3.2-1]
  no repetition within one connection                               [MQTT-4.4.0-1]
  no alias above its Topic Alias Maximum, none it does not know     [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-11]
  no Response Information unasked, no problem information unwanted  [MQTT-3.1.2-28] [MQTT-3.1.2-29]
  no Authentication Method when CONNECT named none                  [MQTT-4.12.0-6]
"""

import fcntl
import select
import socket
import struct
import termios
import time
from collections import deque

from . import transport, wire


def wait_for(sock, event, seconds):
    """Like select(), which knows no descriptor above 1023."""
    poll = select.poll()
    poll.register(sock, event)
    poll.poll(max(1, seconds * 1000))


class Closed(Exception):
    """The broker closed the connection."""


class Timeout(Exception):
    """Nothing came before the deadline."""


class Violation(Exception):
    """The broker broke a rule towards this client."""


class Client:
    transport, tls_context = "tcp", None  # of the whole run: run.py --transport

    def __init__(self, name, address, version=wire.V311, client_id=b""):
        self.name, self.address, self.version, self.client_id = name, address, version, client_id
        self.sock = None
        self.dribble = False
        self.held = b""
        self.reset_connection()

    def reset_connection(self):
        self.buffer = bytearray()
        self.inbox = deque()
        self.eof = False
        self.online = False
        self.connack_seen = self.disconnect_seen = False
        self.limits = {}
        self.auth_named = False
        self.outstanding = set()
        self.aliases = {}
        self.held = b""

    # ------------------------------------------------------------------------------------------ connection

    def open(self, receive_buffer=None):
        self.close()
        self.reset_connection()
        self.sock = transport.connect(self.address, receive_buffer)
        self.sock = transport.put_on(self.sock, self.transport, self.tls_context, time.monotonic() + 20)
        self.sock.setblocking(False)

    def close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None
        self.online = False

    def reset(self):
        """Ends the connection with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    # --------------------------------------------------------------------------------------------- sending

    def write(self, data, deadline):
        data, self.held = self.held + data, b""
        if self.dribble:
            for position in range(len(data)):
                self._write(data[position:position + 1], deadline)
                self._wait_taken(deadline)
        else:
            self._write(data, deadline)

    def hold(self, data):
        """Keeps bytes back, to go out in one write with the next ones."""
        self.held += data

    def _write(self, data, deadline):
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view):]
            except BlockingIOError:
                self._receive_some()  # a peer that waits for us to read must not wait for ever
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Timeout("the broker does not take our bytes") from None
                wait_for(self.sock, select.POLLOUT, min(left, 0.05))
            except (BrokenPipeError, ConnectionResetError):
                self.eof = True
                return
        self._flush(deadline)

    def _flush(self, deadline):
        """Until nothing is left in the transport."""
        while isinstance(self.sock, transport.Layer):
            try:
                if self.sock.flush():
                    return
            except (BrokenPipeError, ConnectionResetError):
                self.eof = True
                return
            self._receive_some()
            left = deadline - time.monotonic()
            if left <= 0:
                raise Timeout("the broker does not take our bytes")
            wait_for(self.sock, select.POLLOUT, min(left, 0.05))

    def _wait_taken(self, deadline):
        """Until the peer's kernel has acknowledged every byte, so that the next one travels alone."""
        while time.monotonic() < deadline:
            queued = bytearray(4)
            fcntl.ioctl(self.sock, termios.TIOCOUTQ, queued)
            if int.from_bytes(queued, "little") == 0:
                return

    def send(self, kind, body, flags=None):
        """One packet with its fixed header, noting what the checks need to know."""
        flags = wire.FLAGS.get(kind, 0) if flags is None else flags
        return wire.frame(wire.TYPE_NUMBERS[kind] << 4 | flags, body)

    def note_connect(self, props):
        """Remembers what our CONNECT promised or forbade."""
        values = dict(props)
        self.limits = {
            "receive_maximum": values.get("receive_maximum", 65535),
            "packet_size": values.get("maximum_packet_size"),
            "aliases": values.get("topic_alias_maximum", 0),
            "problem_information": values.get("request_problem_information", 1),
            "response_information": values.get("request_response_information", 0),
        }
        self.auth_named = "authentication_method" in values

    def note_acknowledgement(self, kind, fields):
        if kind in ("PUBACK", "PUBCOMP") or (kind == "PUBREC" and (fields.get("rc") or 0) >= 0x80):
            self.outstanding.discard(fields["id"])

    # ------------------------------------------------------------------------------------------- receiving

    def fileno(self):
        return self.sock.fileno()

    def _receive_some(self):
        """Takes what the socket has without waiting."""
        while not self.eof:
            try:
                data = self.sock.recv(1 << 18)
            except BlockingIOError:
                return
            except (ConnectionResetError, BrokenPipeError):
                data = b""
            if not data:
                self.eof = True
            self.buffer += data

    def _next_from_buffer(self):
        try:
            first, body, total = wire.find_frame(self.buffer)
        except wire.Incomplete:
            return None
        raw = bytes(self.buffer[:total])
        del self.buffer[:total]
        packet = wire.decode(self.version, first, body)
        packet["raw"] = raw
        self._check(packet)
        return packet

    def receive(self, deadline):
        """The next packet; raises Closed when the connection ended before one, Timeout at the deadline."""
        if self.inbox:
            return self.inbox.popleft()
        return self.receive_new(deadline)

    def receive_new(self, deadline):
        while True:
            packet = self._next_from_buffer()
            if packet is not None:
                return packet
            if self.eof or self.sock is None:
                if self.buffer:
                    raise Violation("the connection ended inside a packet: %s" % bytes(self.buffer[:64]).hex())
                raise Closed("connection closed by the broker")
            left = deadline - time.monotonic()
            if left <= 0:
                raise Timeout("nothing came")
            wait_for(self.sock, select.POLLIN, left)
            self._receive_some()

    def pending(self):
        """What came already and nobody asked for: the packets, or b'...' of an incomplete one."""
        if self.sock is not None:
            self._receive_some()
        while (packet := self._next_from_buffer()) is not None:
            self.inbox.append(packet)
        return list(self.inbox) + ([bytes(self.buffer)] if self.buffer else [])

    def ping(self, deadline):
        """PINGREQ, then everything up to PINGRESP goes to the inbox: what the broker had sent is here now."""
        self.write(b"\xc0\x00", deadline)
        while True:
            packet = self.receive_new(deadline)
            if packet["type"] == "PINGRESP":
                return
            self.inbox.append(packet)

    # ---------------------------------------------------------------------------------- rules at all times

    def _check(self, packet):
        kind = packet["type"]
        limit = self.limits.get("packet_size")
        if limit and len(packet["raw"]) > limit:
            raise Violation("%s of %d bytes, allowed are %d [MQTT-3.1.2-24]" % (kind, len(packet["raw"]), limit))
        if self.disconnect_seen:
            raise Violation("%s behind DISCONNECT [MQTT-3.14.4-1]" % packet)
        if kind == "CONNACK":
            if self.connack_seen:
                raise Violation("a second CONNACK [MQTT-3.2.0-2]")
            self.connack_seen = True
            self.online = packet["rc"] == 0
        elif not self.connack_seen and kind != "AUTH":
            raise Violation("%s before CONNACK [MQTT-3.2.0-1]" % packet)
        if kind == "DISCONNECT":
            self.disconnect_seen, self.online = True, False
        if kind == "PUBLISH":
            self._check_publish(packet)
        self._check_properties(packet)

    def _check_publish(self, packet):
        alias = packet.prop("topic_alias")
        if alias:
            if alias[0] > self.limits.get("aliases", 0):
                raise Violation("topic alias %d above the client's maximum [MQTT-3.1.2-26]" % alias[0])
            if packet["topic"]:
                self.aliases[alias[0]] = packet["topic"]
            elif alias[0] not in self.aliases:
                raise Violation("topic alias %d was never given a topic" % alias[0])
            packet["topic_sent"], packet["topic"] = packet["topic"], self.aliases[alias[0]]
        if packet["qos"]:
            if packet["id"] in self.outstanding:
                raise Violation("identifier %d is in use [MQTT-2.2.1-4] [MQTT-4.4.0-1]" % packet["id"])
            self.outstanding.add(packet["id"])
            if len(self.outstanding) > self.limits.get("receive_maximum", 65535):
                raise Violation("more than Receive Maximum unacknowledged [MQTT-3.3.4-9]")

    def _check_properties(self, packet):
        kind = packet["type"]
        if kind not in ("PUBLISH", "CONNACK", "DISCONNECT") and not self.limits.get("problem_information", 1):
            if packet.prop("reason_string") or packet.prop("user"):
                raise Violation("%s with problem information nobody wants [MQTT-3.1.2-29]" % kind)
        if kind == "CONNACK" and packet.prop("response_information") and not self.limits.get("response_information"):
            raise Violation("Response Information unasked [MQTT-3.1.2-28]")
        if not self.auth_named and (kind == "AUTH" or packet.prop("authentication_method")):
            raise Violation("authentication nobody asked for [MQTT-4.12.0-6]")
