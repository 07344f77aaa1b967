//! Generates Rust from `proto/envoy.bin` (Envoy's pinned descriptor set) and the `.proto` files beside it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};

/// What the pinned set lacks. Order and paths are those that `import` lines use.
const OWN: [&str; 5] = [
    "istio/certificate.proto",
    "istio/name_table.proto",
    "istio/proxy_config.proto",
    "udpa/type/v1/typed_struct.proto",
    "xds/type/v3/typed_struct.proto",
];

/// The services that get a client and a server; the others of the set would only cost compile time.
const SERVICES: [&str; 3] = [
    "envoy.service.discovery.v3.AggregatedDiscoveryService",
    "envoy.service.secret.v3.SecretDiscoveryService",
    "istio.v1.auth.IstioCertificateService",
];

fn main() -> Result<(), Box<dyn Error>> {
    let proto = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../../proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed={}", proto.display());
    println!("cargo::rerun-if-changed=build.rs");

    let pinned = fs::read(proto.join("envoy.bin"))?;
    let own = own_files(&proto)?;
    // A repeated field may be split: two sets, one after the other, are one set. The pinned part stays
    // as it is, for prost-types would lose its validation rules (extensions of the options).
    let merged = [pinned.as_slice(), &own.encode_to_vec()].concat();
    fs::write(out.join("descriptors.bin"), &merged)?;

    let mut set = FileDescriptorSet::decode(merged.as_slice())?;
    for file in &mut set.file {
        let package = file.package().to_owned();
        file.service.retain(|s| SERVICES.contains(&format!("{package}.{}", s.name()).as_str()));
        file.message_type.iter_mut().for_each(forget_deprecation);
        file.enum_type.iter_mut().for_each(forget_enum_deprecation);
    }
    generate(set)
}

/// Compiles the own `.proto` files; Google's files, which the pinned set has, are left out of the answer.
fn own_files(proto: &Path) -> Result<FileDescriptorSet, Box<dyn Error>> {
    let mut compiled = protox::compile(OWN, [proto])?;
    let is_own = |f: &FileDescriptorProto| OWN.contains(&f.name());
    compiled.file.retain(is_own);
    for file in &mut compiled.file {
        file.source_code_info = None;
    }
    Ok(compiled)
}

/// The reference sends fields that Envoy calls deprecated and so must we: the mark would only make noise.
fn forget_deprecation(message: &mut DescriptorProto) {
    for options in message.field.iter_mut().filter_map(|f| f.options.as_mut()) {
        options.deprecated = None;
    }
    if let Some(options) = &mut message.options {
        options.deprecated = None;
    }
    message.enum_type.iter_mut().for_each(forget_enum_deprecation);
    message.nested_type.iter_mut().for_each(forget_deprecation);
}

fn forget_enum_deprecation(e: &mut EnumDescriptorProto) {
    for options in e.value.iter_mut().filter_map(|v| v.options.as_mut()) {
        options.deprecated = None;
    }
}

fn generate(set: FileDescriptorSet) -> Result<(), Box<dyn Error>> {
    let mut config = prost_build::Config::new();
    config
        // HashMaps encode differently from run to run: versions and caches need equal bytes.
        .btree_map(["."])
        // A packed message is shared, not copied, wherever it goes.
        .bytes([".google.protobuf.Any"])
        .enable_type_names()
        .compile_well_known_types()
        .include_file("tree.rs");
    let client = env::var_os("CARGO_FEATURE_CLIENT").is_some();
    let server = env::var_os("CARGO_FEATURE_SERVER").is_some();
    if client || server {
        let services = tonic_prost_build::configure()
            .build_client(client)
            .build_server(server)
            .build_transport(false)
            .compile_well_known_types(true)
            .service_generator();
        config.service_generator(services);
    }
    config.compile_fds(set)?;
    Ok(())
}
