//! The mesh's root is replaced by one of another key, in stages, while two pods talk over mTLS with a handshake for each
//! request: none fails. What Envoy makes of roots of one name.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Authority, Intermediate, MeshOptions, Pod, within, world};
use serde_json::Value;

use crate::identities::{RENEWAL, Shop, chain, plug, roots};

/// `/debug/rootz`.
fn page(shop: &Shop<'_>) -> Result<Value> {
    serde_json::from_slice(&shop.mesh().get("/debug/rootz")?.body).context("/debug/rootz is no JSON")
}

/// Waits until this holds of `/debug/rootz`.
fn until(shop: &Shop<'_>, what: &str, holds: impl Fn(&Value) -> bool) -> Result<()> {
    within(RENEWAL, what, || {
        let page = page(shop)?;
        ensure!(holds(&page), "{page:#}");
        Ok(Some(()))
    })
}

/// How many roots a sidecar trusts.
pub(crate) fn trusted(pod: &Pod) -> Result<usize> {
    Ok(String::from_utf8(STANDARD.decode(roots(pod)?)?)?.matches("BEGIN CERTIFICATE").count())
}

/// Waits until both sidecars have shown two further certificates, the first of which may have been on its way already, and
/// trust as many roots.
fn moved_on(shop: &Shop<'_>, count: usize) -> Result<()> {
    shop.renewed(2)?;
    for pod in shop.pods() {
        let trusted = trusted(pod)?;
        ensure!(trusted == count, "{pod:?} trusts {trusted} roots, not {count}");
    }
    Ok(())
}

/// A control plane whose stages last as long as it takes until proxies have confirmed.
pub(crate) fn soon_confirmed() -> MeshOptions {
    let env = [("PILOTHOUSE_ROOT_DISTRIBUTION", "1s"), ("PILOTHOUSE_ROOT_KEEPING", "1h")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    MeshOptions { env, ..MeshOptions::default() }
}

/// Replaces the self-signed root of a shop by one of a new key.
pub(crate) fn replace(shop: Shop<'_>) -> Result<()> {
    let old = shop.mesh().state("root-cert.pem")?;
    let said = shop.mesh().root("replace")?;
    ensure!(said.contains("the old one signs"), "{said}");
    until(&shop, "the new root to sign", |page| {
        page.pointer("/replacement/stage").is_some_and(|stage| stage == "signing")
    })?;
    moved_on(&shop, 2)?;
    shop.no_failure()?;
    let said = shop.mesh().root("advance")?;
    ensure!(said.contains("no replacement is under way"), "{said}");
    moved_on(&shop, 1)?;
    ensure!(shop.mesh().state("root-cert.pem")? != old, "it is the old root");
    shop.all_well()
}

#[test]
fn a_self_signed_root_is_replaced_by_one_of_a_new_key() {
    world(|world| replace(Shop::start(world, soon_confirmed())?));
}

#[test]
fn a_plugged_in_root_is_replaced_by_another() {
    world(|world| {
        let [old, new] = Intermediate::strangers(true)?;
        let folder: PathBuf = world.dir().join("cacerts");
        plug(&folder, &old)?;
        let env =
            [("ROOT_CA_DIR", folder.display().to_string()), ("ISTIO_MULTIROOT_MESH", "true".to_owned())];
        let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let shop = Shop::start(world, MeshOptions { env, ..MeshOptions::default() })?;
        plug(&folder, &old.beside(&new, "first-of-both"))?;
        until(&shop, "all proxies to confirm both roots", |page| {
            page["spread"]["proxies"] == 2 && page["spread"]["confirmed"] == 2
        })?;
        plug(&folder, &new.beside(&old, "second-of-both"))?;
        moved_on(&shop, 2)?;
        for pod in shop.pods() {
            ensure!(new.is_in(&chain(pod)?)?, "{pod:?} shows a certificate of the old authority");
        }
        let page = page(&shop)?;
        ensure!(page["spread"].get("early").is_none(), "{page:#}");
        plug(&folder, &new)?;
        moved_on(&shop, 1)?;
        shop.all_well()
    });
}

/// An Envoy that takes clients of these roots only.
fn picky(trusted: &str, certificate: &str, key: &str) -> String {
    include_str!("roots/picky.yaml")
        .replace("__roots__", &format!("{trusted:?}"))
        .replace("__chain__", &format!("{certificate:?}"))
        .replace("__key__", &format!("{key:?}"))
}

/// Whoever trusts two roots of one name at once trusts both only if certificates tell by key identifiers which of them signed.
#[test]
fn an_envoy_tells_roots_of_one_name_apart_by_key_identifiers_alone() {
    world(|world| {
        let servers = Authority::new()?;
        let client = world.pod("shop", "client").start()?;
        for told in [true, false] {
            let both = Intermediate::strangers(told)?;
            let trusted: String = both.iter().map(Intermediate::root).collect();
            let name = format!("picky-{told}");
            let host = format!("{name}.example.com");
            let own = servers.issue(&[&host])?;
            let bootstrap = picky(&trusted, &own.certificate, &own.key);
            let picky = world.pod("shop", &name).by_hand(&bootstrap).start()?;
            world.host(&host, picky.ip().into())?;
            let mut taken = 0;
            for authority in &both {
                let call = client.get(&format!("https://{host}:8443/")).trust(&servers.pem());
                let answer = call.identity(&authority.issue("client.example.com")?).send();
                taken += usize::from(answer.is_ok_and(|answer| answer.status == 200));
            }
            ensure!(taken == if told { 2 } else { 1 }, "key identifiers: {told}, clients taken: {taken}");
            let refused = picky.envoy()?.stat("listener.0.0.0.0_15006.ssl.fail_verify_error")?;
            ensure!((refused > 0) != told, "{refused} refused");
        }
        Ok(())
    });
}
