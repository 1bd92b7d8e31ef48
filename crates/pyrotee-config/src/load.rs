//! Loads the settings: merges the sources with figment, then converts the merged values into typed settings.

use std::{collections::HashMap, fmt, path::PathBuf};

use figment::{
    Error, Figment, Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};
use pyrotee_files::{FileContents, Files};
use pyrotee_scrape_config::Job;
use pyrotee_tls::{SystemRoots, SystemRootsError};
use pyrotee_yaml::Node;
use secrecy::ExposeSecret;

use crate::{
    env::resolve,
    faults::{Fault, Faults, Origin},
    file::{self, File, Notes},
    job_sources::JobSources,
    layers::{DEFAULT, ENVIRONMENT, FILE, FLAG},
    override_warnings,
    reader::{Scope, Tree},
    schema::{self, Key, Shape},
    sections,
    settings::Config,
    sources::{Flags, Sources},
    system_roots::Roots,
    text::{self, ConfigText},
};

/// The variable in which systemd passes the directory of a service's credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Loads a configuration, once or again and again: environment and flags stay, the files may change.
pub struct Loader {
    file: Option<PathBuf>,
    variables: HashMap<String, String>,
    flags: Flags,
    cpus: usize,
    roots: Roots,
}

/// A configuration, and the contents of the files that it names, as they are in it.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    pub files: FileContents,
}

// Environment and flags may hold credentials.
impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// Loads the configuration from its sources, once.
///
/// # Errors
/// As [`Loader::read`] and [`Loader::load`].
pub fn load(sources: Sources) -> Result<Config, Faults> {
    let loader = Loader::new(sources);
    let text = loader.read()?;
    let loaded = loader.load(&text, &FileContents::default())?;
    Ok(loaded.config)
}

