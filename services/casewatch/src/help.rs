//! `casewatch --help`, its commands grouped by what one wants; completions for shells and pages for `man`, all of them
//! from the one definition of the command line.

use std::io::Write;

use clap::{Command, CommandFactory};

use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::failure::Failure;

/// Every command stands in one of them.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Run", &["run", "demo", "init", "status"]),
    ("Ask", &["sql", "metrics", "report", "explain"]),
    ("Define", &["check", "test", "catalogue", "schema"]),
    ("Feed", &["load", "simulate"]),
    (
        "Keep",
        &[
            "maintain",
            "backup",
            "restore",
            "verify",
            "backfill",
            "dead-letters",
            "accept-gap",
            "erase",
            "rotate-keys",
            "user",
        ],
    ),
    ("Shell", &["completions", "man"]),
];

/// The command line as it is parsed and shown.
pub fn command() -> Command {
    let command = Cli::command();
    let styles = command.get_styles();
    let (heading, name) = (*styles.get_header(), *styles.get_literal());
    let width = command
        .get_subcommands()
        .map(|it| it.get_name().len())
        .max()
        .unwrap_or(0);
    let mut groups = String::new();
    for (title, members) in GROUPS {
        groups.push_str(&format!("{heading}{title}:{heading:#}\n"));
        let found = members.iter().filter_map(|member| command.find_subcommand(member));
        for member in found {
            let about = member.get_about().map(ToString::to_string).unwrap_or_default();
            groups.push_str(&format!("  {name}{:width$}{name:#}  {about}\n", member.get_name()));
        }
        groups.push('\n');
    }
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}{heading}Options:{heading:#}\n{{options}}{{after-help}}"
    );
    command.help_template(template)
}

/// Prints what a shell has to source.
///
/// # Errors
/// An output that cannot be written.
pub fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "casewatch", &mut script);
    std::io::stdout().write_all(&script).map_err(Failure::output)
}

/// Writes a page for each command.
///
/// # Errors
/// A folder that cannot be written.
pub fn man(args: &ManArgs) -> Result<(), Failure> {
    let unwritten = |error| Failure::failed(format!("{}: {error}", args.dir.display()));
    std::fs::create_dir_all(&args.dir).map_err(unwritten)?;
    // Without the grouped list, which is laid out for a terminal.
    clap_mangen::generate_to(Cli::command(), &args.dir).map_err(unwritten)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap_complete::Shell;

    use super::*;

    /// As a pipe shows it.
    fn shown(command: &mut Command) -> String {
        command.render_help().to_string()
    }

    #[test]
    fn every_command_stands_in_one_group_with_what_it_is_for() {
        let mut command = command();
        let text = shown(&mut command);
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, members)| members.iter().copied()).collect();
        let distinct: BTreeSet<&str> = grouped.iter().copied().collect();
        assert_eq!(distinct.len(), grouped.len(), "a command stands twice");
        for subcommand in command.get_subcommands().filter(|it| it.get_name() != "help") {
            let name = subcommand.get_name();
            assert!(distinct.contains(name), "{name} stands in no group");
            let about = subcommand
                .get_about()
                .expect("every command says what it is for")
                .to_string();
            let line = text
                .lines()
                .find(|line| line.trim_start().starts_with(&format!("{name} ")));
            assert!(
                line.is_some_and(|line| line.ends_with(&about)),
                "{name}: {about}\n{text}"
            );
        }
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(
            longest <= 100,
            "a line of {longest} characters is wrapped by most terminals\n{text}"
        );
    }

    #[test]
    fn help_says_how_to_begin_and_what_exit_codes_mean() {
        let text = shown(&mut command());
        assert!(text.contains("Examples:") && text.contains("casewatch init"), "{text}");
        for code in [
            "0  done",
            "1  failed",
            "2  wrong use",
            "3  refused",
            "4  differences",
            "5  not fresh",
        ] {
            assert!(text.contains(code), "{code} is not in\n{text}");
        }
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn shells_complete_every_command_and_each_has_a_page() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "casewatch", &mut script);
            let script = String::from_utf8(script).unwrap();
            for (_, members) in GROUPS {
                let missing = members
                    .iter()
                    .find(|member| **member != "demo" && !script.contains(**member));
                assert_eq!(missing, None, "{shell}");
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("man1");
        man(&ManArgs { dir: dir.clone() }).unwrap();
        let page = std::fs::read_to_string(dir.join("casewatch-report.1")).unwrap();
        assert!(page.contains("publish"), "{page}");
    }
}
