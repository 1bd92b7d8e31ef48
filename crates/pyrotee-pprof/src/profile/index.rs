//! The tables of a profile: types of values, strings, functions and locations.

use std::collections::HashMap;

use twox_hash::XxHash3_128;

use super::repeated::varints;
use super::{MAX_TYPES, PprofFault, Span};
use pyroscope_wire::proto::{Field, Fields};

/// Fields of a profile.
pub(super) mod profile {
    pub(in super::super) const SAMPLE_TYPE: u32 = 1;
    pub(in super::super) const SAMPLE: u32 = 2;
    pub(in super::super) const MAPPING: u32 = 3;
    pub(in super::super) const LOCATION: u32 = 4;
    pub(in super::super) const FUNCTION: u32 = 5;
    pub(in super::super) const STRING: u32 = 6;
    pub(in super::super) const TIME: u32 = 9;
    pub(in super::super) const DURATION: u32 = 10;
    pub(in super::super) const PERIOD_TYPE: u32 = 11;
}

/// The tables of a profile, by the numbers with which its parts refer to each other.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Strings of kind and unit.
    pub(super) types: Vec<(u32, u32)>,
    strings: Vec<Span>,
    functions: HashMap<u64, Function>,
    locations: HashMap<u64, u128>,
    /// Number of samples, before equal stacks become one.
    pub(super) samples: usize,
    pub(super) time_nanos: i64,
}

/// The strings that identify a function.
#[derive(Debug, Clone, Copy)]
struct Function {
    name: u32,
    file: u32,
}

/// Bytes of memory for one entry of each table, a hash table's spare room included.
const STRING_BYTES: usize = size_of::<Span>();
const FUNCTION_BYTES: usize = 2 * size_of::<(u64, Function)>() + 2;
const LOCATION_BYTES: usize = 2 * size_of::<(u64, u128)>() + 2;
/// A stack: its key and its place in a hash table, its key, its span, and its values.
const STACK_BYTES: usize =
    2 * size_of::<(u128, usize)>() + 2 + size_of::<u128>() + size_of::<Span>();

impl Index {
    /// Reads the tables. They and the stacks may take `limit_bytes` of memory.
    pub(super) fn read(source: &[u8], limit_bytes: usize) -> Result<Self, PprofFault> {
        let mut index = Self::with_room_for(source, limit_bytes)?;
        let mut locations = Vec::new();
        for field in Fields::new(source) {
            let field = field?;
            match field.number {
                profile::SAMPLE_TYPE => {
                    let (kind, unit) = pair(source, &field, 1, 2)?;
                    index.types.push((number(kind)?, number(unit)?));
                }
                profile::FUNCTION => index.add_function(source, &field)?,
                profile::LOCATION => locations.push(Span::of(&field.delimited()?)?),
                profile::STRING => index.strings.push(Span::of(&field.delimited()?)?),
                profile::TIME => index.time_nanos = field.varint(source)?.cast_signed(),
                _ => {}
            }
        }
        for location in locations {
            index.add_location(source, location)?;
        }
        // Writing the profile again follows these references and must not fail.
        for field in Fields::new(source) {
            strings_of(source, &field?, |string| {
                let text = index.string(source, string);
                text.map(drop).ok_or(PprofFault::Reference)
            })?;
        }
        Ok(index)
    }

    /// An empty index, after a first look at the number of its entries.
    fn with_room_for(source: &[u8], limit_bytes: usize) -> Result<Self, PprofFault> {
        let (mut types, mut strings, mut functions, mut locations, mut samples) = (0, 0, 0, 0, 0);
        for field in Fields::new(source) {
            match field?.number {
                profile::SAMPLE_TYPE => types += 1,
                profile::SAMPLE => samples += 1,
                profile::LOCATION => locations += 1,
                profile::FUNCTION => functions += 1,
                profile::STRING => strings += 1,
                _ => {}
            }
        }
        if !(1..=MAX_TYPES).contains(&types) {
            return Err(PprofFault::Types);
        }
        let needed = [
            (strings, STRING_BYTES),
            (functions, FUNCTION_BYTES),
            (locations, LOCATION_BYTES + size_of::<Span>()),
            (samples, STACK_BYTES + types * size_of::<i64>()),
        ];
        let needed = needed.iter().fold(0_usize, |sum, (count, each)| {
            sum.saturating_add(count * each)
        });
        if needed > limit_bytes {
            return Err(PprofFault::TooLarge { limit_bytes });
        }
        Ok(Self {
            types: Vec::with_capacity(types),
            strings: Vec::with_capacity(strings),
            functions: HashMap::with_capacity(functions),
            locations: HashMap::with_capacity(locations),
            samples,
            time_nanos: 0,
        })
    }

