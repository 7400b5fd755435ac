# SPDX-License-Identifier: MIT
"""A server over HTTP that the broker asks about its clients, and that behaves as badly as a test wants.

How it behaves is the last segment of what it is asked about: the user name "bad/reset" and the topic "bad/reset" both get
a connection that is reset. It remembers every question.
"""

import json
import socket
import ssl
import struct
import threading
import time
import urllib.parse


class Question:
    def __init__(self, method, target, headers, body):
        self.method, self.headers, self.body = method, headers, body
        self.path, _, query = target.partition("?")
        if headers.get("content-type", "").startswith("application/json"):
            self.fields = json.loads(body)
        else:
            pairs = urllib.parse.parse_qsl(query if method == "GET" else body.decode("latin-1"),
                                           keep_blank_values=True, encoding="latin-1", strict_parsing=True)
            self.fields = dict(pairs)

    def behaviour(self):
        name = self.fields.get("topic" if self.path == "/acl" else "username", "deny")
        return name.rsplit("/", 1)[-1]


def answer(status, body=b"", *headers):
    lines = ["HTTP/1.1 %s" % status, "Content-Length: %d" % len(body), *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def json_answer(text):
    return answer("200 OK", text.encode(), "Content-Type: application/json")


ANSWERS = {
    "allow": answer("200 OK"),
    "super": answer("200 OK"),
    "deny": answer("403 Forbidden"),
    "created": answer("201 Created"),
    "redirect": answer("302 Found", b"", "Location: /allow"),
    "moved": answer("307 Temporary Redirect", b"", "Location: http://127.0.0.1/allow"),
    "trouble": answer("500 Internal Server Error", b"oops"),
    "json-allow": json_answer('{"result": "allow"}'),
    "json-super": json_answer('{"result": "allow", "is_superuser": true}'),
    "json-deny": json_answer('{"result": "deny", "is_superuser": true}'),
    "json-ignore": json_answer('{"result": "ignore"}'),
    "json-malformed": json_answer('{"result": "allow"'),
    "json-strange": json_answer('{"result": "perhaps"}'),
    "chunked": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
               b"8\r\n{\"result\r\nb\r\n\": \"allow\"}\r\n0\r\n\r\n",
    "garbage": b"\x00\x01\x02 this is no HTTP at all\r\n\r\n",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "huge": answer("200 OK", b"x" * 300000),
    "promised": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
}


class Backend:
    """Listens on 127.0.0.1; `context`: over TLS."""

    def __init__(self, context=None, port=0):
        self.context, self.questions, self.accepted = context, [], 0
        self.changed, self.released = threading.Condition(), threading.Event()
        self.silent = False  # takes connections, answers nothing
        self.connections = set()
        self.listen(port)

    def listen(self, port):
        self.server = socket.socket()
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.server.bind(("127.0.0.1", port))
        self.server.listen(512)
        self.port = self.server.getsockname()[1]
        self.ended = False
        threading.Thread(target=self._accept, args=(self.server,), daemon=True).start()

    def stop(self):
        """Refuses connections, and ends those that are there."""
        self.ended = True
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        with self.changed:
            connections = list(self.connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def start_again(self):
        self.listen(self.port)

    def asked(self, path=None):
        with self.changed:
            return [question for question in self.questions if path in (None, question.path)]

    def wait_asked(self, count, deadline_s, path=None):
        """Waits for that many questions; the last of them."""
        deadline = time.monotonic() + deadline_s
        with self.changed:
            while True:
                found = [question for question in self.questions if path in (None, question.path)]
                if len(found) >= count:
                    return found[-1]
                left = deadline - time.monotonic()
                assert left > 0, "%d questions instead of %d" % (len(found), count)
                self.changed.wait(left)

    def forget(self):
        with self.changed:
            self.questions, self.accepted = [], 0

    # ------------------------------------------------------------------------------------------------ serving

    def _accept(self, server):
        while True:
            try:
                sock, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            with self.changed:
                self.accepted += 1
            if self.context is not None:
                sock = self.context.wrap_socket(sock, server_side=True)
            with self.changed:
                self.connections.add(sock)
            file = sock.makefile("rb")
            while self._answer(sock, file):
                pass
        except (OSError, ssl.SSLError):
            pass
        finally:
            with self.changed:
                self.connections.discard(sock)
            sock.close()

    def _read(self, file):
        line = file.readline().decode("latin-1").split()
        if len(line) != 3:
            return None
        headers = {}
        while (header := file.readline().decode("latin-1").rstrip("\r\n")):
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = file.read(int(headers.get("content-length", 0)))
        return Question(line[0], line[1], headers, body)

    def _answer(self, sock, file):
        question = self._read(file)
        if question is None:
            return False
        with self.changed:
            self.questions.append(question)
            self.changed.notify_all()
        if self.silent:
            self.released.wait(60)
            return False
        name = question.behaviour()
        special = getattr(self, "_do_" + name.replace("-", "_"), None)
        if special is not None:
            return special(sock)
        if question.path == "/super" and name not in ("super", "json-ignore"):
            name = "deny"
        sock.sendall(ANSWERS.get(name, ANSWERS["deny"]))
        return True

    def _do_late(self, sock):
        """Ten seconds, or until the test is over."""
        self.released.wait(10)
        sock.sendall(ANSWERS["allow"])
        return True

    def _do_reset(self, sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def _do_close(self, _sock):
        return False

    def _do_cut(self, sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        return False

    def _do_until_close(self, sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nand that is all")
        return False

    def _do_once(self, sock):
        """Says that the connection may be kept, and closes it."""
        sock.sendall(ANSWERS["allow"])
        return False

    def _do_endless(self, sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            sock.sendall(b"X-Filling: " + b"x" * 1000 + b"\r\n")

    def _do_dribble(self, sock):
        """A byte now and then: each is there in time, the answer never is."""
        for byte in ANSWERS["allow"]:
            sock.sendall(bytes([byte]))
            if self.released.wait(0.1):
                return False
        return True
