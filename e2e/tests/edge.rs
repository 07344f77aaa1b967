//! What stories of gateways share: certificates in files, and the objects of a gateway and of hosts behind it.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use e2e::{Answer, Call, Identity, World, within};

/// Writes a file that every proxy of the world can read, and says where it is.
pub(crate) fn file(world: &World, name: &str, text: &str) -> Result<String> {
    let path = world.dir().join(name);
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}

/// The fields of a server's `tls` that name its certificate, which is put into files called `name`.
pub(crate) fn certificate(world: &World, name: &str, identity: &Identity) -> Result<String> {
    let certificate = file(world, &format!("{name}.pem"), &identity.certificate)?;
    let key = file(world, &format!("{name}.key"), &identity.key)?;
    Ok(format!("serverCertificate: {certificate}, privateKey: {key}"))
}

/// A Secret of the namespace `edge` with this content.
pub(crate) fn secret(name: &str, data: &[(&str, &[u8])]) -> String {
    secret_of("edge", name, data)
}

/// A Secret with this content.
pub(crate) fn secret_of(namespace: &str, name: &str, data: &[(&str, &[u8])]) -> String {
    let line = |(key, bytes): &(&str, &[u8])| format!("  {key}: {}\n", BASE64_STANDARD.encode(bytes));
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\ndata:\n{}",
        data.iter().map(line).collect::<String>()
    )
}

/// The content of a Secret of the type `kubernetes.io/tls`.
pub(crate) fn pair(identity: &Identity) -> [(&str, &[u8]); 2] {
    [("tls.crt", identity.certificate.as_bytes()), ("tls.key", identity.key.as_bytes())]
}

/// A server of a Gateway that ends TLS for hosts in the way that the fields of `tls` say.
pub(crate) fn https(name: &str, port: u16, hosts: &str, tls: &str) -> String {
    format!(
        "  - {{port: {{number: {port}, name: {name}, protocol: HTTPS}}, hosts: ['{hosts}'], tls: {{{tls}}}}}\n"
    )
}

/// A Gateway with these servers, for pods that are labelled `istio: edge`.
pub(crate) fn gateway(name: &str, servers: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: edge}}\n\
         spec:\n  selector: {{istio: edge}}\n  servers:\n{servers}"
    )
}

/// The rule that leads requests for `SERVICE.example.com` at a gateway to the Service of `shop`.
pub(crate) fn host_at(gateway: &str, service: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
         metadata: {{name: {service}, namespace: shop}}\nspec:\n  hosts: [{service}.example.com]\n  \
         gateways: [edge/{gateway}]\n  http: [{{route: [{{destination: {{host: {service}}}}}]}}]\n"
    )
}

/// Waits until a call is answered with `status`.
pub(crate) fn answers(call: &Call, status: u16) -> Result<Answer> {
    within(Duration::from_secs(20), &format!("{status} for {call:?}"), || {
        let answer = call.send()?;
        ensure!(answer.status == status, "{answer:?}");
        Ok(Some(answer))
    })
}
