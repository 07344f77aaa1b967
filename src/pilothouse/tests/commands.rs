//! The built program: what its commands print, and how it refuses.

use std::error::Error;
use std::io::{self, BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use serde_json::Value;

type Outcome = Result<(), Box<dyn Error>>;

/// Runs the program with arguments.
fn pilothouse(arguments: &[&str]) -> io::Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse"));
    command.args(arguments).env_clear();
    command.output()
}

/// The folder of the example mesh.
fn shop() -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop");
    root.to_string_lossy().into_owned()
}

/// The services of the example mesh without what limits its sidecars.
fn services() -> io::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::copy(PathBuf::from(shop()).join("services.yaml"), folder.path().join("services.yaml"))?;
    Ok(folder)
}

/// What `translate` prints of one type for a proxy among those services.
fn translated(kind: &str) -> Result<Value, Box<dyn Error>> {
    let folder = services()?;
    let folder = folder.path().to_string_lossy();
    let output =
        pilothouse(&["translate", "--configDir", &folder, "--proxy", "shop/web-v1", "--only", kind])?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What a failed run says on standard error.
fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "it should have failed");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn translate_prints_what_a_proxy_gets_and_from_which_objects() -> Outcome {
    let printed = translated("cds")?;
    let clusters = printed["CDS"].as_array().ok_or("no clusters")?;
    let catalog =
        |c: &&Value| c["name"].as_str().is_some_and(|n| n.ends_with("||catalog.shop.svc.cluster.local"));
    let catalog = clusters.iter().find(catalog).ok_or("no cluster of the service")?;
    let sources = catalog["sources"].as_array().ok_or("no sources")?;
    assert!(sources.contains(&Value::from("Service/shop/catalog")), "{sources:?}");
    Ok(())
}

#[test]
fn translate_prints_the_table_of_names() -> Outcome {
    let printed = translated("nds")?;
    let catalog = &printed["NDS"][0]["resource"]["table"]["catalog.shop.svc.cluster.local"];
    assert_eq!(
        (&catalog["shortname"], &catalog["namespace"]),
        (&"catalog".into(), &"shop".into()),
        "{printed}"
    );
    let sources = printed["NDS"][0]["sources"].as_array().ok_or("no sources")?;
    assert!(sources.contains(&Value::from("Service/shop/catalog")), "{sources:?}");
    Ok(())
}

#[test]
fn what_is_asked_for_and_not_there_is_named() -> Outcome {
    let unknown = complaint(&pilothouse(&["translate", "--configDir", &shop(), "--proxy", "shop/nobody"])?);
    assert!(unknown.contains("shop/nobody"), "{unknown}");
    let any = "127.0.0.1:0";
    let folder = complaint(&pilothouse(&[
        "discovery",
        "--configDir",
        "/nowhere/at/all",
        "--grpcAddr",
        any,
        "--httpAddr",
        any,
        "--monitoringAddr",
        any,
    ])?);
    assert!(folder.contains("/nowhere/at/all: the folder cannot be read: No such file"), "{folder}");
    Ok(())
}

#[test]
fn validate_tells_what_is_wrong_and_fails_for_errors_only() -> Outcome {
    let good = pilothouse(&["validate", &shop()])?;
    let text = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success() && text.ends_with(" objects, 0 errors, 0 warnings\n"), "{text}");

    let folder = std::env::temp_dir().join(format!("pilothouse-validate-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("rules.yaml");
    let rules = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: ns}\n\
                 spec: {hosts: [a], http: [{timeout: 1us, route: [{destination: {host: a}}]}]}\n";
    std::fs::write(&file, rules)?;
    let bad = pilothouse(&["validate", &file.to_string_lossy()])?;
    std::fs::remove_dir_all(&folder)?;
    let text = String::from_utf8_lossy(&bad.stdout).into_owned();
    assert!(
        text.contains("error: VirtualService/ns/a spec.http[0].timeout: the time is shorter than 1 ms"),
        "{text}"
    );
    assert!(complaint(&bad).contains("not valid"));
    Ok(())
}

#[test]
fn validate_tells_what_objects_make_together_where_it_is_told_of_services() -> Outcome {
    let folder = tempfile::tempdir()?;
    let rules = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: ns}\n\
                 spec: {hosts: [a.b], http: [{route: [{destination: {host: wob}}]}]}\n";
    std::fs::write(folder.path().join("rules.yaml"), rules)?;
    let path = folder.path().to_string_lossy().into_owned();
    let told = || -> Result<String, Box<dyn Error>> {
        let output = pilothouse(&["validate", &path])?;
        assert!(output.status.success());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(told()?, "1 objects, 0 errors, 0 warnings\n", "which hosts there are is not said");
    let service =
        "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: ns}\nspec: {ports: [{port: 80}]}\n";
    std::fs::write(folder.path().join("service.yaml"), service)?;
    let text = told()?;
    assert!(
        text.contains("spec.http[0].route[0].destination.host: no Service or ServiceEntry has host"),
        "{text}"
    );
    Ok(())
}

#[test]
fn version_says_which_it_is() -> Outcome {
    let output = pilothouse(&["version"])?;
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    Ok(())
}

/// A line of a process's limits, word by word.
fn limit(process: &str, of: &str) -> io::Result<Vec<String>> {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix(of));
    let words = line.map(|line| line.split_whitespace().map(str::to_owned).collect());
    words.ok_or_else(|| io::Error::other("no such limit"))
}

