//! Writes a profile again with other values.

use std::collections::HashSet;

use super::index::{profile, strings_of, strings_within};
use super::repeated::varints;
use super::{Pprof, PprofFault};
use pyroscope_wire::proto::{Field, Fields, put_field, put_varint};

/// See [`Pprof::with_values`].
pub(super) fn with_values(
    pprof: &Pprof<'_>,
    values: &[i64],
    duration_nanos: Option<i64>,
) -> Option<Vec<u8>> {
    let types = pprof.index.types.len();
    let mut kept = pprof.stacks.first.iter().zip(values.chunks_exact(types));
    let mut next = || kept.find(|(_, values)| values.iter().any(|value| *value > 0));
    let mut stack = next()?;
    let used = Used::of(pprof, values)?;
    let source = pprof.source;
    let mut out = Vec::with_capacity(source.len());
    let (mut string, mut timed, mut is_over) = (0, false, false);
    let mut writer = SampleWriter::default();
    // The profile was read before, so no field has a fault.
    for field in Fields::new(source).flatten() {
        let whole = source.get(field.range()).unwrap_or_default();
        match field.number {
            profile::SAMPLE => {
                if !is_over && stack.0.range() == field.range() {
                    writer.put(&mut out, source, &field, stack.1);
                    match next() {
                        Some(after) => stack = after,
                        None => is_over = true,
                    }
                }
            }
            profile::LOCATION if !used.locations.contains(&id(source, &field)) => {}
            profile::FUNCTION if !used.functions.contains(&id(source, &field)) => {}
            profile::STRING => {
                let text = used.strings.contains(&string).then_some(whole);
                out.extend_from_slice(text.unwrap_or(EMPTY_STRING));
                string += 1;
            }
            profile::DURATION if duration_nanos.is_some() => {
                put_duration(&mut out, duration_nanos.filter(|_| !timed));
                timed = true;
            }
            _ => out.extend_from_slice(whole),
        }
    }
    if !timed {
        put_duration(&mut out, duration_nanos);
    }
    Some(out)
}

/// A string of the table without a byte.
const EMPTY_STRING: &[u8] = &[6 << 3 | 2, 0];

fn put_duration(out: &mut Vec<u8>, nanos: Option<i64>) {
    if let Some(nanos) = nanos.and_then(|nanos| u64::try_from(nanos).ok()) {
        out.push(10 << 3);
        put_varint(out, nanos);
    }
}

/// Writes one sample after the other with the same buffers.
#[derive(Debug, Default)]
struct SampleWriter {
    message: Vec<u8>,
    packed: Vec<u8>,
}

impl SampleWriter {
    /// Writes a sample: everything but its values, then the new values.
    fn put(&mut self, out: &mut Vec<u8>, source: &[u8], sample: &Field, values: &[i64]) {
        self.message.clear();
        for field in Fields::within(source, sample.value.clone()).flatten() {
            if field.number != 2 {
                let whole = source.get(field.range()).unwrap_or_default();
                self.message.extend_from_slice(whole);
            }
        }
        self.packed.clear();
        for value in values {
            let value = u64::try_from(*value).unwrap_or_default();
            put_varint(&mut self.packed, value);
        }
        put_field(&mut self.message, 2, &self.packed);
        put_field(out, 2, &self.message);
    }
}

/// What the stacks that are kept use.
#[derive(Debug, Default)]
struct Used {
    locations: HashSet<u64>,
    functions: HashSet<u64>,
    strings: HashSet<u32>,
}

impl Used {
    /// `None` if a part of the profile cannot be read, which reading the profile has ruled out.
    fn of(pprof: &Pprof<'_>, values: &[i64]) -> Option<Self> {
        let (source, types) = (pprof.source, pprof.index.types.len());
        let mut used = Self::default();
        // The empty string.
        used.strings.insert(0);
        let stacks = pprof.stacks.first.iter().zip(values.chunks_exact(types));
        for (sample, _) in stacks.filter(|(_, values)| values.iter().any(|value| *value > 0)) {
            let sample = Fields::within(source, sample.range()).next()?.ok()?;
            for field in Fields::within(source, sample.value.clone()).flatten() {
                match field.number {
                    1 => varints(source, &field, |id| {
                        used.locations.insert(id);
                        Ok(())
                    })
                    .ok()?,
                    3 => strings_within(source, &field, &[1, 2, 4], used.strings()).ok()?,
                    _ => {}
                }
            }
        }
        for field in Fields::new(source).flatten() {
            if field.number == profile::LOCATION && used.locations.contains(&id(source, &field)) {
                let lines = Fields::within(source, field.value.clone()).flatten();
                for line in lines.filter(|field| field.number == 4) {
                    used.functions.insert(id(source, &line));
                }
            }
        }
        for field in Fields::new(source).flatten() {
            let is_left_out =
                field.number == profile::FUNCTION && !used.functions.contains(&id(source, &field));
            if !is_left_out {
                strings_of(source, &field, used.strings()).ok()?;
            }
        }
        Some(used)
    }

    /// Notes each string.
    fn strings(&mut self) -> impl FnMut(u32) -> Result<(), PprofFault> + '_ {
        |string| {
            self.strings.insert(string);
            Ok(())
        }
    }
}

/// The id of a location or a function, or the function of a line: field 1.
fn id(source: &[u8], message: &Field) -> u64 {
    let fields = Fields::within(source, message.value.clone()).flatten();
    let ids = fields.filter(|field| field.number == 1);
    ids.filter_map(|field| field.varint(source).ok())
        .last()
        .unwrap_or_default()
}
