//! The word that was probably meant.

/// The name that a misspelt key was probably meant to be: the nearest one, if it differs in at most a third of its
/// characters. `_` counts as `-`, and case does not count.
pub fn nearest<'n>(unknown: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let plain = unknown.to_ascii_lowercase().replace('_', "-");
    let names = names.into_iter();
    names
        .map(|name| (strsim::damerau_levenshtein(name, &plain), name))
        .min()
        .filter(|(distance, name)| *distance <= 1.max(name.len() / 3))
        .map(|(_, name)| name)
}
