//! Sockets to receivers of log lines or metrics. None of them ever waits: what a receiver does not take at
//! once stays in a bounded queue (streams) or is lost (datagrams).

mod datagram;
mod resolve;
mod stream;

pub(super) use datagram::DatagramSender;
pub(super) use stream::StreamSender;
