//! The addresses that the control plane listens on, and what answers there.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use axum::Router;
use debug::Surface;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use xds::server::{Gate, Server};

use crate::flags::Discovery;

/// Opens the ports without TLS before the first of them answers; streams of xDS pass `gate`, if there is one.
pub(crate) async fn listen(
    tasks: &mut JoinSet<Result<()>>,
    flags: &Discovery,
    (server, gate): (&Server, Option<Arc<dyn Gate>>),
    http_pages: Router,
    surface: &Surface,
) -> Result<()> {
    let http = bind("--httpAddr", &flags.http_addr).await?;
    let monitoring_pages = surface.monitoring();
    if flags.monitoring_addr.is_empty() {
        serve_pages(tasks, http, http_pages.merge(surface.monitoring_only()));
    } else {
        serve_pages(tasks, http, http_pages);
        serve_pages(tasks, bind("--monitoringAddr", &flags.monitoring_addr).await?, monitoring_pages);
    }
    if flags.grpc_addr.is_empty() {
        tracing::warn!("--grpcAddr is empty: no xDS without TLS");
        return Ok(());
    }
    let grpc = bind("--grpcAddr", &flags.grpc_addr).await?;
    let server = server.clone();
    tasks.spawn(async move {
        server.listen(grpc, gate, Router::new()).await;
        Err(anyhow!("xDS is no longer listened for"))
    });
    Ok(())
}

fn serve_pages(tasks: &mut JoinSet<Result<()>>, listener: TcpListener, pages: Router) {
    tasks.spawn(async move {
        let service = pages.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).await.context("debug pages")
    });
}

/// Connections that wait in the system's queue, as far as it allows: a mesh that lost its control plane comes back at once.
const QUEUE: u32 = 4096;

/// Binds `host:port`; without a host, all addresses of both families where the system has IPv6.
pub(crate) async fn bind(flag: &str, address: &str) -> Result<TcpListener> {
    let wanted = |a: &str| format!("{flag} {a}: cannot be listened on; is another process there?");
    match address.strip_prefix(':') {
        None => open(address).await.with_context(|| wanted(address)),
        Some(port) => match open(&format!("[::]:{port}")).await {
            Ok(listener) => Ok(listener),
            Err(_) => open(&format!("0.0.0.0:{port}")).await.with_context(|| wanted(address)),
        },
    }
}

/// The first of the addresses of `host:port` that can be bound.
async fn open(address: &str) -> std::io::Result<TcpListener> {
    let mut last = std::io::ErrorKind::AddrNotAvailable.into();
    for address in tokio::net::lookup_host(address).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let opened = socket.and_then(|socket| {
            // A port is free again at once after a restart.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(QUEUE)
        });
        match opened {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}
