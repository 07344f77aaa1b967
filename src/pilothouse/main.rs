//! `pilothouse`: a control plane for service meshes of stock Envoys.

use std::process::ExitCode;

use clap::Parser;
use pilothouse::commands::{bootstrap, preview, root, token, validate, version};
use pilothouse::flags::{self, Cli, Command};
use pilothouse::{discovery, features, logging, open_files};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let (arguments, ignored) = flags::known(std::env::args_os().collect());
    let cli = Cli::parse_from(arguments);
    let result = match cli.command {
        Command::Discovery(flags) => {
            logging::start(&flags.log);
            if !features::core_dumps()
                && let Err(error) = ca::cores::forbid()
            {
                tracing::warn!(%error, "core dumps cannot be forbidden: they would hold private keys");
            }
            if let Err(error) = open_files::raise() {
                tracing::warn!(%error, "the limit of open files cannot be raised: there may be room for few connections");
            }
            for flag in ignored {
                tracing::warn!(flag, "unknown flag, ignored as the reference does");
            }
            discovery::run(&flags)
        }
        Command::Translate(flags) => preview::run(&flags),
        Command::Validate(flags) => validate::run(&flags),
        Command::Bootstrap(flags) => bootstrap::run(&flags),
        Command::Token(flags) => token::run(&flags),
        Command::Root(flags) => root::run(&flags),
        Command::Version => version::print(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logging::fatal(&error);
            ExitCode::FAILURE
        }
    }
}
