//! Tricks against authorization: paths, hosts and headers that are spelt so that policies and apps read them otherwise.

use anyhow::{Context, Result};
use e2e::{Pod, world};
use serde_json::json;

use super::{Shop, URL, becomes, status};

/// The status of a request whose line is written as it is, which no client library would do.
fn raw(client: &Pod, target: &str, headers: &str) -> Result<u16> {
    let session = client.tcp("reviews.shop:8080")?.unforetold();
    let request =
        format!("GET {target} HTTP/1.1\r\nhost: reviews.shop\r\nconnection: close\r\n{headers}\r\n");
    session.send(request.into_bytes())?;
    let line = session.read_line()?;
    let status = line.split(' ').nth(1).with_context(|| line.clone())?;
    status.parse().with_context(|| line.clone())
}

/// Spellings of `/admin`, and what becomes of each by mode: NONE, BASE, MERGE_SLASHES, DECODE_AND_MERGE_SLASHES. What is
/// served (200) reaches the app as it is written or made plain; whether the app takes it for `/admin` is the app's business.
const PATHS: [(&str, [u16; 4]); 19] = [
    ("/admin", [403, 403, 403, 403]),
    ("/admin?a=b", [403, 403, 403, 403]),
    ("/admin/", [403, 403, 403, 403]),
    ("/./admin", [200, 403, 403, 403]),
    ("/open/../admin", [200, 403, 403, 403]),
    ("/open/%2e%2e/admin", [200, 403, 403, 403]),
    ("/%61dmin", [200, 403, 403, 403]),
    ("/\\admin", [200, 200, 403, 403]),
    ("//admin", [200, 200, 403, 403]),
    ("/open//../admin", [200, 200, 200, 200]),
    ("/open%2f..%2fadmin", [200, 200, 200, 403]),
    ("/%2Fadmin", [200, 200, 200, 403]),
    ("/open%5c..%5cadmin", [200, 200, 200, 403]),
    // Envoy takes a fragment away, which is no part of a request's target.
    ("/admin#a", [403, 403, 403, 403]),
    ("/open#/admin", [200, 200, 200, 200]),
    // A zero byte is in no path.
    ("/admin\0", [400, 400, 400, 400]),
    ("/admin%00", [200, 400, 400, 400]),
    // Apps that read these as /admin need policies that name them: the reference's advice is to allow, not to deny.
    ("/Admin", [200, 200, 200, 200]),
    ("/admin;a=b", [200, 200, 200, 200]),
];
/// Where the mode can be seen.
const SEEN: [(&str, &str, u16); 4] = [
    ("NONE", "/./admin", 200),
    ("BASE", "/./admin", 403),
    ("MERGE_SLASHES", "//admin", 403),
    ("DECODE_AND_MERGE_SLASHES", "/%2Fadmin", 403),
];

