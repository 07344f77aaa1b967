//! Requests that come over a connection for another host.

use std::collections::BTreeMap;
use std::error::Error;

use model::mesh::Features;
use serde_json::{Value, json};
use testkit::compare::Dump;
use testkit::mesh::dump;

use super::{Outcome, gateway, get, list, mesh_with, part, router, rule};

fn sent(answered: bool, yaml: &[&str]) -> Result<Dump, Box<dyn Error>> {
    let features = Features { answer_misdirected: answered, ..Features::default() };
    Ok(dump(&*mesh_with(features, yaml)?, &router(&json!({}))?))
}

/// A server of port 443 with TLS.
fn server(name: &str, protocol: &str, hosts: &str, mode: &str) -> String {
    format!(
        "  - {{port: {{number: 443, name: {name}, protocol: {protocol}}}, hosts: [{hosts}], tls: {{mode: {mode}, credentialName: c}}}}\n"
    )
}

/// A Gateway with one HTTPS server, both of this name.
fn https(name: &str, hosts: &str) -> String {
    gateway(name, 1, &server(name, "HTTPS", hosts, "SIMPLE"))
}

/// A rule for hosts of the Gateway of the same name.
fn open(name: &str, hosts: &str) -> String {
    let action = "http: [{route: [{destination: {host: shop}}]}]";
    rule(name, &format!("hosts: [{hosts}], gateways: [edge/{name}], {action}"))
}

/// What each domain of a configuration answers: `routes`, `421`, or `404` where nothing is routed.
fn answers(dump: &Dump, server: &str) -> BTreeMap<String, &'static str> {
    let hosts = list(&get(dump, "rds", &format!("https.443.{server}.{server}.edge")), "/virtualHosts");
    let answer = |host: &Value| match list(host, "/routes").first() {
        None => "404",
        Some(route) if part(route, "/directResponse/status") == 421 => "421",
        Some(_) => "routes",
    };
    let mut found = BTreeMap::new();
    for host in &hosts {
        for domain in list(host, "/domains") {
            let domain = domain.as_str().unwrap_or_default().to_owned();
            assert!(found.insert(domain, answer(host)).is_none(), "a domain twice: {hosts:?}");
        }
    }
    found
}

fn expected(of: &[(&str, &'static str)]) -> BTreeMap<String, &'static str> {
    of.iter().map(|(domain, answer)| ((*domain).to_owned(), *answer)).collect()
}

#[test]
fn a_host_of_another_chain_is_misdirected_and_one_that_nobody_serves_is_unknown() -> Outcome {
    let gateways = [https("a", "a.example"), https("b", "b.example, c.example")];
    let yaml = [&*gateways[0], &gateways[1], &open("a", "a.example"), &open("b", "b.example")];
    let dump = sent(true, &yaml)?;
    assert_eq!(answers(&dump, "a"), expected(&[("a.example", "routes"), ("b.example", "421")]));
    assert_eq!(answers(&dump, "b"), expected(&[("a.example", "421"), ("b.example", "routes")]));
    let off = sent(false, &yaml)?;
    assert_eq!(answers(&off, "a"), expected(&[("a.example", "routes")]));
    Ok(())
}

#[test]
fn a_host_belongs_to_the_chain_with_the_most_specific_name() -> Outcome {
    let gateways = [https("wide", "'*.example'"), https("one", "a.example, d.example")];
    let rules = [open("wide", "'*.example'"), open("one", "a.example")];
    let dump = sent(true, &[&gateways[0], &gateways[1], &rules[0], &rules[1]])?;
    // The wildcard would serve it, by rules that are not meant for it.
    assert_eq!(answers(&dump, "wide"), expected(&[("*.example", "routes"), ("a.example", "421")]));
    // Connections for d.example come here: to send its clients away would bring them back for ever.
    let one = [("a.example", "routes"), ("d.example", "404"), ("*.example", "421")];
    assert_eq!(answers(&dump, "one"), expected(&one));
    Ok(())
}

#[test]
fn a_chain_without_rules_sends_nobody_back_to_itself() -> Outcome {
    let dump = sent(true, &[&https("empty", "a.example"), &https("all", "'*'"), &open("all", "'*'")])?;
    assert_eq!(answers(&dump, "empty"), expected(&[("a.example", "404"), ("*", "421")]));
    assert_eq!(answers(&dump, "all"), expected(&[("*", "routes")]));
    Ok(())
}

#[test]
fn what_passes_through_counts_as_served_and_other_ports_do_not() -> Outcome {
    let passing = gateway("pass", 1, &server("pass", "TLS", "'*.pass.example'", "PASSTHROUGH"));
    let gateways = [https("a", "a.example"), https("other", "o.example").replace("443", "444"), passing];
    let pass = rule(
        "pass",
        "hosts: ['*.pass.example'], gateways: [edge/pass], tls: [{match: [{sniHosts: [x.pass.example]}], route: [{destination: {host: shop}}]}]",
    );
    let rules = [open("a", "a.example"), open("other", "o.example"), pass];
    let yaml: Vec<&str> = gateways.iter().chain(&rules).map(String::as_str).collect();
    let dump = sent(true, &yaml)?;
    assert_eq!(answers(&dump, "a"), expected(&[("a.example", "routes"), ("x.pass.example", "421")]));
    Ok(())
}
