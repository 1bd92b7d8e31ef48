//! Looks for profiles in the spool of an earlier configuration, which a relay with a shared backlog would forget.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::Builder;
use std::time::Duration;

use pyrotee_config::DeadLetters;
use pyrotee_segments::inspect::{Directory, InspectError, Survey};

use crate::misconfigured::Misconfigured;

/// The directory of the spool in the package, the image and the examples.
const USUAL: &str = "/var/lib/pyrotee/spool";

/// How long the disk may take for one directory.
const LONGEST: Duration = Duration::from_secs(5);

/// Key of the directory that is delivered first.
const KEY: &str = "shared.drain-spool";

/// Checks that no spool of an earlier configuration has pending profiles, apart from `drained`, which the relay delivers.
/// Looks at [`USUAL`], and at the directory around that of the dead letters: a spool has its dead letters within.
///
/// # Errors
/// A spool has pending profiles: where, and what to do.
pub(crate) fn check(
    drained: Option<&Path>,
    dead_letters: Option<&DeadLetters>,
) -> Result<(), Misconfigured> {
    let around = dead_letters.and_then(|letters| letters.dir.parent());
    let dirs = [Some(Path::new(USUAL)), around].into_iter().flatten();
    check_all(dirs.filter(|dir| drained != Some(dir)))
}

fn check_all<'d>(dirs: impl Iterator<Item = &'d Path>) -> Result<(), Misconfigured> {
    for dir in dirs {
        let Looked::Spool(survey) = survey(dir) else {
            continue;
        };
        let pending = pending(&survey);
        if pending > 0 {
            let dir = dir.display();
            return Err(Misconfigured::new(
                KEY,
                format!(
                    "the spool in {dir} has pending profiles ({pending}), and a relay with `shared` has no spool; write \
                     {dir} here to have them delivered first, or delete them with pyrotee spool purge"
                ),
            ));
        }
    }
    Ok(())
}

/// The contents of the spool that the configuration has delivered first; `None` if nothing is pending there.
pub(crate) fn drain(dir: &Path) -> Option<Survey> {
    let shown = dir.display();
    let survey = match survey(dir) {
        Looked::Spool(survey) => survey,
        Looked::NoSpool if has_files(dir) => {
            tracing::warn!(
                dir = %shown,
                "{KEY} is no spool and has other files: nothing is delivered from it; write the directory that was `spool.dir`"
            );
            return None;
        }
        Looked::NoSpool => Survey::default(),
        Looked::Unknown => return None,
    };
    // A relay that uses the spool may have more profiles by the time at which it stops.
    if survey.in_use || pending(&survey) > 0 {
        return Some(survey);
    }
    tracing::info!(dir = %shown, "former spool has no pending profiles: {KEY} may be removed");
    None
}

fn has_files(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut files| files.next().is_some())
}

/// Pending profiles of all targets. A profile counts once for each target.
fn pending(survey: &Survey) -> u64 {
    survey.targets.iter().map(|it| it.pending.profiles).sum()
}

/// The result of a look at a directory.
enum Looked {
    Spool(Survey),
    /// The directory is missing, or has no spool.
    NoSpool,
    /// The directory cannot be read, which the log says: it may belong to another program.
    Unknown,
}

fn survey(dir: &Path) -> Looked {
    let (send, surveyed) = mpsc::channel();
    let path: PathBuf = dir.to_owned();
    let look = move || drop(send.send(Directory::at(path).survey()));
    // A disk may hang, and must not keep a relay from its start that does not need one.
    let started = Builder::new().name("former-spool".to_owned()).spawn(look);
    let in_time = started
        .ok()
        .and_then(|_| surveyed.recv_timeout(LONGEST).ok());
    let shown = dir.display();
    match in_time {
        Some(Ok(survey)) => Looked::Spool(survey),
        Some(Err(InspectError::NoSpool { .. })) => Looked::NoSpool,
        Some(Err(InspectError::Io { source, .. })) if source.kind() == ErrorKind::NotFound => {
            Looked::NoSpool
        }
        Some(Err(error)) => {
            let error = anyhow::Error::from(error);
            tracing::warn!(
                dir = %shown,
                "profiles of a former spool are not looked for: failed to {error:#}"
            );
            Looked::Unknown
        }
        None => {
            tracing::warn!(
                dir = %shown,
                "profiles of a former spool are not looked for: the disk did not return the directory in time"
            );
            Looked::Unknown
        }
    }
}
