//! What one turn sends of a long response.

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::socket::Socket;

#[test]
fn a_client_that_takes_a_lot_stops_for_the_others() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let mut client =
        TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    let stream = listener.accept().expect("a connection").0;
    stream.set_nonblocking(true).expect("a socket");
    let stream = Transport::new(Socket::Tcp(mio::net::TcpStream::from_std(stream)));
    // The client does not read yet, and the kernel buffers more than one turn sends, but not everything.
    let length = 64 * BUDGET;
    let mut writer = ResponseWriter::default();
    writer.add_body(ResponseBody::Bytes(vec![b'x'; length]), BodyFraming::Sized);
    assert_eq!(writer.flush(&stream).expect("sent"), Flushed::Yielded);
    let taker = std::thread::spawn(move || {
        let mut taken = 0;
        let mut piece = vec![0; BUDGET];
        while taken < length {
            taken += client.read(&mut piece).expect("more");
        }
    });
    while writer.flush(&stream).expect("sent") != Flushed::Done {
        std::thread::yield_now();
    }
    taker.join().expect("all is taken");
}
