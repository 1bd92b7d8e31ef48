//! Replaces regions of a page that people and this program write together.
//!
//! The text between `<!-- bench: NAME -->` and `<!-- /bench -->` is written by this program.

use anyhow::{Context as _, ensure};

const END: &str = "<!-- /bench -->";

/// The page with `regions` replaced. Other regions stay unchanged.
///
/// # Errors
///
/// If the page lacks one of the regions, because its table would silently be lost.
pub(super) fn replace(page: &str, regions: &[(&str, String)]) -> anyhow::Result<String> {
    let mut page = page.to_owned();
    for (name, text) in regions {
        let begin = format!("<!-- bench: {name} -->\n");
        ensure!(
            page.contains(&begin),
            "the page has no region {}",
            begin.trim()
        );
        let from = page.find(&begin).map_or(0, |at| at + begin.len());
        let end = page[from..]
            .find(END)
            .with_context(|| format!("the region {name} has no end"))?;
        page.replace_range(from..from + end, &format!("\n{}\n\n", text.trim()));
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = "before\n<!-- bench: a -->\nold\n<!-- /bench -->\nmiddle\n<!-- bench: b -->\nkept\n<!-- /bench -->\nafter";
        let new = replace(page, &[("a", "new\n".to_owned())]).unwrap();
        assert_eq!(
            new,
            "before\n<!-- bench: a -->\n\nnew\n\n<!-- /bench -->\nmiddle\n<!-- bench: b -->\nkept\n<!-- /bench -->\nafter"
        );
        assert_eq!(replace(&new, &[("a", "new".to_owned())]).unwrap(), new);
        assert!(replace(page, &[("c", String::new())]).is_err());
    }
}
