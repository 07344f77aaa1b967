//! Which secrets a proxy may have, in what form, and what follows when they change.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;

use api::{Kind, ObjectKey};
use model::mesh::{Access, Account, Changes};
use model::{Mesh, Proxy};
use serde_json::{Value, json};
use store::{Options, Pending, Tables};
use testkit::mesh::{documents, dump, planned, proxy, tables};
use translate::Class;
use translate::secrets::SecretsView;

type Outcome = Result<(), Box<dyn Error>>;

const SECRETS: &str = "
apiVersion: v1
kind: Secret
metadata: {name: tls, namespace: edge}
stringData: {tls.crt: CHAIN, tls.key: KEY, ca.crt: ROOTS, ca.crl: CRL, tls.ocsp-staple: STAPLE}
---
apiVersion: v1
kind: Secret
metadata: {name: pair, namespace: edge}
stringData: {cert: CHAIN, key: KEY, cacert: HIDDEN}
---
apiVersion: v1
kind: Secret
metadata: {name: pair-cacert, namespace: edge}
stringData: {cacert: OWN, crl: CRL, cert: CHAIN, key: KEY}
---
apiVersion: v1
kind: Secret
metadata: {name: foreign, namespace: shop}
stringData: {cert: CHAIN, key: OTHER, cacert: OTHER-ROOTS}
---
apiVersion: v1
kind: Secret
metadata: {name: token, namespace: edge}
type: kubernetes.io/service-account-token
stringData: {cert: CHAIN, key: KEY, ca.crt: ROOTS}
---
apiVersion: v1
kind: Secret
metadata: {name: cacerts, namespace: istio-system}
stringData: {tls.crt: CHAIN, tls.key: MESH, ca.crt: ROOTS}
---
apiVersion: v1
kind: Secret
metadata: {name: useless, namespace: edge}
stringData: {password: KEY}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: roots, namespace: shop}
data: {ca.crt: ROOTS}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other, namespace: shop}
data: {root-cert.pem: ROOTS}
";

