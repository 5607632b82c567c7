//! A server inside tests of tokio, smol and neither: it has threads of its own and needs no runtime.

mod common;

use std::net::Shutdown;

use common::serve;
use tcpecho::{Ending, Server};

#[tokio::test]
async fn in_tokio() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = Server::start().unwrap();
    let mut client = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "hello");
    // Nothing is left to do for the runtime, so its thread may be blocked.
    assert_eq!(server.sessions().unwrap()[0].ending, Ending::Finished);
}

/// While a client still runs on the runtime's only thread, another thread waits for the sessions.
#[tokio::test]
async fn in_tokio_with_a_client_that_still_runs() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = serve("1:echo 2; reset");
    let addr = server.addr();
    let client = tokio::spawn(async move {
        for _ in 0..2 {
            let mut client = tokio::net::TcpStream::connect(addr).await.unwrap();
            client.write_all(b"hello").await.unwrap();
            if client.read_exact(&mut [0; 5]).await.is_ok() {
                return;
            }
        }
        panic!("no answer");
    });
    client.await.unwrap();
    let sessions = tokio::task::spawn_blocking(move || server.sessions()).await.unwrap().unwrap();
    let endings: Vec<Ending> = sessions.iter().map(|session| session.ending).collect();
    assert_eq!(endings, [Ending::Fault, Ending::Finished]);
}

#[test]
fn in_smol() {
    use smol::io::{AsyncReadExt, AsyncWriteExt};
    smol::block_on(async {
        let server = serve("truncate=3");
        let mut client = smol::net::TcpStream::connect(server.addr()).await.unwrap();
        client.write_all(b"hello").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "hel");
        client.shutdown(Shutdown::Write).unwrap();
        let sessions = smol::unblock(move || server.sessions()).await.unwrap();
        assert_eq!((sessions[0].received, sessions[0].peer_closed()), (5, true));
    });
}
