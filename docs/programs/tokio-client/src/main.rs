//! Standard input to the server, the server to standard output: two copies that cross, and an orderly end of each.
//!
//! Usage: tokio-client ADDRESS PORT

use tokio::io::{AsyncWriteExt, copy, stdin, stdout};
use tokio::net::TcpStream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let (host, port) = words.next().zip(words.next()).expect("usage: tokio-client ADDRESS PORT");
    let stream = TcpStream::connect((host.as_str(), port.parse().expect("a port"))).await?;
    let (mut from_server, mut to_server) = stream.into_split();
    let sending = async {
        copy(&mut stdin(), &mut to_server).await?;
        to_server.shutdown().await
    };
    let (mut input, mut output) = (std::pin::pin!(sending), stdout());
    let mut receiving = std::pin::pin!(copy(&mut from_server, &mut output));
    tokio::select! {
        sent = &mut input => {
            sent?;
            receiving.await?;
        }
        received = &mut receiving => {
            received?;
        }
    }
    stdout().flush().await
}
