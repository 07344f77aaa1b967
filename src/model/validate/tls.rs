//! Rules of TLS settings: of servers, and of clients.

use api::istio::{ClientTlsMode, ClientTlsSettings, ServerTlsMode, ServerTlsSettings, TlsProtocol};

use super::check::Check;

/// Cipher suites that Envoy has for TLS 1.2 and older.
const CIPHERS: [&str; 14] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
];
/// Secrets of a server: one of RSA and one of ECDSA.
const CERTIFICATES: usize = 2;

/// TLS of a server of a Gateway.
pub(super) fn server(check: &mut Check, tls: &ServerTlsSettings) {
    let any_file =
        [&tls.server_certificate, &tls.private_key, &tls.ca_certificates].iter().any(|f| !f.is_empty());
    let ways = [
        !tls.credential_name.is_empty(),
        !tls.credential_names.is_empty(),
        !tls.server_certificate.is_empty() && !tls.private_key.is_empty(),
        !tls.tls_certificates.is_empty(),
    ];
    let used = ways.into_iter().filter(|used| *used).count();
    let named = !tls.credential_name.is_empty() || !tls.credential_names.is_empty();
    match tls.mode {
        ServerTlsMode::IstioMutual if used > 0 || any_file => {
            let hint = "leave credentials and files out; the workload's own certificate is shown";
            check.error("", "mode ISTIO_MUTUAL has no certificates of its own", hint);
        }
        ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough if used > 0 => {
            let hint = "leave them out, or end TLS here with mode SIMPLE";
            check.warning("", "TLS does not end here, so certificates are not used", hint);
        }
        _ if used > 1 => {
            let hint = "keep one of credentialName, credentialNames, tlsCertificates, serverCertificate with privateKey";
            check.error("", "the certificate is given in more than one way", hint);
        }
        ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual => {
            ends_here(check, tls, named)
        }
        _ => {}
    }
    if tls.credential_names.len() > CERTIFICATES || tls.tls_certificates.len() > CERTIFICATES {
        check.warning(
            "",
            "more than two certificates",
            "give one of RSA and one of ECDSA; the others are not used",
        );
    }
    if named && !tls.ca_crl.is_empty() || tls.mode == ServerTlsMode::Simple && !tls.ca_crl.is_empty() {
        let hint = "put ca.crl into the secret, or use files with mode MUTUAL";
        check.error("caCrl", "the list of revoked certificates is not looked at here", hint);
    }
    versions(check, tls);
    check.each("cipherSuites", &tls.cipher_suites, |check, suite| {
        let name = suite.rsplit(['[', '|']).next().unwrap_or(suite).trim_end_matches(']');
        if !CIPHERS.contains(&name) {
            check.warning(
                "",
                format!("Envoy has no cipher suite {suite:?}; it is ignored"),
                "name one that Envoy has",
            );
        }
    });
    for (index, suite) in tls.cipher_suites.iter().enumerate() {
        if tls.cipher_suites.iter().take(index).any(|before| before == suite) {
            check.warning(
                &format!("cipherSuites[{index}]"),
                "the cipher suite is listed twice",
                "list it once",
            );
        }
    }
}

/// What a server needs that ends TLS.
fn ends_here(check: &mut Check, tls: &ServerTlsSettings, named: bool) {
    let listed = !tls.tls_certificates.is_empty();
    if !named && !listed {
        for (field, value) in
            [("serverCertificate", &tls.server_certificate), ("privateKey", &tls.private_key)]
        {
            if value.is_empty() {
                check.error(
                    field,
                    "the server has no certificate to show",
                    "name a secret in credentialName, or both files",
                );
            }
        }
    }
    check.each("tlsCertificates", &tls.tls_certificates, |check, pair| {
        if pair.server_certificate.is_empty() || pair.private_key.is_empty() {
            check.error("", "certificate or key is missing", "name serverCertificate and privateKey");
        }
    });
    let asks = matches!(tls.mode, ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual);
    // Beside certificates from files a secret of roots is not looked at.
    if asks && !named && tls.ca_certificates.is_empty() {
        let hint = "name the file of the roots, or give the certificate by credentialName too";
        check.error(
            "caCertificates",
            "clients' certificates are asked for, but there are no roots to verify them by",
            hint,
        );
    }
}

