//! Makes the tables of `examples/debian` from the apt lists of a Debian or Ubuntu machine.
//!
//! Decided here: the arguments, and the straight line from lists to tables. What is read from a list is in
//! [`lists`], [`stanza`] and [`relation`]; what becomes a row is in [`archive`]; how it is stored in [`tables`].

mod archive;
mod archive_report;
mod error;
mod lists;
mod relation;
mod stanza;
mod tables;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;

use archive::Archive;
use error::{Error, Result};
use lists::{Filter, Kind};

const USAGE: &str = "\
Make the Debian package graph as Parquet tables from apt's lists.

usage: debian-tables [--suite NAME]... [--component NAME]... [LISTS [OUT]]

  LISTS               folder of the lists                  (default /var/lib/apt/lists)
  OUT                 folder that receives the tables      (default examples/debian/data)
  --suite NAME        read this suite only, e.g. bookworm  (default: every suite)
  --component NAME    read this component only, e.g. main  (default: every component)

`apt-get update` fetches the lists. The newest version of each package gives its row.
";

struct Arguments {
    lists: PathBuf,
    out: PathBuf,
    filter: Filter,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "-h" || a == "--help") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match parse(&arguments).and_then(|a| run(&a)) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Lists to stanzas, stanzas to an archive, archive to tables; returns what to print.
fn run(arguments: &Arguments) -> Result<String> {
    let found = lists::find(&arguments.lists, &arguments.filter)?;
    let packages = lists::read_all(&found, Kind::Packages)?;
    let sources = lists::read_all(&found, Kind::Sources)?;
    let archive = Archive::from_stanzas(&packages, &sources)?;
    let written = tables::write_all(&archive, &arguments.out)?;
    Ok(archive_report::text(&found, &archive, &written))
}

fn parse(arguments: &[String]) -> Result<Arguments> {
    let mut filter = Filter::default();
    let mut folders = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().cloned().ok_or_else(|| Error::MissingValue(argument.clone()));
        match argument.as_str() {
            "--suite" => filter.suites.push(value()?),
            "--component" => filter.components.push(value()?),
            flag if flag.starts_with('-') => return Err(Error::UnknownArgument(flag.into())),
            folder => folders.push(PathBuf::from(folder)),
        }
    }
    if let Some(extra) = folders.get(2) {
        return Err(Error::UnknownArgument(extra.display().to_string()));
    }
    let mut folders = folders.into_iter();
    let lists = folders.next().unwrap_or_else(|| "/var/lib/apt/lists".into());
    let out = folders.next().unwrap_or_else(|| "examples/debian/data".into());
    Ok(Arguments { lists, out, filter })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn arguments_have_defaults_and_filters_repeat() {
        let a = parse(&words("--suite bookworm /lists --suite bookworm-updates /out")).unwrap();
        assert_eq!(a.lists, PathBuf::from("/lists"));
        assert_eq!(a.out, PathBuf::from("/out"));
        assert_eq!(a.filter.suites, ["bookworm", "bookworm-updates"]);
        assert_eq!(parse(&[]).unwrap().lists, PathBuf::from("/var/lib/apt/lists"));
    }

    #[test]
    fn wrong_arguments_are_refused() {
        assert!(parse(&words("--suite")).is_err());
        assert!(parse(&words("--sweet bookworm")).is_err());
        assert!(parse(&words("a b c")).is_err());
    }
}
