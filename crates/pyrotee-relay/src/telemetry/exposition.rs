//! The text format of Prometheus, in which the exporter writes a scrape.

/// A label's value as the exporter writes it.
pub(crate) fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\");
    value.replace('"', "\\\"").replace('\n', "\\n")
}

/// The value of a label of a series, as the exporter writes it; `None` if the line is a comment or has no such label.
pub(crate) fn label<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    if line.starts_with('#') {
        return None;
    }
    let (_, mut rest) = line.split_once('{')?;
    loop {
        let (key, after) = rest.split_once("=\"")?;
        let end = end_of_value(after)?;
        if key.trim_start_matches(',') == name {
            return after.get(..end);
        }
        rest = after.get(end + 1..)?;
    }
}

/// The place of the quote that ends a value. In a value every quote has a backslash before it.
fn end_of_value(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.find(|c| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_found_whatever_the_values_before_it_have() {
        let name = "a\"b,x=\"c\"\\\n";
        let line = format!("up{{y=\"{}\",x=\"1\"}} 7\n", escaped(name));
        assert_eq!(label(&line, "x"), Some("1"));
        assert_eq!(label(&line, "y"), Some(&*escaped(name)));
        assert_eq!(label(&line, "z"), None);
        for line in ["# HELP up x=\"1\"", "up 1\n", "\n", "up{x=\"1", "up{"] {
            assert_eq!(label(line, "x"), None, "{line}");
        }
    }
}
