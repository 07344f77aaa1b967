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
    let routes = ["one", "two"].map(|user| large::virtual_service(0, 0, user));
    change(criterion, "next mesh, one VirtualService changed", routes);
    change(criterion, "next mesh, one EndpointSlice changed", [1, 2].map(|m| large::slice(size, 0, 0, m)));
}

criterion_group!(benches, meshes);
criterion_main!(benches);
