//! What awskeep knows of shells: how each quotes.

pub mod quote;
