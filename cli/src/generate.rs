//! What is generated from the command line's own description: shell completions and man pages.

use std::io::{Write, stdout};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::args::Arguments;
use crate::exit::{Exit, Failure};

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_long_help = COMPLETIONS_HELP)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

const COMPLETIONS_HELP: &str = "\
Examples:
  bash:
      leaselock completions bash >~/.local/share/bash-completion/completions/leaselock

  zsh, with ~/.zfunc in fpath:
      leaselock completions zsh >~/.zfunc/_leaselock

  fish:
      leaselock completions fish >~/.config/fish/completions/leaselock.fish";

/// Print the man page of leaselock or of one of its commands
#[derive(Debug, clap::Args)]
#[command(after_long_help = MAN_HELP)]
pub(crate) struct Manual {
    /// A command of leaselock's; without it, the page of leaselock itself
    command: Option<String>,
}

const MAN_HELP: &str = "\
Examples:
  To read it:
      leaselock man run | man -l -

  To install it:
      leaselock man run >/usr/local/share/man/man1/leaselock-run.1";

pub(crate) fn completions(args: &Completions) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut Arguments::command(),
        "leaselock",
        &mut text,
    );
    stdout().write_all(&text)?;
    Ok(Exit::OK)
}

pub(crate) fn manual(args: &Manual) -> Result<Exit, Failure> {
    let mut all = Arguments::command().disable_help_subcommand(true);
    all.build();
    let command = match &args.command {
        None => all,
        Some(name) => all.find_subcommand(name).cloned().ok_or_else(|| {
            let message =
                format!("there is no command {name:?}; those there are: leaselock --help");
            Failure::new(Exit::USAGE, message)
        })?,
    };
    stdout().write_all(&page(&command)?)?;
    Ok(Exit::OK)
}

/// The page of one command; the sections after its options are those of its help text.
fn page(command: &Command) -> std::io::Result<Vec<u8>> {
    let source = format!("leaselock {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(source).manual("leaselock");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let sections = command.get_after_long_help().map(ToString::to_string);
    sections_of(&sections.unwrap_or_default()).to_writer(&mut text)?;
    Ok(text)
}

/// `Examples:` and the like at the margin are headings; what stands below is kept as it is written.
fn sections_of(help: &str) -> Roff {
    let mut roff = Roff::new();
    let mut open = false;
    for line in help.lines() {
        let heading = line.strip_suffix(':').filter(|line| !line.starts_with(' '));
        if let Some(heading) = heading {
            if open {
                roff.control("fi", []);
            }
            roff.control("SH", [heading.to_uppercase().as_str()]);
            roff.control("nf", []);
            open = true;
        } else {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
    }
    if open {
        roff.control("fi", []);
    }
    roff
}
