//! Every way in which making the tables can fail, with the facts that a person needs to mend it.

use std::path::PathBuf;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what} must be from {low} to {high}, and {found} is not")]
    OutOfRange { what: &'static str, found: u64, low: u64, high: u64 },

    #[error("there is something in {folder} already; remove it, or name another folder")]
    Occupied { folder: PathBuf },

    #[error("{path}: {cause}")]
    Write { path: PathBuf, cause: Cause },
}

/// What stopped the writing of a file.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Parquet(#[from] parquet::errors::ParquetError),
    #[error(transparent)]
    Arrow(#[from] arrow_schema::ArrowError),
}

impl Error {
    pub fn write<C: Into<Cause>>(path: impl Into<PathBuf>) -> impl FnOnce(C) -> Self {
        let path = path.into();
        |cause| Self::Write { path, cause: cause.into() }
    }
}
