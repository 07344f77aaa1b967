//! Private keys are in nothing that anybody is shown: pages, metrics, logs with all that they can tell, and what is said of
//! objects that cannot be read.

use anyhow::{Context, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use e2e::{Authority, Echo, Mesh, MeshOptions, wait_until, world};

use crate::edge::{answers, gateway, host_at, https, pair, secret};

/// Pages that are not under `/debug`.
const PAGES: [&str; 5] = [
    "/ready",
    "/version",
    "/metrics",
    "/debug/config_dump?proxyID=edge.edge&types=sds",
    "/debug/config_dump?proxyID=edge.edge&include_eds",
];

/// How a key may stand in a text: lines of its PEM, its PEM once more in base64, its bytes as numbers and in hexadecimal.
fn forms(pem: &str) -> Result<Vec<String>> {
    let lines: Vec<&str> = pem.lines().map(str::trim).filter(|line| !line.starts_with('-')).collect();
    let der = BASE64_STANDARD.decode(lines.concat())?;
    let middle = der.get(40..56).context("a short key")?;
    let numbers = format!("{middle:?}");
    let mut forms: Vec<String> =
        lines.iter().map(|line| (*line).to_owned()).filter(|l| l.len() > 16).collect();
    forms.push(numbers.trim_matches(['[', ']']).to_owned());
    forms.push(middle.iter().map(|byte| format!("{byte:02x}")).collect());
    let packed = BASE64_STANDARD.encode(pem);
    let inner = packed.as_bytes().chunks(48).map(|chunk| String::from_utf8_lossy(chunk).into_owned());
    // What all keys begin and end with tells nothing.
    forms.extend(inner.skip(2).filter(|chunk| chunk.len() == 48).take(2));
    Ok(forms)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

#[test]
fn no_output_shows_a_private_key() {
    world(|world| {
        let flags = vec!["--log_output_level=default:debug".to_owned()];
        let env = vec![("RUST_BACKTRACE".to_owned(), "full".to_owned())];
        let options = MeshOptions { flags, env, ..MeshOptions::default() };
        let mesh = Mesh::start_with(world, options)?;
        mesh.service("shop", "catalog").port("http", 8080).create()?;
        mesh.pod("shop", "catalog").app(Echo::http(8080)).start()?;
        let edge = mesh.pod("edge", "edge").labels(&[("istio", "edge")]).gateway().start()?;
        let client = world.pod("outside", "browser").start()?;
        world.host("catalog.example.com", edge.ip().into())?;

        let authority = Authority::new()?;
        let [shown, mixed, broken, plain] = [(); 4]
            .map(|()| authority.issue(&["catalog.example.com"]))
            .map(|issued| issued.expect("a certificate"));
        mesh.apply(&secret("shown", &pair(&shown)))?;
        mesh.apply(&gateway(
            "edge",
            &https("https", 8443, "catalog.example.com", "mode: SIMPLE, credentialName: shown"),
        ))?;
        mesh.apply(&host_at("edge", "catalog"))?;
        answers(&client.get("https://catalog.example.com:8443/").trust(&authority.pem()), 200)?;

        // Keys in what cannot be read, or cannot be used.
        let head = |name: &str| {
            format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: edge}}\n")
        };
        let wrong = [("tls.crt", shown.certificate.as_bytes()), ("tls.key", mixed.key.as_bytes())];
        mesh.apply(&secret("mixed", &wrong))?;
        mesh.put_file(
            "broken.yaml",
            &format!("{}stringData:\n  tls.key: |\n{}  tls.crt: [\n", head("broken"), indented(&broken.key)),
        )?;
        mesh.put_file(
            "plain.yaml",
            &format!("{}data:\n  tls.key: |\n{}", head("plain"), indented(&plain.key)),
        )?;
        wait_until("what cannot be read to be told", || {
            let problems = mesh.text("/debug/problems")?;
            Ok(problems.contains("broken.yaml") && problems.contains("edge/plain"))
        })?;

        let mut output = vec![("the log".to_owned(), mesh.log()?)];
        let listed = mesh.json("/debug/list")?;
        let listed = listed.as_array().context("no list of pages")?;
        let listed = listed.iter().filter_map(|name| name.as_str());
        let listed = listed.map(|name| format!("/debug/{name}?proxyID=edge.edge"));
        for page in listed.chain(PAGES.map(str::to_owned)) {
            let answer = mesh.get(&page)?;
            output.push((page, String::from_utf8_lossy(&answer.body).into_owned()));
        }
        let dump =
            output.iter().find(|(page, _)| page.ends_with("types=sds")).context("no dump of secrets")?;
        ensure!(
            dump.1.contains("kubernetes://edge/shown") || dump.1.contains("kubernetes://shown"),
            "{}",
            dump.1
        );

        let mut keys = vec![shown.key, mixed.key, broken.key, plain.key];
        for file in ["ca-key.pem", "token-key.pem"] {
            keys.push(mesh.state(file)?);
        }
        for key in &keys {
            for form in forms(key)? {
                for (place, text) in &output {
                    ensure!(!text.contains(&form), "{place} shows a key");
                }
            }
        }
        Ok(())
    });
}