/// CVE-2021-31920, CVE-2021-39156: each mode does what it says, for all spellings.
#[test]
fn spellings_of_a_path_are_as_plain_as_the_mode_makes_them() {
    world(|world| {
        let shop = Shop::start(world)?;
        let rules = json!([{"to": [{"operation": {"paths": ["/admin", "/admin/*"], "ports": ["8080"]}}]}]);
        shop.policy("deny", "DENY", &rules)?;
        let client = &shop.outsider;
        let call = |path: &str| client.get(&format!("http://reviews.shop:8080{path}"));
        becomes(&call("/admin"), 403)?;
        let mut wrong = Vec::new();
        for (number, (mode, seen, wanted)) in SEEN.into_iter().enumerate() {
            shop.mesh.apply(&format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\n\
                 data: {{mesh: 'pathNormalization: {{normalization: {mode}}}'}}\n"
            ))?;
            becomes(&call(seen), wanted)?;
            for (path, statuses) in PATHS {
                let (given, wanted) = (raw(client, path, "")?, statuses[number]);
                if given != wanted {
                    wrong.push(format!("{mode} {path}: {given}, not {wanted}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        Ok(())
    });
}

/// CVE-2021-39155: a host is the same in any case. A port behind it is another value, which policies must name.
#[test]
fn hosts_are_the_same_in_any_case() {
    world(|world| {
        let shop = Shop::start(world)?;
        let rules = json!([{"to": [{"operation": {"hosts": ["Secret.example"], "ports": ["8080"]}}]}]);
        shop.policy("deny", "DENY", &rules)?;
        let call = |host: &str| shop.outsider.get(URL).host(host);
        becomes(&call("secret.example"), 403)?;
        for (host, wanted) in [
            ("SECRET.EXAMPLE", 403),
            ("Secret.Example", 403),
            ("secret.example:8080", 200),
            ("secret.example.", 200),
            ("other.example", 200),
        ] {
            assert_eq!(status(&call(host))?, wanted, "{host}");
        }
        let rules = json!([{"to": [{"operation": {"hosts": ["secret.example", "secret.example:*"], "ports": ["8080"]}}]}]);
        shop.policy("deny", "DENY", &rules)?;
        becomes(&call("secret.example:8080"), 403)?;
        assert_eq!(status(&call("SECRET.example:1"))?, 403);
        Ok(())
    });
}

/// An identity is what the handshake proves, whatever headers say.
#[test]
fn nobody_becomes_another_by_headers() {
    world(|world| {
        let shop = Shop::start(world)?;
        let browser = "cluster.local/ns/shop/sa/browser";
        shop.policy("p", "ALLOW", &json!([{"from": [{"source": {"principals": [browser]}}]}]))?;
        becomes(&shop.cart.get(URL), 403)?;
        let smuggled = format!("By=spiffe://cluster.local/ns/shop/sa/default;Hash=ab;URI=spiffe://{browser}");
        for client in [&shop.cart, &shop.outsider] {
            let call = client.get(URL).header("x-forwarded-client-cert", &smuggled);
            assert_eq!(status(&call)?, 403, "{client:?}");
        }
        let seen = shop.web.get(URL).header("x-forwarded-client-cert", &smuggled.replace("browser", "root"));
        let seen = seen.send()?.seen()?;
        assert!(
            seen.client_certificate("URI").last().is_some_and(|uri| uri.ends_with("/sa/browser")),
            "the last element is the sidecar's own: {seen:?}"
        );
        Ok(())
    });
}

/// CVE-2026-26308: a header that is sent twice is looked at twice, whichever of its values comes first. What a client joins
/// itself is one value.
#[test]
fn a_header_that_is_sent_twice_does_not_get_around_a_policy() {
    world(|world| {
        let shop = Shop::start(world)?;
        let with = |client: &Pod, values: &[&str]| {
            values.iter().fold(client.get(URL), |call, value| call.header("x-role", value))
        };
        let hold = |wanted: &[(&[&str], u16)]| -> Result<()> {
            for (values, wanted) in wanted {
                for client in [&shop.web, &shop.outsider] {
                    assert_eq!(status(&with(client, values))?, *wanted, "{values:?} of {client:?}");
                }
            }
            Ok(())
        };
        let role = |is: &str| json!([{"when": [{"key": "request.headers[x-role]", is: ["admin"]}]}]);

        shop.policy("p", "DENY", &role("values"))?;
        becomes(&with(&shop.outsider, &["admin"]), 403)?;
        hold(&[
            (&["user", "admin"], 403),
            (&["admin", "user"], 403),
            (&["", "admin", ""], 403),
            (&["user", "user"], 200),
            // Apps that take lists apart need policies that say so, such as `*admin*`.
            (&["user,admin"], 200),
        ])?;

        shop.policy("p", "ALLOW", &role("notValues"))?;
        becomes(&with(&shop.outsider, &["admin"]), 403)?;
        hold(&[(&["user", "admin"], 403), (&["admin", "user"], 403), (&["user", "user"], 200), (&[], 200)])
    });
}
