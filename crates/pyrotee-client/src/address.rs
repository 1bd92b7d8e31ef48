//! Parses addresses of the command line.

use anyhow::{anyhow, ensure};
use pyrotee_net::Address;

/// Reads the value of `--to`, the base address of a server. Credentials in the address are an error, because
/// they are not sent; `instead` ends that error with what to do.
pub(super) fn parse_to(to: &str, instead: &str) -> anyhow::Result<Address> {
    let parsed = Address::parse(to).map_err(|error| anyhow!("--to {error}"))?;
    ensure!(
        parsed.userinfo.is_none(),
        "--to has credentials, which are not sent: {instead}"
    );
    Ok(parsed.address)
}

/// Reads the value of `--admin`: `:PORT`, `HOST:PORT` or a whole address.
pub(super) fn parse_admin(admin: &str) -> anyhow::Result<Address> {
    let admin = admin.trim();
    let url = match admin {
        url if url.contains("://") => url.to_owned(),
        port if port.starts_with(':') => format!("http://127.0.0.1{port}"),
        authority => {
            ensure!(
                authority.contains(':'),
                "--admin has no port; write :PORT, HOST:PORT or http://HOST:PORT"
            );
            format!("http://{authority}")
        }
    };
    let parsed = Address::parse(&url).map_err(|error| anyhow!("--admin {error}"))?;
    ensure!(
        parsed.userinfo.is_none(),
        "--admin has credentials, which are not sent: leave them out"
    );
    Ok(parsed.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_as_short_as_in_the_configuration() {
        for (text, read) in [
            (":4041", "http://127.0.0.1:4041"),
            ("127.0.0.1:4041", "http://127.0.0.1:4041"),
            ("[::1]:4041", "http://[::1]:4041"),
            ("relay.internal:80", "http://relay.internal:80"),
            ("http://relay:4041", "http://relay:4041"),
            ("https://relay/base", "https://relay/base"),
        ] {
            assert_eq!(parse_admin(text).unwrap().to_string(), read, "{text}");
        }
    }

    #[test]
    fn an_address_that_is_none_says_how_to_write_one() {
        for text in ["", "4041", "localhost", ":port", "ftp://relay:1", "http://"] {
            let error = parse_admin(text).unwrap_err().to_string();
            assert!(error.starts_with("--admin "), "{text}: {error}");
            assert!(error.contains("write "), "{text}: {error}");
        }
        let error = parse_admin("http://me:secret@relay:4041").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
