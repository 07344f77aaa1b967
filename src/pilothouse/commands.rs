//! The commands that print something and end.

pub mod bootstrap;
mod pod;
pub mod preview;
pub mod root;
pub mod token;
pub mod validate;
pub mod version;
