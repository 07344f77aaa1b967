//! Domains, retries and catch-alls against small inputs.

use super::domains::{Relation, relation};

#[test]
fn short_names_need_the_same_suffix() {
    let client = "north.svc.cluster.local";
    assert_eq!(relation("alpha.north.svc.cluster.local", client), Relation::SameNamespace);
    assert_eq!(relation("alpha.south.svc.cluster.local", client), Relation::OtherNamespace);
    assert_eq!(relation("alpha.south.svc.other.example", client), Relation::Foreign);
    assert_eq!(relation("www.outside.example", client), Relation::Foreign);
    assert_eq!(relation("a.corp.example", "corp.example"), Relation::Shared("corp.example".into()));
}
