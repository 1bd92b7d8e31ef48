//! The keys with which a command calls a running relay, read without the rest of its configuration: a command may run in
//! a shell without the relay's variables, and as a user who may not read the relay's secrets.

use pyrotee_files::disk;
use pyrotee_net::Listen;
use pyrotee_tls::PemFile;
use secrecy::SecretString;

use crate::{Faults, Loader, Sources, listen, sections, text};

/// The key `admin`: the address of the admin listener.
///
/// # Errors
/// The file cannot be read, or the key has a fault. Faults of other keys do not matter. A pipe or a device is not read,
/// because another reader may need its content.
pub fn admin_address(sources: Sources) -> Result<Listen, Faults> {
    if let Some(path) = sources.file.as_deref().filter(|it| disk::is_read_once(it)) {
        let text = "is no regular file, and may be read only once";
        return Err(text::fault(path, None, text.to_owned()));
    }
    Loader::new(sources).one("admin", |root| root.parse("admin", listen::parse))
}

/// The certificate of `admin-tls`, which the relay shows at the address of the key `admin`; `None` if the listener speaks
/// plain HTTP.
///
/// # Errors
/// The file cannot be read, or the section has a fault that concerns the certificate. The private key is not read.
pub fn admin_certificate(sources: Sources) -> Result<Option<PemFile>, Faults> {
    Loader::new(sources).one(sections::ADMIN_TLS, sections::admin_certificate)
}

/// The key `admin-token`; `None` if it is not set.
///
/// # Errors
/// The file cannot be read, or the key has a fault. Faults of other keys do not matter.
pub fn admin_token(sources: Sources) -> Result<Option<SecretString>, Faults> {
    Loader::new(sources).one(sections::ADMIN_TOKEN, sections::admin_token)
}
