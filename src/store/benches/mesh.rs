//! What the store costs: the first mesh, and the next one after one object changed.

#![allow(clippy::expect_used, reason = "a benchmark may stop at what is wrong")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use serde_json::Value;
use store::{Options, Tables};
use testkit::large::{self, Size};

fn filled(size: Size) -> Tables {
    let mut tables = Tables::new(Options::default());
    for (key, object) in large::objects(size).expect("objects") {
        tables.apply(&key, Some(&object));
    }
    tables.next_mesh();
    tables
}

/// Applies two forms of one object in turn, each followed by the next mesh.
fn change(criterion: &mut Criterion, name: &str, forms: [Value; 2]) {
    let mut tables = filled(Size::default());
    let mut forms = forms.map(|form| large::object(form).expect("an object"));
    criterion.bench_function(name, |b| {
        b.iter(|| {
            forms.reverse();
            let [(key, object), _] = &forms;
            tables.apply(key, Some(object));
            tables.next_mesh()
        });
    });
}

fn meshes(criterion: &mut Criterion) {
    let size = Size::default();
    let objects = large::objects(size).expect("objects");
    let mut group = criterion.benchmark_group("first mesh");
    group.sample_size(10);
    group.bench_function("1,000 services, 4,000 pods", |b| {
        b.iter_batched(
            || Tables::new(Options::default()),
            |mut tables| {
                for (key, object) in &objects {
                    tables.apply(key, Some(object));
                }
                (tables.next_mesh(), tables)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// An object's JSON, with another value at a place.
fn with(object: &Value, place: &str, value: Value) -> Value {
    let mut object = object.clone();
    *object.pointer_mut(place).expect("a place") = value;
    object
}

fn changes(criterion: &mut Criterion) {
    let size = Size::default();
    let routes = ["one", "two"].map(|user| large::virtual_service(0, 0, user));
    change(criterion, "next mesh, one VirtualService's rules changed", routes);
    let rules = large::virtual_service(0, 0, "one");
    let hosts = ["svc-00", "svc-01"].map(|host| with(&rules, "/spec/hosts/0", host.into()));
    change(criterion, "next mesh, one VirtualService's hosts changed", hosts);
    let rule = large::destination_rule(0, 0);
    let field = "/spec/trafficPolicy/connectionPool/http/http2MaxRequests";
    let limits = [1_000, 2_000].map(|limit| with(&rule, field, limit.into()));
    change(criterion, "next mesh, one DestinationRule changed", limits);
    let service = large::service(size, 0, 0);
    let ports = [8080, 8081].map(|port| with(&service, "/spec/ports/0/port", port.into()));
    change(criterion, "next mesh, one Service changed", ports);
    let pod = large::pod(size, 0, 0, 0);
    let versions = ["v1", "v2"].map(|version| with(&pod, "/metadata/labels/version", version.into()));
    change(criterion, "next mesh, one Pod changed", versions);
    let slice = large::slice(size, 0, 0, 0);
    let ready = [true, false].map(|ready| with(&slice, "/endpoints/0/conditions/ready", ready.into()));
    change(criterion, "next mesh, one EndpointSlice changed", ready);
    let moved = [1, 2].map(|moved| large::slice(size, 0, 0, moved));
    change(criterion, "next mesh, one EndpointSlice without pods changed", moved);
}

criterion_group!(benches, meshes, changes);
criterion_main!(benches);
