"""Writes values.schema.json: the comment of a value in values.yaml is the value's description."""

import copy
import json

WIDTH = 120


def described(schema, rows):
    """A copy of the schema in which each value of `rows` has its meaning as its first key, `description`."""
    schema = copy.deepcopy(schema)
    for path, _, meaning in rows:
        *sections, key = path.split(".")
        section = schema
        for name in sections:
            section = section["properties"][name]
        value = section["properties"][key]
        value.pop("description", None)
        section["properties"][key] = {"description": meaning, **value}
    return schema


def written(value, indent=0):
    """JSON with each object and list on one line if the line has room."""
    line = json.dumps(value, ensure_ascii=False)
    if indent + len(line) <= WIDTH or not isinstance(value, dict | list) or not value:
        return line
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(key)}: {written(one, indent + 2)}" for key, one in value.items()]
    else:
        parts = [f"{inner}{written(one, indent + 2)}" for one in value]
    start, end = "{}" if isinstance(value, dict) else "[]"
    return start + "\n" + ",\n".join(parts) + f"\n{' ' * indent}{end}"
