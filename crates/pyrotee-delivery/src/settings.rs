//! What a target is.

use std::num::NonZeroU64;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HOST, InvalidHeaderValue, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use pyroscope_wire::Tags;
use pyroscope_wire::refusal::Rules;
use pyrotee_net::Address;
use secrecy::{ExposeSecret, SecretString};

/// The tenant, for Pyroscopes that have several.
const TENANT: HeaderName = HeaderName::from_static("x-scope-orgid");

/// Who is uploading.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("pyrotee/", env!("CARGO_PKG_VERSION")));

/// One target, checked: nothing in here can be wrong in a way that a user should hear of later.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its identity, and the `target` label.
    pub name: String,
    /// Where its Pyroscope is.
    pub address: Address,
    /// How it knows us.
    pub credentials: Option<Credentials>,
    /// Value of `X-Scope-OrgID`.
    pub tenant: Option<String>,
    /// Further headers; their values may be secrets.
    pub headers: Vec<(HeaderName, SecretString)>,
    /// Labels that every profile gets.
    pub tags: Tags,
    /// Limit of one whole upload, connecting included.
    pub timeout: Duration,
    /// Most uploads at once; 0 is taken for 1.
    pub workers: usize,
    /// How long after its receipt a profile is given up; `None` keeps it until it is delivered. The
    /// times that a profile itself tells do not count.
    pub max_age: Option<Duration>,
    /// What becomes of a profile that the target may have.
    pub on_ambiguous: OnAmbiguous,
    /// Most bytes a second, lengths of captured bodies, that the backlog of a target which was away
    /// is sent at; `None` is no limit. Fresh profiles are not held back.
    pub replay_rate: Option<NonZeroU64>,
    /// What answers mean that are no success.
    pub rules: Rules,
}

/// What becomes of a profile whose upload ended so that nobody knows whether the target has it: a
/// timeout, or a connection that broke after the whole body went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnAmbiguous {
    /// It is sent again. If the target had it, its samples count twice, for no Pyroscope knows a
    /// profile again.
    Retry,
    /// It is given up and counted. If the target did not have it, it is lost.
    Drop,
}

/// Credentials of a target.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// `Authorization: Bearer`.
    Bearer(SecretString),
    /// `Authorization: Basic` (RFC 7617).
    Basic {
        /// May not contain a colon.
        user: SecretString,
        /// May be empty.
        password: SecretString,
    },
}

/// A setting that cannot be sent as a header. The value is not repeated: it may be a secret.
#[derive(Debug, thiserror::Error)]
#[error("send {what} as a header")]
pub struct SettingsError {
    what: String,
    #[source]
    source: InvalidHeaderValue,
}

impl Settings {
    /// The headers that every upload to this target carries.
    pub(crate) fn headers(&self) -> Result<HeaderMap, SettingsError> {
        let mut headers = HeaderMap::new();
        headers.insert(
            HOST,
            value("the address", self.address.authority().as_str())?,
        );
        headers.insert(USER_AGENT, AGENT);
        for (name, text) in &self.headers {
            headers.insert(name.clone(), secret(name.as_str(), text.expose_secret())?);
        }
        if let Some(credentials) = &self.credentials {
            headers.insert(AUTHORIZATION, credentials.authorization()?);
        }
        if let Some(tenant) = &self.tenant {
            headers.insert(TENANT, value("tenant-id", tenant)?);
        }
        Ok(headers)
    }
}

impl Settings {
    /// Everything that must not be told of this target, in each form that it is sent in.
    pub(crate) fn secrets(&self) -> Vec<SecretString> {
        let mut secrets: Vec<_> = self
            .headers
            .iter()
            .map(|(_, value)| value.clone())
            .collect();
        match &self.credentials {
            Some(Credentials::Bearer(token)) => secrets.push(token.clone()),
            Some(Credentials::Basic { user, password }) => {
                secrets.push(user.clone());
                secrets.push(password.clone());
                secrets.push(encoded(user, password).into());
            }
            None => {}
        }
        secrets
    }
}

/// The pair as RFC 7617 sends it.
fn encoded(user: &SecretString, password: &SecretString) -> String {
    STANDARD.encode(format!(
        "{}:{}",
        user.expose_secret(),
        password.expose_secret()
    ))
}

impl Credentials {
    fn authorization(&self) -> Result<HeaderValue, SettingsError> {
        match self {
            Self::Bearer(token) => {
                secret("auth-token", &format!("Bearer {}", token.expose_secret()))
            }
            Self::Basic { user, password } => secret(
                "basic-auth-user",
                &format!("Basic {}", encoded(user, password)),
            ),
        }
    }
}

fn value(what: &str, text: &str) -> Result<HeaderValue, SettingsError> {
    // As bytes: a token may hold letters beyond ASCII, and header values may too (RFC 9110 §5.5).
    HeaderValue::from_bytes(text.as_bytes()).map_err(|source| SettingsError {
        what: what.to_owned(),
        source,
    })
}

fn secret(what: &str, text: &str) -> Result<HeaderValue, SettingsError> {
    let mut value = value(what, text)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            name: "central".to_owned(),
            address: Address::parse("http://[::1]:4040/base/").unwrap().address,
            credentials: None,
            tenant: None,
            headers: Vec::new(),
            tags: Tags::default(),
            timeout: Duration::from_secs(10),
            workers: 1,
            max_age: None,
            on_ambiguous: OnAmbiguous::Retry,
            replay_rate: None,
            rules: Rules::default(),
        }
    }

    #[test]
    fn basic_credentials_are_encoded_as_rfc_7617_says() {
        let basic = Credentials::Basic {
            user: "Aladdin".into(),
            password: "open sesame".into(),
        };
        let headers = Settings {
            credentials: Some(basic),
            ..settings()
        }
        .headers()
        .unwrap();
        assert_eq!(headers[AUTHORIZATION], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(headers[HOST], "[::1]:4040");
    }

    #[test]
    fn secrets_do_not_print() {
        let settings = Settings {
            credentials: Some(Credentials::Bearer("hunter2".into())),
            headers: vec![(HeaderName::from_static("x-key"), "hunter3".into())],
            tenant: Some("team".to_owned()),
            ..settings()
        };
        let printed = format!("{settings:?} {:?}", settings.headers().unwrap());
        assert!(!printed.contains("hunter"), "{printed}");
        assert!(printed.contains("team"));

        let broken = Credentials::Bearer("hunter2\n".into());
        let error = Settings {
            credentials: Some(broken),
            ..settings
        }
        .headers()
        .unwrap_err();
        assert_eq!(error.to_string(), "send auth-token as a header");
    }
}
