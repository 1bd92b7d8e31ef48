//! Credentials for a target, which are a token or a user and password, and the `admin-token`.

use pyrotee_net::UserInfo;
use secrecy::{ExposeSecret, SecretString};

use crate::{reader::Scope, settings::Credentials};

const TOKEN: &str = "auth-token";
pub(crate) const ADMIN_TOKEN: &str = "admin-token";
const USER: &str = "basic-auth-user";
const PASSWORD: &str = "basic-auth-password";

/// The credentials of a target, from its keys or from its address. No fault shows a credential.
pub(super) fn credentials(
    scope: &Scope<'_>,
    userinfo: Option<&UserInfo>,
) -> Option<Option<Credentials>> {
    let token = secret(scope, TOKEN);
    let user = secret(scope, USER);
    let password = secret(scope, PASSWORD);
    let given = |key: &str, value: &Option<Option<SecretString>>| {
        scope.is_faulty(key) || value.as_ref().is_none_or(Option::is_some)
    };
    let (has_token, has_user, has_password) = (
        given(TOKEN, &token),
        given(USER, &user),
        given(PASSWORD, &password),
    );
    let mut fine = true;
    let mut fault = |key: &str, text: &str| {
        scope.fault(key, text);
        fine = false;
    };
    if has_token && (has_user || has_password) {
        fault(
            TOKEN,
            "stands beside basic-auth-user or basic-auth-password; keep one of the two",
        );
    }
    if has_token && userinfo.is_some() {
        fault(
            TOKEN,
            "stands beside a user in the address; keep one of the two",
        );
    }
    if (has_user || has_password) && userinfo.is_some() {
        let key = if has_user { USER } else { PASSWORD };
        fault(
            key,
            "stands beside a user in the address; keep one of the two",
        );
    }
    if has_user && !has_password {
        fault(
            USER,
            "stands without basic-auth-password; write both or neither",
        );
    }
    if has_password && !has_user {
        fault(
            PASSWORD,
            "stands without basic-auth-user; write both or neither",
        );
    }
    let basic = match userinfo {
        None => None,
        Some(info) => match parts(info) {
            Ok(basic) => {
                scope.warn_of_variables("address");
                Some(basic)
            }
            Err(text) => {
                fault("address", text);
                None
            }
        },
    };
    // `&` instead of `&&`: all three are checked, so that all faults are reported.
    let checked = token
        .iter()
        .flatten()
        .all(|token| check_token(scope, TOKEN, token))
        & user.iter().flatten().all(|user| check_user(scope, user))
        & password
            .iter()
            .flatten()
            .all(|password| check_text(scope, PASSWORD, password));
    let (token, user, password) = (token?, user?, password?);
    if !(fine && checked) {
        return None;
    }
    Some(match (token, user.zip(password), basic) {
        (Some(token), _, _) => Some(Credentials::Bearer(token)),
        (None, Some((user, password)), _) | (None, None, Some((user, password))) => {
            Some(Credentials::Basic { user, password })
        }
        (None, None, None) => None,
    })
}

/// The bearer token of admin requests that change state or read dead letters.
pub(crate) fn admin_token(root: &Scope<'_>) -> Option<Option<SecretString>> {
    let token = secret(root, ADMIN_TOKEN)?;
    match &token {
        Some(token) if !check_token(root, ADMIN_TOKEN, token) => None,
        _ => Some(token),
    }
}

/// The value of a secret key: the outer `None` if it is faulty, the inner `None` if it is not given. An empty value
/// counts as not given, as in Pyroscope 0.37, and causes a warning.
fn secret(scope: &Scope<'_>, key: &str) -> Option<Option<SecretString>> {
    match scope.text(key) {
        None => (!scope.is_faulty(key)).then_some(None),
        Some("") => {
            let path = scope.shown_path(key);
            scope
                .tree()
                .warn(format!("{path}: is empty, so it counts as not given"));
            Some(None)
        }
        Some(text) => {
            scope.warn_of_variables(key);
            Some(Some(SecretString::from(text)))
        }
    }
}

fn parts(info: &UserInfo) -> Result<(SecretString, SecretString), &'static str> {
    let Some(password) = &info.password else {
        return Err("has a user without password; write http://USER:PASSWORD@HOST");
    };
    let user = info.user.expose_secret();
    if user.is_empty() {
        return Err("has a password without user; write http://USER:PASSWORD@HOST");
    }
    if user.contains(':') {
        return Err(
            "has a user with a `:`, which Basic authentication has no room for; \
                    write another",
        );
    }
    if has_control(user) || has_control(password.expose_secret()) {
        return Err("has a control character in user or password; remove it");
    }
    Ok((info.user.clone(), password.clone()))
}

fn check_token(scope: &Scope<'_>, key: &str, token: &SecretString) -> bool {
    let token = token.expose_secret();
    let scheme = token
        .get(..7)
        .is_some_and(|start| start.eq_ignore_ascii_case("bearer "));
    if scheme {
        scope.fault(
            key,
            "begins with `Bearer`, which is added anyway; write the token alone",
        );
    } else if !token.bytes().all(|b| b.is_ascii_graphic()) {
        let text = "has white space, a line break or a character beyond ASCII; write the token \
                    alone";
        scope.fault(key, text);
    } else {
        return true;
    }
    false
}

fn check_user(scope: &Scope<'_>, user: &SecretString) -> bool {
    if user.expose_secret().contains(':') {
        let text = "has a `:`, which Basic authentication has no room for; write another";
        scope.fault(USER, text);
        return false;
    }
    check_text(scope, USER, user)
}

/// RFC 7617 §2 allows no control characters. A usual cause is the line break at the end of a file.
fn check_text(scope: &Scope<'_>, key: &str, text: &SecretString) -> bool {
    if has_control(text.expose_secret()) {
        scope.fault(
            key,
            "has a line break or another control character; remove it",
        );
        return false;
    }
    true
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}
