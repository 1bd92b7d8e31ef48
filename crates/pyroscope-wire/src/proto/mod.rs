//! The fields of a protobuf message and their positions in it.
//!
//! Accepts the messages that Go's protobuf accepts (non-canonical varints, fields in any order, unknown
//! fields) with one exception: groups, which no Pyroscope or OTLP message has ever had.

use std::ops::Range;

use crate::undecodable::{ProtobufFault, Undecodable};

/// The highest number that a field can have.
const MAX_NUMBER: u64 = (1 << 29) - 1;

/// A field of a message and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Number of the field in its message.
    pub number: u32,
    wire_type: WireType,
    /// The position at which the tag begins.
    pub start: usize,
    /// The position at which the tag ends.
    pub tag_end: usize,
    /// The range of the value, without the length before it.
    pub value: Range<usize>,
}

/// How the value of a field is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WireType {
    Varint,
    Fixed64,
    Delimited,
    Fixed32,
}

impl Field {
    /// The range from the tag to the end of the value.
    pub fn range(&self) -> Range<usize> {
        self.start..self.value.end
    }

    /// The value, if the field is a string, bytes or a message.
    ///
    /// # Errors
    ///
    /// If the field is a number.
    pub fn delimited(&self) -> Result<Range<usize>, Undecodable> {
        match self.wire_type {
            WireType::Delimited => Ok(self.value.clone()),
            WireType::Varint | WireType::Fixed64 | WireType::Fixed32 => {
                Err(ProtobufFault::Type.into())
            }
        }
    }

    /// The value, if the field is an integer.
    ///
    /// # Errors
    ///
    /// If the field is no varint.
    pub fn varint(&self, source: &[u8]) -> Result<u64, Undecodable> {
        match self.wire_type {
            WireType::Varint => Fields::within(source, self.value.clone()).varint(),
            WireType::Fixed64 | WireType::Delimited | WireType::Fixed32 => {
                Err(ProtobufFault::Type.into())
            }
        }
    }
}

/// Iterates over the fields of a message or of a nested message. Positions count from the start of the
/// outermost message.
#[derive(Debug)]
pub struct Fields<'a> {
    /// The source up to the end of the message.
    bytes: &'a [u8],
    at: usize,
    /// A value that is longer than the message is cut at the end of the message, instead of being a fault.
    clips: bool,
}

impl<'a> Fields<'a> {
    /// The fields of the message `source`.
    pub fn new(source: &'a [u8]) -> Self {
        Self {
            bytes: source,
            at: 0,
            clips: false,
        }
    }

    /// The fields of the nested message at `range` of `source`.
    pub fn within(source: &'a [u8], range: Range<usize>) -> Self {
        Self {
            bytes: source.get(..range.end).unwrap_or_default(),
            at: range.start,
            clips: false,
        }
    }

    /// Accepts a message of which only the start was kept: the last value may be cut off.
    pub fn clipped(mut self) -> Self {
        self.clips = true;
        self
    }

    /// The integers of a packed field, of which these are the bytes.
    pub fn varints(mut self) -> impl Iterator<Item = Result<u64, Undecodable>> {
        std::iter::from_fn(move || (self.at < self.bytes.len()).then(|| self.varint()))
    }

    fn field(&mut self) -> Result<Field, Undecodable> {
        let start = self.at;
        let tag = self.varint()?;
        let tag_end = self.at;
        let number = u32::try_from(tag >> 3).ok().filter(|number| {
            let number = u64::from(*number);
            (1..=MAX_NUMBER).contains(&number)
        });
        let number = number.ok_or(ProtobufFault::Number)?;
        let (wire_type, value) = match tag & 7 {
            0 => {
                let from = self.at;
                self.varint()?;
                (WireType::Varint, from..self.at)
            }
            1 => (WireType::Fixed64, self.take(8)?),
            2 => {
                let length = self.varint()?;
                (WireType::Delimited, self.take(length)?)
            }
            5 => (WireType::Fixed32, self.take(4)?),
            3 | 4 => return Err(ProtobufFault::Group.into()),
            _ => return Err(ProtobufFault::Type.into()),
        };
        Ok(Field {
            number,
            wire_type,
            start,
            tag_end,
            value,
        })
    }

    fn varint(&mut self) -> Result<u64, Undecodable> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(ProtobufFault::Truncated)?;
            self.at += 1;
            // The tenth byte has room for one bit.
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ProtobufFault::Varint.into())
    }

    fn take(&mut self, length: u64) -> Result<Range<usize>, Undecodable> {
        let start = self.at;
        let end = usize::try_from(length)
            .ok()
            .and_then(|length| start.checked_add(length))
            .filter(|end| *end <= self.bytes.len())
            .or_else(|| self.clips.then_some(self.bytes.len()));
        self.at = end.ok_or(ProtobufFault::Truncated)?;
        Ok(start..self.at)
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<Field, Undecodable>;

    /// After a fault the position of the next field is unknown, so callers stop at the first fault.
    fn next(&mut self) -> Option<Self::Item> {
        (self.at < self.bytes.len()).then(|| self.field())
    }
}

/// The last string, bytes or message with this field number; protobuf ignores the ones before it.
///
/// # Errors
///
/// If the message cannot be read, or such a field is a number.
pub fn last(
    source: &[u8],
    message: Range<usize>,
    number: u32,
) -> Result<Option<Range<usize>>, Undecodable> {
    let mut found = None;
    for field in Fields::within(source, message) {
        let field = field?;
        if field.number == number {
            found = Some(field.delimited()?);
        }
    }
    Ok(found)
}

/// Writes a varint in its shortest form.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or_default());
}

/// Writes the length of a value.
pub fn put_length(out: &mut Vec<u8>, length: usize) {
    put_varint(out, u64::try_from(length).unwrap_or_default());
}

/// Writes a string, bytes or a message as a field with a number below 16.
pub fn put_field(out: &mut Vec<u8>, number: u8, value: &[u8]) {
    out.push(number << 3 | 2);
    put_length(out, value.len());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests;
