//! Routes from the rules that a listener applies.

use std::collections::BTreeMap;

use api::istio::{HttpMatchRequest, HttpRoute};
use api::{ObjectRef, Problem, Severity};
use envoy::config::core::v3::Metadata;
use envoy::config::route::v3::route::Action;
use envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy::config::route::v3::route_match::PathSpecifier;
use envoy::config::route::v3::{Decorator, Route, RouteMatch};
use envoy::google::protobuf::{Struct, Value};
use model::Ref;

use super::text::Wrong;
use super::{
    Missing, RuleSet, Target, action, cors, destinations, direct_response, fault, header_operations,
    matching, redirect,
};
use crate::output::Built;
use crate::routes::default_route::everything;
use crate::routes::substitute;

const SUBSTITUTED: (Severity, &str) =
    (Severity::Error, "correct the field; until then requests that the rule matches are answered with 500");
const LEFT_OUT: (Severity, &str) = (Severity::Error, "correct the field; until then it is left out");
const MISSING: (Severity, &str) = (Severity::Warning, "define what is missing, or name another destination");

/// One rule as it is applied.
#[derive(Clone, Copy)]
pub(super) struct Rule<'a> {
    pub(super) set: &'a RuleSet,
    /// Its place among the rules.
    pub(super) index: usize,
    pub(super) http: &'a HttpRoute,
    /// What is known of its destinations.
    pub(super) targets: &'a [Target],
}

/// The routes of several VirtualServices for one host: in their order, but those that take everything come last.
pub fn all(sets: &[Ref<RuleSet>]) -> Built<Vec<Route>> {
    let mut result: Built<Vec<Route>> = Built::default();
    for set in sets {
        let built = build(set);
        result.message.extend(built.message);
        result.sources.extend(built.sources);
        result.problems.extend(built.problems);
    }
    result.message.sort_by_key(is_catch_all);
    result
}

/// The routes of one VirtualService, up to the first that takes everything.
pub fn build(set: &RuleSet) -> Built<Vec<Route>> {
    let mut sources: Vec<ObjectRef> = set.entry.sources().cloned().collect();
    let hashing = set.targets.iter().filter_map(|t| t.hashing.as_deref());
    sources.extend(hashing.flat_map(|h| h.from.iter().cloned()));
    let mut result: Built<Vec<Route>> = Built::new(Vec::new(), sources);
    let mut targets = set.targets.as_slice();
    for (index, http) in set.entry.config.spec.http.iter().enumerate() {
        let (own, rest) = targets.split_at_checked(destinations(http).count()).unwrap_or((targets, &[]));
        targets = rest;
        let rule = Rule { set, index, http, targets: own };
        let requests: Vec<_> = http.r#match.iter().enumerate().map(Some).collect();
        let requests = if requests.is_empty() { vec![None] } else { requests };
        let applied = requests.into_iter().filter(|r| match r {
            Some((request, _)) => !set.excluded.contains(&(index, *request)),
            None => true,
        });
        let mut told = false;
        for request in applied {
            let route = rule.route(request, &mut result.problems);
            if !std::mem::replace(&mut told, true) {
                rule.tell_missing(&mut result.problems);
            }
            let last = is_catch_all(&route);
            result.message.push(route);
            if last {
                return result;
            }
        }
    }
    result
}

/// Whether a route takes every request, so that nothing after it is ever reached.
pub fn is_catch_all(route: &Route) -> bool {
    route.r#match.as_ref().is_some_and(|m| {
        let path = match &m.path_specifier {
            Some(PathSpecifier::Prefix(path) | PathSpecifier::PathSeparatedPrefix(path)) => path == "/",
            Some(PathSpecifier::SafeRegex(regex)) => regex.regex == ".*",
            _ => false,
        };
        path && m.headers.is_empty() && m.query_parameters.is_empty() && m.dynamic_metadata.is_empty()
    })
}

