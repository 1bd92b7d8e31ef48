//! Finds the running relay that a command calls: its address with the certificate that it must show, and its `admin-token`
//! if the command needs the token.

use std::env;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use pyrotee_client::{AdminToken, RelayClient, TOKEN};
use pyrotee_config::{
    FILE_VARIABLE as CONFIG, Faults, Flags, Sources, admin_address, admin_certificate, admin_token,
};
use pyrotee_net::Listen;
use pyrotee_terminal::print_error;
use pyrotee_tls::PemFile;
use secrecy::SecretString;

use super::UsageError;
use super::tls_args::TlsArgs;

/// Environment variable that holds the address of a relay's admin listener.
const ADMIN: &str = "PYROTEE_ADMIN";

/// The address that is used if the configuration of the environment cannot be read: the default of the key `admin`.
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4041);

/// Environment variable for the key `admin-token`, which a relay without a configuration file may use.
const TOKEN_KEY: &str = "PYROTEE__ADMIN_TOKEN";

/// Options that name the relay.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct RelayArgs {
    /// The relay's `admin`: :PORT on this machine, HOST:PORT or https://HOST:PORT; else PYROTEE_ADMIN, else `admin` of the
    /// configuration, else 127.0.0.1:4041
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<String>,

    /// The relay's configuration, for its `admin` and the certificate of its `admin-tls`; else the file in PYROTEE_CONFIG. PYROTEE__ADMIN overrides the file
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    #[command(flatten)]
    pub(super) tls: TlsArgs,
}

impl RelayArgs {
    /// A client of the relay, without the admin token.
    ///
    /// # Errors
    /// As [`address`], or the address is none.
    pub(super) fn client(&self) -> anyhow::Result<RelayClient> {
        client(self.admin.as_deref(), self.config.as_deref(), &self.tls)
    }

    /// A client of the relay that sends the admin token.
    ///
    /// # Errors
    /// As [`relay_at`].
    pub(super) fn client_with_token(&self) -> anyhow::Result<RelayClient> {
        relay_at(self.admin.as_deref(), self.config.as_deref(), &self.tls)
    }
}

/// A client of the relay at [`address`]. The client sends the admin token in [`TOKEN`], else the token of the configuration
/// `config`, else the token of the configuration that the environment names.
///
/// # Errors
/// As [`address`], the address is none, or `config` has faults. Faults of a configuration that only the environment names
/// are reported when the relay refuses a request because the token is missing.
pub(super) fn relay_at(
    admin: Option<&str>,
    config: Option<&Path>,
    tls: &TlsArgs,
) -> anyhow::Result<RelayClient> {
    Ok(client(admin, config, tls)?.with_token(token(config)?))
}

/// A client of the relay at [`address`], without the admin token.
fn client(
    admin: Option<&str>,
    config: Option<&Path>,
    tls: &TlsArgs,
) -> anyhow::Result<RelayClient> {
    let found = address(admin, config)?;
    RelayClient::at(&found.address, |address| match &found.certificate {
        Some(certificate) => tls.pinned(certificate).map(Some),
        None => tls.of_address(address),
    })
}

/// Where a relay is, and how to know it.
#[derive(Debug, Default)]
struct RelayAddress {
    address: String,
    /// The certificate of `admin-tls`, if the address is that of a configuration.
    certificate: Option<PemFile>,
}

impl From<String> for RelayAddress {
    fn from(address: String) -> Self {
        Self {
            address,
            certificate: None,
        }
    }
}