fn versions(check: &mut Check, tls: &ServerTlsSettings) {
    let old = |version| matches!(version, TlsProtocol::V1_0 | TlsProtocol::V1_1);
    if old(tls.min_protocol_version) {
        let hint = "write TLSV1_2 or TLSV1_3";
        check.warning("minProtocolVersion", "versions of TLS before 1.2 are not safe", hint);
    }
    let given =
        tls.max_protocol_version != TlsProtocol::Auto && tls.min_protocol_version != TlsProtocol::Auto;
    if given && tls.max_protocol_version < tls.min_protocol_version {
        check.error("maxProtocolVersion", "the newest version is older than the oldest", "exchange the two");
    }
}

/// TLS of a client.
pub(super) fn client(check: &mut Check, tls: &ClientTlsSettings) {
    match tls.mode {
        ClientTlsMode::Simple | ClientTlsMode::Mutual => verified(check, tls),
        ClientTlsMode::Disable | ClientTlsMode::IstioMutual => without_own(check, tls),
    }
    check.each("subjectAltNames", &tls.subject_alt_names, |check, name| {
        if name.is_empty() {
            check.error("", "the name is empty", "write a name of the server's certificate");
        }
    });
}

/// TLS in which the client verifies the server by what the settings name.
fn verified(check: &mut Check, tls: &ClientTlsSettings) {
    let (secret, mutual) = (&tls.credential_name, tls.mode == ClientTlsMode::Mutual);
    if !secret.is_empty() && files(tls).iter().any(|file| !file.is_empty()) {
        let hint = "keep credentialName, or the files";
        check.error("credentialName", "the certificate is given by a secret and by files", hint);
    }
    if let Some(name) = secret.strip_prefix("configmap://")
        && !name.split_once('/').is_some_and(|(namespace, name)| !namespace.is_empty() && !name.is_empty())
    {
        let message = format!("{secret:?} does not say the namespace of the ConfigMap");
        check.error("credentialName", message, "write configmap://NAMESPACE/NAME");
    }
    if mutual && secret.is_empty() {
        for (field, value) in
            [("clientCertificate", &tls.client_certificate), ("privateKey", &tls.private_key)]
        {
            if value.is_empty() {
                let hint = "name the file, or a secret in credentialName";
                check.error(field, "mode MUTUAL shows a certificate, and there is none", hint);
            }
        }
    }
    // In mode SIMPLE the secret is there for its roots alone.
    let verifies = !tls.ca_certificates.is_empty()
        || !tls.subject_alt_names.is_empty()
        || (!secret.is_empty() && !mutual);
    if tls.insecure_skip_verify == Some(true) && verifies {
        let hint = "leave roots and subjectAltNames out, or do verify";
        check.error("insecureSkipVerify", "what is not verified needs no roots and no names", hint);
    }
}

/// Modes in which the settings' own certificates and roots are not looked at.
fn without_own(check: &mut Check, tls: &ClientTlsSettings) {
    let named = !tls.credential_name.is_empty() || files(tls).iter().any(|file| !file.is_empty());
    if named || tls.insecure_skip_verify == Some(true) {
        let message =
            format!("mode {} looks at no certificates and roots that are named here", spelt(tls.mode));
        check.warning("mode", message, "leave them out, or write mode SIMPLE or MUTUAL");
    }
}

fn spelt(mode: ClientTlsMode) -> &'static str {
    if mode == ClientTlsMode::Disable { "DISABLE" } else { "ISTIO_MUTUAL" }
}

/// What the settings name by its path.
fn files(tls: &ClientTlsSettings) -> [&String; 4] {
    [&tls.client_certificate, &tls.private_key, &tls.ca_certificates, &tls.ca_crl]
}
