//! Keys for the meaning of a target's responses, and for how long and how fast profiles are sent again.

use std::{num::NonZeroU64, time::Duration};

use pyroscope_wire::refusal::{Meaning, Rule, Rules};
use pyrotee_yaml::values;

use crate::{reader::Scope, settings::OnAmbiguous};

/// Words for `on-ambiguous`.
pub(crate) const ON_AMBIGUOUS: &[(&str, OnAmbiguous)] =
    &[("retry", OnAmbiguous::Retry), ("drop", OnAmbiguous::Drop)];

/// Reads `max-age`. Zero is no limit: Pyroscope 0.37 did not have the key, so zero does not mean the default here.
pub(super) fn max_age(target: &Scope<'_>) -> Option<Option<Duration>> {
    target.parse("max-age", |text| {
        let given = values::duration(text)?;
        Ok((!given.is_zero()).then_some(given))
    })
}

pub(super) fn on_ambiguous(target: &Scope<'_>) -> Option<OnAmbiguous> {
    target.parse("on-ambiguous", |text| values::word(text, ON_AMBIGUOUS))
}

/// Reads `replay-rate`, in bytes per second. Zero is no limit, as for `max-age`.
pub(super) fn replay_rate(target: &Scope<'_>) -> Option<Option<NonZeroU64>> {
    target.parse("replay-rate", values::rate)
}

/// The rules of `outcomes` of a target, in the order of the file.
pub(super) fn rules(target: &Scope<'_>) -> Option<Rules> {
    if target.is_faulty("outcomes") {
        return None;
    }
    let scope = target.scope("outcomes");
    let keys = scope.keys();
    let mut rules = Vec::<Rule>::new();
    for pattern in &keys {
        let Some(rule) = rule(&scope, pattern) else {
            continue;
        };
        if rules.iter().any(|other| other.is_same_pattern(&rule)) {
            let text = "differs from another pattern only in case or spaces; keep one of the two";
            scope.fault(pattern, text);
            continue;
        }
        rules.push(rule);
    }
    (rules.len() == keys.len()).then(|| Rules::new(rules))
}

fn rule(scope: &Scope<'_>, pattern: &str) -> Option<Rule> {
    let meaning = scope.parse(pattern, |word| {
        Meaning::parse(word).map_err(|fault| fault.to_string())
    });
    // The pattern is checked even if the meaning is faulty, because both may be wrong. Any pattern may be `ok`.
    let word = meaning.unwrap_or(Meaning::Taken).as_str();
    match Rule::parse(pattern, word) {
        Ok(rule) => meaning.map(|_| rule),
        Err(fault) => {
            scope.fault(pattern, &fault.to_string());
            None
        }
    }
}
