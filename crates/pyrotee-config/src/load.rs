//! Loads the settings: merges the sources with figment, then converts the merged values into typed settings.

use std::{collections::HashMap, env, fmt, path::PathBuf, thread};

use figment::{
    Error, Figment, Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};

use crate::{
    env::resolve,
    faults::{Fault, Faults, Origin},
    file::{self, File, Notes},
    layers::{DEFAULT, ENVIRONMENT, FILE, FLAG},
    reader::Tree,
    schema::{self, Key, Shape},
    sections,
    settings::Config,
};

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

/// Loads the configuration.
///
/// # Errors
///
/// All faults at once. Only a file that cannot be read as YAML hides other faults, because without
/// its values the other sources cannot be checked.
pub fn load(sources: Sources) -> Result<Config, Faults> {
    let Sources {
        file,
        env,
        flags,
        cpus,
    } = sources;
    let variables: HashMap<String, String> = env.into_iter().collect();
    let mut faults = Vec::new();
    let file = match file.map(|path| file::read(&path, &variables, &mut faults)) {
        None => File {
            dict: Dict::new(),
            notes: Notes::default(),
            root: None,
        },
        Some(Ok(file)) => file,
        Some(Err(fatal)) => {
            faults.push(fatal);
            return Err(Faults::new(faults));
        }
    };
    let mut figment = Figment::new().merge(Layer::new(Metadata::named(FILE), file.dict));
    for variable in resolve(&variables, file.root.as_ref(), &mut faults) {
        let dict = nested(&variable.path, variable.value);
        figment = figment.merge(Layer::new(Metadata::from(ENVIRONMENT, variable.name), dict));
    }
    for (flag, path, value) in flags.given() {
        let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
        figment = figment.merge(Layer::new(Metadata::from(FLAG, flag), nested(&path, value)));
    }
    let mut defaults = Dict::new();
    if let (Ok(merged), Shape::Section(keys)) = (figment.find_value(""), &schema::ROOT) {
        fill(keys, merged.as_dict(), &mut defaults);
    }
    // The defaults join last, and fill only the gaps. They cannot be the first layer, because each target has
    // defaults and the names of the targets are known only now.
    figment = figment.join(Layer::new(Metadata::named(DEFAULT), defaults));
    let tree = Tree::new(&figment, file.notes, faults);
    let config = sections::config(&tree, cpus);
    let faults = tree.into_faults();
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ if faults.is_empty() => {
            let text = "could not be read, and no fault was found; please report this".to_owned();
            Err(Faults::new(vec![Fault {
                origin: Origin::Nowhere,
                key: String::new(),
                text,
            }]))
        }
        _ => Err(Faults::new(faults)),
    }
}

impl Flags {
    fn given(self) -> impl Iterator<Item = (&'static str, &'static [&'static str], String)> {
        let flags: [(_, &'static [&'static str], _); 5] = [
            ("--listen", &["listen"], self.listen),
            ("--admin", &["admin"], self.admin),
            ("--upstream", &["upstream", "address"], self.upstream),
            ("--log-level", &["log", "level"], self.log_level),
            ("--log-format", &["log", "format"], self.log_format),
        ];
        flags
            .into_iter()
            .filter_map(|(flag, path, value)| Some((flag, path, value?)))
    }
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
fn nested(path: &[String], value: String) -> Dict {
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
            Shape::Map(_) => {}
        }
        defaults.insert(key.name.to_owned(), Value::from(inner));
    }
}
