//! `pilothouse-agent`: the flags and the process around the library.

mod args;

use std::io::Write as _;
use std::process::ExitCode;

use agent::{Agent, redirect};
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::args::{Args, Command, RedirectRules};

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; the exit code still tells.
            let _ = writeln!(std::io::stderr(), "pilothouse-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Some(Command::RedirectRules(flags)) => {
            let rules = redirect::rules(&flags.options()?);
            let text = match flags {
                RedirectRules { routes: true, .. } => rules.routes,
                RedirectRules { ipv6: true, .. } => rules.v6,
                RedirectRules { .. } => rules.v4,
            };
            Ok(std::io::stdout().write_all(text.as_bytes())?)
        }
        None => serve(args.serve.core_dumps, args.serve.config()?),
    }
}

fn serve(core_dumps: bool, config: agent::Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    if !core_dumps && let Err(error) = ca::cores::forbid() {
        tracing::warn!(%error, "core dumps cannot be forbidden: they would hold the private key");
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        // Before the socket opens: a signal that comes early must not leave it behind.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = CancellationToken::new();
        let running = Agent::start(config)?.run(shutdown.clone());
        let signals = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("asked to end");
            shutdown.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            result = running => Ok(result?),
            () = signals => Ok(()),
        }
    })
}
