//! HTML pages in place of Pyroscope's responses: pages of gateways, and login pages.

/// Whether a response is an HTML page: its `Content-Type` is `text/html`, and its body begins with `<`.
///
/// Both conditions are necessary: some gateways send `text/html` with an empty or a plain body.
pub fn is_html_page(content_type: &[u8], body: &[u8]) -> bool {
    let media_type = content_type
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(b"text/html")
        && without_mark(body).trim_ascii_start().starts_with(b"<")
}

/// The first text of an HTML page, without the status that gateways write before it: mostly the title. `None`
/// if the body is not a page or has no text.
pub(super) fn first_text(body: &str) -> Option<&str> {
    if !body.starts_with('<') {
        return None;
    }
    let mut texts = body.split('>').map(|part| part.split('<').next());
    let text = texts.find_map(|text| text.map(str::trim).filter(|text| !text.is_empty()))?;
    let after_status = text.trim_start_matches(|c: char| c.is_ascii_digit());
    Some(match text.len() - after_status.len() {
        3 => after_status.trim_start(),
        _ => text,
    })
}

/// The body without a byte order mark of UTF-8.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_the_type_and_the_bracket() {
        let page = b"\r\n <!DOCTYPE html><title>Sign in</title>";
        for content_type in [
            "text/html",
            "Text/HTML; charset=utf-8",
            " text/html ;charset=utf-8",
        ] {
            assert!(
                is_html_page(content_type.as_bytes(), page),
                "{content_type}"
            );
        }
        assert!(is_html_page(b"text/html", b"\xef\xbb\xbf<html>"));
        for content_type in ["", "text/plain", "application/xhtml+xml", "text/htmlx"] {
            assert!(
                !is_html_page(content_type.as_bytes(), page),
                "{content_type}"
            );
        }
        for body in [&b""[..], b" ", b"{}", b"ok <b>", b"\xff<"] {
            assert!(!is_html_page(b"text/html", body), "{body:?}");
        }
    }

    #[test]
    fn the_first_text_of_a_page_is_its_title_without_the_status() {
        for (body, text) in [
            (
                "<html>\r\n<head><title>400 Bad Request</title></head>",
                Some("Bad Request"),
            ),
            ("<h1>Gateway</h1>", Some("Gateway")),
            ("<b>4000 things</b>", Some("4000 things")),
            ("<html", None),
            ("<br><br>", None),
            ("", None),
            ("plain <b>text</b>", None),
        ] {
            assert_eq!(first_text(body), text, "{body}");
        }
    }
}
