//! A stand-in for a Go application with pprof, and the heaps that the relay sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use flate2::write::GzEncoder;

use crate::support::{Answer, Pulled, Upstream};

/// `alloc_space` and `inuse_space` by function, in bytes.
pub(super) type Heap = BTreeMap<u64, (u64, u64)>;

/// An application whose heap a test changes.
pub(super) struct App {
    server: Upstream,
    heap: Arc<Mutex<Heap>>,
}

impl App {
    pub(super) fn new(heap: &[(u64, (u64, u64))]) -> Self {
        let heap = Arc::new(Mutex::new(heap.iter().copied().collect()));
        let shown = Arc::clone(&heap);
        let server = Upstream::script(move |arrival| match arrival.head.path().as_str() {
            "/debug/pprof/profile" => profile(&cpu()),
            "/debug/pprof/heap" => profile(&gzip(&pprof(&shown.lock().unwrap()))),
            _ => Answer::status(404, b"404 page not found"),
        });
        Self { server, heap }
    }

    pub(super) fn address(&self) -> String {
        self.server.address().to_string()
    }

    pub(super) fn set(&self, heap: &[(u64, (u64, u64))]) {
        *self.heap.lock().unwrap() = heap.iter().copied().collect();
    }

    /// Requests to this path so far.
    pub(super) fn asked(&self, path: &str) -> usize {
        let requests = self.server.requests();
        requests.iter().filter(|it| it.head.path() == path).count()
    }
}

fn profile(body: &[u8]) -> Answer {
    Answer::with(200, &[("Content-Type", "application/octet-stream")], body)
}

/// A CPU profile as Go sends it.
pub(super) fn cpu() -> Vec<u8> {
    let mut out = message(1, &numbers(&[(1, 1), (2, 2)]));
    for text in ["", "samples", "count"] {
        out.extend(message(6, text.as_bytes()));
    }
    gzip(&out)
}

/// A heap profile with a stack for each function.
fn pprof(heap: &Heap) -> Vec<u8> {
    let mut out = Vec::new();
    for kind in [1, 3] {
        out.extend(message(1, &numbers(&[(1, kind), (2, 2)])));
    }
    for (function, (alloc, inuse)) in heap {
        let values = [(1, *function), (2, *alloc), (2, *inuse)];
        out.extend(message(2, &numbers(&values)));
    }
    for function in heap.keys() {
        let mut location = numbers(&[(1, *function), (3, function * 4096)]);
        location.extend(message(4, &numbers(&[(1, *function), (2, 7)])));
        out.extend(message(4, &location));
    }
    for function in heap.keys() {
        out.extend(message(5, &numbers(&[(1, *function), (2, 4)])));
    }
    for text in ["", "alloc_space", "bytes", "inuse_space", "main.f"] {
        out.extend(message(6, text.as_bytes()));
    }
    out
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Default::default());
    std::io::Write::write_all(&mut encoder, content).unwrap();
    encoder.finish().unwrap()
}

/// The samples of a heap profile that the relay sent.
pub(super) fn heap(sent: &Pulled) -> Heap {
    let content = sent.unpacked();
    let samples = fields(&content)
        .into_iter()
        .filter(|(number, _)| *number == 2);
    let samples = samples.map(|(_, value)| {
        let of = |wanted| {
            let fields = fields(value.bytes()).into_iter();
            let fields = fields.filter(move |(number, _)| *number == wanted);
            fields
                .flat_map(|(_, value)| value.varints())
                .collect::<Vec<_>>()
        };
        let [alloc, inuse] = of(2)[..] else {
            panic!("two values")
        };
        (of(1)[0], (alloc, inuse))
    });
    samples.collect()
}

/// The value of a field of protobuf.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Number(_) => panic!("a message"),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Numbers, whether they are packed or not.
    fn varints(&self) -> Vec<u64> {
        match self {
            Self::Number(number) => vec![*number],
            Self::Bytes(bytes) => {
                let mut bytes = *bytes;
                let mut found = Vec::new();
                while !bytes.is_empty() {
                    found.push(varint(&mut bytes));
                }
                found
            }
        }
    }
}

fn fields(mut message: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let value = varint(&mut message);
        let value = match key & 7 {
            0 => Value::Number(value),
            2 => {
                let (bytes, rest) = message.split_at(usize::try_from(value).unwrap());
                message = rest;
                Value::Bytes(bytes)
            }
            kind => panic!("wire type {kind}"),
        };
        found.push((key >> 3, value));
    }
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}

fn numbers(fields: &[(u64, u64)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, value) in fields {
        put_varint(&mut out, number << 3);
        put_varint(&mut out, *value);
    }
    out
}

fn message(number: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, number << 3 | 2);
    put_varint(&mut out, content.len() as u64);
    out.extend_from_slice(content);
    out
}
