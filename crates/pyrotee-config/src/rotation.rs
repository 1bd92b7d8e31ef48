//! Takes new contents of the files that the configuration in force names, as many of them as make no fault.

use pyrotee_files::{FileContents, StaleFile};

use crate::{
    load::{Loaded, Loader},
    text::ConfigText,
};

/// The configuration in force with new contents of its files.
#[derive(Debug)]
pub struct Rotated {
    /// `None` if no new content can be used.
    pub loaded: Option<Loaded>,
    /// Files whose new content makes a fault, and which keep the content in force.
    pub stale: Vec<StaleFile>,
}

impl Loader {
    /// Loads the text in force with the contents of `found` that differ from those in force.
    ///
    /// If the configuration has faults with all of them, takes one unit after the other: a file of `${file:PATH}`, or the
    /// files of one section of TLS. So a bad file never stops the rotation of another unit, and a certificate never
    /// changes without its key.
    #[must_use]
    pub fn rotate(
        &self,
        text: &ConfigText,
        in_force: &FileContents,
        found: &FileContents,
    ) -> Rotated {
        let (mut loaded, mut stale) = (None, Vec::new());
        let changed = in_force.changed_in(found);
        // Two units may be valid only together, so all are tried first.
        if changed.len() > 1
            && let Ok(all) = self.load(text, found)
        {
            loaded = Some(all);
            return Rotated { loaded, stale };
        }
        let mut taken = in_force.clone();
        for unit in changed {
            let with = taken.with(&unit, found);
            match self.load(text, &with) {
                Ok(with_file) => {
                    loaded = Some(with_file);
                    taken = with;
                }
                Err(faults) => {
                    let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
                    let text = texts.join("; ");
                    stale.extend(unit.iter().map(|file| StaleFile::of(file, &text)));
                }
            }
        }
        Rotated { loaded, stale }
    }
}
