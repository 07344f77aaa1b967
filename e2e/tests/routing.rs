//! HTTP rules of VirtualServices, as the client's sidecar applies them.

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::{wait_until, world};
use http::StatusCode;

use crate::shop::{REVIEWS, Shop, says, seen, share};

#[test]
fn a_canary_gets_its_share_and_an_edit_shows_in_the_next_requests() {
    world(|world| {
        let shop = Shop::start(world)?;
        shop.subsets()?;
        let split = |v1: u32, v2: u32| {
            let called = format!("{v1}-{v2}");
            let rule = format!(
                "  - {}\n    route:\n    \
                 - {{destination: {{host: reviews, subset: v1}}, weight: {v1}}}\n    \
                 - {{destination: {{host: reviews, subset: v2}}, weight: {v2}}}",
                says(&called)
            );
            shop.rules(&called, &rule)
        };
        for (v1, v2) in [(80, 20), (30, 70), (0, 100)] {
            split(v1, v2)?;
            let load = shop.client.load(REVIEWS, 8)?;
            load.wait_for(600)?;
            let report = load.stop();
            share(&report, "reviews-v1", f64::from(v1) / 100.0)?;
            share(&report, "reviews-v2", f64::from(v2) / 100.0)?;
        }
        shop.mesh.delete("VirtualService", "shop", "reviews")?;
        wait_until("answers of both again", || Ok(seen(&shop.client, REVIEWS)?.pod == "reviews-v1"))?;
        shop.mesh.wait_synced(&[&shop.client])
    });
}

#[test]
fn headers_and_paths_choose_the_route() {
    world(|world| {
        let shop = Shop::start(world)?;
        shop.subsets()?;
        shop.rules(
            "matches",
            &format!(
                "
  - match: [{{headers: {{x-user: {{exact: tester}}}}, uri: {{prefix: /}}}}]
    route: [{{destination: {{host: reviews, subset: v2}}}}]
  - match: [{{uri: {{prefix: /new/}}}}, {{uri: {{regex: '/v[2-9]'}}}}]
    rewrite: {{uri: /now/}}
    route: [{{destination: {{host: reviews, subset: v2}}, headers: {{request: {{set: {{x-by: rule}}, remove: [x-secret]}}}}}}]
  - match: [{{uri: {{exact: /old}}}}]
    redirect: {{uri: /new/, redirectCode: 308}}
  - match: [{{uri: {{exact: /closed}}}}]
    directResponse: {{status: 410, body: {{string: gone for good}}}}
  - match: [{{queryParams: {{version: {{exact: two}}}}}}]
    route: [{{destination: {{host: reviews, subset: v2}}}}]
  - {}
    route: [{{destination: {{host: reviews, subset: v1}}}}]",
                says("matches")
            ),
        )?;
        let client = &shop.client;
        for _ in 0..5 {
            assert_eq!(seen(client, REVIEWS)?.pod, "reviews-v1");
            let tester = client.get(REVIEWS).header("x-user", "tester").send()?.expect(StatusCode::OK)?;
            assert_eq!(tester.seen()?.pod, "reviews-v2");
            let other = client.get(REVIEWS).header("x-user", "testers").send()?.expect(StatusCode::OK)?;
            assert_eq!(other.seen()?.pod, "reviews-v1");
        }
        let moved = client.get("http://reviews:8080/new/items?q=1").header("x-secret", "s").send()?.seen()?;
        assert_eq!((moved.pod.as_str(), moved.path.as_str()), ("reviews-v2", "/now/items?q=1"));
        assert_eq!((moved.header("x-by"), moved.header("x-secret")), (Some("rule"), None));
        assert_eq!(seen(client, "http://reviews:8080/v3")?.pod, "reviews-v2");
        assert_eq!(seen(client, "http://reviews:8080/v1")?.pod, "reviews-v1");
        assert_eq!(seen(client, "http://reviews:8080/?version=two")?.pod, "reviews-v2");
        let redirect = client.get("http://reviews:8080/old").send()?;
        let location = redirect.header("location").unwrap_or_default();
        assert!(redirect.status == 308 && location.ends_with("/new/"), "{redirect:?}");
        let gone = client.get("http://reviews:8080/closed").send()?;
        assert_eq!((gone.status, &gone.body[..]), (410, &b"gone for good"[..]));
        shop.mesh.wait_synced(&[client])
    });
}

