"""Makes the README's table of values from values.yaml: a key and the comment above it are a row."""

import json
import re

import yaml

KEY = re.compile(r"^( *)([A-Za-z]+):")


def rows(text):
    """Path, default and meaning (its comment) of each key with a comment. A leaf that has no comment, not even at a key around it, has the meaning `None`."""
    values = yaml.safe_load(text)
    path, described, comment = [], [], []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            comment.append(line.strip().removeprefix("#").strip())
        elif match := KEY.match(line):
            depth = len(match[1]) // 2
            path[depth:], described[depth:] = [match[2]], [bool(comment)]
            default = values
            for key in path:
                default = default[key]
            if comment:
                yield ".".join(path), default, " ".join(comment)
            elif not any(described) and (not isinstance(default, dict) or not default):
                yield ".".join(path), default, None
            comment = []
        elif not line.strip():
            comment = []


def written(default):
    text = default if isinstance(default, str) and default else json.dumps(default)
    return f"`{text}`" if len(text) <= 40 else "in values.yaml"


def table(text):
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines += [f"| `{path}` | {written(default)} | {meaning} |" for path, default, meaning in rows(text)]
    return "\n".join(lines) + "\n"
