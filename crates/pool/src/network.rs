//! The network itself: names and sockets.

use std::io;
use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use tokio::net::{TcpStream, lookup_host};

use crate::addresses::Network;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Sockets;

impl Network for Sockets {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) })
    }

    fn knock(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<()>> {
        Box::pin(async move { TcpStream::connect(address).await.map(drop) })
    }
}
