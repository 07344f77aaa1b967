//! What peers trust: told once, to all, and again when it changes.

use std::error::Error;
use std::sync::Arc;

use serde_json::json;
use store::{Options, Tables};
use testkit::mesh::{plans, proxy};
use translate::{Key, plan, trust};

type Outcome = Result<(), Box<dyn Error>>;

fn tables() -> Tables {
    Tables::new(Options::default())
}

#[test]
fn whoever_it_is_the_roots_are_told_in_one_layer() -> Outcome {
    let mut tables = tables();
    let sidecar = proxy("sidecar", "10.0.0.7", "web-1.shop", &json!({}))?;
    let router = proxy("router", "10.0.0.8", "gateway-1.edge", &json!({}))?;
    assert!(plans(&tables.next_mesh().mesh, &sidecar).iter().all(|plan| plan.trusted.is_empty()));
    let roots: Vec<Arc<str>> = vec!["a".into(), "b".into()];
    assert!(tables.trust(roots.clone()).is_some());
    assert!(tables.trust(roots.clone()).is_none(), "the same again");
    let next = tables.next_mesh();
    assert!(next.changes.configuration && !next.changes.classes);
    for proxy in [&sidecar, &router] {
        let plans = plans(&next.mesh, proxy);
        let told: Vec<_> = plans.iter().flat_map(|plan| plan.trusted.iter()).collect();
        let [(name, Key::Trust(key))] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(&**name, trust::NAME);
        assert_eq!(trust::build(key).message.ca_certificates_pem, ["a", "b"]);
    }
    Ok(())
}

#[test]
fn other_roots_change_nothing_else() -> Outcome {
    let mut tables = tables();
    let sidecar = proxy("sidecar", "10.0.0.7", "web-1.shop", &json!({}))?;
    tables.trust(vec!["a".into()]);
    let before = tables.next_mesh().mesh;
    tables.trust(vec!["b".into()]);
    let next = tables.next_mesh();
    for class in translate::class::classes(&next.mesh, &sidecar) {
        let old = plan::plan(&before, &class, None, false, None);
        let new = plan::plan(&next.mesh, &class, Some((&old, &next.changes)), false, None);
        assert!(Arc::ptr_eq(&old.clusters, &new.clusters) && Arc::ptr_eq(&old.listeners, &new.listeners));
        assert!(Arc::ptr_eq(&old.routes, &new.routes) && Arc::ptr_eq(&old.names, &new.names));
        assert_eq!(old.trusted == new.trusted, new.trusted.is_empty(), "it follows where it is told");
    }
    Ok(())
}
