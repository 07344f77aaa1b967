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
    let files = !tls.server_certificate.is_empty() || !tls.private_key.is_empty();
    let ways = [
        !tls.credential_name.is_empty(),
        !tls.credential_names.is_empty(),
        files,
        !tls.tls_certificates.is_empty(),
    ];
    let used = ways.into_iter().filter(|used| *used).count();
    let named = !tls.credential_name.is_empty() || !tls.credential_names.is_empty();
    match tls.mode {
        ServerTlsMode::IstioMutual if used > 0 || !tls.ca_certificates.is_empty() => {
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
    if asks && !named && tls.ca_certificates.is_empty() && tls.ca_cert_credential_name.is_empty() {
        let hint = "name the file of the roots, or a secret in credentialName";
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
    let files =
        !tls.client_certificate.is_empty() || !tls.private_key.is_empty() || !tls.ca_certificates.is_empty();
    if !tls.credential_name.is_empty() && files {
        let hint = "keep credentialName, or the files";
        check.error("credentialName", "the certificate is given by a secret and by files", hint);
    }
    if tls.mode == ClientTlsMode::Mutual && tls.credential_name.is_empty() {
        for (field, value) in
            [("clientCertificate", &tls.client_certificate), ("privateKey", &tls.private_key)]
        {
            if value.is_empty() {
                let hint = "name the file, or a secret in credentialName";
                check.error(field, "mode MUTUAL shows a certificate, and there is none", hint);
            }
        }
    }
    let verifies = !tls.ca_certificates.is_empty() || !tls.subject_alt_names.is_empty();
    if tls.insecure_skip_verify == Some(true) && verifies {
        let hint = "leave caCertificates and subjectAltNames out, or do verify";
        check.error("insecureSkipVerify", "what is not verified needs no roots and no names", hint);
    }
    check.each("subjectAltNames", &tls.subject_alt_names, |check, name| {
        if name.is_empty() {
            check.error("", "the name is empty", "write a name of the server's certificate");
        }
    });
}
