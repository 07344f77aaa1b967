//! Rules of load balancers: hashing, localities, warm-up.

use std::collections::BTreeSet;

use api::istio::{
    ConsistentHashLb, LoadBalancerSettings, LocalityDistribute, LocalityFailover, LocalityLbSetting,
    WarmupConfiguration, ZoneAwareLbSetting,
};

use super::check::Check;
use super::text::{percent, time};

/// Labels that tell where an endpoint is.
const PLACES: [&str; 3] =
    ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

/// The largest table of Maglev (Envoy: `MaglevLbConfig.table_size`).
const LARGEST_TABLE: u64 = 5_000_011;

pub(super) fn load_balancer(check: &mut Check, settings: &LoadBalancerSettings) {
    if settings.simple.is_some() && settings.consistent_hash.is_some() {
        check.error("consistentHash", "the policy is said in two ways", "keep simple or consistentHash");
    }
    if settings.locality_lb_setting.is_some() && settings.zone_aware_lb_setting.is_some() {
        let hint = "keep localityLbSetting or zoneAwareLbSetting";
        check.error("zoneAwareLbSetting", "localities are preferred in two ways", hint);
    }
    check.some("consistentHash", settings.consistent_hash.as_ref(), consistent_hash);
    check.some("localityLbSetting", settings.locality_lb_setting.as_ref(), localities);
    check.some("zoneAwareLbSetting", settings.zone_aware_lb_setting.as_ref(), zones);
    time(check, "warmupDurationSecs", settings.warmup_duration_secs);
    check.some("warmup", settings.warmup.as_ref(), warmup);
}

fn consistent_hash(check: &mut Check, hash: &ConsistentHashLb) {
    let sources = [
        hash.http_header_name.is_some(),
        hash.http_cookie.is_some(),
        hash.use_source_ip.is_some(),
        hash.http_query_parameter_name.is_some(),
    ];
    match sources.into_iter().filter(|given| *given).count() {
        0 => check.error(
            "",
            "there is nothing to hash",
            "name a header, a cookie, a query parameter, or useSourceIp",
        ),
        1 => {}
        _ => check.error("", "more than one thing is to be hashed", "keep one"),
    }
    check.some("httpCookie", hash.http_cookie.as_ref(), |check, cookie| {
        if cookie.name.is_empty() {
            check.error("name", "the cookie has no name", "name the cookie");
        }
    });
    let algorithm = hash.ring_hash.is_some() || hash.maglev.is_some();
    if hash.minimum_ring_size != 0 && algorithm {
        check.error(
            "minimumRingSize",
            "the ring is said beside ringHash or maglev",
            "leave minimumRingSize out",
        );
    } else if hash.minimum_ring_size != 0 {
        check.warning("minimumRingSize", "the field is deprecated", "write ringHash.minimumRingSize");
    }
    if hash.ring_hash.is_some() && hash.maglev.is_some() {
        check.error("maglev", "two algorithms are named", "keep ringHash or maglev");
    }
    check.some("maglev", hash.maglev.as_ref(), |check, maglev| table(check, maglev.table_size));
}

fn table(check: &mut Check, size: u64) {
    if size >= LARGEST_TABLE {
        check.error(
            "tableSize",
            format!("the table has {size} entries"),
            format!("write a prime below {LARGEST_TABLE}"),
        );
    } else if size != 0 && !is_prime(size) {
        check.error("tableSize", format!("{size} is not prime"), "write a prime, such as 65537");
    }
}

/// Whether a number below [`LARGEST_TABLE`] is prime: its root is small enough to try them all.
fn is_prime(number: u64) -> bool {
    number > 1 && (2..).take_while(|d| d * d <= number).all(|d| !number.is_multiple_of(d))
}

pub(super) fn zones(check: &mut Check, setting: &ZoneAwareLbSetting) {
    failovers(check, &setting.failover);
    places(check, &setting.failover_priority);
}

/// Labels of places among those by which traffic fails over, where places decide already.
fn places(check: &mut Check, labels: &[String]) {
    for (index, label) in labels.iter().enumerate().filter(|(_, label)| PLACES.contains(&label.as_str())) {
        let message = format!("{label} is looked at already");
        check.error(&format!("failoverPriority[{index}]"), message, "leave the label out");
    }
}

