#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The API is what its description says: every route and method of the OpenAPI document is called, and the status and
every member of the answer are compared with it. A route without a description of its answer fails, and so does an
answer with a member more or less."""

import argparse
import json
import os
import re
import sys
import urllib.parse

from api_client import Api, Mqtt, run
from json_schema import Schemas

METHODS = ("get", "post", "put", "delete", "patch")

# What stands for the parameters of paths and queries; whatever is not here is made from its schema.
PARAMETERS = {
    "clientid": "contract/client", "client_id": "contract/client", "username": "bob", "topic": "contract/retained",
    "section": "basic",
}
# What is asked of a route beside what its schema would give, by the operation's name: a list of requests, each with
# "path", "query" and "body" as far as they differ.
REQUESTS = {
    "create_banned": [{"body": json.dumps({"as": "clientid", "who": "contract/banned"})}],
    "delete_banned": [{"path": {"as": "clientid", "who": "contract/banned"}}],
    "ctrl_broker": [],  # ends the broker: configuration_test
    "update_configuration_file": [{"body": "nothing = 1", "status": 400}],
    "set_log_level": [{"body": json.dumps({"level": "info"})}],
    "mqtt_publish": [{"body": json.dumps({"topic": "p/1", "payload": "x"})},
                     {"body": json.dumps({"topics": "p/1,p/2", "payload": "eA==", "decoding": "base64", "qos": 2})},
                     {"body": json.dumps({"payload": "x"}), "status": 400}],
    "mqtt_publish_batch": [{"body": json.dumps([{"topic": "p/1", "payload": "x"}, {"topic": "#", "payload": "x"}])}],
    "mqtt_subscribe": [{"body": json.dumps({"clientid": "contract/client", "topic": "later/#", "qos": 1})},
                       {"body": json.dumps({"clientid": "nobody", "topic": "x"}), "status": 404}],
    "mqtt_subscribe_batch": [{"body": json.dumps([{"clientid": "contract/client", "topic": "s/+"}, {"topic": "x"}])}],
    "mqtt_unsubscribe": [{"body": json.dumps({"clientid": "contract/client", "topic": "later/#"})}],
    "mqtt_unsubscribe_batch": [{"body": json.dumps([{"clientid": "contract/client", "topic": "s/+"}])}],
    "list_topic-tree": [{"query": {"topic": "contract"}}, {}],
}
# The status that a good request to this operation gets.
STATUS = {}
# Codes of POST /api/v1 that end the broker.
CODES_APART = {"control"}


def operations(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert method in METHODS, (path, method)
            yield path, method, operation


def json_schema_of(response):
    (media_type, media), = response["content"].items()
    return media_type, media["schema"]


def describes(schemas, schema, depth=0):
    """Whether the schema says what is in it: no `any`, no object whose members are not named or typed."""
    schema = schemas.resolve(schema)
    if depth > 20:
        return True
    if "oneOf" in schema or "anyOf" in schema:
        return all(describes(schemas, one, depth + 1) for one in schema.get("oneOf", schema.get("anyOf")))
    if "type" not in schema:
        return False
    if schema["type"] == "array":
        return describes(schemas, schema["items"], depth + 1)
    if schema["type"] == "object":
        members = list(schema["properties"].values())
        if isinstance(schema.get("additionalProperties"), dict):
            members.append(schema["additionalProperties"])
        return bool(members) and all(describes(schemas, one, depth + 1) for one in members)
    return True


class Contract:
    def __init__(self, broker, api):
        self.broker, self.api = broker, api
        status, self.document = api.ask("GET", "/api/v4/openapi.json")
        assert status == 200
        self.schemas = Schemas(self.document)

    def url(self, path, operation, request, with_optional):
        given = {**PARAMETERS, **request.get("path", {})}
        query = dict(request.get("query", {}))
        for parameter in operation.get("parameters", ()):
            name = parameter["name"]
            value = given.get(name, self.schemas.example(parameter["schema"]))
            if parameter["in"] == "path":
                path = path.replace("{%s}" % name, urllib.parse.quote(str(value), safe=""))
            elif (parameter["required"] or with_optional) and name not in query:
                query[name] = json.dumps(value) if isinstance(value, bool) else value
        assert "{" not in path, path
        return path + ("?" + urllib.parse.urlencode(query) if query else "")

    def body(self, operation, request, with_optional):
        if "requestBody" not in operation:
            return None
        if "body" in request:
            return request["body"]
        (media_type, media), = operation["requestBody"]["content"].items()
        if media_type != "application/json":
            return "x"
        return json.dumps(self.schemas.example(media["schema"], with_optional))

    def check_answer(self, operation, answer, text, wanted, what):
        status = "200" if answer.status < 300 else "default"
        assert answer.status == wanted, (what, answer.status, text)
        media_type, schema = json_schema_of(operation["responses"][status])
        given = answer.getheader("Content-Type")
        assert given.split(";")[0] == media_type, (what, given, media_type)
        if media_type == "application/json":
            problems = self.schemas.problems(schema, json.loads(text))
            assert not problems, (what, problems)

    def call(self, path, method, operation, request, with_optional):
        url = self.url(path, operation, request, with_optional)
        body = self.body(operation, request, with_optional)
        what = (method, url, body)
        answer, text = self.api.raw(method.upper(), url, body)
        wanted = request.get("status", STATUS.get(operation["operationId"], 200))
        self.check_answer(operation, answer, text, wanted, what)
        return url, body, what


def prepare(broker):
    """Something of everything that lists show."""
    client = Mqtt(broker.port, "contract/client", 5, False, "bob", 30, ("w/t", "gone"), expiry=60)
    client.subscribe("contract/#", "$share/g/contract/+", qos=1)
    away = Mqtt(broker.port, "away", 5, False, expiry=60)
    away.subscribe("x/+", qos=1)
    away.disconnect()
    client.publish("contract/retained", "payload", 1, True)
    return client


def test_every_route_is_described(broker, api, _scale):
    contract = Contract(broker, api)
    document = contract.document
    assert document["openapi"].startswith("3.1")
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names)), "operationId is not unique"
    for path, method, operation in operations(document):
        media_type, schema = json_schema_of(operation["responses"]["200"])
        if media_type == "application/json" and operation["operationId"] != "get_openapi":
            assert describes(contract.schemas, schema), "%s %s: the answer is not described" % (method, path)
        in_path = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"]
        assert re.findall(r"{(\w+)}", path) == in_path, path
    listed = {(row["method"], row["path"]) for row in api.get("")["data"]}
    described = {(method.upper(), re.sub(r"{(\w+)}", r":\1", path)) for path, method, _ in operations(document)}
    assert listed == described, listed ^ described


def test_every_route_answers_as_described(broker, api, _scale):
    contract = Contract(broker, api)
    client = prepare(broker)
    called = 0
    # what removes comes last
    for path, method, operation in sorted(operations(contract.document), key=lambda one: one[1] == "delete"):
        name = operation["operationId"]
        if "oneOf" in json.dumps(operation.get("requestBody", "")) and name.startswith("request_code"):
            continue  # below
        for request in REQUESTS.get(name, [{}]):
            contract.call(path, method, operation, request, False)
            called += 1
            if operation.get("parameters") and method == "get":
                contract.call(path, method, operation, request, True)
    assert called > 5
    client.close()


def test_every_request_code_answers_as_described(broker, api, _scale):
    contract = Contract(broker, api)
    client = prepare(broker)
    for path in ("/api/v1", "/api/v4"):
        operation = contract.document["paths"][path]["post"]
        for schema in operation["requestBody"]["content"]["application/json"]["schema"]["oneOf"]:
            if schema["title"] in CODES_APART:
                continue
            body = contract.schemas.example(schema)
            body["seq"] = 7
            contract.call(path, "post", operation, {"body": json.dumps(body)}, False)
    client.close()


def test_what_is_refused_is_refused_as_described(broker, api, _scale):
    contract = Contract(broker, api)
    stranger = Api(broker.http_port, account="admin:nobody")
    stranger.headers = {}
    for path, method, operation in operations(contract.document):
        url = contract.url(path, operation, {}, False)
        answer, text = stranger.raw(method.upper(), url)
        if operation.get("security") == []:
            assert answer.status == 200, (url, answer.status)
        else:
            contract.check_answer(operation, answer, text, 401, (method, url))
            assert answer.getheader("WWW-Authenticate").startswith("Basic ")
            answer, text = api.raw(method.upper(), url + ("&" if "?" in url else "?") + "nobody-knows=1",
                                   contract.body(operation, {}, False))
            contract.check_answer(operation, answer, text, 400, (method, url))
        if method == "post":
            for body in ("", "{", "[1", "nonsense", "\x00"):
                if "application/json" in operation.get("requestBody", {}).get("content", {}):
                    answer, text = api.raw("POST", url, body)
                    contract.check_answer(operation, answer, text, 400, (method, url, body))
                    assert json.loads(text)["code"] == 109, text


def test_head_options_and_other_methods(broker, api, _scale):
    contract = Contract(broker, api)
    client = prepare(broker)
    for path, item in contract.document["paths"].items():
        url = contract.url(path, next(iter(item.values())), {}, False).split("?")[0]
        answer, text = api.raw("OPTIONS", url)
        assert answer.status == 204 and text == b"", (url, answer.status)
        allowed = set(answer.getheader("Allow").split(", "))
        assert allowed >= {method.upper() for method in item} | {"OPTIONS"}, (url, allowed)
        if "get" in item and item["get"]["operationId"] not in REQUESTS:
            answer, text = api.raw("HEAD", contract.url(path, item["get"], {}, False))
            assert answer.status == 200 and text == b"" and int(answer.getheader("Content-Length")) > 0, url
        for method in ("PUT", "DELETE", "PATCH", "PROPFIND"):
            if method in allowed:
                continue
            answer, text = api.raw(method, url)
            assert answer.status == 405 and json.loads(text)["code"] == 102, (method, url, answer.status)
            assert set(answer.getheader("Allow").split(", ")) == allowed
    client.close()


def test_the_document_is_the_one_checked_in(broker, api, _scale):
    answer, text = api.raw("GET", "/api/v4/openapi.json")
    assert answer.status == 200
    with open(OPTIONS.document, "rb") as file:
        assert file.read().rstrip(b"\n") == text.rstrip(b"\n"), "api/openapi.json is stale: ci/generated.sh says how"


def main():
    global OPTIONS
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--document", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../api/openapi.json"))
    parser.add_argument("--timeout-scale", type=float, default=1.0)
    OPTIONS = parser.parse_args()
    tests = [test_every_route_is_described, test_every_route_answers_as_described,
             test_every_request_code_answers_as_described, test_what_is_refused_is_refused_as_described,
             test_head_options_and_other_methods, test_the_document_is_the_one_checked_in]
    sys.exit(1 if run(tests, OPTIONS) else 0)


if __name__ == "__main__":
    main()
