//! The lines of a status about the configuration.

use pyrotee_admin::json::status::ConfigJson;

use pyrotee_terminal::counted;

/// A line for each trouble with the configuration: faults of the file, keys that need a restart, files that keep their last
/// good content, servers that are not verified, certificates that expire. None if nothing is wrong.
pub(super) fn lines(config: &ConfigJson) -> Vec<String> {
    let mut lines = Vec::new();
    if !config.faults.is_empty() {
        let faults = counted(config.faults.len() as u64, "fault");
        lines.push(format!(
            "configuration: {faults} in the file, which is not applied; a restart now would fail"
        ));
        lines.extend(config.faults.iter().map(|fault| format!("  {fault}")));
    } else if !config.last_reload_successful {
        lines.push("configuration: the last reload failed: see the relay's log".to_owned());
    }
    if !config.restart_required.is_empty() {
        let keys = config.restart_required.join(", ");
        lines.push(format!("configuration: needs a restart: {keys}"));
    }
    let stale = config.stale_files.iter();
    lines.extend(stale.map(|file| {
        format!(
            "configuration: {} keeps its last good content: {}",
            file.path, file.text
        )
    }));
    let unverified = config.unverified_servers.iter();
    lines.extend(unverified.map(|section| {
        format!("configuration: {section}.insecure-skip-verify: any certificate is accepted")
    }));
    let certificates = config.certificate_warnings.iter();
    lines.extend(certificates.map(|warning| format!("configuration: {warning}")));
    lines
}

#[cfg(test)]
pub(super) mod tests {
    use pyrotee_admin::json::status::StaleFileJson;

    use super::*;

    /// A configuration with nothing wrong.
    pub(in super::super) fn good() -> ConfigJson {
        ConfigJson {
            hash: "a".to_owned(),
            loaded_at: String::new(),
            last_attempt_at: None,
            last_reload_successful: true,
            faults: Vec::new(),
            restart_required: Vec::new(),
            stale_files: Vec::new(),
            unverified_servers: Vec::new(),
            certificate_warnings: Vec::new(),
        }
    }

    #[test]
    fn a_configuration_with_nothing_wrong_has_no_line() {
        assert_eq!(lines(&good()), Vec::<String>::new());
    }

    #[test]
    fn each_trouble_is_named() {
        let faulty = |faults: &[&str]| ConfigJson {
            faults: faults.iter().map(|it| (*it).to_owned()).collect(),
            last_reload_successful: false,
            ..good()
        };
        let shown = lines(&faulty(&["listen: no address", "admin: no address"]));
        assert!(
            shown[0].starts_with("configuration: 2 faults in the file"),
            "{shown:?}"
        );
        assert_eq!(shown[1..], ["  listen: no address", "  admin: no address"]);
        let shown = lines(&faulty(&["listen: no address"]));
        assert!(
            shown[0].starts_with("configuration: 1 fault in the file"),
            "{shown:?}"
        );
        assert_eq!(lines(&faulty(&[])).len(), 1);

        let restart = ConfigJson {
            restart_required: vec!["listen".to_owned(), "spool.dir".to_owned()],
            ..good()
        };
        assert_eq!(
            lines(&restart),
            ["configuration: needs a restart: listen, spool.dir"]
        );
        let stale = ConfigJson {
            stale_files: vec![StaleFileJson {
                path: "/run/token".to_owned(),
                text: "it is empty".to_owned(),
            }],
            ..good()
        };
        let line = "configuration: /run/token keeps its last good content: it is empty";
        assert_eq!(lines(&stale), [line]);
        let unverified = ConfigJson {
            unverified_servers: vec!["upstream.tls".to_owned()],
            ..good()
        };
        let line = "configuration: upstream.tls.insecure-skip-verify: any certificate is accepted";
        assert_eq!(lines(&unverified), [line]);
        let expiring = ConfigJson {
            certificate_warnings: vec!["listen-tls.cert-file: expired; renew it".to_owned()],
            ..good()
        };
        let line = "configuration: listen-tls.cert-file: expired; renew it";
        assert_eq!(lines(&expiring), [line]);
    }
}
