//! The samples of a profile, summed by stack and labels.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use twox_hash::XxHash3_128;

use super::index::{Index, number, profile};
use super::repeated::varints;
use super::{PprofFault, Span};
use pyroscope_wire::proto::{Field, Fields};

/// The stacks in the order of their first samples.
#[derive(Debug, Default)]
pub(super) struct Stacks {
    pub(super) keys: Vec<u128>,
    /// The values of all stacks, one for each type.
    pub(super) values: Vec<i64>,
    /// Where the first sample of each stack is, from its tag to its end.
    pub(super) first: Vec<Span>,
}

impl Stacks {
    pub(super) fn read(source: &[u8], index: &Index) -> Result<Self, PprofFault> {
        let types = index.types.len();
        let mut stacks = Self {
            keys: Vec::with_capacity(index.samples),
            values: Vec::with_capacity(index.samples * types),
            first: Vec::with_capacity(index.samples),
        };
        let mut places = HashMap::with_capacity(index.samples);
        let mut reader = SampleReader::default();
        for field in Fields::new(source) {
            let field = field?;
            if field.number != profile::SAMPLE {
                continue;
            }
            let key = reader.read(source, index, &field)?;
            if reader.values.len() != types {
                return Err(PprofFault::Values);
            }
            match places.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(stacks.keys.len());
                    stacks.keys.push(key);
                    stacks.values.extend_from_slice(&reader.values);
                    stacks.first.push(Span::of(&field.range())?);
                }
                Entry::Occupied(entry) => {
                    let sums = stacks.values.iter_mut().skip(entry.get() * types);
                    for (sum, value) in sums.zip(&reader.values) {
                        *sum = sum.saturating_add(*value);
                    }
                }
            }
        }
        Ok(stacks)
    }
}

/// Reads one sample after the other into the same buffers.
#[derive(Debug, Default)]
struct SampleReader {
    values: Vec<i64>,
    labels: Vec<u128>,
    /// Keys of the locations, then those of the labels.
    stack: Vec<u8>,
    label: Vec<u8>,
}

impl SampleReader {
    /// Reads a sample and returns the key of its stack.
    fn read(&mut self, source: &[u8], index: &Index, sample: &Field) -> Result<u128, PprofFault> {
        self.values.clear();
        self.labels.clear();
        self.stack.clear();
        for field in Fields::within(source, sample.delimited()?) {
            let field = field?;
            match field.number {
                1 => {
                    let stack = &mut self.stack;
                    varints(source, &field, |id| {
                        let key = index.location(id).ok_or(PprofFault::Reference)?;
                        stack.extend_from_slice(&key.to_le_bytes());
                        Ok(())
                    })?;
                }
                2 => varints(source, &field, |value| {
                    self.values.push(value.cast_signed());
                    Ok(())
                })?,
                3 => {
                    let label = self.label(source, index, &field)?;
                    self.labels.push(label);
                }
                _ => {}
            }
        }
        // The order of labels has no meaning.
        self.labels.sort_unstable();
        let labels = self.labels.iter().flat_map(|label| label.to_le_bytes());
        self.stack.extend(labels);
        self.stack.extend(self.labels.len().to_le_bytes());
        Ok(XxHash3_128::oneshot(&self.stack))
    }

    fn label(&mut self, source: &[u8], index: &Index, label: &Field) -> Result<u128, PprofFault> {
        self.label.clear();
        let (mut texts, mut value) = ([0; 3], 0);
        for field in Fields::within(source, label.delimited()?) {
            let field = field?;
            match field.number {
                1 => texts[0] = number(field.varint(source)?)?,
                2 => texts[1] = number(field.varint(source)?)?,
                3 => value = field.varint(source)?,
                4 => texts[2] = number(field.varint(source)?)?,
                _ => {}
            }
        }
        for text in texts {
            let text = index.string(source, text).ok_or(PprofFault::Reference)?;
            self.label.extend_from_slice(&text.len().to_le_bytes());
            self.label.extend_from_slice(text);
        }
        self.label.extend_from_slice(&value.to_le_bytes());
        Ok(XxHash3_128::oneshot(&self.label))
    }
}
