//! What it costs to write resources for a stream, and to know their versions.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a benchmark may stop at what is wrong")]

use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use xds::encoded::{Encoded, Sink};
use xds::kind::ResourceType;
use xds::set::{Layer, Set};
use xds::slot::{Slots, Template, placeholder};

/// Counts bytes, and keeps references to none.
#[derive(Default)]
struct Count(usize);

impl Sink for Count {
    fn shared(&mut self, bytes: &Bytes) {
        self.0 += bytes.len();
    }

    fn copied(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 1 << 14, "the prefix has two bytes");
    let mut bytes = vec![number << 3 | 2, content.len() as u8 | 0x80, (content.len() >> 7) as u8];
    bytes.extend_from_slice(content);
    bytes
}

/// 3 kB with a slot six messages deep, as a tracing tag of a listener is.
fn listener() -> Bytes {
    let mut bytes = field(1, placeholder(0).as_bytes());
    for beside in [20, 100, 300, 600, 900, 1000] {
        bytes = field(2, &[field(3, &vec![b'x'; beside]), bytes].concat());
    }
    bytes.into()
}

fn encode(criterion: &mut Criterion) {
    let slots = Slots::new(["productpage-v1-6b746f74dc-9stvs.default"]);
    let bytes = listener();
    let slotted = Encoded::slotted(ResourceType::Listener, "l", bytes.clone());
    assert!(slotted.is_slotted(), "a slot");
    let mut group = criterion.benchmark_group("slot");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("compile", |b| b.iter(|| Template::compile(bytes.clone())));
    group.bench_function("version", |b| b.iter(|| slotted.version(&slots)));
    group.bench_function("length and write", |b| {
        b.iter(|| {
            let mut count = Count::default();
            slotted.write_body(&slots, &mut count);
            assert_eq!(count.0, slotted.body_len(&slots));
        });
    });
    group.finish();

    let entry = |at: usize, len| {
        let name = format!("outbound|8080||service-{at:04}.default.svc.cluster.local");
        Arc::new(Encoded::whole(ResourceType::Cluster, name, vec![b'x'; len].into()))
    };
    let layer = |entries: Vec<_>| Arc::new(Layer::new(ResourceType::Cluster, entries, []));
    let all: Vec<_> = (0..3000).map(|at| entry(at, 1200)).collect();
    let mut other = all.clone();
    other[1500] = entry(1500, 1201);
    let (base, changed) = (layer(all), layer(other));
    let set = |layers: &[&Arc<Layer>]| {
        Set::new(ResourceType::Cluster, layers.iter().copied().cloned(), Slots::default())
    };
    let one = set(&[&base]);
    let two = set(&[&base, &layer(vec![entry(7, 900), entry(5000, 900)])]);
    let mut group = criterion.benchmark_group("set of 3,000");
    let write = |set: &Set| {
        let mut count = Count::default();
        set.iter().for_each(|entry| entry.write_body(set.slots(), &mut count));
        count.0
    };
    group.bench_function("write", |b| b.iter(|| write(&one)));
    group.bench_function("write two layers", |b| b.iter(|| write(&two)));
    group.bench_function("difference without a known predecessor", |b| {
        let new = set(&[&changed]);
        b.iter(|| assert_eq!(new.diff(&one).changed.len(), 1));
    });
    group.bench_function("look up every name", |b| {
        let names: Vec<_> = one.iter().map(|entry| entry.name().clone()).collect();
        b.iter(|| names.iter().filter(|name| two.get(name).is_some()).count());
    });
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
