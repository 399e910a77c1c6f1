//! A `.gsl` file as the command line sees it: its text, its folder, its messages; and how failures are told.

use crate::args::Colour;
use gsl_compiler::diag::{self, Diagnostic};
use std::fmt::Display;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// What ends a command before its time, as text for the user.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    pub help: Option<String>,
    pub code: u8,
}

impl Failure {
    pub fn new(message: impl Display) -> Self {
        Failure { message: message.to_string(), help: None, code: 1 }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A failure of which everything has been said already.
    pub fn told() -> Self {
        Failure { message: String::new(), help: None, code: 1 }
    }

    pub fn tell(&self, color: bool) {
        if self.message.is_empty() {
            return;
        }
        let (red, cyan, off) = if color { ("\x1b[31m", "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
        eprintln!("{red}error{off}: {}", self.message);
        if let Some(help) = &self.help {
            eprintln!("  {cyan}help{off}: {help}");
        }
    }
}

/// The text of a file and where it stands.
pub struct SourceText {
    pub path: PathBuf,
    pub text: String,
}

impl SourceText {
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = std::fs::read(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Failure::new(format!("there is no file `{}`", path.display())),
            _ => Failure::new(format!("`{}` cannot be read: {e}", path.display())),
        })?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            Failure::new(format!("`{}` is not UTF-8 at byte {at}", path.display())).help("save it as UTF-8")
        })?;
        Ok(SourceText { path: path.to_path_buf(), text })
    }

    /// The folder that paths in the file are relative to.
    pub fn folder(&self) -> PathBuf {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        }
    }

    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Prints the messages; a failure if one of them is an error.
    pub fn report(&self, diagnostics: &[Diagnostic], color: bool) -> Result<(), Failure> {
        if !diagnostics.is_empty() {
            eprint!("{}", diag::render(diagnostics, &self.name(), &self.text, color));
        }
        if diagnostics.iter().any(Diagnostic::is_error) { Err(Failure::told()) } else { Ok(()) }
    }
}

/// Colours on a terminal, unless told otherwise or NO_COLOR is set.
pub fn wants_color(choice: Colour) -> bool {
    match choice {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    }
}
