//! What every engine promises about memory: none grows with what a peer does.

#[macro_use]
mod common;

use std::net::SocketAddr;

use common::{Place, client::Client, process};

promises_alone! {
    a_hundred_mebibytes_before_the_first_read,
    twenty_stalled_readers_hold_one_buffer_each,
}

const MIB: usize = 1 << 20;

/// Where huge pages are given unasked, a byte written may count as two mebibytes.
fn small_pages_only() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// The client's writes stand still until it reads; neither the server nor anybody else does.
fn a_hundred_mebibytes_before_the_first_read(at: &Place) {
    small_pages_only();
    let server = at.serve();
    let mut client = server.client();
    client.exchanges(b"hello");
    client.streams(0..4 * MIB);
    let before = process::memory();
    let written = client.writes_until_stuck(100 * MIB);
    assert!(written < 100 * MIB, "somebody keeps what nobody has read");
    let grown = process::memory().saturating_sub(before);
    // The pool that all sessions of the uring engine share has 16 MiB.
    assert!(grown < 17 * MIB, "{grown} bytes for {written}");
    if !at.one_at_a_time() {
        server.serves();
    }
    let writer = client.writes_meanwhile(written..100 * MIB);
    client.reads(0..100 * MIB);
    writer.join().unwrap().finishes();
    client.sees_the_end();
}

fn twenty_stalled_readers_hold_one_buffer_each(at: &Place) {
    small_pages_only();
    let server = at.serve();
    // Everything that is shared has been touched.
    server.client().streams(0..48 * MIB);
    let before = process::memory();
    let stalled: Vec<_> = (0..20).map(|_| std::thread::spawn(stalls(server.addr()))).collect();
    let _stalled: Vec<Client> = stalled.into_iter().map(|peer| peer.join().unwrap()).collect();
    let each = process::memory().saturating_sub(before) / 20;
    // A buffer of 256 KiB at most, and what a thread or a process is, or its part of the pool.
    assert!(each < 512 << 10, "{each} bytes for each");
    if !at.one_at_a_time() {
        server.serves();
    }
}

fn stalls(server: SocketAddr) -> impl FnOnce() -> Client {
    move || {
        let mut client = Client::connects(server);
        client.writes_until_stuck(64 * MIB);
        client
    }
}
