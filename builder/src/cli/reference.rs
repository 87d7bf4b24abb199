//! `docs/cli.md`, made from the definitions themselves.

use clap::CommandFactory as _;
use std::fmt::Write as _;

/// The reference of all verbs as Markdown.
pub fn markdown() -> String {
    let mut root = super::Cli::command();
    root.build();
    let mut out = String::from("# Command line\n\nMade from the program itself; a test keeps it current.\n");
    section(&root, &mut out);
    out.push_str("\nExit codes: [exit-codes.md](exit-codes.md).\n");
    out
}

fn section(command: &clap::Command, out: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let help = command.clone().term_width(100).render_long_help().to_string();
    let help: Vec<_> = help.lines().map(str::trim_end).collect();
    let _ = write!(out, "\n## {name}\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    for verb in command.get_subcommands().filter(|c| c.get_name() != "help") {
        section(verb, out);
    }
}
