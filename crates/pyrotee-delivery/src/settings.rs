//! The settings of a target.

use std::num::NonZeroU64;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HOST, InvalidHeaderValue, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use pyroscope_wire::refusal::Rules;
use pyroscope_wire::{SurfacePaths, Tags};
use pyrotee_net::Address;
use pyrotee_tls::ClientTls;
use secrecy::{ExposeSecret, SecretString};

/// Header with the tenant, for Pyroscopes with several tenants.
const TENANT: HeaderName = HeaderName::from_static("x-scope-orgid");

/// Value of `User-Agent`.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("pyrotee/", env!("CARGO_PKG_VERSION")));

/// The settings of one target. All values are valid, except that [`crate::Deliverer::new`] rejects a value that
/// cannot be sent as a header.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The target's identity, and the value of the `target` label.
    pub name: String,
    /// Address of the remote Pyroscope.
    pub address: Address,
    /// TLS to the target, if its address is `https://`. `None`: that of the connector.
    pub tls: Option<ClientTls>,
    /// Credentials that every upload carries.
    pub credentials: Option<Credentials>,
    /// Value of `X-Scope-OrgID`.
    pub tenant: Option<String>,
    /// Further headers of every upload; their values may be secrets.
    pub headers: Vec<(HeaderName, SecretString)>,
    /// Labels that are added to every profile.
    pub tags: Tags,
    /// Paths of the surfaces at this target, where the paths differ from Pyroscope's.
    pub paths: SurfacePaths,
    /// Time limit of one upload, from connecting to the head of the response.
    pub timeout: Duration,
    /// Most uploads at once; 0 is taken for 1.
    pub workers: usize,
    /// A record expires this long after its receipt; `None` keeps it until it is delivered. The times in the
    /// profile itself do not count.
    pub max_age: Option<Duration>,
    /// What to do when it is unknown whether the target received a profile.
    pub on_ambiguous: OnAmbiguous,
    /// Pacing of the backlog: most bytes per second, counted as lengths of captured bodies; `None` is no limit. Fresh
    /// profiles are not paced.
    pub replay_rate: Option<NonZeroU64>,
    /// What responses mean. A rule for a 2xx can only say that the response is an acknowledgement.
    pub rules: Rules,
}

/// What to do when an upload was ambiguous: after the whole request was written, the upload timed out or the
/// connection broke, so it is unknown whether the target received the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnAmbiguous {
    /// Retry. If the target had received the profile, its samples count twice: a Pyroscope does not recognise a
    /// duplicate.
    Retry,
    /// Drop the record. If the target had not received the profile, the profile is lost.
    Drop,
}

/// Credentials that pyrotee sends to a target.
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

/// A setting that cannot be sent as a header. The message does not contain the value: it may be a secret.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be sent as a header: remove control characters such as line breaks")]
pub struct SettingsError {
    what: String,
    #[source]
    source: InvalidHeaderValue,
}

impl Settings {
    /// Whether the settings can be put in force.
    ///
    /// # Errors
    ///
    /// If a setting cannot be sent as a header.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.headers().map(drop)
    }

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
    /// The secrets of this target, in each form in which they are sent.
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

/// How a change of a target's settings affects the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettingsChange {
    /// The settings are equal.
    None,
    /// Uploads change. Whether the target accepts them does not depend on the change.
    Uploads,
    /// The target may accept uploads that it refused before, or the reverse: earlier outcomes show nothing any more.
    Acceptance,
}

impl Settings {
    /// How a change from these settings to `new` affects the delivery. Secrets are compared, too. Names are not: the
    /// name is the identity of the target.
    pub(crate) fn change_to(&self, new: &Self) -> SettingsChange {
        if self.acceptance() != new.acceptance() {
            SettingsChange::Acceptance
        } else if self.uploads() != new.uploads() {
            SettingsChange::Uploads
        } else {
            SettingsChange::None
        }
    }

    /// The settings that decide whether the target accepts an upload, and what its responses mean.
    fn acceptance(&self) -> impl PartialEq {
        let headers = self.headers.iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| (name, value.expose_secret()))
            .collect();
        let credentials = self.credentials.as_ref().map(Credentials::expose);
        let place = (&self.address, &self.tls, &self.paths);
        (place, credentials, &self.tenant, headers, &self.rules)
    }

    /// The other settings, without the name.
    fn uploads(&self) -> impl PartialEq {
        let limits = (self.timeout, self.workers, self.replay_rate);
        (&self.tags, limits, self.max_age, self.on_ambiguous)
    }
}

/// User and password in Base64, as RFC 7617 says.
fn encoded(user: &SecretString, password: &SecretString) -> String {
    STANDARD.encode(format!(
        "{}:{}",
        user.expose_secret(),
        password.expose_secret()
    ))
}

impl Credentials {
    /// The secrets: token, or user and password.
    fn expose(&self) -> (&str, Option<&str>) {
        match self {
            Self::Bearer(token) => (token.expose_secret(), None),
            Self::Basic { user, password } => {
                (user.expose_secret(), Some(password.expose_secret()))
            }
        }
    }

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
    use pyroscope_wire::refusal::Rule;
    use pyrotee_tls::testing::{Authority, ca};

    use super::*;

    fn settings() -> Settings {
        Settings {
            name: "central".to_owned(),
            address: Address::parse("http://[::1]:4040/base/").unwrap().address,
            tls: None,
            credentials: None,
            tenant: None,
            headers: Vec::new(),
            tags: Tags::default(),
            paths: SurfacePaths::default(),
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
    fn a_change_is_recognised_in_every_key() {
        type Edit = fn(&mut Settings);
        let old = Settings {
            credentials: Some(Credentials::Bearer("one".into())),
            headers: vec![(HeaderName::from_static("x-key"), "one".into())],
            ..settings()
        };
        let basic = |password: &str| Credentials::Basic {
            user: "one".into(),
            password: password.into(),
        };
        assert_ne!(basic("a").expose(), basic("b").expose());
        assert_ne!(
            basic("").expose(),
            Credentials::Bearer("one".into()).expose()
        );
        let acceptance: [Edit; 8] = [
            |it| it.address = Address::parse("http://[::1]:4041/base/").unwrap().address,
            |it| it.tls = Some(ca(&Authority::new("root").pem()).tls()),
            |it| it.credentials = Some(Credentials::Bearer("two".into())),
            |it| it.credentials = None,
            |it| it.tenant = Some("team".to_owned()),
            |it| it.headers = vec![(HeaderName::from_static("x-key"), "two".into())],
            |it| it.paths.set("push", "/push").unwrap(),
            |it| it.rules = Rules::new(vec![Rule::parse("403", "rejected").unwrap()]),
        ];
        let uploads: [Edit; 6] = [
            |it| it.tags = Tags::parse([("pod".to_owned(), "a".to_owned())]).unwrap(),
            |it| it.timeout = Duration::from_secs(11),
            |it| it.workers = 2,
            |it| it.max_age = Some(Duration::from_secs(1)),
            |it| it.on_ambiguous = OnAmbiguous::Drop,
            |it| it.replay_rate = NonZeroU64::new(1),
        ];
        let change = |edit: Edit| {
            let mut new = old.clone();
            edit(&mut new);
            old.change_to(&new)
        };
        assert_eq!(change(|_| ()), SettingsChange::None);
        assert_eq!(acceptance.map(change), [SettingsChange::Acceptance; 8]);
        assert_eq!(uploads.map(change), [SettingsChange::Uploads; 6]);
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
        assert_eq!(
            error.to_string(),
            "auth-token cannot be sent as a header: remove control characters such as line breaks"
        );
    }
}
