//! TLS rules: what a configuration says about certificates, the rustls configurations that follow from it, and
//! the words for an error of TLS. This crate opens no socket and reads no file, except for the certificates of
//! the system.
//!
//! - [`ClientTls`] and [`ServerTls`] are values: built from the contents of files, compared by a digest, never
//!   changed. A rotation builds a new value and swaps it. With a swapped certificate inside one rustls
//!   configuration, a resumed session would show the old certificate.
//! - A [`TlsFault`] names the key whose value or file cannot be used, and says what to do.
//! - [`client_words`] turns an error into one line with a remedy. It matches the types of rustls and webpki,
//!   never their texts.
//! - No `Debug`, fault or error of this crate contains a private key or a passphrase.

mod certificate;
mod client;
mod date;
mod digest;
mod fault;
mod handshake_error;
mod identity;
mod observer;
mod pem;
mod roots;
mod server;
mod settings;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod trust;
mod validity;
mod verify;
mod words;

pub use certificate::CertificateInfo;
pub use client::ClientTls;
pub use date::date;
pub use fault::{TlsFault, TlsPart};
pub use handshake_error::HandshakeErrorKind;
pub use observer::Observer;
pub use roots::{SystemRoots, SystemRootsError};
pub use server::ServerTls;
pub use settings::{
    Alpn, ClientAuth, ClientTlsSettings, IdentityPem, MinVersion, PemFile, ServerTlsSettings,
};
pub use validity::{Validity, not_after, validity};
pub use words::{ClientContext, TlsWords, causes, client_words, handshake_words, tls_error};

/// The cryptography of all configurations.
fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    std::sync::Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests;
