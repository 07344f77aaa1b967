//! The rules of the house that a compiler does not know, held against the repository's own files.

#[cfg(test)]
#[path = "../tidy/mod.rs"]
mod tidy;
