//! Tests of routes to other networks and of weights.

use super::*;

fn gateway(address: &str, network: &str, cluster: &str) -> NetworkGateway {
    NetworkGateway { address: address.into(), port: 15443, network: network.into(), cluster: cluster.into() }
}

fn view(written: Vec<NetworkGateway>) -> NetworkView {
    let resolved = written.iter().filter(|gateway| gateway.ip().is_some()).cloned().collect();
    let gateways = Ref::new(NetworkGateways { written, resolved });
    NetworkView { network: "home".into(), requested: Vec::new(), families: IpFamilies::V4, gateways }
}

fn through(route: Route<'_>) -> Option<Vec<&str>> {
    match route {
        Route::Direct => None,
        Route::Through(gateways) => Some(gateways.into_iter().map(|g| &*g.address).collect()),
    }
}

#[test]
fn weights_are_scaled_by_the_least_common_multiple_of_gateway_counts() {
    assert_eq!(view(Vec::new()).scale(Form::Eds), 1);
    let gateways = vec![
        gateway("1.1.1.1", "a", ""),
        gateway("1.1.1.2", "a", ""),
        gateway("2.1.1.1", "b", ""),
        gateway("2.1.1.2", "b", ""),
        gateway("2.1.1.3", "b", ""),
        gateway("by.name", "b", ""),
    ];
    let view = view(gateways);
    assert_eq!(
        (view.scale(Form::Eds), view.scale(Form::Inline)),
        (6, 4),
        "names count where they can be held"
    );
}

#[test]
fn the_own_network_no_network_and_networks_without_gateways_are_direct() {
    let view = view(vec![gateway("1.1.1.1", "far", ""), gateway("by.name", "named", "")]);
    assert_eq!(through(view.route("home", "c", Form::Eds)), None);
    assert_eq!(through(view.route("", "c", Form::Eds)), None);
    assert_eq!(through(view.route("other", "c", Form::Eds)), None);
    assert_eq!(through(view.route("far", "c", Form::Eds)), Some(vec!["1.1.1.1"]));
    assert_eq!(through(view.route("named", "c", Form::Eds)), None);
    assert_eq!(through(view.route("named", "c", Form::Inline)), Some(vec!["by.name"]));
}

#[test]
fn gateways_of_the_endpoints_cluster_come_before_those_of_its_network() {
    let view =
        view(vec![gateway("1.1.1.1", "far", ""), gateway("1.1.1.2", "far", "d"), gateway("::1", "six", "")]);
    assert_eq!(through(view.route("far", "d", Form::Eds)), Some(vec!["1.1.1.2"]));
    assert_eq!(through(view.route("far", "e", Form::Eds)), Some(vec!["1.1.1.1", "1.1.1.2"]));
    assert_eq!(through(view.route("six", "e", Form::Eds)), Some(Vec::new()), "not spoken by the client");
}
