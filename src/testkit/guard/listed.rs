//! The table of `docs/unsupported.md`: fields that change nothing of what proxies are sent, each with its reason.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::{Effect, Effects, Target};

/// The fields that are listed, as `Kind field` or `Kind field=VALUE`; a field covers all below it.
#[derive(Clone, Debug, Default)]
pub struct Listed(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    subject: String,
    field: String,
    value: Option<String>,
}

impl Listed {
    /// Reads the rows of all tables of a page: kind, field in backquotes, reason.
    ///
    /// # Errors
    /// A row has not this form, or gives no reason.
    pub fn read(page: &str) -> Result<Self> {
        let mut entries = Vec::new();
        for row in page.lines().filter(|line| line.starts_with('|')) {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [subject, field, reason] = cells.as_slice() else {
                bail!("a row of three cells is needed: kind, field, reason: {row}");
            };
            let Some(field) = field.strip_prefix('`').and_then(|field| field.strip_suffix('`')) else {
                continue;
            };
            if reason.is_empty() {
                bail!("{subject} {field} is listed without a reason");
            }
            let (field, value) = match field.split_once('=') {
                Some((field, value)) => (field, Some(value.to_owned())),
                None => (field, None),
            };
            entries.push(Entry { subject: (*subject).to_owned(), field: field.to_owned(), value });
        }
        Ok(Self(entries))
    }

    /// What is wrong between what was found and what is listed: fields without effect that are not listed, and rows for
    /// fields that have one, that are not there, or that are listed twice.
    pub fn breaches(&self, effects: &Effects) -> Vec<String> {
        let unlisted: Effects = effects
            .iter()
            .filter(|(target, _)| !self.0.iter().any(|entry| entry.covers(target)))
            .map(|(target, effect)| (target.clone(), effect.clone()))
            .collect();
        let mut breaches = super::lines(&unlisted);
        for entry in &self.0 {
            let covered: BTreeMap<&Target, &Effect> =
                effects.iter().filter(|(target, _)| entry.covers(target)).collect();
            let name = entry.name();
            if covered.is_empty() {
                breaches.push(format!("{name}: is listed, but there is no such field"));
            }
            let working = covered.iter().filter(|(_, effect)| ***effect == Effect::Some);
            breaches.extend(
                working.map(|(target, _)| format!("{name}: is listed, but {target} makes a difference")),
            );
        }
        breaches
    }
}

impl Entry {
    fn name(&self) -> String {
        let value = self.value.as_ref().map(|value| format!("={value}")).unwrap_or_default();
        format!("{} {}{value}", self.subject, self.field)
    }

    fn covers(&self, target: &Target) -> bool {
        let below = || {
            let rest = target.leaf.strip_prefix(&self.field);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', '{']))
        };
        self.subject == target.subject
            && match &self.value {
                Some(_) => target.leaf == self.field && target.value == self.value,
                None => below(),
            }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn effects() -> Effects {
        let target = |leaf: &str, value: Option<&str>| Target {
            subject: "Kind",
            leaf: leaf.to_owned(),
            value: value.map(str::to_owned),
        };
        Effects::from([
            (target("works", None), Effect::Some),
            (target("idle.a", None), Effect::Unset),
            (target("idle.b", None), Effect::None(BTreeSet::from(["area/case".to_owned()]))),
            (target("mode", None), Effect::Some),
            (target("mode", Some("OLD")), Effect::Unset),
        ])
    }

    fn breaches(rows: &str) -> Vec<String> {
        Listed::read(&format!("# Page\n\n| Kind | Field | Reason |\n|---|---|---|\n{rows}"))
            .unwrap()
            .breaches(&effects())
    }

    #[test]
    fn fields_without_effect_are_told_until_they_are_listed() {
        let want = [
            "Kind idle.a: no case sets it",
            "Kind idle.b: makes no difference in area/case",
            "Kind mode=OLD: no case sets it",
        ];
        assert_eq!(breaches(""), want);
        assert!(breaches("| Kind | `idle` | why |\n| Kind | `mode=OLD` | why |\n").is_empty());
    }

    #[test]
    fn rows_that_are_not_true_are_told() {
        let rows = "| Kind | `idle` | why |\n| Kind | `mode=OLD` | why |\n| Kind | `works` | why |\n| Kind | `gone` | why |\n";
        let want = [
            "Kind works: is listed, but Kind works makes a difference",
            "Kind gone: is listed, but there is no such field",
        ];
        assert_eq!(breaches(rows), want);
    }

    #[test]
    fn a_row_without_a_reason_is_refused() {
        assert!(Listed::read("| Kind | `idle` | |").is_err());
    }
}
