//! Temporary credentials of one rotation: which code, whose session, what a denial means.

pub mod cache;
pub mod denial;
pub mod mfa;
pub mod obtain;
