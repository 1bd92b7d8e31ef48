//! Reading PEM files, with words for what people put into them by mistake.

use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::ExposeSecret;

use crate::{PemFile, TlsFault, TlsPart};

/// The blocks of a file.
struct Blocks {
    certificates: Vec<CertificateDer<'static>>,
    keys: Vec<PrivateKeyDer<'static>>,
    others: Vec<SectionKind>,
}

/// All certificates of a file, in their order; one at least.
pub(crate) fn certificates(
    part: TlsPart,
    file: &PemFile,
) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let fault = |text: &str| TlsFault::of_file(part, file, text);
    let blocks = blocks(part, file)?;
    if !blocks.certificates.is_empty() {
        return Ok(blocks.certificates);
    }
    let swapped = match part {
        TlsPart::CertFile => {
            "holds a private key and no certificate: check whether cert-file and key-file are swapped"
        }
        _ => "holds a private key and no certificate: name the file of the authority's certificate",
    };
    if !blocks.keys.is_empty() || is_encrypted(file) {
        return Err(fault(swapped));
    }
    if blocks.others.contains(&SectionKind::Csr) {
        return Err(fault(
            "holds a certificate request: let the authority sign it, and name the certificate that it issues",
        ));
    }
    if text(file).contains("-----BEGIN TRUSTED CERTIFICATE-----") {
        return Err(fault(
            "holds a certificate in OpenSSL's own form: convert it with openssl x509 -in FILE -out NEW",
        ));
    }
    Err(without_block(part, file, "CERTIFICATE"))
}

/// The private key of a file; exactly one.
pub(crate) fn private_key(
    part: TlsPart,
    file: &PemFile,
) -> Result<PrivateKeyDer<'static>, TlsFault> {
    let fault = |text: &str| TlsFault::of_file(part, file, text);
    if is_encrypted(file) {
        return Err(fault(
            "holds an encrypted private key: decrypt it with openssl pkey -in FILE -out NEW",
        ));
    }
    let mut blocks = blocks(part, file)?;
    match (blocks.keys.pop(), blocks.keys.len()) {
        (Some(key), 0) => Ok(key),
        (Some(_), more) => {
            let text = format!(
                "holds {} private keys: keep the one of the certificate",
                more + 1
            );
            Err(fault(&text))
        }
        (None, _) if !blocks.certificates.is_empty() => Err(fault(
            "holds a certificate and no private key: check whether cert-file and key-file are swapped",
        )),
        (None, _) if blocks.others.contains(&SectionKind::PublicKey) => Err(fault(
            "holds a public key: name the file of the private key",
        )),
        (None, _) => Err(without_block(part, file, "PRIVATE KEY")),
    }
}

fn blocks(part: TlsPart, file: &PemFile) -> Result<Blocks, TlsFault> {
    let mut blocks = Blocks {
        certificates: Vec::new(),
        keys: Vec::new(),
        others: Vec::new(),
    };
    for block in <(SectionKind, Vec<u8>)>::pem_slice_iter(text(file).as_bytes()) {
        let (kind, der) = block.map_err(|error| damaged(part, file, &error))?;
        match kind {
            SectionKind::Certificate => blocks.certificates.push(CertificateDer::from(der)),
            _ => match PrivateKeyDer::from_pem(kind, der) {
                Some(key) => blocks.keys.push(key),
                None => blocks.others.push(kind),
            },
        }
    }
    Ok(blocks)
}

/// The error's own text is left out: it quotes the file.
fn damaged(part: TlsPart, file: &PemFile, error: &pem::Error) -> TlsFault {
    let text = match error {
        pem::Error::MissingSectionEnd { .. } => {
            "ends within a PEM block: the file is cut, or it is still being written"
        }
        pem::Error::IllegalSectionStart { .. } => {
            "has a damaged BEGIN line: five hyphens must end it, copy the file again"
        }
        pem::Error::Base64Decode(_) => "has a PEM block that is not base64: copy the file again",
        _ => "has a PEM block that cannot be read: copy the file again",
    };
    TlsFault::of_file(part, file, text)
}

/// The fault of a file in which the wanted block does not occur.
fn without_block(part: TlsPart, file: &PemFile, block: &str) -> TlsFault {
    let content = text(file);
    let is_hidden = |line: &str| line.find("-----BEGIN ").is_some_and(|place| place > 0);
    let text = if content.trim().is_empty() {
        "is empty: write the PEM file again".to_owned()
    } else if is_der(content) {
        format!(
            "is not text but DER or PKCS#12: convert it to PEM, with a block -----BEGIN {block}-----"
        )
    } else if content.lines().any(is_hidden) {
        "has a -----BEGIN that is not at the beginning of a line: remove what stands before it"
            .to_owned()
    } else {
        format!("holds no PEM block -----BEGIN {block}-----: check the path and the file")
    };
    TlsFault::of_file(part, file, text)
}

/// The text of a file, without the byte order mark that would hide the first block.
fn text(file: &PemFile) -> &str {
    let text = file.content().expose_secret();
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Whether a private key of the file is encrypted: PKCS#8, or OpenSSL's old form, which has a header.
fn is_encrypted(file: &PemFile) -> bool {
    let encrypted = |line: &str| {
        line.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY")
            || (line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"))
    };
    text(file).lines().any(encrypted)
}

/// DER and PKCS#12 begin with a sequence whose length has two bytes or more, which is no UTF-8.
fn is_der(content: &str) -> bool {
    content
        .strip_prefix('0')
        .is_some_and(|rest| rest.starts_with(char::REPLACEMENT_CHARACTER))
}
