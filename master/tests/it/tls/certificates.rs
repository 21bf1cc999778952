//! Certificates of the server and of its clients, cipher suites, resumption.

use std::fs;
use std::io;

use nix::sys::signal::Signal;
use nix::unistd::Uid;
use rustls::HandshakeKind;
use rustls::crypto::ring::cipher_suite;
use rustls::version::{TLS12, TLS13};

use super::{Scene, connect, get};
use crate::harness::{Authority, Client, Identity, Server};

#[test]
fn a_client_resumes_its_session_with_whichever_worker() {
    let scene = Scene::new();
    let server = scene.server("resumption").workers(2).start();
    for version in [&TLS12, &TLS13] {
        let tls = scene.authority.client_with(&[version], None, &[]);
        let (mut pids, mut resumed) = (Vec::new(), 0);
        for round in 0..40 {
            let mut client = connect(&server, &tls);
            let pid = get(&mut client, "/pid").number();
            let kind = client.session().handshake_kind();
            resumed += usize::from(kind == Some(HandshakeKind::Resumed));
            assert!(
                round == 0 || kind == Some(HandshakeKind::Resumed),
                "{round}: {kind:?}"
            );
            pids.push(pid);
        }
        pids.sort_unstable();
        pids.dedup();
        assert_eq!((pids.len(), resumed), (2, 39));
    }
}

#[test]
fn a_reload_brings_new_certificates_and_a_bad_one_changes_nothing() {
    let scene = Scene::new();
    let mut server = scene.server("new certificate").start();
    server.tolerate("server.pem");
    let shown = |client: &Client| {
        client
            .session()
            .peer_certificates()
            .map(|all| all[0].clone())
    };
    let mut client = scene.client(&server);
    get(&mut client, "/pid");
    assert_eq!(shown(&client), Some(scene.identity.certificate()));
    let old = server.children();
    let next = scene.authority.certify("next");
    let first = fs::read(&scene.identity.certificate).expect("a file");
    // A certificate for another key, then none at all.
    fs::copy(&next.certificate, &scene.identity.certificate).expect("copied");
    server.signal(Signal::SIGHUP);
    let line = server.log().wait_for("Reload failed");
    for word in ["certfile", "server.pem", "keyfile", "server.key"] {
        assert!(line.contains(word), "{line}");
    }
    fs::write(&scene.identity.certificate, "nothing\n").expect("written");
    server.signal(Signal::SIGHUP);
    let line = server.log().wait_for_nth("Reload failed", 2);
    assert!(line.contains("server.pem has no certificate"), "{line}");
    assert_eq!(server.children(), old);
    assert_eq!(get(&mut client, "/pid").status, 200);
    let mut fresh = scene.client(&server);
    get(&mut fresh, "/pid");
    assert_eq!(shown(&fresh).expect("a certificate").as_ref(), pem(&first));
    // Now a matching pair.
    fs::copy(&next.certificate, &scene.identity.certificate).expect("copied");
    fs::copy(&next.key, &scene.identity.key).expect("copied");
    server.signal(Signal::SIGHUP);
    server.wait_for_others(&old, 1);
    let mut client = scene.client(&server);
    get(&mut client, "/pid");
    assert_eq!(shown(&client), Some(next.certificate()));
}

fn pem(text: &[u8]) -> Vec<u8> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let certificate = CertificateDer::from_pem_slice(text).expect("a certificate");
    certificate.as_ref().to_vec()
}