/// A limit of a control plane that is started by this command, once it has settled it.
fn limit_of(mut command: Command, of: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    command.arg("discovery").arg("--configDir").arg(folder.path());
    command.args(["--secureGRPCAddr=", "--httpsAddr="]);
    for flag in ["--grpcAddr", "--httpAddr", "--monitoringAddr"] {
        command.args([flag, "127.0.0.1:0"]);
    }
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    // Whatever is said first is said when that is settled.
    let log = child.stdout.take().ok_or("no log")?;
    let first = BufReader::new(log).lines().next();
    let limit = limit(&child.id().to_string(), of);
    child.kill()?;
    child.wait()?;
    assert!(first.is_some_and(|line| line.is_ok()));
    Ok(limit?)
}

#[test]
fn a_control_plane_that_dies_leaves_no_keys_behind_unless_it_is_told_to() -> Outcome {
    let cores = "Max core file size";
    let of_those = |allow: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse"));
        command.env_clear().env("PILOTHOUSE_CORE_DUMPS", allow);
        limit_of(command, cores)
    };
    assert_eq!(of_those("")?, ["0", "0", "bytes"]);
    assert_eq!(of_those("true")?, limit("self", cores)?);
    Ok(())
}

#[test]
fn a_low_limit_of_open_files_is_raised_to_what_is_allowed() -> Outcome {
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -S -n 200 && exec "$0" "$@""#, env!("CARGO_BIN_EXE_pilothouse")]);
    let limit = limit_of(command, "Max open files")?;
    assert!(limit[1] != "200" && limit[0] == limit[1], "{limit:?}");
    Ok(())
}

/// The settings of the allocator are compiled in (`.cargo/config.toml`): a build that does not see that file lacks them.
#[test]
fn unused_memory_goes_back_soon_and_without_being_asked() -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse"));
    let output = command.arg("version").env("_RJEM_MALLOC_CONF", "stats_print:true").output();
    let statistics = String::from_utf8(output?.stderr)?;
    for setting in ["opt.background_thread: true", "opt.dirty_decay_ms: 1000 "] {
        assert!(statistics.contains(setting), "{setting} is not in {statistics}");
    }
    Ok(())
}

/// A server that speaks one version of TLS with one key exchange, and ends each connection after the handshake; with the
/// file of its certificate.
fn server(
    version: &'static SupportedProtocolVersion,
    group: &'static dyn SupportedKxGroup,
    certificate: &Path,
) -> Result<SocketAddr, Box<dyn Error>> {
    let key = rcgen::KeyPair::generate()?;
    let made = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
    std::fs::write(certificate, made.pem())?;
    let provider = CryptoProvider { kx_groups: vec![group], ..aws_lc_rs::default_provider() };
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])?
        .with_no_client_auth()
        .with_single_cert(vec![made.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
    let (socket, config) = (TcpListener::bind("127.0.0.1:0")?, Arc::new(config));
    let address = socket.local_addr()?;
    std::thread::spawn(move || {
        for mut stream in socket.incoming().flatten() {
            let Ok(mut connection) = ServerConnection::new(Arc::clone(&config)) else { return };
            while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
        }
    });
    Ok(address)
}

/// What `root show` says of an API server that speaks so, with and without a standard.
fn shown(
    version: &'static SupportedProtocolVersion,
    group: &'static dyn SupportedKxGroup,
    standard: &str,
) -> Result<String, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let certificate = folder.path().join("ca.pem");
    let address = server(version, group, &certificate)?;
    let kubeconfig = folder.path().join("kubeconfig");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: a, contexts: [{{name: a, context: {{cluster: a, user: a}}}}], \
         clusters: [{{name: a, cluster: {{server: 'https://{address}', certificate-authority: {}}}}}], \
         users: [{{name: a, user: {{token: t}}}}]}}",
        certificate.display()
    );
    std::fs::write(&kubeconfig, text)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse"));
    command.args(["root", "show", "--kubeconfig"]).arg(&kubeconfig).env_clear();
    Ok(complaint(&command.env("COMPLIANCE_POLICY", standard).output()?))
}

#[test]
fn a_server_that_offers_nothing_of_what_a_standard_leaves_is_refused_by_that_name() -> Outcome {
    for (standard, version, group, taken) in [
        ("", &TLS12, kx_group::X25519, true),
        ("fips-140-2", &TLS12, kx_group::SECP256R1, true),
        ("fips-140-2", &TLS12, kx_group::X25519, false),
        ("fips-140-2", &TLS13, kx_group::SECP256R1, false),
        ("fips-140-3", &TLS13, kx_group::SECP384R1, true),
        ("fips-140-3", &TLS13, kx_group::X25519, false),
        ("pqc", &TLS13, kx_group::X25519MLKEM768, true),
        ("pqc", &TLS13, kx_group::X25519, false),
        ("pqc", &TLS12, kx_group::SECP256R1, false),
    ] {
        let said = shown(version, group, standard)?;
        let named = said.contains(&format!("may not offer what COMPLIANCE_POLICY={standard} leaves"));
        assert_eq!(!named, taken, "{standard} {:?} {:?}: {said}", version.version, group.name());
    }
    Ok(())
}
