//! Plays a daemon that log lines or metrics are sent to: syslogd, statsd.

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::eventually;

/// Listens until the test process ends.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    address: String,
    records: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// Its address is `udp://127.0.0.1:PORT`.
    pub(crate) fn udp() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let port = socket.local_addr().expect("an address").port();
        let receiver = Self::at(format!("udp://127.0.0.1:{port}"));
        receiver.take_datagrams(move |buffer| socket.recv(buffer));
        receiver
    }

    /// Its address is `unix://PATH`.
    pub(crate) fn datagrams(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket");
        let receiver = Self::at(format!("unix://{}", path.display()));
        receiver.take_datagrams(move |buffer| socket.recv(buffer));
        receiver
    }

    /// As [`Receiver::datagrams`], for connections.
    pub(crate) fn streams(path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        let receiver = Self::at(format!("unix://{}", path.display()));
        receiver.take_streams(move || listener.accept().map(|(stream, _)| stream));
        receiver
    }

    /// Its address is `tcp://127.0.0.1:PORT`.
    pub(crate) fn tcp(listener: TcpListener) -> Self {
        let port = listener.local_addr().expect("an address").port();
        let receiver = Self::at(format!("tcp://127.0.0.1:{port}"));
        receiver.take_streams(move || listener.accept().map(|(stream, _)| stream));
        receiver
    }

    fn at(address: String) -> Self {
        Self {
            address,
            records: Arc::default(),
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The received records in order: datagrams, or pieces that end in NUL.
    pub(crate) fn records(&self) -> Vec<String> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.clone()
    }

    /// The first record that contains `pattern`; waits for it.
    pub(crate) fn wait_for(&self, pattern: &str) -> String {
        eventually(&format!("a record with {pattern:?}"), || {
            let mut records = self.records().into_iter();
            records.find(|record| record.contains(pattern))
        })
    }

    fn take_datagrams(
        &self,
        receive: impl Fn(&mut [u8]) -> std::io::Result<usize> + Send + 'static,
    ) {
        let receiver = self.clone();
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 17];
            while let Ok(count) = receive(&mut buffer) {
                receiver.note(&buffer[..count]);
            }
        });
    }

    fn take_streams<S: Read + Send + 'static>(
        &self,
        accept: impl Fn() -> std::io::Result<S> + Send + 'static,
    ) {
        let receiver = self.clone();
        thread::spawn(move || {
            while let Ok(mut stream) = accept() {
                let receiver = receiver.clone();
                thread::spawn(move || {
                    let (mut pending, mut piece) = (Vec::new(), vec![0; 1 << 16]);
                    while let Ok(count @ 1..) = stream.read(&mut piece) {
                        pending.extend_from_slice(&piece[..count]);
                        while let Some(end) = pending.iter().position(|&byte| byte == 0) {
                            receiver.note(&pending[..=end]);
                            pending.drain(..=end);
                        }
                    }
                });
            }
        });
    }

    fn note(&self, record: &[u8]) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.push(String::from_utf8_lossy(record).into_owned());
    }
}
