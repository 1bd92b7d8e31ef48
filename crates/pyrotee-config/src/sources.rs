//! Where a configuration comes from.

use std::{env, fmt, path::PathBuf, thread};

/// The sources of a configuration; the values of a later field override those of an earlier one.
///
/// The caller passes all sources, so that a test never touches the environment of its process.
#[derive(Default)]
pub struct Sources {
    /// The YAML file; with `None`, environment and flags override the defaults alone.
    pub file: Option<PathBuf>,
    /// The whole environment: `PYROTEE__…` sets keys, the other variables are for `${VAR}`.
    pub env: Vec<(String, String)>,
    pub flags: Flags,
    /// Number of CPUs, which determines the default of `queue-workers`.
    pub cpus: usize,
}

/// Flags that set a key: each sets the key of the same name, and `upstream` sets `upstream.address`.
#[derive(Default)]
pub struct Flags {
    pub listen: Option<String>,
    pub admin: Option<String>,
    pub upstream: Option<String>,
    pub log_level: Option<String>,
    pub log_format: Option<String>,
}

impl Sources {
    /// The environment and the CPUs of this process. Bytes in the environment that are not UTF-8
    /// are replaced, so that a key that checks its value refuses them.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Flags) -> Self {
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let env = env::vars_os()
            .map(|(name, value)| (lossy(name), lossy(value)))
            .collect();
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        Self {
            file,
            env,
            flags,
            cpus,
        }
    }
}

// Environment and flags may hold credentials.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flags").finish_non_exhaustive()
    }
}

impl Flags {
    /// The given flags: name, path of the key, value.
    pub(crate) fn given(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static [&'static str], &str)> {
        let flags: [(_, &'static [&'static str], &Option<String>); 5] = [
            ("--listen", &["listen"], &self.listen),
            ("--admin", &["admin"], &self.admin),
            ("--upstream", &["upstream", "address"], &self.upstream),
            ("--log-level", &["log", "level"], &self.log_level),
            ("--log-format", &["log", "format"], &self.log_format),
        ];
        flags
            .into_iter()
            .filter_map(|(flag, path, value)| Some((flag, path, value.as_deref()?)))
    }
}
