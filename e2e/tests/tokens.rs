//! Tokens of requests: those of the issuer pass, all others are refused, whether the keys stand in the policy or are fetched.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use e2e::{Echo, Mesh, Pod, World, wait_until, world};
use http::StatusCode;
use serde_json::{Value, json};
use testkit::tokens::Issuer;

const URL: &str = "http://reviews:8080/";

const ONE_EACH: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec: {host: reviews, trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}}}
";

fn shop<'w>(world: &'w World) -> Result<(Mesh<'w>, Pod)> {
    let mesh = Mesh::start(world)?;
    mesh.service("shop", "reviews").port("http", 8080).create()?;
    // A connection that is kept would be under the policies of when it began.
    mesh.apply(ONE_EACH)?;
    mesh.pod("shop", "reviews").app(Echo::http(8080)).start()?;
    let client = mesh.pod("shop", "web").start()?;
    wait_until("the first answer", || Ok(client.get(URL).send()?.expect(StatusCode::OK)?.seen().is_ok()))?;
    Ok((mesh, client))
}

/// A RequestAuthentication for `reviews` of `shop`.
pub(crate) fn policy(rules: &Value) -> String {
    let policy = json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": {"name": "tokens", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "reviews"}}, "jwtRules": rules},
    });
    policy.to_string()
}

/// The status that a request with this token gets; without one if it is empty.
fn status(client: &Pod, token: &str) -> Result<u16> {
    let request = client.get(URL);
    let request = match token {
        "" => request,
        token => request.header("authorization", &format!("Bearer {token}")),
    };
    Ok(request.send()?.status)
}

/// Claims that are good for some minutes.
pub(crate) fn claims(issuer: &str, audience: &str) -> Result<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(
        json!({"iss": issuer, "sub": "anna", "aud": audience, "exp": (now + Duration::from_secs(600)).as_secs()}),
    )
}

#[test]
fn requests_pass_with_a_good_token_or_none() {
    world(|world| {
        let (mesh, client) = shop(world)?;
        let (ours, theirs) = (Issuer::new()?, Issuer::new()?);
        let good = ours.sign(&claims("shop", "reviews")?)?;
        assert_eq!(status(&client, "not.a.token")?, 200, "nobody looks yet");

        let keys = ours.jwks().to_string();
        mesh.apply(&policy(&json!([{"issuer": "shop", "audiences": ["reviews"], "jwks": keys}])))?;
        wait_until("a bad token to be refused", || Ok(status(&client, "not.a.token")? == 401))?;
        assert_eq!(status(&client, &good)?, 200);
        assert_eq!(status(&client, "")?, 200, "who has none is not asked for one");
        let seen = client.get(URL).header("authorization", &format!("Bearer {good}")).send()?.seen()?;
        assert_eq!(seen.header("authorization"), None, "the token goes no further");

        let mut old = claims("shop", "reviews")?;
        old["exp"] = json!(1);
        for (what, token, wanted) in [
            ("another's key", theirs.sign(&claims("shop", "reviews")?)?, 401),
            ("another issuer", ours.sign(&claims("bank", "reviews")?)?, 401),
            ("another audience", ours.sign(&claims("shop", "ratings")?)?, 403),
            ("too old", ours.sign(&old)?, 401),
        ] {
            assert_eq!(status(&client, &token)?, wanted, "{what}");
        }

        // A second issuer in the same place: tokens of both are good.
        let rules = json!([
            {"issuer": "shop", "jwks": keys},
            {"issuer": "bank", "jwks": theirs.jwks().to_string()},
        ]);
        mesh.apply(&policy(&rules))?;
        let bank = theirs.sign(&claims("bank", "reviews")?)?;
        wait_until("the token of the second issuer", || Ok(status(&client, &bank)? == 200))?;
        assert_eq!(status(&client, &good)?, 200);
        assert_eq!(status(&client, "")?, 200);
        assert_eq!(
            status(&client, &ours.sign(&claims("bank", "reviews")?)?)?,
            401,
            "issuers have their own keys"
        );

        // Keys that cannot be had let no token in, and harm nobody who has none.
        mesh.apply(&policy(&json!([{"issuer": "shop", "jwksUri": "http://127.0.0.1:9/keys"}])))?;
        wait_until("the token to be refused", || Ok(status(&client, &good)? == 401))?;
        assert_eq!(status(&client, "")?, 200);

        mesh.delete("RequestAuthentication", "shop", "tokens")?;
        wait_until("nobody to look any more", || Ok(status(&client, "not.a.token")? == 200))
    });
}
