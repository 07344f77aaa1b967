//! A status as JSON patches that fail if it is another than the one that was seen (RFC 6902 `test`).

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, TestOperation};
use serde_json::{Value, json};

use super::allocator::Change;

/// The patches to be tried one after another: which one fits cannot be told from what is read of a ServiceEntry without
/// addresses, for it may have no status, one without the list, or one with an empty list.
pub(super) fn forms(change: &Change) -> Vec<Patch> {
    let wanted = json!(change.wanted);
    let list = PointerBuf::from_tokens(["status", "addresses"]);
    let listed = patch(&list, json!(change.seen), &list, wanted.clone());
    if !change.seen.is_empty() {
        return vec![listed];
    }
    let status = PointerBuf::from_tokens(["status"]);
    let without_status = patch(&status, Value::Null, &status, json!({ "addresses": &wanted }));
    let without_list = patch(&list, Value::Null, &list, wanted);
    vec![without_status, without_list, listed]
}

/// `add` makes a member or puts another value in its place.
fn patch(tested: &PointerBuf, is: Value, put: &PointerBuf, value: Value) -> Patch {
    Patch(vec![
        PatchOperation::Test(TestOperation { path: tested.clone(), value: is }),
        PatchOperation::Add(AddOperation { path: put.clone(), value }),
    ])
}

#[cfg(test)]
mod tests {
    use api::istio::ServiceEntryAddress;

    use super::*;

    fn addresses(values: &[&str]) -> Vec<ServiceEntryAddress> {
        values.iter().map(|v| ServiceEntryAddress { value: (*v).to_owned(), host: "a".to_owned() }).collect()
    }

    #[test]
    fn what_was_seen_is_tested() {
        let change = Change { seen: addresses(&["1.1.1.1"]), wanted: addresses(&["2.2.2.2"]) };
        let expected = json!([[
            {"op": "test", "path": "/status/addresses", "value": [{"value": "1.1.1.1", "host": "a"}]},
            {"op": "add", "path": "/status/addresses", "value": [{"value": "2.2.2.2", "host": "a"}]},
        ]]);
        assert_eq!(json!(forms(&change)), expected);
    }

    #[test]
    fn that_nothing_was_seen_may_be_for_three_reasons() {
        let change = Change { seen: Vec::new(), wanted: addresses(&["2.2.2.2"]) };
        let list = json!([{"value": "2.2.2.2", "host": "a"}]);
        let expected = json!([
            [{"op": "test", "path": "/status", "value": null},
             {"op": "add", "path": "/status", "value": {"addresses": list}}],
            [{"op": "test", "path": "/status/addresses", "value": null},
             {"op": "add", "path": "/status/addresses", "value": list}],
            [{"op": "test", "path": "/status/addresses", "value": []},
             {"op": "add", "path": "/status/addresses", "value": list}],
        ]);
        assert_eq!(json!(forms(&change)), expected);
    }
}
