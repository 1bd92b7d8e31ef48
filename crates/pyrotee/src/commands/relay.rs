//! A client of a running relay, for commands that need its `admin-token`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use pyrotee_client::{AdminToken, RelayClient, TOKEN};
use pyrotee_config::{FILE_VARIABLE as CONFIG, Flags, Sources};
use secrecy::SecretString;

/// Environment variable for the key `admin-token`, which a relay without a configuration file may use.
const KEY: &str = "PYROTEE__ADMIN_TOKEN";

/// A client of the relay at `admin`. The client sends the admin token in [`TOKEN`], else the token of the configuration
/// `config`, else the token of the configuration that the environment names.
///
/// # Errors
/// `admin` is no address, or `config` has faults. Faults of a configuration that only the environment names are
/// reported when the relay refuses a request because the token is missing.
pub(super) fn relay_at(admin: &str, config: Option<&Path>) -> anyhow::Result<RelayClient> {
    Ok(RelayClient::at(admin)?.with_token(token(config)?))
}

fn token(config: Option<&Path>) -> anyhow::Result<AdminToken> {
    if let Some(token) = std::env::var(TOKEN).ok().filter(|token| !token.is_empty()) {
        return Ok(AdminToken::Known(SecretString::from(token)));
    }
    if let Some(file) = config {
        let token = token_of(Some(file.to_owned()))
            .with_context(|| format!("cannot read the admin-token; {TOKEN} may hold it instead"))?;
        return Ok(token.map_or(AdminToken::Absent, AdminToken::Known));
    }
    let file = std::env::var_os(CONFIG).map(PathBuf::from);
    let is_set = std::env::vars_os().any(|(name, _)| name.eq_ignore_ascii_case(KEY));
    if file.is_none() && !is_set {
        return Ok(AdminToken::Absent);
    }
    Ok(match token_of(file) {
        Ok(token) => token.map_or(AdminToken::Absent, AdminToken::Known),
        Err(_faults) => AdminToken::Unreadable,
    })
}

fn token_of(file: Option<PathBuf>) -> anyhow::Result<Option<SecretString>> {
    let config = pyrotee_config::load(Sources::of_process(file, Flags::default()))?;
    Ok(config.admin_token)
}
