# SPDX-License-Identifier: MIT
"""What the tests of authentication and authorisation share: a listener of every kind, and clients that say who they are."""

import base64
import os
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from mqs import wire  # noqa: E402
from mqs.client import Client, Closed  # noqa: E402
from mqs.transport import client_context  # noqa: E402

KINDS = ("tcp", "ssl", "ws", "wss", "unix")
BAD_CREDENTIALS, NOT_AUTHORIZED, BANNED, BAD_METHOD, EXPIRED = 0x86, 0x87, 0x8A, 0x8C, 0xA0


def listeners(folder):
    """A listener of every kind beside the one that every broker of the tests has."""
    keys = 'certfile = "%s/server.pem", keyfile = "%s/server.key"' % (folder, folder)
    return ['listeners.ssl { bind = "127.0.0.1:0", %s }' % keys, 'listeners.ws { bind = "127.0.0.1:0" }',
            'listeners.wss { bind = "127.0.0.1:0", %s }' % keys, 'listeners.unix.bind = "%s"' % socket_path(folder)]


def socket_path(folder):
    return os.path.join(folder, "mqtt.sock")


def start_another(broker, folder):
    """Starts a broker with the configuration that was written last, beside the one that runs: how that ended."""
    path = os.path.join(folder, "another.conf")
    with open(broker.conf_path, encoding="utf-8") as old, open(path, "w", encoding="utf-8") as new:
        new.write(old.read().replace(socket_path(folder), socket_path(folder) + ".another"))
    return subprocess.run([broker.executable, "start", "--conf", path], capture_output=True, text=True, check=False, timeout=60,
                          env={**os.environ, "SHARDMQ_SYSTEM_PID_FILE": os.path.join(folder, "another.pid"),
                               "SHARDMQ_CONTROL_SOCKET": os.path.join(folder, "another.sock")})


def go_by(client, broker, kind, folder, **tls):
    """Has a client that is not open yet come to the listener of that kind; what `tls` says is for client_context()."""
    client.address = socket_path(folder) if kind == "unix" else ("127.0.0.1", broker.ports[kind][0])
    client.transport, client.tls_context = kind, client_context(folder, **tls) if kind in ("ssl", "wss") else None


def by_kind(choose, tests, kinds=KINDS[1:]):
    """The tests again, once for each kind: choose(kind) is called before, and with "tcp" afterwards. With several shards
    only: who comes is handed over to another one then, which is the longer way."""
    def one(test, kind):
        def chosen(broker, *arguments):
            if broker.shards == 1:
                return
            choose(kind)
            try:
                test(broker, *arguments)
            finally:
                choose("tcp")
        chosen.__name__ = "%s on %s" % (test.__name__, kind)
        return chosen
    return [one(test, kind) for kind in kinds for test in tests]


API = "http_server { enable = true, port = 0 }"


def ask_all_shards(broker, account=b"admin:public"):
    """Has every shard answer a question of the API: what was posted to them before has been done then."""
    request = urllib.request.Request("http://127.0.0.1:%d/api/v4/clients?username=nobody-has-this-name&limit=1" % broker.ports["http"][0],
                                     headers={"Authorization": "Basic " + base64.b64encode(account).decode()})
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200 and answer.read()


def as_bytes(value):
    return value.encode() if isinstance(value, str) else value


class Who(Client):
    """A client of one of the kinds, that has sent its CONNECT and has the CONNACK, whatever it says, in `connack`.
    `tls`: what its context is to be like, when it has one."""

    def __init__(self, broker, kind, folder, client_id="", username=None, password=None, version=wire.V5, deadline_s=10, waits=True,
                 **fields):
        super().__init__("c", None, version, as_bytes(client_id))
        self.deadline_s, self.last_id = deadline_s, 0
        go_by(self, broker, kind, folder, **fields.pop("tls", {}))
        props, will_props = fields.pop("props", ()), fields.pop("will_props", ())
        fields = {"id": as_bytes(client_id), **fields}
        if username is not None:
            fields["username"] = as_bytes(username)
        if password is not None:
            fields["password"] = as_bytes(password)
        self.open()
        self.note_connect(props)
        self.write(wire.frame(0x10, wire.connect(version, fields, props, will_props)), self.deadline)
        if waits:
            self.answered()

    def answered(self):
        """Waits for CONNACK; its code."""
        self.connack = self.receive(self.deadline)
        assert self.connack["type"] == "CONNACK", self.connack
        self.rc = self.connack["rc"]
        return self.rc

    @property
    def deadline(self):
        return time.monotonic() + self.deadline_s

    def ended(self):
        """Waits for the end of the connection; the reason of the DISCONNECT before it, or None."""
        reason = None
        try:
            while True:
                packet = self.receive(self.deadline)
                if packet["type"] == "DISCONNECT":
                    reason = packet["rc"]
        except Closed:
            self.close()
            return reason

    def subscribe(self, *filters, qos=0):
        """The reason codes of the SUBACK."""
        self.last_id += 1
        body = wire.subscribe(self.version, self.last_id, [(as_bytes(one), qos) for one in filters])
        self.write(wire.frame(0x82, body), self.deadline)
        return self.wait("SUBACK")["rc"]

    def publish(self, topic, payload=b"x", qos=1, retain=False):
        """The reason code of the answer; None for QoS 0."""
        fields = {"topic": as_bytes(topic), "payload": as_bytes(payload), "qos": qos, "retain": retain}
        if qos:
            self.last_id += 1
            fields["id"] = self.last_id
        self.write(wire.frame(0x30 | wire.publish_flags(fields), wire.publish(self.version, fields)), self.deadline)
        return self.wait("PUBACK" if qos == 1 else "PUBREC").get("rc", 0) if qos else None

    def wait(self, kind):
        """The next packet of that kind; others that come before it stay for later."""
        others = []
        try:
            while True:
                packet = self.receive(self.deadline)
                if packet["type"] == kind:
                    return packet
                others.append(packet)
        finally:
            self.inbox.extendleft(reversed(others))

    def messages(self):
        """What has been sent to it so far: topics and payloads."""
        self.ping(self.deadline)
        found = [(one["topic"], one["payload"]) for one in self.inbox if one["type"] == "PUBLISH"]
        self.inbox.clear()
        return found


def knock(broker, kind, folder, *arguments, **fields):
    """How a CONNECT is answered; the client leaves at once."""
    client = Who(broker, kind, folder, *arguments, **fields)
    client.close()
    return client.rc
