//! Whether AuthorizationPolicies are enforced as they read.

#[cfg(test)]
mod lessons;
#[cfg(test)]
mod random;
#[cfg(test)]
mod reading;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A workload with a port of HTTP and one of TCP, and an authorizer.
const SHOP: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: "extensionProviders: [{name: guard, envoyExtAuthzGrpc: {service: guard.shop.svc.cluster.local, port: 9000}}]"
---
apiVersion: v1
kind: Service
metadata: {name: guard, namespace: shop}
spec: {clusterIP: 10.96.0.2, ports: [{name: grpc, port: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 7000}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {serviceAccountName: web, containers: [{name: app}]}
status: {phase: Running, podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}], conditions: [{type: Ready, status: 'True'}]}
"#;
