//! Bad input: each mistake is told with its place, harms nothing but itself, and no Envoy ever sees it.

use e2e::{wait_until, world};

use crate::shop::{REVIEWS, Shop, answered, answered_with, says, seen, virtual_service};

#[test]
fn each_mistake_is_told_with_its_place_and_all_else_is_served() {
    world(|world| {
        let shop = Shop::start(world)?;
        shop.subsets()?;
        let mesh = &shop.mesh;
        let load = shop.client.load(REVIEWS, 2)?;

        mesh.put_file(
            "broken.yaml",
            "kind: Service\nmetadata: {name: a}\n---\nkind: Service\nmetadata: {name: [\n",
        )?;
        mesh.tells(&["error", "broken.yaml", "document 2", "line "])?;
        mesh.put_file(
            "types.yaml",
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: typed, namespace: shop}\n\
             spec: {hosts: [typed], http: [{route: [{destination: {host: reviews}, weight: many}]}]}\n",
        )?;
        mesh.tells(&["error", "types.yaml", "weight"])?;
        mesh.put_file("unknown.yaml", "apiVersion: example.com/v1\nkind: Nonsense\nmetadata: {name: a}\n")?;
        mesh.tells(&["unknown.yaml", "Nonsense"])?;
        mesh.put_file(
            "field.yaml",
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: field, namespace: shop}\n\
             spec: {hosts: [field.example.com], ports: [{number: 8080, name: http, protocol: HTTP}], \
             resolution: NONE, colour: blue}\n",
        )?;
        mesh.tells(&["warning", "field.yaml", "spec.colour"])?;
        mesh.apply(
            "apiVersion: v1\nkind: Service\nmetadata: {name: portless, namespace: shop}\nspec: {selector: {app: reviews}}\n",
        )?;
        mesh.tells(&["portless", "port"])?;

        let other = answered_by_rules("other", "v1").replace("{name: reviews,", "{name: zz-other,");
        shop.rules("first", &rule("first", "v2"))?;
        mesh.apply(&other)?;
        mesh.tells(&["zz-other", "reviews"])?;
        assert_eq!(shop.client.get(REVIEWS).send()?.header("x-rules"), Some("first"));
        mesh.delete("VirtualService", "shop", "zz-other")?;

        load.wait_for(50)?;
        load.stop().only_successes()?;
        shop.mesh.wait_synced(&[&shop.client])
    });
}

#[test]
fn a_route_to_a_missing_subset_fails_alone_until_the_subset_is_there() {
    world(|world| {
        let shop = Shop::start(world)?;
        shop.rules(
            "half",
            &format!(
                "  - match: [{{uri: {{prefix: /beta}}}}]\n    route: [{{destination: {{host: reviews, subset: v2}}}}]\n{}",
                "  - headers: {response: {set: {x-rules: half}}}\n    route: [{destination: {host: reviews}}]"
            ),
        )?;
        answered_with(&shop.client, "http://reviews:8080/beta", 503)?;
        shop.mesh.tells(&["VirtualService", "shop/reviews", "v2"])?;
        seen(&shop.client, REVIEWS)?;
        shop.subsets()?;
        assert_eq!(answered(&shop.client, "http://reviews:8080/beta")?.pod, "reviews-v2");
        wait_until("the problem to be gone", || Ok(!shop.mesh.text("/debug/problems")?.contains("v2")))?;
        shop.mesh.wait_synced(&[&shop.client])
    });
}

#[test]
fn a_rule_that_envoy_would_refuse_answers_500_where_it_may_and_the_others_go_on() {
    world(|world| {
        let shop = Shop::start(world)?;
        shop.subsets()?;
        // RE2 knows no look-ahead. Nothing is left of the first match, a path of the second.
        shop.rules(
            "rest",
            &format!(
                "  - match: [{{uri: {{regex: '/(?=x).*'}}}}]
    route: [{{destination: {{host: reviews, subset: v1}}}}]
  - match: [{{uri: {{prefix: /half}}, headers: {{x-a: {{regex: '('}}}}}}]
    route: [{{destination: {{host: reviews, subset: v1}}}}]
{}",
                rule("rest", "v2")
            ),
        )?;
        let refused = answered_with(&shop.client, "http://reviews:8080/half", 500)?;
        assert!(String::from_utf8_lossy(&refused.body).contains("shop/reviews"), "{refused:?}");
        shop.mesh.tells(&["shop/reviews", "http[0]", "uri.regex"])?;
        shop.mesh.tells(&["shop/reviews", "http[1]", "headers.x-a"])?;
        assert_eq!(seen(&shop.client, "http://reviews:8080/xy")?.pod, "reviews-v2");
        shop.mesh.wait_synced(&[&shop.client])
    });
}

#[test]
fn a_file_that_no_longer_parses_keeps_what_it_gave_last() {
    world(|world| {
        let shop = Shop::start(world)?;
        shop.subsets()?;
        let mesh = &shop.mesh;
        mesh.put_file("rules.yaml", &answered_by_rules("good", "v1"))?;
        let in_force = |called: &str| {
            wait_until(&format!("the rules {called}"), || {
                Ok(shop.client.get(REVIEWS).send()?.header("x-rules") == Some(called))
            })
        };
        in_force("good")?;
        mesh.put_file("rules.yaml", &answered_by_rules("bad", "v2").replace("spec:", "spec: ["))?;
        mesh.tells(&["error", "rules.yaml", "line "])?;
        assert_eq!(shop.client.get(REVIEWS).send()?.header("x-rules"), Some("good"));
        mesh.put_file("rules.yaml", &answered_by_rules("better", "v2"))?;
        in_force("better")?;
        wait_until("the problem to be gone", || Ok(!mesh.text("/debug/problems")?.contains("rules.yaml")))?;
        mesh.remove_file("rules.yaml")?;
        wait_until("the rules to be gone", || {
            Ok(shop.client.get(REVIEWS).send()?.header("x-rules").is_none())
        })?;
        shop.mesh.wait_synced(&[&shop.client])
    });
}

/// A rule for everything to one subset, marked `called`.
fn rule(called: &str, subset: &str) -> String {
    format!("  - {}\n    route: [{{destination: {{host: reviews, subset: {subset}}}}}]", says(called))
}

fn answered_by_rules(called: &str, subset: &str) -> String {
    virtual_service(&rule(called, subset))
}
