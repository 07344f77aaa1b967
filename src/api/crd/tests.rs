//! The definitions against the reference's, against the form that Kubernetes demands, and against the folder `crds/`.

mod form;
pub(crate) mod reference;
