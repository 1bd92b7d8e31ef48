//! Text from the network, escaped so that a terminal shows it instead of obeying it.

use std::fmt::Write as _;

/// Replaces control characters, bidi controls and characters without a glyph by escapes: `\n`, `\u{1b}`,
/// `\u{202e}`. A client, a target or a file name can then neither move the cursor nor reorder or forge a
/// line.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match is_hidden(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

/// Replaces the characters that [`visible`] replaces, in a JSON document, by JSON escapes: `\u009b`, `\u202e`.
/// The document keeps its value and its line feeds; other white space between tokens becomes a blank.
pub fn visible_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' => out.push(c),
            '\r' | '\t' => out.push(' '),
            c if is_hidden(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("a String takes all that is written");
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and the format characters of Unicode:
/// bidi controls, zero-width spaces and joiners, and tags. Two labels that differ in one of them look alike.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'                     // soft hyphen
            | '\u{61c}'                  // Arabic letter mark
            | '\u{180e}'                 // Mongolian vowel separator
            | '\u{200b}'..='\u{200f}'    // zero-width space and joiners, left-to-right and right-to-left mark
            | '\u{2028}'..='\u{202e}'    // line and paragraph separator, embeddings and overrides
            | '\u{2060}'..='\u{206f}'    // word joiner, invisible operators, isolates, deprecated controls
            | '\u{feff}'                 // zero-width no-break space, the byte order mark
            | '\u{fff9}'..='\u{fffb}'    // interlinear annotations
            | '\u{e0000}'..='\u{e007f}'  // tags
        )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Every control that reorders text, and every separator of lines.
    const BIDI_AND_SEPARATORS: [char; 14] = [
        '\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202b}',
        '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
    ];

    #[test]
    fn a_label_that_overrides_the_direction_is_shown_with_its_escape() {
        assert_eq!(visible("shop\u{202e}gpj.exe"), r"shop\u{202e}gpj.exe");
    }

    #[test]
    fn controls_separators_and_characters_of_no_width_become_escapes() {
        for (text, shown) in [
            ("a\r\nb\tc", r"a\r\nb\tc"),
            ("\u{1b}[2J\u{9b}2J\u{7f}\0", r"\u{1b}[2J\u{9b}2J\u{7f}\u{0}"),
            ("a\u{200b}b\u{feff}", r"a\u{200b}b\u{feff}"),
            ("\u{e0041}", r"\u{e0041}"),
        ] {
            assert_eq!(visible(text), shown, "{text:?}");
        }
        for c in BIDI_AND_SEPARATORS {
            assert_eq!(
                visible(&c.to_string()),
                format!("\\u{{{:x}}}", u32::from(c))
            );
        }
    }

    #[test]
    fn letters_of_any_script_and_combining_characters_stay() {
        let text = "größer e\u{301} 漢字 שלום مرحبا 🔥 \\u{202e}";
        assert_eq!(visible(text), text);
        assert_eq!(visible_json(text), text);
    }

    #[test]
    fn json_keeps_its_value_and_holds_nothing_that_a_terminal_obeys() {
        let read = |json: &str| serde_json::from_str::<Value>(json).unwrap();
        let json = "{\"text\":\r\n\t\"a\u{9b}2J \u{7f} größer\"}\n";
        let shown = visible_json(json);
        assert!(!shown.contains(|c: char| is_hidden(c) && c != '\n'));
        assert_eq!(read(&shown), read(json));

        let hidden = String::from_iter(BIDI_AND_SEPARATORS) + "\u{200b}\u{feff}\u{e0041}\u{1b}";
        let json = json!({ "label": hidden }).to_string();
        let shown = visible_json(&json);
        assert!(shown.is_ascii() && shown.contains(r"\u202e"), "{shown}");
        assert_eq!(read(&shown), read(&json));
    }
}
