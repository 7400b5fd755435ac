# SPDX-License-Identifier: MIT
"""The part of JSON Schema (2020-12) that the API's description uses: checking values, and making valid ones."""

TYPES = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool) or
    isinstance(value, float) and value.is_integer(),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
KNOWN = {"$ref", "type", "enum", "const", "minimum", "maximum", "properties", "required", "additionalProperties",
         "items", "anyOf", "oneOf", "title", "description"}


class Schemas:
    def __init__(self, document):
        self.named = document["components"]["schemas"]

    def resolve(self, schema):
        while "$ref" in schema:
            schema = self.named[schema["$ref"].removeprefix("#/components/schemas/")]
        return schema

    def problems(self, schema, value, path="$"):
        """What is wrong with the value, a sentence each."""
        schema = self.resolve(schema)
        unknown = set(schema) - KNOWN
        assert not unknown, "the checker does not know %s" % unknown
        found = []
        if "type" in schema and not TYPES[schema["type"]](value):
            return ["%s: %r is no %s" % (path, value, schema["type"])]
        if "enum" in schema and value not in schema["enum"]:
            found.append("%s: %r is none of %s" % (path, value, schema["enum"]))
        if "const" in schema and value != schema["const"]:
            found.append("%s: %r is not %r" % (path, value, schema["const"]))
        if "minimum" in schema and not schema["minimum"] <= value <= schema["maximum"]:
            found.append("%s: %r is out of bounds" % (path, value))
        for kind, least_most in (("anyOf", (1, 1000)), ("oneOf", (1, 1))):
            if kind in schema:
                fitting = sum(not self.problems(one, value, path) for one in schema[kind])
                if not least_most[0] <= fitting <= least_most[1]:
                    found.append("%s: %r fits %d of %s" % (path, value, fitting, kind))
        if isinstance(value, dict):
            found += self._object_problems(schema, value, path)
        if isinstance(value, list) and "items" in schema:
            for index, element in enumerate(value):
                found += self.problems(schema["items"], element, "%s[%d]" % (path, index))
        return found

    def _object_problems(self, schema, value, path):
        found = ["%s: %s is missing" % (path, name) for name in schema.get("required", ()) if name not in value]
        others = schema.get("additionalProperties", True)
        for name, member in value.items():
            if name in schema.get("properties", {}):
                found += self.problems(schema["properties"][name], member, "%s.%s" % (path, name))
            elif others is False:
                found.append("%s: there is no member %s" % (path, name))
            elif others is not True:
                found += self.problems(others, member, "%s.%s" % (path, name))
        return found

    def example(self, schema, optional=False):
        """A valid value; with `optional` of all its members."""
        schema = self.resolve(schema)
        for kind in ("anyOf", "oneOf"):
            if kind in schema:
                return self.example(schema[kind][0], optional)
        if "enum" in schema:
            return schema["enum"][0]
        if "const" in schema:
            return schema["const"]
        kind = schema.get("type", "string")
        if kind == "object":
            wanted = schema.get("properties", {}) if optional else schema.get("required", ())
            return {name: self.example(schema["properties"][name], optional) for name in wanted}
        if kind == "array":
            return [self.example(schema["items"], optional)]
        return {"string": "x", "integer": schema.get("minimum", 1), "number": schema.get("minimum", 1),
                "boolean": True, "null": None}[kind]
