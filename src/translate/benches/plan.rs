//! What planning and building cost: classes of a large mesh from nothing, after a change, and their resources.

#![allow(clippy::expect_used, reason = "a benchmark may stop at what is wrong")]

use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use model::Mesh;
use serde_json::Value;
use store::{Next, Options, Tables};
use testkit::large::{self, Size};
use translate::{
    Class, Key, Plan, class, clusters, endpoints, listeners, names, plan, routes, secrets, trust,
};

const SIZE: Size = Size { namespaces: 100, services: 10, pods: 4 };

fn tables() -> Tables {
    let mut tables = Tables::new(Options::default());
    for (key, object) in large::objects(SIZE).expect("objects") {
        tables.apply(&key, Some(&object));
    }
    tables
}

/// The classes of a namespace's first sidecar, lowest layer first: what all share, the namespace's, its own.
fn classes(mesh: &Mesh, namespace: usize) -> [Class; 3] {
    let proxy = large::sidecar(SIZE, namespace).expect("a sidecar");
    class::classes(mesh, &proxy).try_into().expect("three layers")
}

fn cold(criterion: &mut Criterion) {
    let mesh = tables().next_mesh().mesh;
    let [common, namespace, own] = classes(&mesh, 0);
    for (name, class) in [("what all share", common), ("a namespace", namespace), ("a workload", own)] {
        criterion.bench_function(&format!("plan {name}, cold"), |b| {
            b.iter(|| plan::plan(&mesh, &class, None, true, None))
        });
    }
}

/// What the first sidecars of all namespaces cost that connect: each namespace upon what all share.
fn namespaces(criterion: &mut Criterion) {
    let mesh = tables().next_mesh().mesh;
    let classes: Vec<[Class; 3]> = (0..SIZE.namespaces).map(|n| classes(&mesh, n)).collect();
    criterion.bench_function("plan all namespaces, cold", |b| {
        b.iter(|| {
            let mut common: Option<Arc<Plan>> = None;
            let plan = |[below, namespace, _]: &[Class; 3]| {
                let below = common.get_or_insert_with(|| plan::plan(&mesh, below, None, true, None));
                plan::plan(&mesh, namespace, None, true, Some(below))
            };
            classes.iter().map(plan).collect::<Vec<_>>()
        })
    });
}

fn change(criterion: &mut Criterion, name: &str, value: Value) {
    let mut tables = tables();
    let before = tables.next_mesh().mesh;
    let (key, object) = large::object(value).expect("an object");
    tables.apply(&key, Some(&object));
    let Next { mesh, changes } = tables.next_mesh();
    let [common, namespace, _] = classes(&before, 1);
    let last = plan::plan(&before, &common, None, true, None);
    let below = plan::plan(&mesh, &common, Some((&last, &changes)), true, None);
    let upper = plan::plan(&before, &namespace, None, true, Some(&last));
    for (layer, class, last, below) in
        [("what all share", common, last, None), ("a namespace", namespace, upper, Some(below))]
    {
        criterion.bench_function(&format!("plan {layer} after a change of {name}"), |b| {
            b.iter_batched(
                || Arc::clone(&last),
                |last| plan::plan(&mesh, &class, Some((&last, &changes)), true, below.as_deref()),
                BatchSize::SmallInput,
            );
        });
    }
}

fn changes(criterion: &mut Criterion) {
    change(criterion, "a VirtualService", large::virtual_service(0, 0, "gamma"));
    change(criterion, "an EndpointSlice", large::slice(SIZE, 0, 0, 1));
}

fn build(key: &Key) {
    match key {
        Key::Cluster(key) => drop(clusters::build(key)),
        Key::Endpoints(key) => drop(endpoints::build(key)),
        Key::Listener(key) => drop(listeners::build(key)),
        Key::Route(key) => {
            drop(routes::build_head(key));
            key.virtual_hosts.iter().for_each(|host| drop(routes::build_virtual_host(host)));
        }
        Key::Names(key) => key.parts.iter().for_each(|part| drop(names::build(part))),
        Key::Secret(key) => drop(secrets::build(key)),
        Key::Trust(key) => drop(trust::build(key)),
    }
}

fn builds(criterion: &mut Criterion) {
    let mesh = tables().next_mesh().mesh;
    let [common, namespace, _] = classes(&mesh, 0).map(|class| plan::plan(&mesh, &class, None, true, None));
    let lists = |plan: &Plan| {
        let all = [&plan.clusters, &plan.endpoints, &plan.listeners, &plan.routes, &plan.names];
        all.into_iter().flat_map(|l| l.iter()).map(|(_, key)| key.clone()).collect::<Vec<_>>()
    };
    for (name, keys) in
        [("clusters and assignments", lists(&common)), ("listeners and routes", lists(&namespace))]
    {
        criterion.bench_function(&format!("build all {name}"), |b| b.iter(|| keys.iter().for_each(build)));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = cold, namespaces, changes, builds
}
criterion_main!(benches);