impl Loader {
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        Self {
            file: sources.file,
            variables: sources.env.into_iter().collect(),
            flags: sources.flags,
            cpus: sources.cpus,
            roots: Roots::default(),
        }
    }

    /// The roots of the system, which are read once and stay as they are.
    ///
    /// # Errors
    /// `SSL_CERT_FILE` or `SSL_CERT_DIR` names no certificates.
    pub fn system_roots(&self) -> Result<&SystemRoots, &SystemRootsError> {
        self.roots.get()
    }

    /// Reads the configuration file, through symlinks; `-` is the standard input. Without a file the text is empty. Blocks its
    /// thread, at most for 60 s if the file is a pipe or the standard input.
    ///
    /// # Errors
    /// One fault: the file is missing, cannot be read, is larger than 1 MiB or is not UTF-8.
    pub fn read(&self) -> Result<ConfigText, Faults> {
        match &self.file {
            None => Ok(ConfigText::new(String::new())),
            Some(path) => text::read(path),
        }
    }

    /// Reads the configuration file again, beside the text in force.
    ///
    /// A file that can be read only once, such as a pipe, keeps the text in force.
    ///
    /// # Errors
    /// One fault: as [`Loader::read`], or the file has become empty. A file is empty for a moment while it is written in
    /// place, and an empty configuration would remove every target.
    pub fn read_again(&self, in_force: &ConfigText) -> Result<ConfigText, Faults> {
        match &self.file {
            None => Ok(in_force.clone()),
            Some(path) => text::read_again(path, in_force),
        }
    }

    /// Loads the configuration with this text of its file. The contents of the files that the text names come from
    /// `files`; those that are not in there are read from the disk, which blocks the thread. A new text is loaded with
    /// `FileContents::default()`, which reads every file.
    ///
    /// # Errors
    ///
    /// All faults at once. Only a text that cannot be read as YAML hides other faults, because without its values the
    /// other sources cannot be checked.
    pub fn load(&self, text: &ConfigText, files: &FileContents) -> Result<Loaded, Faults> {
        let mut faults = Vec::new();
        let files = Files::new(files, self.credentials());
        let file = self.parse(text, None, &files, &mut faults)?;
        let config = self.merge(file, &files, faults)?;
        let files = files.into_used();
        Ok(Loaded { config, files })
    }

    /// Reads one key or section of the first level. The other keys are not read: neither their faults nor the variables and files that
    /// they name matter. `value` adds the faults of the value.
    ///
    /// # Errors
    /// The file cannot be read or is no YAML, or the key has a fault.
    pub(crate) fn one<T>(
        &self,
        key: &str,
        value: impl FnOnce(&Scope<'_>) -> Option<T>,
    ) -> Result<T, Faults> {
        let (mut faults, contents) = (Vec::new(), FileContents::default());
        let files = Files::new(&contents, self.credentials());
        let file = self.parse(&self.read()?, Some(key), &files, &mut faults)?;
        let figment = self.layers(file.dict, file.root.as_ref(), &mut faults);
        faults.retain(|fault| {
            let rest = fault.key.strip_prefix(key);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        let tree = Tree::new(&figment, file.notes, faults, &files, &self.roots);
        let value = value(&tree.root());
        let faults = tree.into_faults();
        match value {
            Some(value) if faults.is_empty() => Ok(value),
            _ => Err(failed(faults)),
        }
    }

    fn credentials(&self) -> Option<&str> {
        self.variables.get(CREDENTIALS).map(String::as_str)
    }

    /// Parses the text of the file; `only`: only the value of this key.
    fn parse(
        &self,
        text: &ConfigText,
        only: Option<&str>,
        files: &Files<'_>,
        faults: &mut Vec<Fault>,
    ) -> Result<File, Faults> {
        let Some(path) = &self.file else {
            return Ok(File {
                dict: Dict::new(),
                notes: Notes::default(),
                root: None,
            });
        };
        let name = text::name(path);
        let text = text.text.expose_secret();
        file::parse(name, text, only, &self.variables, files, faults).map_err(|fatal| {
            let mut faults = std::mem::take(faults);
            faults.push(fatal);
            Faults::new(faults)
        })
    }

    /// Merges the layers over the values of the file, and converts the result.
    fn merge(
        &self,
        file: File,
        files: &Files<'_>,
        mut faults: Vec<Fault>,
    ) -> Result<Config, Faults> {
        let figment = self.layers(file.dict, file.root.as_ref(), &mut faults);
        let (jobs, warnings) = self.jobs(file.root.as_ref(), files, &mut faults);
        let tree = Tree::new(&figment, file.notes, faults, files, &self.roots);
        for warning in warnings {
            tree.warn(warning);
        }
        for warning in override_warnings::warnings(&self.variables, &self.flags) {
            tree.warn(warning);
        }
        // Without an https:// address, too: a reload may add one, and a relay reads them once.
        let _reported = tree.system_roots();
        let config = sections::config(&tree, self.cpus, jobs);
        let faults = tree.into_faults();
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(failed(faults)),
        }
    }

    /// The jobs of pull mode, which only the file has, and their warnings. `None` if a fault was added.
    fn jobs(
        &self,
        root: Option<&Node>,
        files: &Files<'_>,
        faults: &mut Vec<Fault>,
    ) -> (Option<Vec<Job>>, Vec<String>) {
        let block = root.and_then(|root| root.get(pyrotee_scrape_config::KEY));
        let (Some(block), Some(path)) = (block, &self.file) else {
            return (Some(Vec::new()), Vec::new());
        };
        let (mut found, mut warnings) = (Vec::new(), Vec::new());
        let sources = JobSources {
            variables: &self.variables,
            files,
            roots: &self.roots,
        };
        let jobs = pyrotee_scrape_config::read_jobs(block, &sources, &mut found, &mut warnings);
        let name = text::name(path);
        faults.extend(found.into_iter().map(|it| Fault::of_file(&name, it)));
        (jobs, warnings)
    }

    /// The layers over the values of the file: environment, flags, and defaults where nothing is given.
    fn layers(&self, file: Dict, root: Option<&Node>, faults: &mut Vec<Fault>) -> Figment {
        let mut figment = Figment::new().merge(Layer::new(Metadata::named(FILE), file));
        for variable in resolve(&self.variables, root, faults) {
            let dict = nested(&variable.path, &variable.value);
            figment = figment.merge(Layer::new(Metadata::from(ENVIRONMENT, variable.name), dict));
        }
        for (flag, path, value) in self.flags.given() {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            let dict = nested(&path, value);
            figment = figment.merge(Layer::new(Metadata::from(FLAG, flag), dict));
        }
        let mut defaults = Dict::new();
        if let (Ok(merged), Shape::Section(keys)) = (figment.find_value(""), &schema::ROOT) {
            fill(keys, merged.as_dict(), &mut defaults);
        }
        // The defaults join last, and fill only the gaps. They cannot be the first layer, because each target has
        // defaults and the names of the targets are known only now.
        figment.join(Layer::new(Metadata::named(DEFAULT), defaults))
    }
}

/// The faults of a configuration that was not read, which has one at least.
fn failed(mut faults: Vec<Fault>) -> Faults {
    if faults.is_empty() {
        faults.push(Fault {
            origin: Origin::Nowhere,
            key: String::new(),
            text: "could not be read, and no fault was found; please report this".to_owned(),
        });
    }
    Faults::new(faults)
}

/// One source of values. Each variable and each flag is a layer, so that figment knows the source of each value.
struct Layer {
    metadata: Metadata,
    dict: Dict,
}

impl Layer {
    fn new(metadata: Metadata, dict: Dict) -> Self {
        Self { metadata, dict }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

/// Nested maps that hold one value at the end of a path.
fn nested(path: &[String], value: &str) -> Dict {
    let mut keys = path.iter().rev();
    let mut dict = Dict::new();
    if let Some(last) = keys.next() {
        dict.insert(last.clone(), Value::from(value));
    }
    for key in keys {
        dict = Dict::from([(key.clone(), Value::from(dict))]);
    }
    dict
}

/// Adds the defaults of a section, and of each entry in its maps, to `defaults`. `there` holds the given values.
fn fill(keys: &[Key], there: Option<&Dict>, defaults: &mut Dict) {
    for key in keys {
        let value = there.and_then(|dict| dict.get(key.name));
        let mut inner = Dict::new();
        match &key.shape {
            Shape::Text => {
                if let Some(default) = key.default {
                    defaults.insert(key.name.to_owned(), Value::from(default));
                }
                continue;
            }
            Shape::Section(keys) => fill(keys, value.and_then(Value::as_dict), &mut inner),
            Shape::Map(Shape::Section(keys)) => {
                for (name, value) in value.and_then(Value::as_dict).into_iter().flatten() {
                    let mut each = Dict::new();
                    fill(keys, value.as_dict(), &mut each);
                    inner.insert(name.clone(), Value::from(each));
                }
            }
            Shape::Texts | Shape::Jobs => continue,
            Shape::Map(_) => {}
        }
        defaults.insert(key.name.to_owned(), Value::from(inner));
    }
}
