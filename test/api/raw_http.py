# SPDX-License-Identifier: MIT
"""HTTP as bytes on a socket, for what no library would send."""

import base64
import json
import socket

AUTHORIZATION = "Authorization: Basic " + base64.b64encode(b"admin:public").decode() + "\r\n"


class Raw:
    def __init__(self, port, deadline_s=20):
        self.sock = socket.create_connection(("127.0.0.1", port), deadline_s)
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def request(self, method, target, headers="", body=b"", version="1.1"):
        body = body.encode() if isinstance(body, str) else body
        length = "Content-Length: %d\r\n" % len(body) if body else ""
        self.send(("%s %s HTTP/%s\r\nHost: h\r\n%s%s%s\r\n" % (method, target, version, AUTHORIZATION, length,
                                                           headers)).encode() + body)

    def _more(self):
        data = self.sock.recv(1 << 16)
        self.buffer += data
        return bool(data)

    def answer(self, has_body=True):
        """The next answer: status, headers by their name in small letters, body; None when the server has closed."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                assert not self.buffer, self.buffer
                return None
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1", first
        headers = {}
        for line in lines:
            name, value = line.split(": ", 1)
            assert name.lower() not in headers, "%s is there twice" % name
            headers[name.lower()] = value
        size = int(headers.get("content-length", 0)) if has_body else 0
        while len(self.buffer) < size:
            assert self._more(), "the answer was cut off"
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return int(status), headers, body

    def answer_or_chunks(self):
        """The next answer, also when its body is chunked."""
        answer = self.answer()
        if answer is None or answer[1].get("transfer-encoding") != "chunked":
            return answer
        status, headers, body = answer
        while True:
            while b"\r\n" not in self.buffer:
                assert self._more(), "the answer was cut off"
            line, _, self.buffer = self.buffer.partition(b"\r\n")
            size = int(line, 16)
            while len(self.buffer) < size + 2:
                assert self._more(), "the answer was cut off"
            body += self.buffer[:size]
            assert self.buffer[size:size + 2] == b"\r\n"
            self.buffer = self.buffer[size + 2:]
            if size == 0:
                return status, headers, body

    def refused(self, statuses=range(400, 500)):
        """The next answer, which must be an error as the API tells errors; its status and code."""
        answer = self.answer()
        assert answer is not None, "closed without an answer"
        status, headers, body = answer
        assert status in statuses, (status, body)
        assert headers["content-type"] == "application/json", headers
        parsed = json.loads(body)
        assert isinstance(parsed["code"], int) and parsed["code"] != 0 and isinstance(parsed["message"], str), body
        return status, parsed["code"]

    def closed(self):
        """Waits for the server's end of the connection; nothing may come before it."""
        try:
            while self._more():
                pass
        except ConnectionResetError:
            pass
        assert not self.buffer, self.buffer

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()
