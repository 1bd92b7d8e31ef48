//! The commands in the pages of the documentation: a reader who copies one gets no fault of the command line. And the
//! lines of the help texts, which clap would break in the middle.

use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::cli::Cli;

/// Words after which a shell begins another command.
const OPERATORS: [&str; 5] = ["|", "||", "&&", "&", ";"];

/// Words that the shell takes for itself, as the last words of a command.
const REDIRECTIONS: [&str; 5] = [">", ">>", "2>", "<", "#"];

/// Width of the lines of a help text without a terminal, in characters.
const HELP: usize = 100;

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|it| it == "md") {
            found.push(path);
        }
    }
}

/// The commands in the blocks of a page, each in one line after `$ `.
fn in_blocks(page: &str) -> impl Iterator<Item = &str> {
    let lines = page.lines().map(str::trim_start);
    lines.filter_map(|line| line.strip_prefix("$ "))
}

/// The commands between backticks, perhaps without their arguments. `[--json]` is an option that may be left out.
fn in_prose(page: &str) -> impl Iterator<Item = String> {
    let prose = page.split("\n```").step_by(2).flat_map(str::lines);
    let quoted = prose.flat_map(|line| line.split('`').skip(1).step_by(2));
    let commands = quoted.filter(|text| text.starts_with("pyrotee ") && !text.contains('→'));
    commands.map(|text| text.replace(['[', ']'], ""))
}

/// The arguments of each `pyrotee` in a line of shell, also behind `kubectl exec POD --` and the like.
fn of_pyrotee(line: &str) -> Vec<Vec<String>> {
    let Some(words) = shlex::split(line) else {
        assert!(!line.contains("pyrotee "), "quotes do not match: {line}");
        return Vec::new();
    };
    let command = Cli::command();
    let is_subcommand = |word: &String| command.find_subcommand(word).is_some();
    let commands = words.split(|word| OPERATORS.contains(&word.as_str()));
    let arguments = commands.filter_map(|words| {
        let is_setting = |word: &&String| word.contains('=') && !word.starts_with('-');
        let settings = words.iter().take_while(is_setting).count();
        let starts = words.get(settings).is_some_and(|word| word == "pyrotee");
        let behind = words
            .windows(2)
            .position(|pair| pair[0] == "pyrotee" && is_subcommand(&pair[1]));
        let at = if starts { settings } else { behind? };
        let own = words[at..].iter();
        let own = own.take_while(|word| !REDIRECTIONS.contains(&word.as_str()));
        Some(own.cloned().collect())
    });
    arguments.collect()
}

/// The fault of a command line. Commands in prose may leave out arguments that are required.
fn fault(arguments: &[String], is_prose: bool) -> Option<clap::Error> {
    let error = Cli::try_parse_from(arguments).err()?;
    let incomplete = [
        ErrorKind::MissingRequiredArgument,
        ErrorKind::MissingSubcommand,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
        ErrorKind::InvalidValue,
    ];
    let is_shown = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&error.kind());
    let may_be = is_shown || is_prose && incomplete.contains(&error.kind());
    (!may_be).then_some(error)
}

#[test]
fn the_command_line_knows_every_command_in_the_pages() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = vec![root.join("README.md")];
    pages(&root.join("docs"), &mut files);
    pages(&root.join("deploy"), &mut files);
    let (mut faults, mut count) = (Vec::new(), 0);
    for file in files {
        let page = fs::read_to_string(&file).unwrap();
        let page = page.replace("\\\n", " ");
        let blocks = in_blocks(&page).map(|line| (line.to_owned(), false));
        for (line, is_prose) in blocks.chain(in_prose(&page).map(|line| (line, true))) {
            for arguments in of_pyrotee(&line) {
                count += 1;
                if let Some(error) = fault(&arguments, is_prose) {
                    faults.push(format!("{}: {line}\n{error}", file.display()));
                }
            }
        }
    }
    assert!(count > 50, "the search found {count} commands");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The lines below the options in the help of `command` and of its subcommands that are wider than clap's lines.
fn wide_lines(command: &clap::Command, found: &mut Vec<String>) {
    let texts = [command.get_after_help(), command.get_after_long_help()];
    for text in texts.into_iter().flatten() {
        let text = text.to_string();
        let wide = text.lines().filter(|line| line.chars().count() > HELP);
        found.extend(wide.map(|line| format!("{}: {line}", command.get_name())));
    }
    for command in command.get_subcommands() {
        wide_lines(command, found);
    }
}

#[test]
fn the_help_has_no_line_that_would_be_broken() {
    let mut found = Vec::new();
    wide_lines(&Cli::command(), &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
}