const GATEWAYS: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: edge}
spec:
  selector: {app: gw}
  servers:
  - {port: {number: 443, name: a, protocol: HTTPS}, hosts: [a.example], tls: {mode: MUTUAL, credentialName: kubernetes-gateway://edge/tls}}
  - {port: {number: 444, name: b, protocol: HTTPS}, hosts: [b.example], tls: {mode: SIMPLE, credentialName: kubernetes-gateway://shop/foreign}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: intruder, namespace: shop}
spec:
  selector: {app: gw}
  servers:
  - {port: {number: 445, name: c, protocol: HTTPS}, hosts: [c.example], tls: {mode: SIMPLE, credentialName: kubernetes-gateway://edge/pair}}
";

fn account(namespace: &str) -> Account {
    Account { cluster: "".into(), namespace: namespace.into(), name: "gw".into() }
}

fn client(kind: &str, namespace: &str, metadata: Value) -> Result<Proxy, Box<dyn Error>> {
    let proxy = proxy(kind, "10.0.0.1", &format!("gw-1.{namespace}"), &metadata)?;
    Ok(Proxy { account: Some(Arc::new(account(namespace))), ..proxy })
}

fn router(namespace: &str) -> Result<Proxy, Box<dyn Error>> {
    client("router", namespace, json!({"LABELS": {"app": "gw"}}))
}

fn admitted(streams: &[&str], of: &[(&str, Access)]) -> Result<Tables, Box<dyn Error>> {
    let mut tables = tables(Options::default(), streams)?;
    for (namespace, access) in of {
        tables.admit(&account(namespace), Some(*access));
    }
    Ok(tables)
}

fn sent(mesh: &Mesh, proxy: &Proxy) -> std::collections::BTreeMap<String, Value> {
    dump(mesh, proxy).remove("sds").unwrap_or_default()
}

fn names(mesh: &Mesh, proxy: &Proxy) -> BTreeSet<String> {
    sent(mesh, proxy).into_keys().collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

const CONFIG_MAPS: [&str; 2] = ["configmap://shop/roots", "configmap://shop/roots-cacert"];

#[test]
fn an_account_has_what_is_in_its_namespace_and_no_other() -> Outcome {
    let mesh =
        admitted(&[SECRETS], &[("edge", Access::Granted), ("shop", Access::Granted)])?.next_mesh().mesh;
    let of_edge = set(&[
        CONFIG_MAPS[0],
        CONFIG_MAPS[1],
        "kubernetes://tls",
        "kubernetes://edge/tls",
        "kubernetes://tls-cacert",
        "kubernetes://edge/tls-cacert",
        "kubernetes://pair",
        "kubernetes://edge/pair",
        "kubernetes://pair-cacert",
        "kubernetes://edge/pair-cacert",
        "kubernetes://pair-cacert-cacert",
        "kubernetes://edge/pair-cacert-cacert",
    ]);
    assert_eq!(names(&mesh, &router("edge")?), of_edge);
    let of_shop = names(&mesh, &router("shop")?);
    assert!(of_shop.contains("kubernetes://foreign") && of_shop.contains("kubernetes://shop/foreign-cacert"));
    assert!(!of_shop.iter().any(|name| name.contains("edge") || name.contains("tls")), "{of_shop:?}");
    Ok(())
}

#[test]
fn who_may_not_list_secrets_gets_roots_and_no_keys() -> Outcome {
    let mesh = admitted(&[SECRETS], &[("edge", Access::Denied)])?.next_mesh().mesh;
    let sent = sent(&mesh, &router("edge")?);
    assert!(
        sent.keys().all(|name| name.ends_with("-cacert") || name.starts_with("configmap://")),
        "{sent:?}"
    );
    assert!(sent.contains_key("kubernetes://tls-cacert"));
    assert!(!format!("{sent:?}").contains("tlsCertificate"));
    Ok(())
}

/// CVE-2021-34824: what was made for one identity answered another.
#[test]
fn nobody_gets_what_another_identity_was_sent() -> Outcome {
    let mut tables = admitted(&[SECRETS, GATEWAYS], &[("edge", Access::Granted)])?;
    let mesh = tables.next_mesh().mesh;
    let known = router("edge")?;
    assert!(names(&mesh, &known).contains("kubernetes://tls"));
    let unproved = Proxy { account: None, ..router("edge")? };
    assert_eq!(names(&mesh, &unproved), set(&[]), "the same node without an identity");
    let other = Account { name: "other".into(), ..account("edge") };
    let other = Proxy { account: Some(Arc::new(other)), ..router("edge")? };
    assert_eq!(names(&mesh, &other), set(&[]), "an account that was not judged");
    let elsewhere = Proxy { account: Some(Arc::new(account("shop"))), ..router("edge")? };
    assert_eq!(names(&mesh, &elsewhere), set(&[]), "an identity of another namespace");
    tables.admit(&account("edge"), Some(Access::Denied));
    let next = tables.next_endpoints();
    assert_eq!(next.changes.accounts, BTreeSet::from([account("edge")]));
    assert!(!names(&next.mesh, &known).contains("kubernetes://tls"), "leave that was taken back");
    tables.admit(&account("edge"), None);
    assert_eq!(names(&tables.next_endpoints().mesh, &known), set(&[]));
    Ok(())
}

#[test]
fn without_the_check_of_identities_there_are_no_secrets() -> Outcome {
    let features = model::mesh::Features { xds_identity_check: false, ..Default::default() };
    let mut tables = tables(Options { features, ..Options::default() }, &[SECRETS])?;
    tables.admit(&account("edge"), Some(Access::Granted));
    assert_eq!(names(&tables.next_mesh().mesh, &router("edge")?), set(&[]));
    Ok(())
}

#[test]
fn gateways_of_the_routers_namespace_lead_to_secrets_there_without_leave() -> Outcome {
    let mesh = admitted(&[SECRETS, GATEWAYS], &[("edge", Access::Denied)])?.next_mesh().mesh;
    let of = |proxy: &Proxy| -> BTreeSet<String> {
        names(&mesh, proxy).into_iter().filter(|name| name.starts_with("kubernetes-gateway://")).collect()
    };
    let named = set(&["kubernetes-gateway://edge/tls", "kubernetes-gateway://edge/tls-cacert"]);
    assert_eq!(of(&router("edge")?), named, "not what is elsewhere, nor what others name");
    assert_eq!(of(&client("router", "edge", json!({"LABELS": {"app": "else"}}))?), set(&[]));
    assert_eq!(of(&client("sidecar", "edge", json!({"LABELS": {"app": "gw"}}))?), set(&[]));
    Ok(())
}

/// Note verify-sa-for-gateway-secrets: a Gateway that was made for one account, or in the name of another namespace, leads no
/// other account of the namespace to its secrets.
#[test]
fn gateways_that_were_made_for_one_account_lead_no_other_to_secrets() -> Outcome {
    let named = |annotation: &str| {
        let gateways = GATEWAYS.replace(
            "{name: front, namespace: edge}",
            &format!("{{name: front, namespace: edge, annotations: {{{annotation}}}}}"),
        );
        let mesh = admitted(&[SECRETS, &gateways], &[("edge", Access::Denied)])?.next_mesh().mesh;
        let names = names(&mesh, &router("edge")?);
        Ok::<bool, Box<dyn Error>>(names.contains("kubernetes-gateway://edge/tls"))
    };
    assert!(named("internal.istio.io/service-account-name: gw")?);
    assert!(!named("internal.istio.io/service-account-name: other")?);
    assert!(named("internal.istio.io/parent-namespace: edge")?);
    assert!(!named("internal.istio.io/parent-namespace: shop")?);
    Ok(())
}

/// The inline bytes of a secret's field.
fn inline(secret: &Value, path: &str) -> Option<String> {
    let bytes: api::Base64 =
        serde_json::from_value(secret.pointer(path)?.get("inlineBytes")?.clone()).ok()?;
    String::from_utf8(bytes.0).ok()
}

#[test]
fn keys_staples_roots_and_revocations_are_sent_inline() -> Outcome {
    let mesh = admitted(&[SECRETS], &[("edge", Access::Granted)])?.next_mesh().mesh;
    let sent = sent(&mesh, &router("edge")?);
    let of = |name: &str, path: &str| inline(&sent[name], path);
    assert_eq!(sent["kubernetes://edge/tls"]["name"], "kubernetes://edge/tls");
    assert_eq!(of("kubernetes://tls", "/tlsCertificate/certificateChain").as_deref(), Some("CHAIN"));
    assert_eq!(of("kubernetes://tls", "/tlsCertificate/privateKey").as_deref(), Some("KEY"));
    assert_eq!(of("kubernetes://tls", "/tlsCertificate/ocspStaple").as_deref(), Some("STAPLE"));
    assert_eq!(of("kubernetes://pair", "/tlsCertificate/ocspStaple"), None);
    let roots = |name: &str| (of(name, "/validationContext/trustedCa"), of(name, "/validationContext/crl"));
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(roots("kubernetes://tls-cacert"), (some("ROOTS"), some("CRL")));
    assert_eq!(roots("kubernetes://pair-cacert"), (some("OWN"), some("CRL")), "before those beside the key");
    assert_eq!(roots("configmap://shop/roots-cacert"), (some("ROOTS"), None));
    Ok(())
}

#[test]
fn hardware_for_keys_gets_the_key_and_no_staple() -> Outcome {
    let mesh = admitted(&[SECRETS], &[("edge", Access::Granted)])?.next_mesh().mesh;
    for (name, message) in
        [("cryptomb", "CryptoMbPrivateKeyMethodConfig"), ("qat", "QatPrivateKeyMethodConfig")]
    {
        let config = json!({"privateKeyProvider": {name: {"pollDelay": "1.5s", "fallback": true}}});
        let proxy = client("router", "edge", json!({"PROXY_CONFIG": config}))?;
        let planned = planned(&mesh, &proxy);
        let Some(translate::Key::Secret(key)) = planned.get(&("sds", Arc::from("kubernetes://tls"))) else {
            return Err("no secret".into());
        };
        let text = format!("{:?}", translate::secrets::build(key).message);
        assert!(
            text.contains(message) && text.contains("fallback: true") && !text.contains("STAPLE"),
            "{text}"
        );
    }
    Ok(())
}

fn change(tables: &mut Tables, yaml: &str) -> Result<Option<Pending>, Box<dyn Error>> {
    let document = documents(yaml)?.remove(0);
    let object = api::decode(document)?.object;
    Ok(tables.apply(&object.key(), Some(&object)))
}

#[test]
fn a_renewed_secret_goes_at_once_and_touches_nothing_else() -> Outcome {
    let mut tables = admitted(&[SECRETS, GATEWAYS], &[("edge", Access::Granted)])?;
    let before = tables.next_mesh().mesh;
    let renewed =
        SECRETS.split("---").next().unwrap_or_default().replace("CHAIN", "RENEWED").replace("ROOTS", "NEW");
    assert_eq!(change(&mut tables, &renewed)?, Some(Pending::Endpoints));
    let next = tables.next_endpoints();
    assert!(next.changes.credentials && !next.changes.configuration);
    let gateway = router("edge")?;
    let sent = sent(&next.mesh, &gateway);
    let chain = inline(&sent["kubernetes://tls"], "/tlsCertificate/certificateChain");
    let roots = inline(&sent["kubernetes://tls-cacert"], "/validationContext/trustedCa");
    assert_eq!((chain.as_deref(), roots.as_deref()), (Some("RENEWED"), Some("NEW")), "both at once");
    let rest = |mesh: &Mesh| {
        let mut dump = dump(mesh, &gateway);
        dump.remove("sds");
        dump
    };
    assert_eq!(rest(&before), rest(&next.mesh), "listeners do not look at Secrets");
    assert_eq!(change(&mut tables, &renewed)?, None, "the same again");
    let key = ObjectKey { kind: Kind::Secret, namespace: "edge".into(), name: "tls".into() };
    assert_eq!(tables.apply(&key, None), Some(Pending::Endpoints));
    assert!(!names(&tables.next_endpoints().mesh, &gateway).contains("kubernetes://tls"));
    Ok(())
}

#[test]
fn secrets_of_the_proxys_cluster_come_before_those_of_the_home_cluster() -> Outcome {
    let mut tables = tables(Options::default(), &[SECRETS])?;
    let far = Account { cluster: "far".into(), ..account("edge") };
    tables.admit(&far, Some(Access::Granted));
    let document = documents(
        "{apiVersion: v1, kind: Secret, metadata: {name: tls, namespace: edge}, stringData: {cert: FAR, key: KEY}}",
    )?;
    for document in document {
        let object = api::decode(document)?.object;
        tables.apply_in(&Arc::from("far"), &object.key(), Some(&object));
    }
    let mesh = tables.next_mesh().mesh;
    let metadata = json!({"CLUSTER_ID": "far"});
    let proxy = Proxy { account: Some(Arc::new(far)), ..client("router", "edge", metadata)? };
    let sent = sent(&mesh, &proxy);
    let chain = |name: &str| inline(&sent[name], "/tlsCertificate/certificateChain");
    assert_eq!(chain("kubernetes://tls").as_deref(), Some("FAR"));
    assert_eq!(chain("kubernetes://pair").as_deref(), Some("CHAIN"), "there is none in its own");
    let roots = inline(&sent["kubernetes://tls-cacert"], "/validationContext/trustedCa");
    assert_eq!(roots.as_deref(), Some("ROOTS"), "that of its own has none");
    Ok(())
}

#[test]
fn the_key_of_the_meshs_authority_is_sent_to_nobody() -> Outcome {
    let mesh = admitted(&[SECRETS], &[("istio-system", Access::Granted)])?.next_mesh().mesh;
    assert_eq!(names(&mesh, &router("istio-system")?), set(&CONFIG_MAPS));
    Ok(())
}

#[test]
fn a_key_is_in_no_text_of_the_mesh_or_of_plans() -> Outcome {
    let secret = SECRETS.replace("KEY", "VERY-PRIVATE");
    let mut tables = admitted(&[&secret, GATEWAYS], &[("edge", Access::Granted)])?;
    let mesh = tables.next_mesh().mesh;
    let gateway = router("edge")?;
    let planned = format!("{:?} {:#?}", testkit::mesh::plans(&mesh, &gateway), planned(&mesh, &gateway));
    let text = format!("{tables:?} {mesh:?} {planned}");
    assert!(planned.contains("kubernetes://tls"), "plans are in the text");
    let bytes = format!("{:?}", b"VERY-PRIVATE");
    assert!(!text.contains("VERY-PRIVATE") && !text.contains(bytes.trim_matches(['[', ']'])));
    Ok(())
}

#[test]
fn a_server_of_credentials_beside_the_proxy_has_a_cluster() -> Outcome {
    let mesh = tables(Options::default(), &[])?.next_mesh().mesh;
    for kind in ["router", "sidecar"] {
        let with = dump(&mesh, &client(kind, "edge", json!({"credential": "true"}))?);
        let cluster = &with["cds"]["sds-external"];
        let path = "/loadAssignment/endpoints/0/lbEndpoints/0/endpoint/address/pipe/path";
        assert_eq!(
            cluster.pointer(path),
            Some(&json!("./var/run/secrets/credential-uds/socket")),
            "{cluster}"
        );
        assert!(cluster.to_string().contains("http2ProtocolOptions"), "{cluster}");
        let without = dump(&mesh, &client(kind, "edge", json!({}))?);
        assert!(!without["cds"].contains_key("sds-external"));
    }
    Ok(())
}

/// A panic is told with the words that it comes with, and those may quote what was at hand.
#[test]
fn what_is_quoted_of_keys_and_meshes_holds_no_private_key() -> Outcome {
    let private = "VERY-PRIVATE";
    let secret = SECRETS.replace("key: KEY", &format!("key: {private}"));
    let mesh = admitted(&[&secret, GATEWAYS], &[("edge", Access::Granted)])?.next_mesh().mesh;
    let planned = planned(&mesh, &router("edge")?);
    let keys: Vec<_> = planned.iter().filter(|((kind, _), _)| *kind == "sds").collect();
    assert!(keys.len() > 3, "{keys:?}");
    let quoted = format!("{keys:?} {keys:#?} {:?}", mesh.credentials);
    let numbers = format!("{:?}", private.as_bytes());
    for form in [private, numbers.trim_matches(['[', ']']), "VkVSWS1QUklWQVRF"] {
        assert!(!quoted.contains(form), "{form}");
    }
    Ok(())
}

fn grant(from: &str, to: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {{name: g, namespace: shop}}\n\
         spec: {{from: [{from}], to: [{to}]}}\n"
    )
}

const EDGE: &str = "{group: gateway.networking.k8s.io, kind: Gateway, namespace: edge}";

/// What the Gateway `front` names in `shop` is sent if that namespace lets gateways of `edge` have it.
#[test]
fn a_secret_of_another_namespace_is_sent_where_that_grants_it() -> Outcome {
    let foreign = "kubernetes-gateway://shop/foreign";
    let granted = |grant: &str| -> Result<bool, Box<dyn Error>> {
        let mesh = admitted(&[SECRETS, GATEWAYS, grant], &[("edge", Access::Denied)])?.next_mesh().mesh;
        Ok(names(&mesh, &router("edge")?).contains(foreign))
    };
    for to in ["{group: '', kind: Secret}", "{group: '', kind: Secret, name: foreign}", "{kind: Secret}"] {
        assert!(granted(&grant(EDGE, to))?, "{to}");
    }
    for (from, to) in [
        (EDGE, "{group: '', kind: Secret, name: other}"),
        (EDGE, "{group: '', kind: Secret, name: ''}"),
        (EDGE, "{group: '', kind: ConfigMap}"),
        (EDGE, "{group: example.com, kind: Secret}"),
        ("{group: gateway.networking.k8s.io, kind: Gateway, namespace: shop}", "{group: '', kind: Secret}"),
        ("{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: edge}", "{group: '', kind: Secret}"),
        ("{group: networking.istio.io, kind: Gateway, namespace: edge}", "{group: '', kind: Secret}"),
    ] {
        assert!(!granted(&grant(from, to))?, "{from} {to}");
    }
    // A grant for one namespace is none of another's, and none for whom nobody knows.
    let elsewhere = grant(EDGE, "{group: '', kind: Secret}").replace("namespace: shop}", "namespace: bank}");
    assert!(!granted(&elsewhere)?);
    let all = grant(EDGE, "{group: '', kind: Secret}");
    let mesh = admitted(&[SECRETS, GATEWAYS, &all], &[("edge", Access::Denied)])?.next_mesh().mesh;
    let unproved = Proxy { account: None, ..router("edge")? };
    assert_eq!(names(&mesh, &unproved), set(&[]));
    Ok(())
}

#[test]
fn grants_and_what_they_grant_come_and_go_while_gateways_are_connected() -> Outcome {
    let mut tables = admitted(&[SECRETS, GATEWAYS], &[("edge", Access::Denied)])?;
    let mesh = tables.next_mesh().mesh;
    let of_gateway =
        |class: &Class| matches!(class, Class::Secrets(view) if matches!(**view, SecretsView::Gateway(..)));
    let classes = translate::class::classes(&mesh, &router("edge")?);
    let class = classes.into_iter().find(of_gateway).ok_or("no secrets of gateways")?;
    let changes = Changes::default();
    let mut plan = translate::plan::plan(&mesh, &class, None, false, None);
    // Each step, whether what was planned stays as it is, and whether the Secret is there.
    let foreign = SECRETS.split("---").find(|text| text.contains("name: foreign")).ok_or("a Secret")?;
    let granted = grant(EDGE, "{group: '', kind: Secret}");
    for (step, same, there) in [
        (granted.clone(), false, true),
        (foreign.replace("OTHER", "NEW"), false, true),
        (foreign.replace("namespace: shop", "namespace: bank"), true, true),
        (granted.replace("group: '', kind: Secret", "group: '', kind: Service"), false, false),
    ] {
        change(&mut tables, &step)?;
        let next =
            translate::plan::plan(&tables.next_mesh().mesh, &class, Some((&plan, &changes)), false, None);
        let named = next.secrets.iter().any(|(name, _)| &**name == "kubernetes-gateway://shop/foreign");
        assert_eq!((Arc::ptr_eq(&next, &plan), named), (same, there), "{step}");
        plan = next;
    }
    Ok(())
}
