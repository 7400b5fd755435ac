# SPDX-License-Identifier: MIT
"""TLS and WebSocket below a test's client, by hand, so that a test decides about every byte.

A transport looks like a socket that does not block: send() takes some bytes, recv() gives plain ones, raises BlockingIOError
when there are none and returns b"" at the end. What the kernel does not take at once waits in `unsent`.
"""

import base64
import hashlib
import os
import socket
import ssl
import struct
import subprocess
import time

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SUPPORT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def make_certificates(folder):
    """Every certificate of test/support/certificates.sh in the folder."""
    subprocess.run([os.path.join(SUPPORT, "certificates.sh"), folder], check=True, stdout=subprocess.DEVNULL)
    return folder


class Layer:
    """What lies on a socket: encode() makes bytes for the wire, decode() takes them from there."""

    def __init__(self, sock, dribble=False):
        self.sock, self.unsent, self.plain, self.ended = sock, b"", bytearray(), False

    # -- the socket's part

    def fileno(self):
        return self.sock.fileno()

    def setsockopt(self, *arguments):
        self.sock.setsockopt(*arguments)

    def setblocking(self, flag):
        self.sock.setblocking(flag)

    def shutdown(self, how):
        self.sock.shutdown(how)

    def close(self):
        self.sock.close()

    def flush(self):
        """Gives the kernel what it takes; true when nothing is left."""
        while self.unsent:
            try:
                self.unsent = self.unsent[self.sock.send(self.unsent):]
            except BlockingIOError:
                return False
        return True

    def send(self, data):
        if not self.flush():
            raise BlockingIOError
        data = bytes(data[:1 << 16])
        self.unsent += self.encode(data)
        self.flush()
        return len(data)

    def recv(self, size):
        while not self.plain and not self.ended:
            data = self.sock.recv(1 << 16)
            if not data:
                self.ended = True
            else:
                self.decode(data)
                self.flush()
        data = bytes(self.plain[:size])
        del self.plain[:size]
        return data


class Tls(Layer):
    def __init__(self, sock, context, name="localhost", session=None):
        super().__init__(sock)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name, session=session)

    def handshake(self, deadline):
        self.sock.settimeout(max(0.01, deadline - time.monotonic()))
        while True:
            try:
                self.tls.do_handshake()
                self.sock.sendall(self.outgoing.read())
                return self
            except ssl.SSLWantReadError:
                self.sock.sendall(self.outgoing.read())
                data = self.sock.recv(1 << 16)
                if not data:
                    raise ConnectionResetError("the connection ended in the TLS handshake") from None
                self.incoming.write(data)

    def encode(self, data):
        for start in range(0, len(data), 1 << 14):
            self.tls.write(data[start:start + (1 << 14)])
        return self.outgoing.read()

    def decode(self, data):
        self.incoming.write(data)
        while True:
            try:
                part = self.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLZeroReturnError:
                part = b""
            if not part:
                self.ended = True
                return
            self.plain += part


