//! Label selectors of the mesh configuration, as Kubernetes has them.

use api::mesh_config::{LabelSelector, LabelSelectorRequirement};

use crate::config::{Labels, selects};

/// Whether a selector matches labels; an empty one matches all. An operator that Kubernetes has not matches nothing.
pub fn selected(selector: &LabelSelector, labels: &Labels) -> bool {
    let holds = |r: &LabelSelectorRequirement| {
        let value = labels.get(&r.key);
        match r.operator.as_str() {
            "In" => value.is_some_and(|v| r.values.contains(v)),
            "NotIn" => value.is_none_or(|v| !r.values.contains(v)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    };
    selects(&selector.match_labels, labels) && selector.match_expressions.iter().all(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn selectors_match_labels_and_expressions() {
        let requires = |operator: &str| LabelSelector {
            match_labels: labels(&[("mesh", "on")]),
            match_expressions: vec![LabelSelectorRequirement {
                key: "team".to_owned(),
                operator: operator.to_owned(),
                values: vec!["infra".to_owned()],
            }],
        };
        let (with, without) = (labels(&[("mesh", "on"), ("team", "infra")]), labels(&[("mesh", "on")]));
        for (operator, expected) in
            [("In", [true, false]), ("NotIn", [false, true]), ("Exists", [true, false]), ("Like", [false; 2])]
        {
            let selector = requires(operator);
            assert_eq!([&with, &without].map(|l| selected(&selector, l)), expected, "{operator}");
        }
        assert!(
            !selected(&requires("In"), &labels(&[("team", "infra")])),
            "labels and expressions both count"
        );
        assert!(selected(&LabelSelector::default(), &Labels::new()));
    }
}
