//! The call simulator: where a call goes, over which TLS and with which status, from the resources that one proxy is sent.
//!
//! It reads Envoy's own messages and walks them as Envoy does: listener, listener filters, filter chain, connection
//! manager or TCP proxy, virtual host, route, cluster, endpoint, transport socket. What it does not know of is an error
//! with its place, never passed over: [`known`] holds every message on the way against a list of fields.
//!
//! What chance decides (weights, shares of faults, endpoints) is told as shares, not drawn. Outside of it are
//! certificates (who is trusted), time, limits, and headers that Envoy adds by itself. What an external authorizer says is
//! part of the call.
//!
//! ```
//! # use testkit::simulator::{Call, Request, Resources, simulate};
//! let nothing = Resources::default();
//! let call = Call::outbound("10.0.0.1:80".parse().unwrap(), Request::get("reviews", "/"));
//! let answer = simulate(&nothing, &call).unwrap();
//! assert_eq!(answer.to_string(), ": closed, no listener at 127.0.0.1:15001");
//! ```
//!
//! Source: <https://www.envoyproxy.io/docs/envoy/latest/intro/life_of_a_request> and the pages of each message.

mod answer;
mod authz;
mod balance;
mod call;
mod chain;
mod cluster;
mod downstream;
mod http;
mod known;
mod limits;
mod listener;
mod matcher;
mod network;
mod resources;
#[cfg(test)]
mod tests;
mod upstream_tls;

use anyhow::{Context, Result};

pub use answer::{Answer, Chance, Forwarded, HeaderEdit, Outcome, Reply, Tls, Upstream};
pub use authz::Authorizer;
pub use call::{Call, ClientTls, Request, Says, Version};
pub use limits::Limits;
pub use resources::Resources;

/// Where a call to the proxy that has these resources goes.
///
/// # Errors
/// The resources hold something that the simulator does not know, or name something that is not there.
pub fn simulate(resources: &Resources, call: &Call) -> Result<Answer> {
    let Some(taken) = listener::choose(resources, call)? else {
        let why = Outcome::Closed(format!("no listener at {}", call.arrives));
        return Ok(Answer::of_connection("", "", why));
    };
    let name = &taken.listener.name;
    let Some(chain) = chain::choose(taken.listener, call, &taken.seen).with_context(|| name.clone())? else {
        let why = Outcome::Closed("no filter chain matches".to_owned());
        return Ok(Answer::of_connection(name, "", why));
    };
    let place = || format!("listener {name}, filter chain {:?}", chain.name);
    let content = match downstream::accept(chain, call).with_context(place)? {
        Ok(content) => content,
        Err(refused) => return Ok(Answer::of_connection(name, &chain.name, Outcome::Closed(refused))),
    };
    let chances = network::run(resources, chain, call, &content).with_context(place)?;
    Ok(Answer { listener: name.clone(), chain: chain.name.clone(), tls_ends: content.tls, chances })
}
