use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

fn address(text: &str) -> Address {
    Address::parse(text).unwrap().address
}

#[test]
fn parts_of_a_full_address_are_told_apart() {
    let parsed = Address::parse("https://me:s3cret@profiles.example.com:8443/base/path/").unwrap();
    let address = parsed.address;
    assert_eq!(address.scheme(), &Scheme::HTTPS);
    assert_eq!(address.host(), "profiles.example.com");
    assert_eq!(address.ip(), None);
    assert_eq!(address.port(), 8443);
    assert_eq!(address.authority().as_str(), "profiles.example.com:8443");
    assert_eq!(address.prefix(), "/base/path");
    assert_eq!(
        address.to_string(),
        "https://profiles.example.com:8443/base/path/"
    );
    let info = parsed.userinfo.unwrap();
    assert_eq!(info.user.expose_secret(), "me");
    assert_eq!(info.password.unwrap().expose_secret(), "s3cret");
}

#[test]
fn a_missing_port_is_that_of_the_scheme_and_is_not_added_to_the_authority() {
    assert_eq!(address("http://bar").port(), 80);
    assert_eq!(address("HTTPS://bar").port(), 443);
    assert_eq!(address("https://bar").authority().as_str(), "bar");
}

#[test]
fn trailing_slashes_are_harmless() {
    for text in ["http://bar:4040", "http://bar:4040/", "http://bar:4040//"] {
        assert_eq!(address(text).prefix(), "", "{text}");
        assert_eq!(address(text).to_string(), text);
    }
}

#[test]
fn hosts_of_all_kinds_are_taken() {
    assert_eq!(
        address("http://10.0.0.7:4040").ip(),
        Some("10.0.0.7".parse().unwrap())
    );
    let v6 = address("http://[::1]:4040");
    assert_eq!((v6.host(), v6.authority().as_str()), ("::1", "[::1]:4040"));
    assert_eq!(v6.ip(), Some("::1".parse().unwrap()));
    assert_eq!(address("http://[fd00::2]").port(), 80);
    assert_eq!(
        address("http://my_service.default.svc.").host(),
        "my_service.default.svc."
    );
}

#[test]
fn userinfo_is_percent_decoded() {
    let info = Address::parse("http://a%40b:p%3Aw%2F%25@h")
        .unwrap()
        .userinfo
        .unwrap();
    assert_eq!(info.user.expose_secret(), "a@b");
    assert_eq!(info.password.unwrap().expose_secret(), "p:w/%");
    let lone = Address::parse("http://token@h").unwrap().userinfo.unwrap();
    assert!(lone.password.is_none());
    // An `@` that was not encoded still belongs to the password: only the last `@` ends the password.
    let at = Address::parse("http://u:p@ss@h").unwrap();
    assert_eq!(
        at.userinfo.unwrap().password.unwrap().expose_secret(),
        "p@ss"
    );
    assert_eq!(at.address.host(), "h");
}

#[test]
fn each_mistake_has_its_own_error() {
    for (text, error) in [
        ("", AddressError::Empty),
        (" http://bar", AddressError::WhiteSpace),
        ("http://bar\n", AddressError::WhiteSpace),
        ("bar:4040", AddressError::NoScheme),
        ("ftp://bar", AddressError::Scheme),
        ("http://bar/?tenant=1", AddressError::Query),
        ("http://bar?x", AddressError::Query),
        ("http://bar#top", AddressError::Fragment),
        ("http://user:12/34@bar", AddressError::LateAt),
        ("http://user:100%@bar", AddressError::Escape),
        ("http://user:%ff@bar", AddressError::Escape),
        ("http://:4040", AddressError::NoHost),
        ("http://user@", AddressError::NoHost),
        ("http:///ingest", AddressError::NoHost),
        ("http://a..b", AddressError::Host),
        ("http://10.0.0:4040", AddressError::Host),
        ("http://256.1.1.1", AddressError::Host),
        ("http://a,b", AddressError::Host),
        ("http://bücher.example", AddressError::NotAscii),
        ("http://::1:4040", AddressError::Brackets),
        ("http://[::1", AddressError::V6),
        ("http://[fe80::1%25eth0]", AddressError::V6),
        ("http://[::1]4040", AddressError::Port),
        ("http://bar:", AddressError::Port),
        ("http://bar:0", AddressError::Port),
        ("http://bar:+80", AddressError::Port),
        ("http://bar:65536", AddressError::Port),
        ("http://bar/{x}", AddressError::Path),
    ] {
        assert_eq!(Address::parse(text).unwrap_err(), error, "{text:?}");
    }
}

#[test]
fn debug_and_display_show_no_credentials() {
    let parsed = Address::parse("http://secret-user:secret-word@bar/x").unwrap();
    let shown = format!("{parsed:?} {}", parsed.address);
    assert!(!shown.contains("secret-"), "{shown}");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(https?://)?[ -~äß]{0,40}") {
        if let Ok(parsed) = Address::parse(&text) {
            prop_assert!(!parsed.address.prefix().ends_with('/'));
        }
    }

    #[test]
    fn a_password_never_stays_in_the_address(word in "[A-Z]{12}", tail in "[a-z/:@]{0,6}") {
        if let Ok(parsed) = Address::parse(&format!("http://user:{word}{tail}@host/prefix")) {
            let shown = format!("{parsed:?}");
            prop_assert!(!shown.contains(&word), "{}", shown);
        }
    }
}
