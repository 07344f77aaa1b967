//! What connecting and updating cost the engine: 100 sidecars of 100 different classes.
//!
//! The figures include the planning of the benchmark's own mesh, which copies every touched list of every class.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a benchmark may stop at what is wrong")]

mod mesh;

use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mesh::{Benchmark, Changes, Mesh};
use xds::engine::Engine;
use xds::kind::ResourceType;

const SIDECARS: u32 = 100;

fn engine(mesh: &Mesh) -> Engine<Benchmark> {
    Engine::new(Arc::new(Benchmark), Arc::new(mesh.clone()), Duration::ZERO)
}

fn connected(mesh: &Mesh) -> Engine<Benchmark> {
    let mut engine = engine(mesh);
    for sidecar in 0..SIDECARS {
        engine.connect(Arc::new(sidecar)).expect("a plan");
    }
    engine
}

fn connect(criterion: &mut Criterion) {
    let mesh = Mesh::new();
    let mut group = criterion.benchmark_group("connect");
    group.sample_size(10);
    group.bench_function("100 classes, one by one, cold", |b| {
        b.iter_batched(
            || engine(&mesh),
            |mut engine| {
                for sidecar in 0..SIDECARS {
                    engine.connect(Arc::new(sidecar)).expect("a plan");
                }
                engine
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("100 classes at once, cold", |b| {
        b.iter_batched(
            || engine(&mesh),
            |mut engine| {
                engine.connect_all((0..SIDECARS).map(Arc::new).collect());
                engine
            },
            BatchSize::PerIteration,
        );
    });
    let mut warm = connected(&mesh);
    group.bench_function("a class more, warm", |b| {
        b.iter(|| {
            let (id, _) = warm.connect(Arc::new(SIDECARS)).expect("a plan");
            warm.disconnect(id);
        });
    });
    group.bench_function("a sidecar of a known class", |b| {
        b.iter(|| {
            let (id, _) = warm.connect(Arc::new(0)).expect("a plan");
            warm.disconnect(id);
        });
    });
    group.finish();
}

fn update(criterion: &mut Criterion) {
    let mesh = Mesh::new();
    let mut engine = connected(&mesh);
    let mut round = 0;
    let mut group = criterion.benchmark_group("update");
    group.sample_size(20);
    group.bench_function("one virtual host of 100 classes", |b| {
        b.iter(|| {
            round += 1;
            let next = Arc::new(mesh.touch_host(round));
            let updates = engine.update(next, &Changes(vec![ResourceType::Route]), Duration::ZERO);
            assert_eq!(updates.len(), SIDECARS as usize);
        });
    });
    group.bench_function("one assignment of 100 classes", |b| {
        b.iter(|| {
            round += 1;
            let next = Arc::new(mesh.touch_endpoint(round));
            let updates = engine.update(next, &Changes(vec![ResourceType::Endpoints]), Duration::ZERO);
            assert_eq!(updates.len(), SIDECARS as usize);
        });
    });
    group.bench_function("planning of one assignment of 100 classes alone", |b| {
        use xds::generate::Generate;
        let plans: Vec<_> =
            (0..SIDECARS).map(|class| Benchmark.plan(&mesh, &class, None, false, None)).collect();
        let changes = Changes(vec![ResourceType::Endpoints]);
        b.iter(|| {
            let next = mesh.touch_endpoint(1);
            let plan = |class: u32| {
                Benchmark.plan(&next, &class, Some((&plans[class as usize], &changes)), false, None)
            };
            (0..SIDECARS).map(plan).collect::<Vec<_>>()
        });
    });
    group.finish();
}

criterion_group!(benches, connect, update);
criterion_main!(benches);
