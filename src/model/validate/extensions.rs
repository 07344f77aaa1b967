//! Rules of WasmPlugin and TrafficExtension.

use std::collections::BTreeSet;

use api::istio::{EnvValueSource, TrafficExtension, TrafficSelector, VmConfig, WasmPlugin};

use super::check::Check;
use super::selector;
use super::text::port;

/// The longest names of secrets and plugins, in bytes.
const SECRET: usize = 253;
const NAME: usize = 255;
/// The longest script, in bytes.
const SCRIPT: usize = 64 * 1024;

/// What the two kinds say of a module.
struct Module<'a> {
    url: &'a str,
    sha256: &'a str,
    secret: &'a str,
    name: &'a str,
    vm: Option<&'a VmConfig>,
}

pub(super) fn wasm_plugin(check: &mut Check, plugin: &WasmPlugin) {
    selector::match_labels(check, plugin.selector.as_ref());
    selector::targets(check, plugin.selector.is_some(), plugin.target_ref.as_ref(), &plugin.target_refs);
    let module = Module {
        url: &plugin.url,
        sha256: &plugin.sha256,
        secret: &plugin.image_pull_secret,
        name: &plugin.plugin_name,
        vm: plugin.vm_config.as_ref(),
    };
    self::module(check, &module);
    check.each("match", &plugin.r#match, traffic);
}

pub(super) fn traffic_extension(check: &mut Check, extension: &TrafficExtension) {
    selector::match_labels(check, extension.selector.as_ref());
    selector::targets(check, extension.selector.is_some(), None, &extension.target_refs);
    if extension.wasm.is_some() == extension.lua.is_some() {
        check.error("", "the extension needs exactly one program", "write wasm or lua");
    }
    check.some("wasm", extension.wasm.as_ref(), |check, wasm| {
        let module = Module {
            url: &wasm.url,
            sha256: &wasm.sha256,
            secret: &wasm.image_pull_secret,
            name: &wasm.plugin_name,
            vm: wasm.vm_config.as_ref(),
        };
        self::module(check, &module);
    });
    check.some("lua", extension.lua.as_ref(), |check, lua| match lua.inline_code.len() {
        0 => check.error("inlineCode", "the script is empty", "write the script"),
        length if length > SCRIPT => {
            let message = format!("the script has {length} bytes");
            check.error("inlineCode", message, format!("write at most {SCRIPT}"));
        }
        _ => {}
    });
    check.each("match", &extension.r#match, traffic);
}

fn module(check: &mut Check, module: &Module<'_>) {
    let scheme = module.url.split_once("://").map_or("oci", |(scheme, _)| scheme);
    if module.url.is_empty() {
        check.error(
            "url",
            "nothing says where the module is",
            "write oci://, https:// or file:// and its place",
        );
    } else if !matches!(scheme, "http" | "https" | "oci" | "file") {
        check.error("url", format!("{scheme:?} is no scheme of modules"), "write oci, http, https or file");
    }
    let hex = |text: &str| {
        text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    if !module.sha256.is_empty() && !hex(module.sha256) {
        check.error("sha256", "the checksum is not a SHA-256", "write 64 digits, 0 to 9 and a to f");
    }
    if module.secret.len() > SECRET {
        check.error("imagePullSecret", "the name is too long", format!("write at most {SECRET} characters"));
    }
    if module.name.len() > NAME {
        check.error("pluginName", "the name is too long", format!("write at most {NAME} characters"));
    }
    check.some("vmConfig", module.vm, environment);
}

fn environment(check: &mut Check, vm: &VmConfig) {
    let mut seen = BTreeSet::new();
    for (index, variable) in vm.env.iter().enumerate() {
        check.at(format_args!("env[{index}]"), |check| {
            if variable.name.is_empty() {
                check.error("name", "the variable has no name", "name the variable");
            }
            if !seen.insert(&variable.name) {
                check.error(
                    "name",
                    format!("{:?} is set before this", variable.name),
                    "set each variable once",
                );
            }
            if variable.value_from != EnvValueSource::Inline && !variable.value.is_empty() {
                check.error(
                    "value",
                    "the value comes from the proxy",
                    "leave the value out, or write valueFrom INLINE",
                );
            }
        });
    }
}

fn traffic(check: &mut Check, selected: &TrafficSelector) {
    check.each("ports", &selected.ports, |check, selected| port(check, "number", selected.number));
}