    /// A string of the table.
    pub(super) fn string<'a>(&self, source: &'a [u8], number: u32) -> Option<&'a [u8]> {
        let span = self.strings.get(usize::try_from(number).ok()?)?;
        source.get(span.range())
    }

    /// The key of a location.
    pub(super) fn location(&self, id: u64) -> Option<u128> {
        self.locations.get(&id).copied()
    }

    fn add_function(&mut self, source: &[u8], field: &Field) -> Result<(), PprofFault> {
        let (mut id, mut function) = (0, Function { name: 0, file: 0 });
        for field in Fields::within(source, field.delimited()?) {
            let field = field?;
            match field.number {
                1 => id = field.varint(source)?,
                2 => function.name = number(field.varint(source)?)?,
                4 => function.file = number(field.varint(source)?)?,
                _ => {}
            }
        }
        self.functions.insert(id, function);
        Ok(())
    }

    fn add_location(&mut self, source: &[u8], location: Span) -> Result<(), PprofFault> {
        let (mut id, mut address) = (0, 0);
        for field in Fields::within(source, location.range()) {
            let field = field?;
            match field.number {
                1 => id = field.varint(source)?,
                3 => address = field.varint(source)?,
                _ => {}
            }
        }
        let key = match address {
            0 => XxHash3_128::oneshot(&self.lines(source, location)?),
            _ => XxHash3_128::oneshot(&address.to_le_bytes()),
        };
        self.locations.insert(id, key);
        Ok(())
    }

    /// The lines of a location without an address, as bytes that differ for different lines.
    fn lines(&self, source: &[u8], location: Span) -> Result<Vec<u8>, PprofFault> {
        let mut lines = Vec::new();
        for field in Fields::within(source, location.range()) {
            let field = field?;
            if field.number == 4 {
                let (function, line) = pair(source, &field, 1, 2)?;
                self.describe_line(source, function, line, &mut lines)?;
            }
        }
        Ok(lines)
    }

    /// Appends function, file and line, each so that its end is certain.
    fn describe_line(
        &self,
        source: &[u8],
        function: u64,
        line: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), PprofFault> {
        let function = self.functions.get(&function);
        let function = function.ok_or(PprofFault::Reference)?;
        for string in [function.name, function.file] {
            let text = self.string(source, string).ok_or(PprofFault::Reference)?;
            out.extend_from_slice(&text.len().to_le_bytes());
            out.extend_from_slice(text);
        }
        out.extend_from_slice(&line.to_le_bytes());
        Ok(())
    }
}

/// Calls `each` for the strings to which a field of a profile refers, without those of samples.
pub(super) fn strings_of(
    source: &[u8],
    field: &Field,
    mut each: impl FnMut(u32) -> Result<(), PprofFault>,
) -> Result<(), PprofFault> {
    let numbers: &[u32] = match field.number {
        // Type and unit of the values and of the period.
        profile::SAMPLE_TYPE | profile::PERIOD_TYPE => &[1, 2],
        profile::MAPPING => &[5, 6],
        profile::FUNCTION => &[2, 3, 4],
        // Frames to drop and to keep, comments, default type, address of the documentation.
        7 | 8 | 13 | 14 | 15 => return varints(source, field, |string| each(number(string)?)),
        _ => return Ok(()),
    };
    strings_within(source, field, numbers, each)
}

/// Calls `each` for the strings in these fields of a nested message.
pub(super) fn strings_within(
    source: &[u8],
    message: &Field,
    numbers: &[u32],
    mut each: impl FnMut(u32) -> Result<(), PprofFault>,
) -> Result<(), PprofFault> {
    for field in Fields::within(source, message.delimited()?) {
        let field = field?;
        if numbers.contains(&field.number) {
            each(number(field.varint(source)?)?)?;
        }
    }
    Ok(())
}

/// Two integers of a nested message; an integer that is absent is 0.
pub(super) fn pair(
    source: &[u8],
    message: &Field,
    one: u32,
    other: u32,
) -> Result<(u64, u64), PprofFault> {
    let mut found = (0, 0);
    for field in Fields::within(source, message.delimited()?) {
        let field = field?;
        if field.number == one {
            found.0 = field.varint(source)?;
        } else if field.number == other {
            found.1 = field.varint(source)?;
        }
    }
    Ok(found)
}

/// The number of a string.
pub(super) fn number(value: u64) -> Result<u32, PprofFault> {
    u32::try_from(value).map_err(|_| PprofFault::Reference)
}