impl Rule<'_> {
    fn route(&self, request: Option<(usize, &HttpMatchRequest)>, problems: &mut Vec<Problem>) -> Route {
        let mut wrong = Vec::new();
        let matched = match request {
            None => everything(),
            Some((index, request)) => {
                let mut faults = Vec::new();
                let matched = matching::build(request, self.set.semantics().separated(), &mut faults);
                let within =
                    |fault: Wrong| Wrong { field: format!("match[{index}].{}", fault.field), ..fault };
                wrong.extend(faults.into_iter().map(within));
                matched
            }
        };
        let mut route = Route {
            name: self.name(request.map(|(_, r)| r)),
            stat_prefix: request.map(|(_, r)| r.stat_prefix.clone()).unwrap_or_default(),
            metadata: Some(self.metadata()),
            ..Route::default()
        };
        let mut left_out = Vec::new();
        self.act(&mut route, &matched, &mut wrong, &mut left_out);
        problems.extend(wrong.iter().map(|w| self.problem(w, SUBSTITUTED)));
        problems.extend(left_out.iter().map(|w| self.problem(w, LEFT_OUT)));
        if !wrong.is_empty() {
            route = self.substitute(route);
        }
        route.decorator = Some(Decorator { operation: self.operation(&route, &matched), propagate: None });
        route.r#match = Some(matched);
        route
    }

    /// Fills in what is done with requests. A fault that cannot be made is left out: requests are better off without.
    fn act(
        &self,
        route: &mut Route,
        matched: &RouteMatch,
        wrong: &mut Vec<Wrong>,
        left_out: &mut Vec<Wrong>,
    ) {
        let mut authority = None;
        match header_operations::build(self.http.headers.as_ref(), "headers") {
            Ok(operations) => authority = operations.apply(route),
            Err(fault) => wrong.push(fault),
        }
        route.action = if let Some(wanted) = &self.http.redirect {
            let set = self.set;
            note(redirect::build(wanted, set.port, set.tls, set.semantics()), wrong).map(Action::Redirect)
        } else if let Some(wanted) = &self.http.direct_response {
            note(direct_response::build(wanted), wrong).map(Action::DirectResponse)
        } else {
            Some(Action::Route(action::build(self, authority, route, matched, wrong)))
        };
        if self.set.http3 {
            route.response_headers_to_add.push(header_operations::serves_http3(self.set.port));
        }
        let mut filters = BTreeMap::new();
        if let Some(wanted) = &self.http.fault
            && let Some(built) = fault::build(wanted, left_out)
        {
            filters.insert("envoy.filters.http.fault".to_owned(), envoy::pack_any(&built));
        }
        if let Some(wanted) = &self.http.cors_policy
            && let Some(built) = note(cors::build(wanted), wrong)
        {
            filters.insert("envoy.filters.http.cors".to_owned(), envoy::pack_any(&built));
        }
        // Of several destinations with sessions the first counts.
        let destinations = self.targets.iter().take(self.http.route.len());
        if let Some(session) = destinations.filter_map(|t| t.session.as_ref()).next()
            && matches!(route.action, Some(Action::Route(_)))
        {
            filters.extend([session.filter()]);
        }
        route.typed_per_filter_config = filters;
    }

    /// What takes the place of a route that cannot be built.
    fn substitute(&self, route: Route) -> Route {
        let config = &self.set.entry.config;
        let called = if route.name.is_empty() { format!("http[{}]", self.index) } else { route.name.clone() };
        let what = format!("route {called} of VirtualService {}/{}", config.namespace(), config.name());
        Route {
            name: route.name,
            metadata: route.metadata,
            action: Some(substitute::answer(&what)),
            ..Route::default()
        }
    }

    fn name(&self, request: Option<&HttpMatchRequest>) -> String {
        match request {
            Some(request) if !request.name.is_empty() => format!("{}.{}", self.http.name, request.name),
            _ => self.http.name.clone(),
        }
    }

    /// Which VirtualService it comes from.
    fn metadata(&self) -> Metadata {
        let config = &self.set.entry.config;
        let path = format!(
            "/apis/networking.istio.io/v1/namespaces/{}/virtual-service/{}",
            config.namespace(),
            config.name()
        );
        let facts = Struct::from([("config", Value::from(path))]);
        Metadata { filter_metadata: BTreeMap::from([("istio".to_owned(), facts)]), ..Metadata::default() }
    }

    /// What traces call requests of the route: its only destination or else its VirtualService, and the path.
    fn operation(&self, route: &Route, matched: &RouteMatch) -> String {
        let path = match &matched.path_specifier {
            Some(PathSpecifier::Prefix(prefix)) => format!("{prefix}*"),
            Some(PathSpecifier::Path(path)) => path.clone(),
            Some(PathSpecifier::SafeRegex(regex)) => regex.regex.clone(),
            _ => "/*".to_owned(),
        };
        if let Some(Action::Route(action)) = &route.action
            && let Some(ClusterSpecifier::Cluster(_)) = &action.cluster_specifier
            && let (Some(to), Some(target)) = (destinations(self.http).next(), self.targets.first())
            && !to.host.is_empty()
        {
            return format!("{}:{}{path}", target.host(to), target.port);
        }
        format!("{}:{}{path}", self.set.entry.config.name(), self.set.port)
    }

    /// Tells the owner of destinations that nobody defines.
    fn tell_missing(&self, problems: &mut Vec<Problem>) {
        if self.http.redirect.is_some() || self.http.direct_response.is_some() {
            return;
        }
        let routes = (0..self.http.route.len()).map(|i| format!("route[{i}].destination"));
        let mirror = self.http.mirror.iter().map(|_| "mirror".to_owned());
        let mirrors = (0..self.http.mirrors.len()).map(|i| format!("mirrors[{i}].destination"));
        let fields = routes.chain(mirror).chain(mirrors);
        for ((field, to), target) in fields.zip(destinations(self.http)).zip(self.targets) {
            let (part, message) = match target.missing {
                None => continue,
                Some(Missing::Host) => ("host", format!("no service {:?} is known here", to.host)),
                Some(Missing::Port) => ("port", format!("service {:?} has no port {}", to.host, target.port)),
                Some(Missing::Subset) => (
                    "subset",
                    format!("no DestinationRule in force for {:?} has subset {:?}", to.host, to.subset),
                ),
            };
            let told = Wrong::new(format!("{field}.{part}"), format!("{message}; requests to it fail"));
            problems.push(self.problem(&told, MISSING));
        }
    }

    fn problem(&self, wrong: &Wrong, (severity, hint): (Severity, &str)) -> Problem {
        let (object, place) = self.set.entry.origin(self.index);
        Problem {
            severity,
            object: object.key.clone(),
            field: place.field(&wrong.field),
            message: wrong.message.clone(),
            hint: hint.to_owned(),
        }
    }
}

/// The value; what is wrong with it goes to the others.
pub(super) fn note<T>(built: Result<T, Wrong>, wrong: &mut Vec<Wrong>) -> Option<T> {
    built.map_err(|fault| wrong.push(fault)).ok()
}
