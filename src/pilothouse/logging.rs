//! Logs: structured fields and a short fragment, on standard output as text or JSON.

use tracing_subscriber::EnvFilter;

use crate::flags::Log;

/// Starts logging for the process.
pub fn start(log: &Log) {
    let builder = tracing_subscriber::fmt().with_env_filter(filter(&log.level)).with_target(true);
    if log.json {
        builder.json().flatten_event(true).init();
    } else {
        builder.init();
    }
}

/// The filter that `--log_output_level` names. Scopes of the reference that have no counterpart are ignored.
fn filter(level: &str) -> EnvFilter {
    let default = level
        .split(',')
        .filter_map(|part| match part.split_once(':') {
            Some(("default" | "all", level)) => Some(level),
            None => Some(part),
            Some(_) => None,
        })
        .next_back()
        .unwrap_or("info");
    let directive = match default {
        "none" => "off",
        "error" | "warn" | "info" | "debug" => default,
        "fatal" => "error",
        _ => "info",
    };
    // It would log whole answers of the API server that it cannot read, Secrets too. Errors come to us.
    EnvFilter::new(format!("{directive},kube_client=off"))
}

/// The last words of a process that cannot go on.
#[allow(clippy::print_stderr, reason = "logging may not have started")]
pub fn fatal(error: &anyhow::Error) {
    eprintln!("pilothouse: {error:#}");
}

/// Something to know beside a command's output.
#[allow(clippy::print_stderr, reason = "standard output is the command's result")]
pub(crate) fn note(text: &dyn std::fmt::Display) {
    eprintln!("{text}");
}