#[test]
fn retries_timeouts_faults_and_mirrors() {
    world(|world| {
        let shop = Shop::start(world)?;
        shop.subsets()?;
        shop.rules(
            "trouble",
            &format!(
                "
  - match: [{{uri: {{prefix: /again}}}}]
    retries: {{attempts: 2, retryOn: 5xx}}
    route: [{{destination: {{host: reviews, subset: v1}}}}]
  - match: [{{uri: {{prefix: /once}}}}]
    retries: {{attempts: 0}}
    route: [{{destination: {{host: reviews, subset: v1}}}}]
  - match: [{{uri: {{prefix: /slow}}}}]
    timeout: 200ms
    route: [{{destination: {{host: reviews, subset: v1}}}}]
  - match: [{{uri: {{prefix: /broken}}}}]
    fault: {{abort: {{httpStatus: 418, percentage: {{value: 100}}}}}}
    route: [{{destination: {{host: reviews, subset: v1}}}}]
  - match: [{{uri: {{prefix: /late}}}}]
    fault: {{delay: {{fixedDelay: 300ms, percentage: {{value: 100}}}}}}
    route: [{{destination: {{host: reviews, subset: v1}}}}]
  - match: [{{uri: {{prefix: /seen-twice}}}}]
    mirror: {{host: reviews, subset: v2}}
    mirrorPercentage: {{value: 100}}
    route: [{{destination: {{host: reviews, subset: v1}}}}]
  - {}
    route: [{{destination: {{host: reviews, subset: v1}}}}]",
                says("trouble")
            ),
        )?;
        let client = &shop.client;
        let tries = |path: &str| -> Result<(u16, u64)> {
            let before = shop.v1.app().requests();
            let status = client.get(&format!("http://reviews:8080{path}")).send()?.status;
            Ok((status, shop.v1.app().requests() - before))
        };
        assert_eq!(tries("/again?status=503")?, (503, 3));
        assert_eq!(tries("/once?status=503")?, (503, 1));
        assert_eq!(tries("/again")?, (200, 1));
        let began = Instant::now();
        assert_eq!(client.get("http://reviews:8080/slow?delay=5000").send()?.status, 504);
        assert!(began.elapsed() < Duration::from_secs(4), "the timeout came from elsewhere");
        assert_eq!(tries("/broken")?, (418, 0));
        let began = Instant::now();
        assert_eq!(tries("/late")?, (200, 1));
        // Envoy's timers start from the time at which its loop last woke up, so they may end a little early.
        assert!(began.elapsed() >= Duration::from_millis(200), "no delay");

        let mirrored = shop.v2.app().requests();
        assert_eq!(seen(client, "http://reviews:8080/seen-twice")?.pod, "reviews-v1");
        wait_until("the mirrored request", || Ok(shop.v2.app().requests() == mirrored + 1))?;
        shop.mesh.wait_synced(&[client])
    });
}

#[test]
fn rewrites_cors_and_changed_headers() {
    world(|world| {
        let shop = Shop::start(world)?;
        shop.subsets()?;
        shop.rules(
            "actions",
            &format!(
                "
  - match: [{{uri: {{prefix: /users}}}}]
    rewrite: {{uriRegexRewrite: {{match: '/users/([^/]+)/(.*)', rewrite: '/\\2/of/\\1'}}, authority: other.example.com}}
    route: [{{destination: {{host: reviews, subset: v1}}}}]
  - match: [{{uri: {{prefix: /cors}}}}]
    corsPolicy: {{allowOrigins: [{{exact: 'https://a.example.com'}}], allowMethods: [PUT], exposeHeaders: [x-b], maxAge: 1h}}
    route: [{{destination: {{host: reviews, subset: v1}}}}]
  - match: [{{uri: {{prefix: /headers}}}}]
    headers: {{request: {{add: {{x-add: rule}}, remove: [x-secret]}}, response: {{set: {{x-kind: rule}}, remove: [x-inner]}}}}
    route:
    - {{destination: {{host: reviews, subset: v1}}, weight: 50, headers: {{response: {{set: {{x-which: first}}}}}}}}
    - {{destination: {{host: reviews, subset: v2}}, weight: 50, headers: {{response: {{set: {{x-which: second}}}}}}}}
  - match: [{{uri: {{prefix: /grpc}}}}]
    fault: {{abort: {{grpcStatus: UNAVAILABLE, percentage: {{value: 100}}}}}}
    route: [{{destination: {{host: reviews, subset: v1}}}}]
  - match: [{{uri: {{prefix: /port}}}}]
    redirect: {{scheme: https, port: 8443}}
  - match: [{{uri: {{prefix: /nowhere}}}}]
    route: [{{destination: {{host: reviews, subset: none}}}}]
  - {}
    route: [{{destination: {{host: reviews, subset: v1}}}}]",
                says("actions")
            ),
        )?;
        // Each of these is held against the simulator; what is said here is what users would look at.
        let client = &shop.client;
        let url = |path: &str| format!("http://reviews:8080{path}");
        let moved = seen(client, &url("/users/ann/cars?b=c"))?;
        assert_eq!((moved.path.as_str(), moved.host.as_str()), ("/cars/of/ann?b=c", "other.example.com"));
        let call =
            client.call(http::Method::OPTIONS, &url("/cors")).header("access-control-request-method", "PUT");
        let allowed = call.clone().header("origin", "https://a.example.com").send()?;
        assert_eq!(allowed.header("access-control-allow-methods"), Some("PUT"));
        assert!(allowed.seen().is_err(), "the app was asked");
        assert!(
            call.header("origin", "https://b.example.com").send()?.seen().is_ok(),
            "the app was not asked"
        );
        let answer = client.get(&url("/cors")).header("origin", "https://a.example.com").send()?;
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.example.com"));
        for _ in 0..6 {
            let call = client.get(&url("/headers?header=x-inner:1&header=x-kind:app"));
            let answer = call.header("x-secret", "s").header("x-add", "client").send()?;
            let pod = answer.seen()?.pod;
            let which = if pod == "reviews-v1" { "first" } else { "second" };
            assert_eq!(
                (answer.header("x-which"), answer.header("x-kind"), answer.header("x-inner")),
                (Some(which), Some("rule"), None)
            );
        }
        let aborted = client.grpc(&url("/grpc"), "hello").send()?;
        assert_eq!((aborted.status, aborted.header("grpc-status")), (200, Some("14")));
        let redirect = client.get(&url("/port/a?b=c")).send()?;
        assert_eq!(redirect.header("location"), Some("https://reviews:8443/port/a?b=c"));
        assert_eq!(client.get(&url("/nowhere")).send()?.status, 503);
        shop.mesh.wait_synced(&[client])
    });
}