/// The address of the relay: `admin` as given, else [`ADMIN`], else the key `admin` of the configuration `config` or of the
/// environment, else [`LOCAL`].
///
/// # Errors
/// `config` cannot be read, or the configuration lets the system choose the port. If a configuration that only the
/// environment names cannot be read, the command warns and uses [`LOCAL`].
fn address(admin: Option<&str>, config: Option<&Path>) -> anyhow::Result<RelayAddress> {
    let given = admin.filter(|admin| !admin.is_empty()).map(str::to_owned);
    let variable = || env::var(ADMIN).ok().filter(|admin| !admin.is_empty());
    if let Some(admin) = given.or_else(variable) {
        return Ok(admin.into());
    }
    let file = config.map(Path::to_owned).or_else(file_of_environment);
    let sources = |file| Sources::of_process(file, Flags::default());
    let configured = admin_address(sources(file.clone()));
    let listen = match configured {
        Ok(listen) => listen,
        Err(faults) if config.is_some() => {
            return Err(faults)
                .context("cannot read the address of the relay; --admin may name it");
        }
        Err(faults) => {
            print_error(&warning(&faults));
            return Ok(LOCAL.to_string().into());
        }
    };
    let reachable = reachable(listen).ok_or_else(|| {
        let text = format!(
            "`admin` of the configuration is {listen}: the system chooses the port at each start; give the address in the relay's log with --admin"
        );
        UsageError(text)
    })?;
    let certificate = admin_certificate(sources(file)).context(
        "cannot read the certificate of the relay; --admin https://HOST:PORT with --ca-file does without",
    )?;
    let scheme = match certificate {
        Some(_) => "https://",
        None => "",
    };
    Ok(RelayAddress {
        address: format!("{scheme}{reachable}"),
        certificate,
    })
}

fn warning(faults: &Faults) -> String {
    let first = faults.iter().next().map(ToString::to_string);
    let first = first.unwrap_or_default();
    format!("warning: {first}; asking {LOCAL} instead (--admin names another address)")
}

/// The address at which a process of this machine reaches a listener; `None` if the listener takes any free port.
fn reachable(listen: Listen) -> Option<SocketAddr> {
    let address = match listen {
        Listen::All(port) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
        Listen::One(address) => match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => {
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port())
            }
            IpAddr::V6(ip) if ip.is_unspecified() => {
                SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port())
            }
            _ => address,
        },
    };
    (address.port() != 0).then_some(address)
}

fn token(config: Option<&Path>) -> anyhow::Result<AdminToken> {
    if let Some(token) = env::var(TOKEN).ok().filter(|token| !token.is_empty()) {
        return Ok(AdminToken::Known(SecretString::from(token)));
    }
    if let Some(file) = config {
        let token = token_of(Some(file.to_owned()))
            .with_context(|| format!("cannot read the admin-token; {TOKEN} may hold it instead"))?;
        return Ok(token.map_or(AdminToken::Absent, AdminToken::Known));
    }
    let file = file_of_environment();
    let is_set = env::vars_os().any(|(name, _)| name.eq_ignore_ascii_case(TOKEN_KEY));
    if file.is_none() && !is_set {
        return Ok(AdminToken::Absent);
    }
    Ok(match token_of(file) {
        Ok(token) => token.map_or(AdminToken::Absent, AdminToken::Known),
        Err(_faults) => AdminToken::Unreadable,
    })
}

fn token_of(file: Option<PathBuf>) -> anyhow::Result<Option<SecretString>> {
    Ok(admin_token(Sources::of_process(file, Flags::default()))?)
}

/// The configuration file that the environment names.
pub(super) fn file_of_environment() -> Option<PathBuf> {
    let file = env::var_os(CONFIG).filter(|file| !file.is_empty());
    file.map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_of_all_interfaces_is_called_at_loopback() {
        for (listen, reached) in [
            (Listen::All(4041), Some("127.0.0.1:4041")),
            (
                Listen::One("0.0.0.0:5".parse().unwrap()),
                Some("127.0.0.1:5"),
            ),
            (Listen::One("[::]:5".parse().unwrap()), Some("[::1]:5")),
            (Listen::One("[::1]:5".parse().unwrap()), Some("[::1]:5")),
            (
                Listen::One("192.0.2.1:5".parse().unwrap()),
                Some("192.0.2.1:5"),
            ),
            (Listen::All(0), None),
            (Listen::One("127.0.0.1:0".parse().unwrap()), None),
        ] {
            let address = reachable(listen).map(|address| address.to_string());
            assert_eq!(address.as_deref(), reached, "{listen}");
        }
    }

    #[test]
    fn the_default_is_that_of_the_configuration() {
        let listen = admin_address(Sources::default()).unwrap();
        assert_eq!(reachable(listen), Some(LOCAL));
    }

    #[test]
    fn an_address_that_is_given_is_used_as_it_stands() {
        let none = Path::new("/none/pyrotee.yaml");
        assert_eq!(address(Some(":5"), Some(none)).unwrap().address, ":5");
        if env::var_os(ADMIN).is_none() {
            let error = address(None, Some(none)).unwrap_err();
            assert!(error.is::<Faults>(), "{error:#}");
        }
    }
}