#[test]
fn a_bad_certificate_file_is_named_at_the_start() {
    let scene = Scene::new();
    let path = |name: &str| scene.directory.path().join(name).display().to_string();
    let [certificate, key] =
        [&scene.identity.certificate, &scene.identity.key].map(|it| it.display().to_string());
    fs::write(path("empty"), "").expect("written");
    fs::write(path("locked"), "-----BEGIN ENCRYPTED PRIVATE KEY-----\n").expect("written");
    let other = scene.authority.certify("other").key.display().to_string();
    let (missing, empty, locked) = (path("missing"), path("empty"), path("locked"));
    for (flags, said) in [
        (vec!["--certfile", &missing], vec!["certfile", "missing"]),
        (
            vec!["--certfile", &empty, "--keyfile", &key],
            vec!["certfile", "empty", "certificate"],
        ),
        (
            vec!["--certfile", &certificate],
            vec!["certfile", "server.pem", "private key"],
        ),
        (vec!["--keyfile", &key], vec!["keyfile", "certfile"]),
        (
            vec!["--certfile", &certificate, "--keyfile", &empty],
            vec!["keyfile", "empty"],
        ),
        (
            vec!["--certfile", &certificate, "--keyfile", &locked],
            vec!["keyfile", "locked", "passphrase"],
        ),
        (
            vec!["--certfile", &certificate, "--keyfile", &other],
            vec!["server.pem", "other.key"],
        ),
        (
            vec![
                "--certfile",
                &certificate,
                "--keyfile",
                &key,
                "--cert-reqs",
                "2",
            ],
            vec!["cert_reqs", "ca_certs"],
        ),
        (
            vec![
                "--certfile",
                &certificate,
                "--keyfile",
                &key,
                "--cert-reqs",
                "1",
                "--ca-certs",
                &missing,
            ],
            vec!["ca_certs", "missing"],
        ),
        (
            vec![
                "--certfile",
                &certificate,
                "--keyfile",
                &key,
                "--ciphers",
                "HIGH:NONSENSE",
            ],
            vec!["ciphers", "NONSENSE"],
        ),
    ] {
        for check in [&["--check-config"][..], &[]] {
            let ended = Server::new("bad file").lab().args(&flags).args(check).run();
            assert_eq!(ended.code, Some(1), "{flags:?}: {}", ended.log);
            let line = ended.log.lines().last().unwrap_or_default();
            assert!(
                said.iter().all(|word| line.contains(word)),
                "{flags:?}: {}",
                ended.log
            );
        }
    }
}

#[test]
fn certificates_of_clients_are_asked_for() {
    let scene = Scene::new();
    let stranger = Authority::new(scene.directory.path(), "stranger");
    let (known, unknown) = (scene.authority.certify("client"), stranger.certify("spy"));
    let authority = scene.authority.identity.certificate.display().to_string();
    for (required, without) in [("0", true), ("1", true), ("2", false)] {
        let mut server = scene
            .server("client certificates")
            .args(&["--cert-reqs", required, "--ca-certs", &authority])
            .start();
        server.tolerate("cert_reqs");
        let is_served = |version, identity: Option<&Identity>| {
            let tls = scene.authority.client_with(&[version], identity, &[]);
            let answer = connect(&server, &tls).get("/pid");
            if let Err(error) = &answer {
                // The alert, not a reset connection.
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            }
            answer.is_ok()
        };
        for version in [&TLS12, &TLS13] {
            assert!(is_served(version, Some(&known)), "{required}");
            assert_eq!(is_served(version, None), without, "{required}");
            assert_eq!(is_served(version, Some(&unknown)), required == "0");
        }
        if required == "2" {
            server.log().wait_for("peer sent no certificates");
        }
    }
}

#[test]
fn ciphers_are_those_of_the_list() {
    let scene = Scene::new();
    let mut server = scene
        .server("ciphers")
        .args(&[
            "--ciphers",
            "ECDHE-ECDSA-AES128-GCM-SHA256:DHE-RSA-AES256-SHA",
        ])
        .start();
    server.tolerate("ciphers");
    let warning = server.log().wait_for("DHE-RSA-AES256-SHA");
    assert!(warning.contains("[WARNING]"), "{warning}");
    let speaks = |suite| {
        let tls = scene.authority.client_with(&[&TLS12], None, &[suite]);
        connect(&server, &tls).get("/pid").is_ok()
    };
    assert!(speaks(
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    ));
    assert!(!speaks(
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
    ));
}

#[test]
fn children_need_not_be_able_to_read_the_key() {
    if !Uid::effective().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let scene = Scene::new();
    let server = scene
        .server("private key")
        .args(&["--user", "65534"])
        .start();
    assert_eq!(get(&mut scene.client(&server), "/pid").status, 200);
    let old = server.children();
    server.signal(Signal::SIGHUP);
    server.wait_for_others(&old, 1);
    assert_eq!(get(&mut scene.client(&server), "/pid").status, 200);
}
