//! What a certificate costs: the request's signature checked, the certificate written and signed, by the kind of both keys.
//!
//! To be held against `openssl speed ecdsap256 rsa2048 rsa4096`: one verification and one signature.

#![allow(clippy::expect_used, reason = "a benchmark may stop at what is wrong")]

use std::time::{Duration, SystemTime};

use ca::Authority;
use ca::plugged::Files;
use criterion::{Criterion, criterion_group, criterion_main};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize,
};

const IDENTITY: &str = "spiffe://cluster.local/ns/shop/sa/web";

fn authority(key: &KeyPair, now: SystemTime) -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(key).expect("a certificate").pem();
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    put("ca-cert.pem", &certificate);
    put("ca-key.pem", &key.serialize_pem());
    put("root-cert.pem", &certificate);
    put("cert-chain.pem", &certificate);
    let files = Files::read(folder.path(), true).expect("files").expect("files");
    files.authority(now).expect("an authority")
}

fn csr(key: &KeyPair) -> String {
    let request = CertificateParams::default().serialize_request(key).expect("a request");
    request.pem().expect("a request")
}

fn signing(criterion: &mut Criterion) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let rsa = |size| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size).expect("a key");
    let p256 = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let requests = [("P-256", csr(&p256())), ("RSA-2048", csr(&rsa(RsaKeySize::_2048)))];
    let roots =
        [("P-256", p256()), ("RSA-2048", rsa(RsaKeySize::_2048)), ("RSA-4096", rsa(RsaKeySize::_4096))];
    let mut group = criterion.benchmark_group("a certificate");
    for (root, key) in &roots {
        let authority = authority(key, now);
        for (request, csr) in &requests {
            group.bench_function(format!("{request} request, {root} root"), |b| {
                b.iter(|| authority.sign(csr, &[IDENTITY], 0, now).expect("a certificate"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, signing);
criterion_main!(benches);
