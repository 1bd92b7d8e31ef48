//! All keys of the configuration, with their defaults. The reader of the file, the layer of the environment,
//! suggestions and the test of `docs/configuration.md` share this list.

/// The kind of value that a key takes.
#[derive(Debug)]
pub(crate) enum Shape {
    /// One scalar.
    Text,
    /// Scalars in a list, or one scalar with commas between them, as a variable has it.
    Texts,
    /// Fixed keys.
    Section(&'static [Key]),
    /// Keys of the user's choice, whose values all have the same shape.
    Map(&'static Shape),
    /// The list of jobs of pull mode, which only the file has; [`pyrotee_scrape_config::read_jobs`] reads it.
    Jobs,
}

/// A fixed key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    /// The default in the notation of the file; `None` for no default. Where a zero means the default, as in
    /// Pyroscope 0.37, the zero is replaced by this text.
    pub(crate) default: Option<&'static str>,
}

const fn text(name: &'static str, default: &'static str) -> Key {
    Key {
        name,
        shape: Shape::Text,
        default: Some(default),
    }
}

const fn optional(name: &'static str) -> Key {
    Key {
        name,
        shape: Shape::Text,
        default: None,
    }
}

const fn texts(name: &'static str) -> Key {
    Key {
        name,
        shape: Shape::Texts,
        default: None,
    }
}

const fn section(name: &'static str, keys: &'static [Key]) -> Key {
    Key {
        name,
        shape: Shape::Section(keys),
        default: None,
    }
}

const fn map(name: &'static str, of: &'static Shape) -> Key {
    Key {
        name,
        shape: Shape::Map(of),
        default: None,
    }
}

const fn jobs(name: &'static str) -> Key {
    Key {
        name,
        shape: Shape::Jobs,
        default: None,
    }
}

/// The default address of the upstream; not used if local writes are disabled.
pub(crate) const UPSTREAM_ADDRESS: &str = "http://127.0.0.1:4042";

/// The keys of TLS towards a server.
static CLIENT_TLS: &[Key] = &[
    optional("ca-file"),
    text("system-roots", "false"),
    optional("cert-file"),
    optional("key-file"),
    optional("server-name"),
    text("min-version", "1.2"),
    text("insecure-skip-verify", "false"),
];

/// The keys of TLS of a listener.
static LISTENER_TLS: &[Key] = &[
    optional("cert-file"),
    optional("key-file"),
    optional("client-ca-file"),
    // `require` with `client-ca-file`, else `none`.
    optional("client-auth"),
    text("min-version", "1.2"),
];

/// The whole configuration.
pub(crate) static ROOT: Shape = Shape::Section(&[
    text("listen", ":4040"),
    section("listen-tls", LISTENER_TLS),
    text("admin", ":4041"),
    section("admin-tls", LISTENER_TLS),
    optional("admin-token"),
    optional("admin-hosts"),
    section(
        "upstream",
        &[
            optional("address"),
            text("timeout", "60s"),
            text("forwarded-headers", "true"),
            text("max-connections", "0"),
            section("tls", CLIENT_TLS),
        ],
    ),
    text("memory-limit", "256MiB"),
    section(
        "tee",
        &[
            text("max-body", "64MiB"),
            text("on", "always"),
            text("duplicates", "drop"),
        ],
    ),
    section(
        "spool",
        &[
            optional("dir"),
            text("max-bytes", "1GiB"),
            text("segment-bytes", "8MiB"),
            text("fsync", "interval"),
        ],
    ),
    section(
        "dead-letters",
        &[optional("dir"), text("max-bytes", "64MiB")],
    ),
    section(
        "shared",
        &[
            texts("servers"),
            section(
                "auth",
                &[
                    optional("creds-file"),
                    optional("nkey-file"),
                    optional("token"),
                    optional("user"),
                    optional("password"),
                ],
            ),
            section("tls", CLIENT_TLS),
            text("prefix", "pyrotee"),
            text("mode", "overflow"),
            text("after", "10s"),
            text("policy", "manage"),
            text("replicas", "3"),
            text("max-bytes", "1GiB"),
            optional("drain-spool"),
        ],
    ),
    section("shutdown", &[text("grace", "25s")]),
    section("reload", &[text("interval", "5s"), text("drain", "10m")]),
    section("log", &[text("level", "info"), text("format", "text")]),
    section(
        "scrape",
        &[
            text("max-body", "16MiB"),
            text("max-unpacked", "64MiB"),
            text("max-targets", "1000"),
            text("max-concurrent", "16"),
            text("state-limit", "32MiB"),
            optional("tenant-id"),
            map("headers", &Shape::Text),
        ],
    ),
    jobs(pyrotee_scrape_config::KEY),
    section(
        "remote-write",
        &[
            text("enabled", "false"),
            text("disable-local-writes", "false"),
            map("targets", &Shape::Section(TARGET)),
        ],
    ),
]);

/// The keys of a target.
pub(crate) static TARGET: &[Key] = &[
    optional("address"),
    section("tls", CLIENT_TLS),
    optional("auth-token"),
    optional("basic-auth-user"),
    optional("basic-auth-password"),
    optional("tenant-id"),
    map("headers", &Shape::Text),
    map("tags", &Shape::Text),
    text("tag-keys", "legacy"),
    section(
        "paths",
        &[optional("ingest"), optional("push"), optional("otlp")],
    ),
    text("timeout", "10s"),
    text("queue-size", "100"),
    text("queue-bytes", "64MiB"),
    // 0 means max(4 × CPUs, 64), which is known only at start.
    text("queue-workers", "0"),
    text("on-full", "drop-newest"),
    text("max-age", "55m"),
    text("on-ambiguous", "retry"),
    text("replay-rate", "2MB"),
    // `shared.max-bytes` without this key.
    optional("shared-max-bytes"),
    map("outcomes", &Shape::Text),
];

/// The default of a key of a target.
pub(crate) fn target_default(name: &str) -> &'static str {
    let key = TARGET.iter().find(|key| key.name == name);
    key.and_then(|key| key.default).unwrap_or_default()
}

/// The text of a fault for an unknown key: a similar key, the section that has the key, or all keys of the section.
pub(crate) fn remedy(unknown: &str, keys: &[Key]) -> String {
    let plain = unknown.to_ascii_lowercase().replace('_', "-");
    if let Some(name) = pyrotee_yaml::nearest(unknown, keys.iter().map(|key| key.name)) {
        return format!("unknown key; did you mean `{name}`?");
    }
    let here = keys.iter().find(
        |key| matches!(&key.shape, Shape::Section(of) if of.iter().any(|it| it.name == plain)),
    );
    let place = here.map(|section| section.name.to_owned());
    if let Some(section) = place.or_else(|| home(&plain, &ROOT, "")) {
        return format!("unknown key here; it belongs under `{section}`");
    }
    let names: Vec<_> = keys.iter().map(|key| key.name).collect();
    format!("unknown key; known here: {}", names.join(", "))
}

/// The path of a section that has a key of this name, for a key with a wrong indentation.
fn home(name: &str, shape: &Shape, path: &str) -> Option<String> {
    match shape {
        Shape::Text | Shape::Texts | Shape::Jobs => None,
        Shape::Map(of) => home(name, of, &format!("{path}.NAME")),
        Shape::Section(keys) => {
            if !path.is_empty() && keys.iter().any(|key| key.name == name) {
                return Some(path.to_owned());
            }
            keys.iter().find_map(|key| {
                let dot = if path.is_empty() { "" } else { "." };
                home(name, &key.shape, &format!("{path}{dot}{}", key.name))
            })
        }
    }
}
