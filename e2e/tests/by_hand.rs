//! Two Envoys with bootstraps written by hand: what the other stories rely on of pods, redirects and clients.

use std::fs;

use anyhow::Result;
use e2e::{Authority, Echo, Pod, World, wait_until, world};
use http::{Method, StatusCode};

fn client(world: &World) -> Result<Pod> {
    world.pod("shop", "client").by_hand(include_str!("by_hand/client.yaml")).start()
}

fn server(world: &World) -> Result<Pod> {
    world.pod("shop", "server").app(Echo::http(8080)).by_hand(include_str!("by_hand/server.yaml")).start()
}

#[test]
fn a_request_passes_both_sidecars() {
    world(|world| {
        let (client, server) = (client(world)?, server(world)?);
        let sniffer = world.sniff()?;
        let url = format!("http://{}:8080/path?q=1", server.ip());
        let answer = client.get(&url).header("x-marker", "readable-on-the-wire").send()?;
        let seen = answer.expect(StatusCode::OK)?.seen()?;
        assert_eq!((seen.pod.as_str(), seen.namespace.as_str()), ("server", "shop"));
        assert_eq!((seen.method.as_str(), seen.path.as_str()), ("GET", "/path?q=1"));
        assert_eq!(seen.host, format!("{}:8080", server.ip()));
        assert_eq!(seen.header("x-left-through"), Some(format!("{}:8080", server.ip()).as_str()));
        assert_eq!(seen.header("x-came-from"), Some(client.ip().to_string().as_str()));
        assert_eq!(seen.peer.ip().to_string(), "127.0.0.6");
        assert_eq!(client.envoy()?.stat("^http.outbound.downstream_rq_total$")?, 1);
        assert_eq!(server.envoy()?.stat("^http.inbound.downstream_rq_total$")?, 1);
        let capture = sniffer.stop()?;
        assert!(capture.contains("readable-on-the-wire"), "{} frames", capture.frames());
        assert!(!capture.contains("never-sent"));
        Ok(())
    });
}

#[test]
fn a_pod_without_sidecar_is_not_redirected_but_its_server_is() {
    world(|world| {
        let (client, server) = (world.pod("shop", "plain").start()?, server(world)?);
        let seen = client.get(&format!("http://{}:8080/", server.ip())).send()?.seen()?;
        assert_eq!(seen.header("x-left-through"), None);
        assert_eq!(seen.header("x-came-from"), Some(client.ip().to_string().as_str()));
        Ok(())
    });
}

#[test]
fn http2_and_grpc_reach_the_app() {
    world(|world| {
        let (client, server) = (world.pod("shop", "plain").start()?, server(world)?);
        let url = format!("http://{}:8080/pkg.Service/Method", server.ip());
        let seen = client.call(Method::POST, &url).http2().body("hello").send()?.seen()?;
        assert_eq!((seen.protocol.as_str(), seen.body.as_str()), ("HTTP/2.0", "hello"));
        let answer = client.grpc(&format!("{url}?grpc-status=7"), "hello").send()?;
        assert_eq!(answer.seen()?.body, "\0\0\0\0\u{5}hello");
        let trailers = answer.trailers.expect("trailers");
        assert_eq!(trailers.get("grpc-status").unwrap(), "7");
        Ok(())
    });
}

#[test]
fn tcp_conversations_work_in_both_speaking_orders() {
    world(|world| {
        let server =
            world.pod("shop", "server").app(Echo::tcp(9000)).app(Echo::tcp_with_banner(9001)).start()?;
        let client = world.pod("shop", "client").start()?;
        let quiet = client.tcp(&format!("{}:9000", server.ip()))?;
        quiet.send_line("hello")?;
        let line = quiet.read_line()?;
        assert!(line.starts_with(&format!("server {}:", client.ip())) && line.ends_with(" hello"), "{line}");
        let greeting = client.tcp(&format!("{}:9001", server.ip()))?;
        assert_eq!(greeting.read_line()?, "220 server ready");
        assert_eq!(server.app().connections(), 2);
        Ok(())
    });
}

#[test]
fn load_counts_what_happens() {
    world(|world| {
        let (client, server) = (client(world)?, server(world)?);
        let load = client.load(&format!("http://{}:8080/", server.ip()), 4)?;
        load.wait_for(50)?;
        load.so_far().only_successes()?;
        server.app().answer_with(Some(503));
        load.wait_for(50)?;
        let report = load.stop();
        assert!(report.by_status[&200] >= 50 && report.by_status[&503] > 0, "{report:?}");
        assert_eq!(report.by_pod["server"], report.by_status[&200] + report.by_status[&503]);
        assert!(report.only_successes().is_err());
        Ok(())
    });
}

#[test]
fn a_stopped_app_shows_as_failures() {
    world(|world| {
        let server = world.pod("shop", "server").app(Echo::http(8080)).start()?;
        let client = world.pod("shop", "client").start()?;
        let url = format!("http://{}:8080/", server.ip());
        client.get(&url).send()?.expect(StatusCode::OK)?;
        server.stop_app()?;
        let error = client.get(&url).send().expect_err("nobody listens");
        assert!(format!("{error:#}").contains("refused"), "{error:#}");
        Ok(())
    });
}

#[test]
fn refused_configuration_does_not_go_unnoticed() {
    world(|world| {
        let listeners = world.dir().join("listeners.yaml");
        let listener = "{\"@type\": type.googleapis.com/envoy.config.listener.v3.Listener, name: no-address}";
        fs::write(&listeners, format!("resources: [{listener}]"))?;
        let picky = world.pod("shop", "picky").by_hand(&format!(
            "admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 15000}}}}}}\n\
             node: {{id: picky, cluster: shop}}\n\
             dynamic_resources: {{lds_config: {{path_config_source: {{path: {}}}}}}}",
            listeners.display()
        ));
        let picky = picky.start()?;
        wait_until("the refusal", || Ok(picky.envoy()?.stat("listener_manager.lds.update_rejected")? > 0))?;
        let error = picky.stop().expect_err("the pod's end tells of it");
        assert!(format!("{error:#}").contains("no-address"), "{error:#}");
        Ok(())
    });
}

#[test]
fn an_envoy_that_ends_does_not_go_unnoticed() {
    world(|world| {
        let error =
            world.pod("shop", "broken").by_hand("no: bootstrap").start().expect_err("it cannot start");
        assert!(format!("{error:#}").contains("Protobuf message"), "{error:#}");
        Ok(())
    });
}

#[test]
fn an_app_can_speak_tls_of_its_own() {
    world(|world| {
        let (servers, clients) = (Authority::new()?, Authority::new()?);
        let app = Echo::https_for(8443, &servers.issue(&["shop.example.com"])?, &clients.pem())?;
        let server = world.pod("shop", "server").app(app).start()?;
        let client = world.pod("shop", "client").start()?;
        world.host("shop.example.com", server.ip().into())?;
        let call = client.get("https://shop.example.com:8443/").trust(&servers.pem()).http2();
        let known = clients.issue(&["client.example.com"])?;
        let seen = call.clone().identity(&known).send()?.seen()?;
        let tls = seen.tls.expect("a handshake");
        assert_eq!(tls.sni.as_deref(), Some("shop.example.com"));
        assert_eq!(tls.alpn.as_deref(), Some("h2"));
        assert_eq!(tls.client, ["client.example.com"]);
        assert_eq!(seen.protocol, "HTTP/2.0");
        call.clone().send().expect_err("no client certificate");
        call.identity(&known).trust(&clients.pem()).send().expect_err("another root");
        Ok(())
    });
}
