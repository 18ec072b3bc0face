//! The AWS CLI's two files, `~/.aws/config` and `~/.aws/credentials`: read without
//! loss, edited by lines, checked with the SDK's own parser before they are
//! replaced. Nothing here decides what should be moved; that is the commands' part.

pub mod command_line;
pub mod document;
pub mod edits;
pub mod files;
pub mod put_keys;
mod reader;
pub mod resolve;
pub mod sdk_reader;
pub mod takes;
pub mod trouble;
pub mod undo;

#[cfg(test)]
mod edit_tests;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod trouble_tests;

#[cfg(test)]
pub(crate) use reader::LINES_READ;

pub use command_line::{Helper, PointsAt, parse_helper, points_at};
pub use document::{Document, FileKind, Header, Property, Section};
pub use trouble::Trouble;
pub use undo::{Edited, Hunk};
