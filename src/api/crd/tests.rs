//! The definitions against the reference's, against the form that Kubernetes demands, and against the folder `crds/`.

mod files;
mod form;
pub(crate) mod reference;
