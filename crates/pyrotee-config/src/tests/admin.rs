//! The keys `admin` and `admin-token` alone, which commands read.

use std::fs;

use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use crate::{Faults, Flags, Sources, admin_address, admin_token};

fn read(yaml: Option<&str>, env: &[(&str, &str)]) -> Result<String, Faults> {
    let address = with(yaml, env, admin_address);
    address.map(|address| address.to_string())
}

fn with<T>(yaml: Option<&str>, env: &[(&str, &str)], read: impl FnOnce(Sources) -> T) -> T {
    let dir = TempDir::new().unwrap();
    let file = yaml.map(|yaml| {
        let path = dir.path().join("pyrotee.yaml");
        fs::write(&path, yaml).unwrap();
        path
    });
    let env = env.iter();
    read(Sources {
        file,
        env: env.map(|&(k, v)| (k.to_owned(), v.to_owned())).collect(),
        flags: Flags::default(),
        cpus: 1,
    })
}

#[test]
fn the_environment_overrides_the_file_and_the_file_the_default() {
    assert_eq!(read(None, &[]).unwrap(), ":4041");
    assert_eq!(read(Some(""), &[]).unwrap(), ":4041");
    assert_eq!(read(Some("listen: :1"), &[]).unwrap(), ":4041");
    let file = Some("admin: localhost:5");
    assert_eq!(read(file, &[]).unwrap(), "127.0.0.1:5");
    assert_eq!(read(file, &[("pyrotee__admin", ":6")]).unwrap(), ":6");
    assert_eq!(
        read(file, &[("PYROTEE__ADMIN", "")]).unwrap(),
        "127.0.0.1:5"
    );
    assert_eq!(read(None, &[("PYROTEE__ADMIN", ":6")]).unwrap(), ":6");
    let variable = Some("admin: \":${PORT}\"");
    assert_eq!(read(variable, &[("PORT", "7")]).unwrap(), ":7");
}

#[test]
fn faults_of_other_keys_do_not_matter() {
    let yaml = "\
admin: :5
admin-token: ${file:/none}
listen: nowhere
upstrem: {}
remote-write:
  targets: { a: { auth-token: \"${NONE}\", timeout: 1 } }
";
    let env = [("PYROTEE__LISTEN", "x"), ("PYROTEE__NOTHING", "x")];
    assert_eq!(read(Some(yaml), &env).unwrap(), ":5");
}

#[test]
fn faults_of_the_key_itself_are_reported() {
    for (yaml, env, word) in [
        (Some("admin: 4041"), None, ":1: admin: `4041` has no `:`"),
        (Some("admin: \"${NONE}\""), None, "`NONE` is not set"),
        (Some("admin: []"), None, "takes one value"),
        (Some("admin: :5\nadmin: :6"), None, "admin"),
        (Some("a: ["), None, "not valid YAML"),
        (
            None,
            Some(("PYROTEE__ADMIN", "x")),
            "environment PYROTEE__ADMIN",
        ),
    ] {
        let faults = read(yaml, env.as_slice()).unwrap_err().to_string();
        assert!(faults.contains(word), "{yaml:?}: {faults}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault() {
    for (path, word) in [
        ("/none/pyrotee.yaml", "cannot be read"),
        ("/dev/null", "no regular file"),
    ] {
        let sources = Sources {
            file: Some(path.into()),
            ..Sources::default()
        };
        let faults = admin_address(sources).unwrap_err().to_string();
        assert!(faults.contains(path) && faults.contains(word), "{faults}");
    }
}

#[test]
fn the_token_needs_no_other_secret() {
    let token = |yaml, env: &[(&str, &str)]| {
        let token = with(yaml, env, admin_token)?;
        Ok::<_, Faults>(token.map(|it| it.expose_secret().to_owned()))
    };
    let other = "remote-write:\n  targets: { a: { auth-token: \"${NONE}\" } }\n";
    let yaml = format!("admin-token: ${{TOKEN}}\n{other}");
    let env = ("TOKEN", "s3cret");
    assert_eq!(token(Some(&yaml), &[env]).unwrap().unwrap(), "s3cret");
    assert_eq!(token(Some(other), &[env]).unwrap(), None);
    let set = ("PYROTEE__ADMIN_TOKEN", "other");
    assert_eq!(token(Some(&yaml), &[env, set]).unwrap().unwrap(), "other");
    assert_eq!(token(None, &[]).unwrap(), None);
    let faults = token(Some(&yaml), &[]).unwrap_err().to_string();
    assert!(
        faults.contains("admin-token: ") && faults.contains("`TOKEN`"),
        "{faults}"
    );
}