pub(super) fn localities(check: &mut Check, setting: &LocalityLbSetting) {
    let ways = [
        !setting.distribute.is_empty(),
        !setting.failover.is_empty() || !setting.failover_priority.is_empty(),
    ];
    if ways == [true, true] {
        check.error(
            "distribute",
            "traffic cannot be both spread and failed over",
            "keep distribute or failover",
        );
    }
    check.each("distribute", &setting.distribute, distribute);
    let froms: Vec<&str> = setting.distribute.iter().map(|d| d.from.as_str()).collect();
    overlapping(check, "distribute", &froms);
    failovers(check, &setting.failover);
    if !setting.failover.is_empty() {
        places(check, &setting.failover_priority);
    }
}

fn distribute(check: &mut Check, shares: &LocalityDistribute) {
    locality(check, "from", &shares.from);
    let mut sum: u64 = 0;
    for (name, share) in &shares.to {
        locality(check, &format!("to[{name}]"), name);
        if *share == 0 {
            check.error(&format!("to[{name}]"), "a share of 0 sends nothing", "leave the locality out");
        }
        sum = sum.saturating_add(u64::from(*share));
    }
    if sum != 100 {
        check.error("to", format!("the shares make {sum} percent"), "let the shares add up to 100");
    }
    let names: Vec<&str> = shares.to.keys().map(String::as_str).collect();
    overlapping(check, "to", &names);
}

/// A locality: `region`, `region/zone` or `region/zone/subzone`, of which the last part may be `*`.
fn locality(check: &mut Check, field: &str, name: &str) {
    let parts: Vec<&str> = name.split('/').collect();
    let star = parts.iter().position(|part| part.contains('*'));
    let ends = star.is_none_or(|at| at + 1 == parts.len() && parts.get(at) == Some(&"*"));
    if name.is_empty() || parts.len() > 3 || parts.iter().any(|part| part.is_empty()) || !ends {
        let hint = "write region/zone/subzone; * may stand at the end";
        check.error(field, format!("{name:?} is no locality"), hint);
    }
}

/// Localities of which one covers another.
fn overlapping(check: &mut Check, field: &str, names: &[&str]) {
    let stem = |name: &str| name.trim_end_matches('*').trim_end_matches('/').to_owned();
    let covers = |outer: &str, inner: &str| {
        let (outer, inner) = (stem(outer), stem(inner));
        outer.is_empty() || inner == outer || inner.starts_with(&format!("{outer}/"))
    };
    for (index, name) in names.iter().enumerate() {
        if let Some(before) =
            names.iter().take(index).find(|before| covers(before, name) || covers(name, before))
        {
            let message = format!("localities {before:?} and {name:?} overlap");
            check.error(field, message, "name each locality once");
        }
    }
}

fn failovers(check: &mut Check, failovers: &[LocalityFailover]) {
    let mut seen = BTreeSet::new();
    for (index, failover) in failovers.iter().enumerate() {
        check.at(format_args!("failover[{index}]"), |check| {
            if failover.from == failover.to {
                check.error("to", "a region does not fail over to itself", "name another region");
            }
            for (field, region) in [("from", &failover.from), ("to", &failover.to)] {
                if region.contains(['/', '*']) {
                    check.error(field, format!("{region:?} is no region"), "write the region alone");
                }
            }
            if !seen.insert(&failover.from) {
                check.error(
                    "from",
                    format!("{:?} fails over before this", failover.from),
                    "name each region once",
                );
            }
        });
    }
}

fn warmup(check: &mut Check, warmup: &WarmupConfiguration) {
    if warmup.duration.is_none() {
        check.error("duration", "the time of the warm-up is missing", "write a time, such as 60s");
    }
    time(check, "duration", warmup.duration);
    percent(check, "minimumPercent", warmup.minimum_percent);
    if warmup.aggression.is_some_and(|aggression| aggression.get() <= 0.0) {
        check.error("aggression", "the curve does not rise", "write a number above 0; 1 makes a line");
    }
}
