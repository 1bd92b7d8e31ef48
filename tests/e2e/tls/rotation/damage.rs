//! The ways in which a new pair arrives damaged.

use pyrotee_tls::testing::Pair;

/// Names and contents of the files of a section; `None`: the file is gone.
pub(super) type Files = [(&'static str, Option<String>); 3];

/// A way in which a new pair arrives damaged.
pub(in crate::tls) struct Damage {
    pub(in crate::tls) word: &'static str,
    /// Words of the status and of the log.
    pub(in crate::tls) says: &'static str,
    /// The damaged files, of a new pair and the authority in PEM.
    pub(super) files: fn(&Pair, &str) -> Files,
}

/// The files of a new pair, with other contents of those that are named.
fn with(pair: &Pair, ca: &str, change: &[(&str, Option<String>)]) -> Files {
    let of = |name: &'static str, whole: &str| {
        let changed = change.iter().find(|(changed, _)| *changed == name);
        let content = changed.map_or(Some(whole.to_owned()), |(_, content)| content.clone());
        (name, content)
    };
    [
        of("tls.crt", &pair.cert),
        of("tls.key", &pair.key),
        of("ca.crt", ca),
    ]
}

/// Every kind of damage.
pub(in crate::tls) const DAMAGES: [Damage; 9] = [
    Damage {
        word: "cut certificate",
        says: "ends within a PEM block",
        files: |pair, ca| {
            let half = pair.cert[..pair.cert.len() / 2].to_owned();
            with(pair, ca, &[("tls.crt", Some(half))])
        },
    },
    Damage {
        word: "cut key",
        says: "ends within a PEM block",
        files: |pair, ca| {
            let half = pair.key[..pair.key.len() / 2].to_owned();
            with(pair, ca, &[("tls.key", Some(half))])
        },
    },
    Damage {
        word: "empty certificate",
        says: "is empty",
        files: |pair, ca| with(pair, ca, &[("tls.crt", Some(String::new()))]),
    },
    Damage {
        word: "key of another certificate",
        says: "holds the key of another certificate",
        files: |pair, ca| {
            let other = Pair::self_signed(&["localhost"], false);
            with(pair, ca, &[("tls.key", Some(other.key))])
        },
    },
    Damage {
        word: "no key",
        says: "cannot be read",
        files: |pair, ca| with(pair, ca, &[("tls.key", None)]),
    },
    Damage {
        word: "encrypted key",
        says: "holds an encrypted private key",
        files: |pair, ca| {
            let key = pair.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
            with(pair, ca, &[("tls.key", Some(key))])
        },
    },
    Damage {
        word: "swapped files",
        says: "check whether cert-file and key-file are swapped",
        files: |pair, ca| {
            let swapped = [
                ("tls.crt", Some(pair.key.clone())),
                ("tls.key", Some(pair.cert.clone())),
            ];
            with(pair, ca, &swapped)
        },
    },
    Damage {
        word: "noise as authority",
        says: "holds no PEM block",
        files: |pair, ca| with(pair, ca, &[("ca.crt", Some("noise".to_owned()))]),
    },
    Damage {
        word: "no authority",
        says: "is empty",
        files: |pair, ca| with(pair, ca, &[("ca.crt", Some("\n".to_owned()))]),
    },
];
