//! The scope of a class that is kept from one mesh to the next is the one that is made from nothing.

use std::error::Error;
use std::sync::Arc;

use model::endpoint::Locality;
use model::{Mesh, Proxy, Ref};
use serde_json::json;
use store::{Options, Tables};
use testkit::forms::{Change, Dice, Forms};
use testkit::large::{self, Size};
use translate::class::{self, Class, SharedView};
use translate::scope::{self, Scope};

type Outcome = Result<(), Box<dyn Error>>;

/// The view of a proxy on the mesh; with labels that Sidecars and rules ask for.
fn view(kind: &str, namespace: &str, tier: &str) -> Result<SharedView, Box<dyn Error>> {
    let id = format!("{kind}~10.1.0.1~web.{namespace}~{namespace}.svc.cluster.local");
    let proxy = Proxy::parse(&id, &json!({}), Locality::default())?;
    let classes = class::classes(&Mesh::default(), &proxy).into_iter();
    let view = classes.filter_map(|c| if let Class::Shared(view) = c { Some(view) } else { None }).last();
    let view = view.ok_or("no view")?;
    let labels = [("tier".to_owned(), tier.to_owned())].into();
    Ok(SharedView { labels, ..SharedView::clone(&view) })
}

/// Sidecars and a router of namespaces with and without Sidecars, and the view that namespaces have in common.
fn views() -> Result<Vec<SharedView>, Box<dyn Error>> {
    Ok(vec![
        view("sidecar", "shop", "gold")?,
        view("sidecar", "web", "gold")?,
        view("sidecar", "web", "silver")?,
        view("sidecar", "edge", "gold")?,
        view("router", "edge", "gold")?,
        view("sidecar", "shop", "gold")?.common(),
    ])
}

#[test]
fn a_kept_scope_is_the_one_that_is_made_anew() -> Outcome {
    let forms = Forms::of(include_str!("scopes.yaml"))?;
    let views = views()?;
    let (mut kept, mut made) = (0, 0);
    for seed in 1..=60 {
        let mut dice = Dice::new(seed);
        let mut tables = Tables::new(Options::default());
        let mut mesh = tables.next_mesh().mesh;
        let mut scopes: Vec<_> = views.iter().map(|view| Ref::new(scope::plan(&mesh, view))).collect();
        let mut history = Vec::new();
        for _ in 0..80 {
            let Some(Change { key, form, object }) = forms.change(&mut dice) else { continue };
            tables.apply(key, object);
            history.push(format!("{key} form {form}"));
            // Now and then several changes come at once.
            if dice.roll(4) == 0 {
                continue;
            }
            let next = tables.next_mesh().mesh;
            for (view, scope) in views.iter().zip(&mut scopes) {
                let replanned = scope::replan(&next, view, scope, &mesh);
                let fresh = scope::plan(&next, view);
                assert_eq!(*replanned, fresh, "seed {seed} {view:?} after {history:#?}");
                assert_eq!(replanned.ptr_eq(scope), fresh == **scope, "what is equal is kept");
                for service in &fresh.services {
                    let host = &service.service.host;
                    assert_eq!(
                        replanned.service(host),
                        fresh.service(host),
                        "seed {seed} after {history:#?}"
                    );
                }
                let counter = if replanned.ptr_eq(scope) { &mut kept } else { &mut made };
                *counter += 1;
                *scope = replanned;
            }
            mesh = next;
        }
    }
    assert!(kept > 1000 && made > 1000, "both happen: {kept} kept, {made} made");
    Ok(())
}

/// A mesh with one VirtualService of another form, and the views of two namespaces on both.
fn changed(
    old: serde_json::Value,
    new: serde_json::Value,
) -> Result<[(Ref<Scope>, Ref<Scope>); 2], Box<dyn Error>> {
    let mut tables = Tables::new(Options::default());
    for (key, object) in large::objects(Size { namespaces: 2, services: 4, pods: 0 })? {
        tables.apply(&key, Some(&object));
    }
    let mut next = |value| -> Result<Arc<Mesh>, Box<dyn Error>> {
        let (key, object) = large::object(value)?;
        tables.apply(&key, Some(&object));
        Ok(tables.next_mesh().mesh)
    };
    let (before, after) = (next(old)?, next(new)?);
    let both = |namespace| -> Result<(Ref<Scope>, Ref<Scope>), Box<dyn Error>> {
        let view = view("sidecar", namespace, "gold")?;
        let last = Ref::new(scope::plan(&before, &view));
        let next = scope::replan(&after, &view, &last, &before);
        Ok((last, next))
    };
    Ok([both("team-000")?, both("team-001")?])
}

#[test]
fn rules_alone_leave_services_where_they_are() -> Outcome {
    let rules = |user: &str| large::virtual_service(0, 0, user);
    for (last, next) in changed(rules("one"), rules("two"))? {
        assert_ne!(last, next);
        assert!(next.services.ptr_eq(&last.services));
        assert!(next.egress[0].services.ptr_eq(&last.egress[0].services));
    }
    Ok(())
}

#[test]
fn what_a_namespace_does_not_see_leaves_its_scope_alone() -> Outcome {
    let private = |host: &str| {
        let mut rules = large::virtual_service(0, 0, "one");
        rules["spec"]["exportTo"] = json!(["."]);
        rules["spec"]["hosts"] = json!([host]);
        rules
    };
    let [(own, renamed), (other, same)] = changed(private("svc-00"), private("svc-01"))?;
    assert_ne!(own, renamed);
    assert!(renamed.services.ptr_eq(&own.services), "hosts of rules say nothing of services");
    assert!(same.ptr_eq(&other));
    Ok(())
}
