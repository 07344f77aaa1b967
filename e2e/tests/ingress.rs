//! Ingresses: requests go in through the mesh's gateway as Kubernetes says that paths and hosts mean.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Echo, Mesh, within, world};

const INGRESSES: &str = "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: mesh}
spec: {controller: istio.io/ingress-controller}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: catalog, namespace: shop}
spec:
  ingressClassName: mesh
  rules:
  - host: shop.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: catalog, port: {name: http}}}}
      - {path: /cart/about, pathType: Exact, backend: {service: {name: catalog, port: {number: 8080}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: cart, namespace: shop}
spec:
  ingressClassName: mesh
  rules:
  - host: shop.example.com
    http: {paths: [{path: /cart, pathType: Prefix, backend: {service: {name: cart, port: {name: http}}}}]}
  - host: '*.cart.example.com'
    http: {paths: [{path: /v1/*, pathType: ImplementationSpecific, backend: {service: {name: cart, port: {name: http}}}}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: theirs, namespace: shop, annotations: {kubernetes.io/ingress.class: nginx}}
spec:
  rules:
  - host: theirs.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: cart, port: {name: http}}}}]}
";

#[test]
fn ingresses_open_the_gateway_to_services() {
    world(|world| {
        let mesh = Mesh::start(world)?;
        for name in ["catalog", "cart"] {
            mesh.service("shop", name).port("http", 8080).create()?;
            mesh.pod("shop", name).sidecar(false).app(Echo::http(8080)).start()?;
        }
        let labels = [("istio", "ingressgateway")];
        let service = mesh.service("istio-system", "istio-ingressgateway").selector(&labels);
        service.port_to("http", 80, 8080).create()?;
        let gateway = mesh.pod("istio-system", "gateway").labels(&labels).gateway().start()?;
        let client = world.pod("outside", "browser").start()?;
        mesh.apply(INGRESSES)?;
        // The pod that answers, or the status.
        let answer = |host: &str, path: &str| -> Result<String> {
            let answer = client.get(&format!("http://{}:8080{path}", gateway.ip())).host(host).send()?;
            Ok(if answer.status == 200 { answer.seen()?.pod } else { answer.status.to_string() })
        };
        let becomes = |host: &str, path: &str, wanted: &str| {
            within(Duration::from_secs(20), &format!("{wanted} for {host}{path}"), || {
                let got = answer(host, path)?;
                ensure!(got == wanted, "it is {got}");
                Ok(Some(()))
            })
        };
        becomes("shop.example.com", "/cart", "cart")?;
        for (host, path, wanted) in [
            ("shop.example.com", "/", "catalog"),
            ("shop.example.com", "/cart/items?id=1", "cart"),
            ("shop.example.com", "/cart/about", "catalog"),
            ("shop.example.com", "/cart/about/us", "cart"),
            // A prefix ends where a segment does.
            ("shop.example.com", "/cartoons", "catalog"),
            ("a.cart.example.com", "/v1/x", "cart"),
            ("a.cart.example.com", "/v1", "cart"),
            ("a.cart.example.com", "/v2", "404"),
            ("theirs.example.com", "/", "404"),
        ] {
            let got = answer(host, path)?;
            ensure!(got == wanted, "{host}{path}: {got} instead of {wanted}");
        }
        mesh.delete("Ingress", "shop", "catalog")?;
        becomes("shop.example.com", "/", "404")?;
        becomes("shop.example.com", "/cart/about", "cart")?;
        gateway.wait_settled()
    });
}
