//! The addresses that the control plane listens on, and what answers there.

use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow};
use axum::Router;
use debug::Surface;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use xds::server::Server;

use crate::flags::Discovery;

/// Opens all ports before the first of them answers.
pub(crate) async fn listen(
    tasks: &mut JoinSet<Result<()>>,
    flags: &Discovery,
    server: &Server,
    http_pages: Router,
    surface: &Surface,
) -> Result<()> {
    if !flags.secure_grpc_addr.is_empty() {
        let address = &flags.secure_grpc_addr;
        tracing::warn!(
            address,
            "--secureGRPCAddr: xDS over TLS is not served by this version, nothing listens there"
        );
    }
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
        server.listen(grpc, Router::new()).await;
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

/// Binds `host:port`; without a host, all addresses of both families where the system has IPv6.
pub(crate) async fn bind(flag: &str, address: &str) -> Result<TcpListener> {
    let wanted = |a: &str| format!("{flag} {a}: cannot be listened on; is another process there?");
    match address.strip_prefix(':') {
        None => TcpListener::bind(address).await.with_context(|| wanted(address)),
        Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind(format!("0.0.0.0:{port}")).await.with_context(|| wanted(address)),
        },
    }
}
