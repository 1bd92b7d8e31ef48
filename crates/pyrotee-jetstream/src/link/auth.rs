//! How a client logs in.

use std::path::Path;

use async_nats::ConnectOptions;
use secrecy::{ExposeSecret, SecretString};

use super::words::Fault;
use crate::settings::Auth;

/// Options of a client that logs in with `auth`. Files are read now, so that each new client has their present content.
pub(super) async fn options(auth: &Auth) -> Result<ConnectOptions, Fault> {
    let options = ConnectOptions::new();
    Ok(match auth {
        Auth::None => options,
        Auth::Token(token) => options.token(token.expose_secret().to_owned()),
        Auth::User { user, password } => {
            options.user_and_password(user.clone(), password.expose_secret().to_owned())
        }
        Auth::CredsFile(path) => {
            let content = read(path).await?;
            // The error of the library may quote the file.
            options
                .credentials(content.expose_secret())
                .map_err(|_quoting| {
                    let text = format!("{} holds no JWT and seed of a user", path.display());
                    Fault::new(
                        text,
                        "put the user's credentials (.creds) there, as nsc writes them",
                    )
                })?
        }
        Auth::NkeyFile(path) => {
            let content = read(path).await?;
            let seed = content.expose_secret().lines().map(str::trim);
            // nk writes a bare seed; comments and the frame of a .creds file are left out.
            let seed = seed.into_iter().find(|line| line.starts_with("SU"));
            let seed = seed.ok_or_else(|| {
                let text = format!("{} holds no seed of a user's nkey", path.display());
                Fault::new(text, "put the seed there, which begins with SU")
            })?;
            options.nkey(seed.to_owned())
        }
    })
}

async fn read(path: &Path) -> Result<SecretString, Fault> {
    let content = tokio::fs::read_to_string(path).await;
    content.map(SecretString::from).map_err(|error| {
        let text = format!("cannot read {}: {error}", path.display());
        Fault::new(text, "create the file, and let the relay's user read it")
    })
}
