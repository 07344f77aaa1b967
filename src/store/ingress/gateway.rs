//! The Gateway of an Ingress: HTTP for all hosts, and HTTPS for each entry of its TLS settings.

use std::sync::Arc;

use api::istio::{Gateway, Port, Server, ServerTlsMode, ServerTlsSettings};
use api::kubernetes::{Ingress, IngressTls};
use api::{Kind, Meta, Object, ObjectKey, ObjectRef};
use model::{Config, Labels, Ref, ingress};

use super::MADE;
use super::view::View;

/// The name of the Gateway.
pub(super) fn name(meta: &Meta) -> String {
    format!("{}-{MADE}-{}", meta.name, meta.namespace)
}

/// The Ingress as what something was made of.
pub(super) fn source(meta: &Meta) -> ObjectRef {
    ObjectRef { key: ObjectKey::of(Kind::Ingress, meta), generation: meta.generation }
}

/// The Gateway.
pub(super) fn of(object: &Object<Ingress>, view: &View<'_>) -> Ref<Config<Gateway>> {
    let meta = &object.meta;
    let tls = object.spec.tls.iter().enumerate().filter(|(_, entry)| !entry.secret_name.is_empty());
    let of_ingress = format!("{}-{}", meta.name, meta.namespace);
    let encrypted = tls.map(|(index, entry)| https(format!("https-443-ingress-{of_ingress}-{index}"), entry));
    let plain = Server {
        port: Some(port(80, "HTTP", format!("http-80-ingress-{of_ingress}"))),
        hosts: vec!["*".to_owned()],
        ..Server::default()
    };
    let selector = Labels::from([("istio".to_owned(), ingress::gateway(&view.settings.mesh).to_owned())]);
    Ref::new(Config {
        source: source(meta),
        made: Some((Arc::clone(view.namespace), name(meta).into())),
        creation: None,
        labels: Labels::new(),
        annotations: Labels::new(),
        spec: Gateway { servers: encrypted.chain([plain]).collect(), selector },
    })
}

/// The server of an entry; without hosts it is for all.
fn https(name: String, entry: &IngressTls) -> Server {
    let tls = ServerTlsSettings {
        mode: ServerTlsMode::Simple,
        credential_name: entry.secret_name.clone(),
        ..ServerTlsSettings::default()
    };
    let hosts = if entry.hosts.is_empty() { vec!["*".to_owned()] } else { entry.hosts.clone() };
    Server { port: Some(port(443, "HTTPS", name)), hosts, tls: Some(tls), ..Server::default() }
}

fn port(number: u32, protocol: &str, name: String) -> Port {
    Port { number, protocol: protocol.to_owned(), name, ..Port::default() }
}
