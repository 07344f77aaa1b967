//! The echo app as a program, for trying a mesh by hand or in a cluster's pod.

use std::sync::Arc;

use anyhow::Result;
use clap::Parser;
use e2e::{Control, Echo, Workload};

/// Answers with what it saw of each request.
#[derive(Debug, Parser)]
struct Arguments {
    /// Ports for HTTP/1.1, h2c and gRPC-shaped requests.
    #[arg(long, value_delimiter = ',')]
    http: Vec<u16>,
    /// Ports for raw TCP, the client speaking first.
    #[arg(long, value_delimiter = ',')]
    tcp: Vec<u16>,
    /// Ports for raw TCP, the server speaking first.
    #[arg(long, value_delimiter = ',')]
    tcp_banner: Vec<u16>,
    /// The pod's name in the answers.
    #[arg(long, env = "POD_NAME", default_value = "echo")]
    pod: String,
    /// The pod's namespace in the answers.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    namespace: String,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<()> {
    let http = arguments.http.into_iter().map(Echo::http);
    let tcp = arguments.tcp.into_iter().map(Echo::tcp);
    let banner = arguments.tcp_banner.into_iter().map(Echo::tcp_with_banner);
    let mut apps: Vec<Echo> = http.chain(tcp).chain(banner).collect();
    if apps.is_empty() {
        apps.push(Echo::http(8080));
    }
    let workload = Workload { pod: arguments.pod, namespace: arguments.namespace };
    let control = Arc::new(Control::default());
    let mut tasks = tokio::task::JoinSet::new();
    for app in apps {
        let listener = app.listen().await?;
        tasks.spawn(app.serve(listener, workload.clone(), Arc::clone(&control)));
    }
    tasks.join_all().await;
    Ok(())
}
