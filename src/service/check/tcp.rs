//! A TCP connection: that it comes about is the answer, and nothing is said over it.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::{Outcome, of_error};

/// Connects, for as long as it is polled.
pub(in super::super) async fn connect(to: SocketAddr) -> Outcome {
    match TcpStream::connect(to).await {
        Ok(_) => Outcome::Ok,
        Err(error) => of_error(&error),
    }
}
