//! The ports that clients come to: who is let in, and what proxies, agents and the API server are answered.

pub(crate) mod registration;
pub(crate) mod secret_access;
pub(crate) mod secure;
pub(crate) mod tls;
pub(crate) mod translator;
pub(crate) mod webhooks;
