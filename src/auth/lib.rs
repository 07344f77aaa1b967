//! Who asks: credentials of clients become identities, and identities become certificates.
//!
//! ```text
//! credentials      what came with a request: a verified client certificate, tokens, forwarded certificates
//! authenticators   asks one after the other who that is; the first answer counts
//!   certificate    a client certificate of the mesh
//!   token          the form of tokens: signature, claims, times; keys that others publish
//!   oidc           tokens of an issuer that the operator names
//!   kubernetes     tokens of service accounts: verified here, or by the API server
//!   forwarded      x-forwarded-client-cert of gateways that are trusted
//! presence         pods and service accounts that are there
//! nodes            which identities a node's proxy may ask for beside its own
//! service          IstioCertificateService
//!   external       who signs in the authority's place
//!   rate           how often an address may ask
//! fair             in which order those are served who wait
//! ```
//!
//! Source: `shared/spec/security.md` 2, 3.

mod authenticators;
mod caller;
pub mod certificate;
mod credentials;
mod external;
mod fair;
mod forwarded;
pub mod kubernetes;
mod metrics;
mod nodes;
pub mod oidc;
mod presence;
mod rate;
mod service;
#[cfg(test)]
mod testing;
pub mod token;

pub use authenticators::Authenticators;
pub use caller::{BoundPod, Caller, Domains, Means, Refused, Settings};
pub use credentials::Credentials;
pub use external::{External, Order, Unsigned};
pub use fair::{Source, Turn, Turns};
pub use forwarded::Forwarded;
pub use metrics::Metrics;
pub use nodes::NodeProxies;
pub use presence::Presence;
pub use rate::Rate;
pub use service::{Authorities, CertificateService, Signing, Witness};