class WebSocket(Layer):
    """On a socket, or on Tls."""

    def __init__(self, sock):
        super().__init__(sock)
        self.raw, self.close_code, self.fragment = bytearray(), None, False

    def handshake(self, deadline, path="/mqtt", headers=(), host="localhost"):
        key = base64.b64encode(os.urandom(16))
        lines = ["GET %s HTTP/1.1" % path, "Host: " + host, "Upgrade: websocket", "Connection: Upgrade",
                 "Sec-WebSocket-Key: " + key.decode(), "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: mqtt",
                 *headers]
        self.sock.send("\r\n".join(lines).encode() + b"\r\n\r\n")
        head = bytearray()
        while b"\r\n\r\n" not in head:
            if time.monotonic() > deadline:
                raise TimeoutError("no answer to the WebSocket handshake")
            try:
                data = self.sock.recv(1 << 16)
            except BlockingIOError:
                continue
            if not data:
                raise ConnectionResetError("the connection ended in the WebSocket handshake: %r" % bytes(head))
            head += data
        head, rest = bytes(head).split(b"\r\n\r\n", 1)
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        if (not head.startswith(b"HTTP/1.1 101 ") or b"Sec-WebSocket-Accept: " + accept not in head or
                b"Sec-WebSocket-Protocol: mqtt" not in head.split(b"\r\n")):
            raise ConnectionRefusedError(head.decode("latin-1"))
        if rest:
            self.decode(rest)
        return self

    def flush(self):
        if not super().flush():
            return False
        return self.sock.flush() if isinstance(self.sock, Layer) else True

    @staticmethod
    def frame(opcode, data, final=True, mask=None):
        """A masked frame; lengths in their shortest form."""
        mask = os.urandom(4) if mask is None else mask
        first = bytes([(0x80 if final else 0) | opcode])
        if len(data) < 126:
            head = first + bytes([0x80 | len(data)])
        elif len(data) < 1 << 16:
            head = first + b"\xfe" + struct.pack(">H", len(data))
        else:
            head = first + b"\xff" + struct.pack(">Q", len(data))
        repeated = (mask * (len(data) // 4 + 1))[:len(data)]
        masked = (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(data), "big")
        return head + mask + masked

    def encode(self, data):
        """One frame, or, every second time, two fragments with a ping between them."""
        self.fragment = not self.fragment
        if not self.fragment or len(data) < 2:
            return self.frame(2, data)
        middle = len(data) // 2
        return self.frame(2, data[:middle], final=False) + self.frame(9, b"x") + self.frame(0, data[middle:])

    def decode(self, data):
        self.raw += data
        while len(self.raw) >= 2:
            size, at = self.raw[1] & 0x7f, 2
            if self.raw[1] & 0x80:
                raise AssertionError("the server masks its frames")
            if size >= 126:
                at, form = (4, ">H") if size == 126 else (10, ">Q")
                if len(self.raw) < at:
                    return
                size = struct.unpack(form, self.raw[2:at])[0]
            if len(self.raw) < at + size:
                return
            opcode, payload = self.raw[0], bytes(self.raw[at:at + size])
            del self.raw[:at + size]
            if opcode == 0x82:
                self.plain += payload
            elif opcode == 0x88:
                self.close_code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                self.ended = True
                return
            elif opcode != 0x8a:
                raise AssertionError("the server sends a frame that begins with 0x%02x" % opcode)


def client_context(folder, certificate=None, **versions):
    """A TLS context that trusts the tests' authority, with a client certificate of that name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(os.path.join(folder, "ca.pem"))
    for key, value in versions.items():
        setattr(context, key, value)
    if certificate:
        context.load_cert_chain(os.path.join(folder, certificate + ".pem"), os.path.join(folder, certificate + ".key"))
    return context


def put_on(sock, kind, context, deadline):
    """The transport of that kind ("tcp", "unix", "ssl", "ws", "wss") on a connected socket, its handshakes done."""
    if kind in ("ssl", "wss"):
        sock = Tls(sock, context).handshake(deadline)
        sock.setblocking(False)
    if kind in ("ws", "wss"):
        sock.setblocking(False)
        sock = WebSocket(sock).handshake(deadline)
    return sock


def listener_lines(kind, folder, socket_path=None):
    """The lines of a configuration that open a listener of that kind on a port of the kernel's choice, or on the path."""
    if kind == "unix":
        return ['listeners.unix.bind = "%s"' % socket_path]
    if kind in ("ssl", "wss"):
        return ['listeners.%s { bind = "127.0.0.1:0", certfile = "%s/server.pem", keyfile = "%s/server.key" }' %
                (kind, folder, folder)]
    return ['listeners.%s.bind = "127.0.0.1:0"' % kind]


def connect(place, receive_buffer=None):
    """A connected socket: to a port of 127.0.0.1, to (address, port), or to a path."""
    sock = socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect(("127.0.0.1", place) if isinstance(place, int) else place)
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
