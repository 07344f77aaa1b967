//! One rule of a policy as a policy of Envoy's RBAC: who (principals) may do what (permissions).
//!
//! What cannot be said makes policies stricter and never laxer: a rule that allows is left out; a rule that denies, audits or
//! asks an external authorizer holds without the field. So do fields of HTTP on connections that carry none.
//!
//! Source: Istio `pilot/pkg/security/authz/model/model.go`; `shared/spec/security.md` 8.4, 8.5.

use api::istio::{AuthorizationAction, AuthorizationPolicy, AuthorizationRule};
use api::{Problem, Severity};
use envoy::config::rbac::v3::{Permission, Policy, Principal};
use model::Config;

use super::attribute::{Attribute, Condition, Wrong};
use super::node::Node;
use super::operation::{self, What};
use super::source::{self, Who};

/// What a filter chain carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carries {
    Http,
    Bytes,
}

/// Translates the rules of one policy for one kind of filter chain.
#[derive(Debug)]
pub(super) struct Translator<'a> {
    pub(super) policy: &'a Config<AuthorizationPolicy>,
    pub(super) carries: Carries,
    /// The mesh's trust domain and its aliases.
    pub(super) trust_domains: &'a [String],
    /// What could not be said as asked.
    pub(super) problems: Vec<Problem>,
}

/// The rule is left out.
struct Dropped;

