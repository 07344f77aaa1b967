//! Which stats Envoy keeps and which parts of their names become tags (spec kubernetes.md 4.3).

use serde_json::{Value, json};

use super::options::Options;

/// Tag and expression. The first group is cut out of the name, the second is the tag's value.
const TAGS: [(&str, &str); 16] = [
    ("cluster_name", r"^cluster(\.(.+);)"),
    ("http_conn_manager_prefix", r"^http\.((.+?);\.)"),
    ("thread_name", r"^server(\.(.+))\.watchdog"),
    ("tcp_prefix", r"^tcp\.((.*?)\.)\w+?$"),
    ("response_code", r"_rq(_(\d{3}))$"),
    ("response_code_class", r"_rq(_(\dxx))$"),
    ("http_conn_manager_listener_prefix", r"^listener\..+?\.http\.((.+?);\.)"),
    ("listener_address", r"^listener\.(([_.\d]*|[_\[\]a-fA-F\d]*)\.)"),
    ("mongo_prefix", r"^mongo\.((.+?)\.)(collection|cmd|cx_|op_|delays_|decoding_).*?$"),
    ("cache", r"(cache\.(.+?)\.)"),
    ("component", r"(component\.(.+?)\.)"),
    ("tag", r"(tag\.(.+?);\.)"),
    ("wasm_filter", r"(wasm_filter\.(.+?)\.)"),
    ("authz_enforce_result", r"rbac(\.(allowed|denied))"),
    ("authz_dry_run_action", r"(\.istio_dry_run_(allow|deny)_)"),
    ("authz_dry_run_result", r"(\.shadow_(allowed|denied))"),
];

/// `istio` and `wasm` are the two beginnings of the mesh's standard metrics on a stock Envoy.
const PREFIXES: [&str; 7] =
    ["cluster_manager", "listener_manager", "server", "cluster.xds-grpc", "wasm", "component", "istio"];
const SUFFIXES: [&str; 4] = ["rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied"];
const ROUTE_STATS: &str = r"vhost\..*\.route\..*";

pub(super) fn render(options: &Options) -> Value {
    let tags: Vec<Value> =
        TAGS.iter().map(|(name, regex)| json!({"tag_name": name, "regex": regex})).collect();
    if options.all_stats {
        return json!({"use_all_default_tags": false, "stats_tags": tags});
    }
    let user = options.stats_inclusion_prefixes.iter().map(String::as_str);
    let patterns: Vec<Value> = PREFIXES
        .into_iter()
        .chain(user)
        .map(|prefix| json!({"prefix": prefix}))
        .chain(SUFFIXES.into_iter().map(|suffix| json!({"suffix": suffix})))
        .chain([json!({"safe_regex": {"regex": ROUTE_STATS}})])
        .collect();
    json!({
        "use_all_default_tags": false,
        "stats_tags": tags,
        "stats_matcher": {"inclusion_list": {"patterns": patterns}},
    })
}
