//! Scratch.
use model::endpoint::Locality;
use model::{Proxy, Ref};
use serde_json::json;
use std::fmt::Write as _;
use std::time::Instant;
use testkit::mesh::mesh;
use translate::{Context, class, clusters, listeners, routes, scope};
#[test]
fn perf() {
    let mut all: Vec<String> = Vec::new();
    for i in 0..1000 {
        let mut yaml = String::new();
        let ns = i % 100;
        writeln!(yaml, "---\napiVersion: v1\nkind: Service\nmetadata: {{name: svc-{i}, namespace: ns-{ns}}}\nspec: {{clusterIP: 10.{}.{}.{}, ports: [{{name: http, port: 80}}, {{name: http-b, port: 8080}}, {{name: grpc, port: 9090}}]}}", 96 + i / 65536, (i / 256) % 256, i % 256).unwrap();
        if i % 2 == 0 && std::env::var("NOVS").is_err() {
            writeln!(yaml, "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: svc-{i}, namespace: ns-{ns}}}\nspec: {{hosts: [svc-{i}], http: [{{match: [{{uri: {{prefix: /a}}}}], route: [{{destination: {{host: svc-{i}}}, weight: 90}}, {{destination: {{host: svc-{i}}}, weight: 10}}]}}, {{route: [{{destination: {{host: svc-{i}}}}}]}}]}}").unwrap();
        }
        all.push(yaml);
    }
    let list: Vec<&str> = all.iter().map(String::as_str).collect();
    let mesh = mesh(&list).unwrap();
    for n in 0..4 {
        let id = format!("sidecar~10.1.0.1~client.ns-{n}~ns-{n}.svc.cluster.local");
        let proxy = Proxy::parse(&id, &json!({}), Locality::default()).unwrap();
        let class::Class::Shared(view) = class::classes(&mesh, &proxy).remove(0) else { panic!() };
        let view: Ref<_> = view;
        let t = Instant::now();
        let scope = scope::plan(&mesh, &view);
        let t1 = t.elapsed();
        let context = Context { mesh: &mesh, view: &view, scope: &scope };
        let t = Instant::now();
        let r = routes::sidecar::plan(&context);
        let t2 = t.elapsed();
        let t = Instant::now();
        let c = clusters::outbound::plan(&context);
        let t3 = t.elapsed();
        let t = Instant::now();
        let l = listeners::outbound::plan(&context);
        let t4 = t.elapsed();
        eprintln!(
            "scope {t1:?} routes {t2:?} ({}) clusters {t3:?} ({}) listeners {t4:?} ({})",
            r.len(),
            c.len(),
            l.len()
        );
    }
}
