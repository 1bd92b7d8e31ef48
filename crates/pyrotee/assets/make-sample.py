#!/usr/bin/env python3
"""Writes sample.pprof.gz, the profile that `pyrotee send` sends when it is given no file.

The fields are those of github.com/google/pprof/proto/profile.proto. The time of the profile is left
out on purpose: a Pyroscope then takes `from` of the request, so that the sample never gets too old.
"""
import gzip
import pathlib

PERIOD = 10_000_000  # nanoseconds: 100 samples a second
FILES = {
    "runtime.main": "runtime/proc.go", "main.main": "shop/main.go",
    "main.serve": "shop/serve.go", "main.checkout": "shop/checkout.go",
    "main.search": "shop/search.go", "encoding/json.Marshal": "encoding/json/encode.go",
    "database/sql.(*DB).Query": "database/sql/sql.go", "main.rank": "shop/search.go",
    "runtime.gcBgMarkWorker": "runtime/mgc.go", "runtime.scanobject": "runtime/mgcmark.go",
}
SERVE = ["runtime.main", "main.main", "main.serve"]
STACKS = [  # from the root, number of samples
    (SERVE, 4),
    (SERVE + ["main.checkout"], 11),
    (SERVE + ["main.checkout", "database/sql.(*DB).Query"], 173),
    (SERVE + ["main.checkout", "encoding/json.Marshal"], 96),
    (SERVE + ["main.search"], 21),
    (SERVE + ["main.search", "main.rank"], 312),
    (SERVE + ["main.search", "encoding/json.Marshal"], 58),
    (["runtime.gcBgMarkWorker"], 7),
    (["runtime.gcBgMarkWorker", "runtime.scanobject"], 83),
]


def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n)


def block(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


strings = [""]


def text(s):
    if s not in strings:
        strings.append(s)
    return strings.index(s)


def value_type(kind, unit):
    return number(1, text(kind)) + number(2, text(unit))


ids = {name: i for i, name in enumerate(FILES, 1)}
out = block(1, value_type("samples", "count")) + block(1, value_type("cpu", "nanoseconds"))
for stack, count in STACKS:
    locations = b"".join(varint(ids[name]) for name in reversed(stack))
    out += block(2, block(1, locations) + block(2, varint(count) + varint(count * PERIOD)))
for name, i in ids.items():
    line = number(1, i) + number(2, 10 * i + 3)
    out += block(4, number(1, i) + number(3, 0x400000 + 0x100 * i) + block(4, line))
for name, i in ids.items():
    out += block(5, number(1, i) + number(2, text(name)) + number(3, text(name)) + number(4, text(FILES[name])))
out += block(11, value_type("cpu", "nanoseconds")) + number(12, PERIOD)
out += number(10, 10_000_000_000)
out += b"".join(block(6, s.encode()) for s in strings)

path = pathlib.Path(__file__).with_name("sample.pprof.gz")
path.write_bytes(gzip.compress(out, 9, mtime=0))
