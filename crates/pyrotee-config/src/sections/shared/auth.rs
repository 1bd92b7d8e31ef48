//! How the relay logs in to NATS.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use crate::{reader::Scope, settings::SharedAuth};

const CREDS_FILE: &str = "creds-file";
const NKEY_FILE: &str = "nkey-file";
const TOKEN: &str = "token";
const USER: &str = "user";
const PASSWORD: &str = "password";

/// First line of the JWT in a file of credentials.
const JWT: &str = "-----BEGIN NATS USER JWT-----";

/// First letters of the seed of a user's nkey.
const SEED: &str = "SU";

/// Length of a seed, in characters.
const SEED_LENGTH: usize = 58;

/// The credentials in `auth`. More than one kind of them is a fault. No fault shows a credential.
pub(super) fn auth(shared: &Scope<'_>) -> Option<SharedAuth> {
    if shared.is_faulty("auth") {
        return None;
    }
    let scope = &shared.scope("auth");
    let given = |key: &str| scope.is_set(key);
    let kinds = [CREDS_FILE, NKEY_FILE, TOKEN]
        .into_iter()
        .chain([USER, PASSWORD].into_iter().find(|key| given(key)));
    let kinds: Vec<&str> = kinds.filter(|key| given(key)).collect();
    let mut fine = true;
    if let [one, other, ..] = kinds.as_slice() {
        let text = format!(
            "stands beside {one}; keep one of creds-file, nkey-file, token, and user with password"
        );
        scope.fault(other, &text);
        fine = false;
    }
    for (one, other) in [(USER, PASSWORD), (PASSWORD, USER)] {
        if given(one) && !given(other) {
            scope.fault(
                one,
                &format!("stands without {other}; write both or neither"),
            );
            fine = false;
        }
    }
    let creds = file(scope, CREDS_FILE, |text| text.contains(JWT));
    let nkey = file(scope, NKEY_FILE, |text| {
        text.lines().any(|line| line.trim().starts_with(SEED))
    });
    let token = text(scope, TOKEN);
    let (user, password) = (text(scope, USER), text(scope, PASSWORD));
    let (creds, nkey, token) = (creds?, nkey?, token?);
    let user = user?.zip(password?);
    fine.then_some(match (creds, nkey, token, user) {
        (Some(path), ..) => SharedAuth::CredsFile(path),
        (_, Some(path), ..) => SharedAuth::NkeyFile(path),
        (_, _, Some(token), _) => SharedAuth::Token(SecretString::from(token)),
        (.., Some((user, password))) => SharedAuth::User {
            user: user.to_owned(),
            password: SecretString::from(password),
        },
        (None, None, None, None) => SharedAuth::None,
    })
}

/// The value of a key: the outer `None` if it is faulty, the inner `None` if it is not given.
fn text<'t>(scope: &Scope<'t>, key: &str) -> Option<Option<&'t str>> {
    let Some(text) = scope.text(key) else {
        return (!scope.is_faulty(key)).then_some(None);
    };
    if text.is_empty() {
        scope.fault(key, "is empty; write a value, or remove the key");
    } else if text.chars().any(char::is_control) {
        let text = "has a line break or another control character; remove it";
        scope.fault(key, text);
    } else {
        return Some(Some(text));
    }
    None
}

/// The absolute path of a file of credentials, which is there and whose content `is_right`.
fn file(scope: &Scope<'_>, key: &str, is_right: impl Fn(&str) -> bool) -> Option<Option<PathBuf>> {
    let Some(path) = scope.text(key) else {
        return (!scope.is_faulty(key)).then_some(None);
    };
    let is_seed = path.len() == SEED_LENGTH && path.starts_with(SEED);
    if is_seed || path.contains("-----BEGIN") || path.chars().any(char::is_control) {
        let text = "holds the credentials themselves; write them into a file, and the path of the file here";
        scope.fault(key, text);
        return None;
    }
    let read = match path {
        "" => Err("is empty; write the path of a file, or remove the key".to_owned()),
        path => scope.tree().files().credentials(path),
    };
    match read {
        Ok((path, content)) if is_right(content.expose_secret()) => Some(Some(path)),
        Ok((path, _)) => {
            let (path, wanted) = (
                path.display(),
                match key {
                    CREDS_FILE => {
                        "a user JWT and its seed; write the path of a file as `nsc generate creds` prints it"
                    }
                    _ => {
                        "the seed of a user (`SU…`); write the path of a file as `nk -gen user` prints it"
                    }
                },
            );
            scope.fault(key, &format!("the file `{path}` does not hold {wanted}"));
            None
        }
        Err(text) => {
            scope.fault(key, &text);
            None
        }
    }
}
