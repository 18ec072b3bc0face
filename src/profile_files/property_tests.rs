//! Checks of the document and its edits against the SDK's own test vectors, and
//! against random messy files.
