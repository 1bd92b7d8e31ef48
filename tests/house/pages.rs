//! The pages of documentation: their links, files and make targets exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{collect, root};

/// Most lines of the README: it shows what pyrotee is, how to try it and how to use it.
const README: usize = 150;

/// Folders of the repository whose files a page may name.
const FOLDERS: [&str; 5] = ["crates/", "tests/", "deploy/", "docs/", ".ci/"];

/// A page, with its path from the root of the repository.
struct Page {
    path: PathBuf,
    text: String,
}

impl Page {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let path = path.strip_prefix(root()).unwrap().to_owned();
        Self { path, text }
    }

    /// The text without fenced blocks.
    fn prose(&self) -> String {
        let parts = self.text.split("\n```").step_by(2);
        parts.collect::<Vec<_>>().join("\n")
    }

    /// The targets of the page's links, as they are written.
    fn links(&self) -> Vec<String> {
        let prose = self.prose();
        let links = prose.split("](").skip(1);
        links
            .filter_map(|rest| rest.split_once(')'))
            .map(|(link, _)| link.to_owned())
            .collect()
    }

    /// Texts between backticks, and the commands in the page's fenced blocks.
    fn quoted(&self) -> Vec<String> {
        let prose = self.prose();
        let quoted = prose
            .lines()
            .flat_map(|line| line.split('`').skip(1).step_by(2));
        let commands = self.text.lines();
        let commands = commands.filter_map(|line| line.strip_prefix("$ "));
        quoted.chain(commands).map(str::to_owned).collect()
    }

    /// Whether the page has a heading with the anchor `of`.
    fn has(&self, of: &str) -> bool {
        let prose = self.prose();
        let mut headings = prose.lines().filter(|line| line.starts_with('#'));
        headings.any(|line| anchor(line.trim_start_matches('#').trim()) == of)
    }
}

/// The anchor of a heading, as the sites that show Markdown make it.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn pages() -> Vec<Page> {
    let mut files = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    for folder in ["docs", "deploy", "tests"] {
        collect(&root().join(folder), "md", &mut files);
    }
    assert!(files.len() > 50, "the search found next to nothing");
    files.iter().map(|file| Page::read(file)).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut broken = Vec::new();
    for page in pages() {
        for link in page.links() {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let from = root().join(&page.path);
            let to = match file {
                "" => Ok(from),
                file => from.parent().unwrap().join(file).canonicalize(),
            };
            let leads = |to: PathBuf| heading.is_empty() || Page::read(&to).has(heading);
            if !to.is_ok_and(leads) {
                broken.push(format!("{}: {link}", page.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "these lead nowhere: {broken:#?}");
}

#[test]
fn every_file_and_every_target_of_make_that_a_page_names_is_there() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let targets: BTreeSet<_> = makefile
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(target, _)| target)
        .collect();
    let mut missing = Vec::new();
    for page in pages() {
        for quoted in page.quoted() {
            let is_path = FOLDERS.iter().any(|folder| quoted.starts_with(folder))
                && !quoted.contains([' ', '*', '…', '<', '$']);
            let named = quoted.strip_prefix("make ");
            let target = named.and_then(|rest| rest.split(' ').next());
            let is_missing = (is_path && !root().join(&quoted).exists())
                || target.is_some_and(|target| !targets.contains(target));
            if is_missing {
                missing.push(format!("{}: `{quoted}`", page.path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "these are not there: {missing:#?}");
}

#[test]
fn the_readme_is_short() {
    let lines = Page::read(&root().join("README.md")).text.lines().count();
    assert!(lines <= README, "README.md has {lines} lines");
}
