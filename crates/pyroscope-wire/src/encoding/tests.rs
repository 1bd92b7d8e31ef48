use super::*;

fn read(surface: Surface, content_type: &str) -> Option<(&'static str, &'static str)> {
    Encoding::of(surface, Some(content_type.as_bytes()))
        .map(|encoding| (encoding.as_str(), encoding.content_type()))
}

#[test]
fn push_is_connect_unary_or_grpc_or_grpc_web() {
    for (content_type, word, delivered) in [
        ("application/proto", "proto", "application/proto"),
        ("Application/PROTO", "proto", "application/proto"),
        ("application/json", "json", "application/json"),
        ("application/json;charset=UTF-8", "json", "application/json"),
        ("application/grpc", "grpc", "application/proto"),
        ("application/grpc+proto", "grpc", "application/proto"),
        ("application/grpc+json", "grpc_json", "application/json"),
        ("application/grpc-web", "grpc_web", "application/proto"),
        (
            "application/grpc-web+proto",
            "grpc_web",
            "application/proto",
        ),
        (
            "application/grpc-web+json",
            "grpc_web_json",
            "application/json",
        ),
        (
            "application/grpc-web-text",
            "grpc_web_text",
            "application/proto",
        ),
        (
            "Application/gRPC-Web-Text+Proto",
            "grpc_web_text",
            "application/proto",
        ),
    ] {
        assert_eq!(
            read(Surface::Push, content_type),
            Some((word, delivered)),
            "{content_type}"
        );
    }
}

#[test]
fn otlp_wants_its_types_to_the_letter() {
    for (content_type, word, delivered) in [
        ("application/x-protobuf", "proto", "application/x-protobuf"),
        ("application/protobuf", "proto", "application/x-protobuf"),
        ("application/json", "json", "application/json"),
        ("application/grpc", "grpc", "application/x-protobuf"),
        ("application/grpc+proto", "grpc", "application/x-protobuf"),
    ] {
        assert_eq!(
            read(Surface::Otlp, content_type),
            Some((word, delivered)),
            "{content_type}"
        );
    }
    for content_type in [
        "application/json; charset=utf-8",
        "application/JSON",
        "application/proto",
        "application/grpc+json",
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/grpc-web-text",
    ] {
        assert_eq!(read(Surface::Otlp, content_type), None, "{content_type}");
    }
    for content_type in ["application/x-protobuf", "application/grpc", "text/plain"] {
        let read = |surface| read(surface, content_type);
        assert_eq!(read(Surface::OtlpV1), read(Surface::Otlp), "{content_type}");
    }
}

#[test]
fn what_is_no_unary_call_is_not_understood() {
    for content_type in [
        "",
        "text/plain",
        "application/grpc-web; charset=utf-8",
        "application/grpc-web-text+json",
        "application/grpc-webby",
        "application/connect+proto",
        "application/connect+json",
        "application/proto; charset=utf-8",
        "application/json; charset=latin1",
    ] {
        for surface in [Surface::Push, Surface::Otlp] {
            assert_eq!(read(surface, content_type), None, "{content_type}");
        }
    }
    assert_eq!(Encoding::of(Surface::Push, None), None);
    assert_eq!(Encoding::of(Surface::Push, Some(b"\xff")), None);
    assert_eq!(read(Surface::Ingest, "application/json"), None);
}

#[test]
fn codings_are_identity_and_gzip_in_any_case() {
    for (header, coding) in [
        (None, Ok(Coding::Identity)),
        (Some(&b""[..]), Ok(Coding::Identity)),
        (Some(b"Identity"), Ok(Coding::Identity)),
        (Some(b" GZip "), Ok(Coding::Gzip)),
        (Some(b"gzip, gzip"), Err(Undecodable::Coding)),
        (Some(b"zstd"), Err(Undecodable::Coding)),
        (Some(b"\xff"), Err(Undecodable::Coding)),
    ] {
        assert_eq!(Coding::of(header), coding);
    }
    assert_eq!(Coding::Identity.content_encoding(), None);
    assert_eq!(Coding::Gzip.content_encoding(), Some("gzip"));
}