impl Translator<'_> {
    /// A rule by its number; none if it must be left out.
    pub(super) fn rule(&mut self, number: usize, rule: &AuthorizationRule) -> Option<Policy> {
        let at = format!("spec.rules[{number}]");
        let (what, who) = self.conditions(&at, rule);
        let permissions = self.permissions(&at, rule, &what);
        let principals = self.principals(&at, rule, &who);
        match (permissions, principals) {
            (Ok(permissions), Ok(principals)) => {
                Some(Policy { permissions, principals, ..Policy::default() })
            }
            _ => None,
        }
    }

    /// The conditions by what they look at. A key that nobody knows is among those of who asks.
    fn conditions(&self, at: &str, rule: &AuthorizationRule) -> (Vec<Condition<What>>, Vec<Condition<Who>>) {
        let (mut what, mut who) = (Vec::new(), Vec::new());
        for (number, when) in rule.when.iter().enumerate() {
            let at = format!("{at}.when[{number}]");
            let names = ("values", "notValues");
            if let Some(attribute) = What::of_key(&when.key) {
                what.push(condition(attribute, &at, names, when.values.as_slice(), &when.not_values));
            } else {
                let attribute = Who::of_key(&when.key, self.policy.namespace());
                let attribute = attribute.unwrap_or_else(|| Err(unknown(&when.key)));
                let spelt = |values: &[String]| match &attribute {
                    Ok(who) => who.spelt_out(values, self.trust_domains).into_owned(),
                    Err(_) => values.to_vec(),
                };
                let (values, excluded) = (spelt(&when.values), spelt(&when.not_values));
                who.push(condition(attribute, &at, names, &values, &excluded));
            }
        }
        (what, who)
    }

    fn permissions(
        &mut self,
        at: &str,
        rule: &AuthorizationRule,
        when: &[Condition<What>],
    ) -> Result<Vec<Permission>, Dropped> {
        let shared = self.all(when)?;
        if rule.to.is_empty() {
            return Ok(vec![together(Vec::new(), &shared)]);
        }
        let each = rule.to.iter().enumerate().map(|(number, to)| {
            let at = format!("{at}.to[{number}].operation");
            let fields = to.operation.as_ref().map(operation::fields).into_iter().flatten();
            let fields: Vec<_> = fields
                .filter(|(.., values, excluded)| !values.is_empty() || !excluded.is_empty())
                .map(|(what, name, values, excluded)| {
                    condition(Ok(what), &at, (name, &negated(name)), values, excluded)
                })
                .collect();
            if fields.is_empty() {
                self.empty(&at, "the operation is empty")?;
            }
            Ok(together(self.all(&fields)?, &shared))
        });
        each.collect()
    }

    fn principals(
        &mut self,
        at: &str,
        rule: &AuthorizationRule,
        when: &[Condition<Who>],
    ) -> Result<Vec<Principal>, Dropped> {
        let shared = self.all(when)?;
        if rule.from.is_empty() {
            return Ok(vec![together(Vec::new(), &shared)]);
        }
        let namespace = self.policy.namespace();
        let each = rule.from.iter().enumerate().map(|(number, from)| {
            let at = format!("{at}.from[{number}].source");
            let fields = from.source.as_ref().map(|s| source::fields(s, namespace)).into_iter().flatten();
            let fields: Vec<_> = fields
                .filter(|(.., values, excluded)| !values.is_empty() || !excluded.is_empty())
                .map(|(who, name, values, excluded)| {
                    let values = who.spelt_out(values, self.trust_domains).into_owned();
                    let excluded = who.spelt_out(excluded, self.trust_domains).into_owned();
                    condition(Ok(who), &at, (name, &negated(name)), &values, &excluded)
                })
                .collect();
            if fields.is_empty() {
                self.empty(&at, "the source is empty")?;
            }
            Ok(together(self.all(&fields)?, &shared))
        });
        each.collect()
    }

    fn all<A: Attribute>(&mut self, conditions: &[Condition<A>]) -> Result<Vec<A::Node>, Dropped> {
        let mut nodes = Vec::new();
        for condition in conditions {
            nodes.extend(self.one(condition)?);
        }
        Ok(nodes)
    }

    /// What a condition asks for: that a value matches, that none of the excluded does.
    fn one<A: Attribute>(&mut self, condition: &Condition<A>) -> Result<Vec<A::Node>, Dropped> {
        let attribute = match &condition.attribute {
            Ok(attribute) => attribute,
            Err(wrong) => {
                self.tell(&condition.field, wrong);
                return self.left_out().map(|()| Vec::new());
            }
        };
        if attribute.is_of_http() && self.carries == Carries::Bytes {
            return self.left_out().map(|()| Vec::new());
        }
        let ((values, values_at), (excluded, excluded_at)) = (&condition.values, &condition.excluded);
        if values.is_empty() && excluded.is_empty() {
            self.empty(values_at, "the condition has no values")?;
        }
        let (wanted, whole) = self.any(attribute, values, values_at)?;
        // Of a list in which a value is wrong, the rest must not narrow what is denied.
        let wanted = wanted.filter(|_| whole);
        let (excluded, _) = self.any(attribute, excluded, excluded_at)?;
        Ok(wanted.into_iter().chain(excluded.map(Node::not)).collect())
    }

    /// Any of the values, and whether all of them could be said.
    fn any<A: Attribute>(
        &mut self,
        attribute: &A,
        values: &[String],
        at: &str,
    ) -> Result<(Option<A::Node>, bool), Dropped> {
        if values.is_empty() {
            return Ok((None, true));
        }
        if let Some(node) = attribute.of_list(values) {
            return Ok((Some(node), true));
        }
        let mut nodes = Vec::new();
        for (number, value) in values.iter().enumerate() {
            match attribute.matcher(value) {
                Ok(node) => nodes.push(node),
                Err(wrong) => {
                    self.tell(&format!("{at}[{number}]"), &wrong);
                    self.left_out()?;
                }
            }
        }
        let whole = nodes.len() == values.len();
        Ok(((!nodes.is_empty()).then(|| Node::any(nodes)), whole))
    }

    /// What is asked for by an empty field is not known.
    fn empty(&mut self, at: &str, message: &str) -> Result<(), Dropped> {
        self.tell(at, &Wrong::new(message.to_owned(), "say what is meant, or leave it out whole"));
        self.left_out()
    }

    /// What becomes of a rule of which a part cannot be said.
    fn left_out(&self) -> Result<(), Dropped> {
        if self.policy.spec.action == AuthorizationAction::Allow { Err(Dropped) } else { Ok(()) }
    }

    fn tell(&mut self, field: &str, wrong: &Wrong) {
        let consequence = match self.policy.spec.action {
            AuthorizationAction::Allow => "the rule allows nothing",
            AuthorizationAction::Deny => "the rule denies whatever the rest of it matches",
            AuthorizationAction::Audit => "the rule audits whatever the rest of it matches",
            AuthorizationAction::Custom => {
                "the authorizer is asked about whatever the rest of the rule matches"
            }
        };
        let problem = Problem {
            severity: Severity::Error,
            object: self.policy.source.key.clone(),
            field: field.to_owned(),
            message: format!("{}; {consequence}", wrong.message),
            hint: wrong.hint.to_owned(),
        };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

/// All of these; where nothing is asked for, anything.
fn together<N: Node + Clone>(mut own: Vec<N>, shared: &[N]) -> N {
    own.extend_from_slice(shared);
    if own.is_empty() {
        own.push(N::anything());
    }
    N::all(own)
}

fn condition<A>(
    attribute: Result<A, Wrong>,
    at: &str,
    (values_name, excluded_name): (&str, &str),
    values: &[String],
    excluded: &[String],
) -> Condition<A> {
    let field = if values_name == "values" { format!("{at}.key") } else { format!("{at}.{values_name}") };
    Condition {
        attribute,
        field,
        values: (values.to_vec(), format!("{at}.{values_name}")),
        excluded: (excluded.to_vec(), format!("{at}.{excluded_name}")),
    }
}

/// The name of the list of what must not match: `notHosts` for `hosts`.
fn negated(name: &str) -> String {
    let (first, rest) = name.split_at(1.min(name.len()));
    format!("not{}{rest}", first.to_ascii_uppercase())
}

fn unknown(key: &str) -> Wrong {
    Wrong::new(
        format!("{key:?} is no attribute"),
        "name one of https://istio.io/latest/docs/reference/config/security/conditions/",
    )
}
