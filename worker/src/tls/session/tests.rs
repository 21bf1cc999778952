//! A session on a pair of sockets, with rustls at the other end too.

use std::path::Path;
use std::process::Command;

use mio::net::UnixStream;
use oxicorn_common::Settings;
use oxicorn_common::response::ResponseBody;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::ring};

use super::*;
use crate::http::encode::BodyFraming;
use crate::response::{Flushed, ResponseWriter};
use crate::transport::Transport;

/// Both ends, after the handshake; the client's socket does not block either.
fn pair() -> (Transport, ClientConnection, UnixStream) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (certificate, key) = (directory.path().join("pem"), directory.path().join("key"));
    certify(&certificate, &key);
    let mut settings = Settings::default();
    settings.tls.certfile = Some(certificate.clone());
    settings.tls.keyfile = Some(key);
    let tls = TlsConfig::load(&settings).expect("files").expect("TLS");
    let (near, mut far) = UnixStream::pair().expect("a pair of sockets");
    let session = TlsSession::new(&tls, Arc::new(Socket::Unix(near)), b"").expect("a session");
    let mut client = client_of(&certificate);
    while !matches!(session.shake_hands(), Handshake::Done) {
        client.write_tls(&mut far).expect("sent");
        assert!(!matches!(session.shake_hands(), Handshake::Failed(_)));
        take(&mut client, &mut far);
    }
    (Transport::Tls(Arc::new(session)), client, far)
}

fn certify(certificate: &Path, key: &Path) {
    let status = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"])
        .args([
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-out"])
        .arg(certificate)
        .arg("-keyout")
        .arg(key)
        .output()
        .expect("openssl is installed: scripts/install-deps test")
        .status;
    assert!(status.success());
}

fn client_of(certificate: &Path) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate");
    roots.add(certificate).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    ClientConnection::new(Arc::new(config), name).expect("a client")
}

/// Reads what has come: the octets of plain text, and whether the end has come.
fn take(client: &mut ClientConnection, far: &mut UnixStream) -> (usize, bool) {
    let mut octets = 0;
    let mut piece = vec![0; 1 << 16];
    while client.wants_read() && client.read_tls(far).is_ok_and(|count| count > 0) {
        client.process_new_packets().expect("TLS");
        while let Ok(count) = client.reader().read(&mut piece) {
            octets += count;
            if count == 0 {
                return (octets, true);
            }
        }
    }
    (octets, false)
}

#[test]
fn nothing_is_over_before_it_is_sent() {
    let (stream, mut client, mut far) = pair();
    // At some point the socket is full just when the last piece is in the session's buffer.
    for length in (64 * 1024..512 * 1024).step_by(12 * 1024) {
        let mut writer = ResponseWriter::default();
        writer.add_body(ResponseBody::Bytes(vec![b'x'; length]), BodyFraming::Sized);
        let mut taken = 0;
        while writer.flush(&stream).expect("sent") != Flushed::Done {
            taken += take(&mut client, &mut far).0;
        }
        taken += take(&mut client, &mut far).0;
        assert_eq!(taken, length);
    }
}

#[test]
fn a_read_leaves_room_when_there_is_no_more() {
    let (stream, mut client, mut far) = pair();
    let mut room = vec![0; 1 << 17];
    let error = stream.read(&mut room).expect_err("nothing is there");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    // Several records, the last of them incomplete.
    client.writer().write_all(&[b'a'; 40_000]).expect("memory");
    let mut sealed = Vec::new();
    client.write_tls(&mut sealed).expect("memory");
    let (all_but_the_end, end) = sealed.split_at(sealed.len() - 3);
    far.write_all(all_but_the_end).expect("sent");
    let whole = stream.read(&mut room).expect("whole records");
    assert!(whole > 0 && whole < 40_000, "{whole}");
    far.write_all(end).expect("sent");
    let mut small = vec![0; 1000];
    let mut rest = 40_000 - whole;
    while rest > 0 {
        let count = stream.read(&mut small).expect("more");
        assert!(count == rest.min(small.len()) && !stream.holds_more());
        rest -= count;
    }
    // The end comes along with bytes, and the socket does not announce it any more.
    client.writer().write_all(b"last").expect("memory");
    client.send_close_notify();
    client.write_tls(&mut far).expect("sent");
    assert_eq!(stream.read(&mut room).expect("bytes"), 4);
    assert!(stream.holds_more());
    assert_eq!(stream.read(&mut room).expect("the end"), 0);
    stream.finish();
    assert_eq!(take(&mut client, &mut far), (0, true));
}

#[test]
fn what_is_no_tls_ends_it() {
    let (stream, mut client, mut far) = pair();
    client.writer().write_all(b"good").expect("memory");
    client.write_tls(&mut far).expect("sent");
    far.write_all(b"no record at all").expect("sent");
    let mut room = [0; 100];
    assert_eq!(stream.read(&mut room).expect("bytes"), 4);
    assert!(stream.holds_more());
    for _ in 0..2 {
        let error = stream.read(&mut room).expect_err("no TLS");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
