//! JSON of which only the start was kept.

use serde_json::Value;

/// Most bytes at the end of a truncated string that are part of one escape: two of `\uXXXX`.
const ESCAPE_BYTES: usize = 12;

/// Reads a JSON document whose end may be missing within a string: `closing` ends that string and the objects
/// around it. `None` if the result is not valid JSON either.
pub(super) fn read(text: &str, closing: &str) -> Option<Value> {
    if let Ok(whole) = serde_json::from_str(text) {
        return Some(whole);
    }
    let kept = (0..=ESCAPE_BYTES).filter_map(|cut| text.get(..text.len().checked_sub(cut)?));
    kept.map(|kept| format!("{kept}{closing}"))
        .find_map(|text| serde_json::from_str(&text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_may_end_anywhere_within_its_last_string() {
        let whole = r#"{"code":"unknown","message":"a \"b\" é \u00e9 \ud83d\ude00 end"}"#;
        let starts = r#"{"code":"unknown","message":""#.len();
        for end in (starts..=whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            let value = read(&whole[..end], "\"}").unwrap_or_else(|| panic!("{end}"));
            assert_eq!(value["code"], "unknown", "{end}");
            let message = value["message"].as_str().unwrap();
            assert!("a \"b\" é é 😀 end".starts_with(message), "{message}");
        }
    }

    #[test]
    fn what_cannot_be_closed_is_none() {
        for text in ["", "{", "plain", r#"{"code":"x","details":[{"#] {
            assert_eq!(read(text, "\"}"), None, "{text}");
        }
    }
}
