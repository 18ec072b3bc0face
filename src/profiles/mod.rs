//! The AWS CLI's two files, `~/.aws/config` and `~/.aws/credentials`: read without
//! loss, edited by lines, checked with the SDK's own parser before they are
//! replaced. Nothing here decides what should be moved; that is the commands' part.

pub mod attach;
mod aws_files;
pub mod command_line;
pub mod document;
pub mod edits;
pub mod files;
pub mod lint;
pub(crate) mod parse;
pub mod program_path;
pub mod sdk_reader;
pub mod undo;

#[cfg(test)]
mod edit_tests;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod lint_tests;
#[cfg(test)]
mod property_tests;

#[cfg(test)]
pub(crate) use crate::profiles::parse::LINES_READ;

pub use crate::profiles::lint::{Checked, Lint};
pub use aws_files::{AwsFiles, CheckedFiles};
pub use command_line::{Helper, parse_helper};
pub use document::{Document, FileKind, Header, Property, Section};
pub use undo::{Edited, Hunk};
