use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    rc::Rc,
};

use super::*;

fn ring() -> Option<Ring> {
    Ring::new().inspect_err(|(op, errno)| eprintln!("SKIP: no io_uring here: {op}: {errno}")).ok()
}

fn pair() -> (TcpStream, Rc<OwnedFd>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, Rc::new(listener.accept().unwrap().0.into()))
}

fn next(ring: &mut Ring) -> Done {
    loop {
        if let Some(done) = ring.next_done() {
            return done;
        }
        ring.enter(Some(Duration::from_secs(5))).unwrap();
    }
}

#[test]
fn a_chunk_comes_and_goes_and_the_next_receive_is_linked_behind() {
    let Some(mut ring) = ring() else { return };
    let (mut client, server) = pair();
    ring.recv(&server, 7);
    for word in [&b"hello"[..], b"again"] {
        client.write_all(word).unwrap();
        let Done::Received(7, Ok(Some(chunk))) = next(&mut ring) else { panic!() };
        assert_eq!(chunk.bytes(), word);
        ring.send(&server, chunk, 7, true);
        let Done::Sent(7, Ok(5), chunk) = next(&mut ring) else { panic!() };
        drop(chunk);
        let mut back = [0; 5];
        client.read_exact(&mut back).unwrap();
        assert_eq!(back, word);
    }
    drop(client);
    assert!(matches!(next(&mut ring), Done::Received(7, Ok(None))));
}

/// Writes until the kernel has taken all it will, buffers still growing included.
fn fill(socket: &OwnedFd) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let socket = &TcpStream::from(socket.try_clone().unwrap());
    let silence = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
    let much = vec![0; 65536];
    socket.set_nonblocking(true).unwrap();
    loop {
        let mut written = 0;
        while (&mut &*socket).write(&much).is_ok() || (&mut &*socket).write(&[0]).is_ok() {
            written += 1;
        }
        // POLLOUT comes only once a third of the buffer is free, so silence alone is not enough.
        let quiet = poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&silence)) == Ok(0);
        if quiet && written == 0 {
            break;
        }
    }
    socket.set_nonblocking(false).unwrap();
}

#[test]
fn a_short_send_gives_the_chunk_back_at_once_and_cancels_the_receive() {
    let Some(mut ring) = ring() else { return };
    let (client, server) = pair();
    // Buffers of a size that the kernel does not change, so that they stay full.
    rustix::net::sockopt::set_socket_send_buffer_size(&server, 65536).unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&client, 65536).unwrap();
    // Fill the way to a client that does not read.
    fill(&server);
    ring.recv(&server, 1);
    let (sent, chunk) = loop {
        (&client).write_all(&[1; 1000]).unwrap();
        let Done::Received(1, Ok(Some(chunk))) = next(&mut ring) else { panic!() };
        ring.send(&server, chunk, 1, true);
        match next(&mut ring) {
            // There was room again after all, and the receive behind it waits.
            Done::Sent(1, Ok(1000), chunk) => drop(chunk),
            Done::Sent(1, Ok(sent), chunk) => break (sent, chunk),
            Done::Sent(1, Err(Errno::AGAIN), chunk) => break (0, chunk),
            other => panic!("{other:?}"),
        }
    };
    let rest = chunk.bytes()[sent..].to_vec();
    let owed = rest.len();
    drop(chunk);
    assert!(matches!(next(&mut ring), Done::Received(1, Err(Errno::CANCELED))));
    ring.flush(&server, rest, 0, 1);
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        (&client).read_to_end(&mut all).unwrap();
        all
    });
    let mut flushed = 0;
    while flushed < owed {
        let Done::Flushed(1, Ok(sent), rest) = next(&mut ring) else { panic!() };
        flushed += sent;
        assert!(sent > 0 && rest == vec![1; owed]);
        if flushed < owed {
            ring.flush(&server, rest, flushed, 1);
        }
    }
    drop(server);
    assert!(reader.join().unwrap().ends_with(&[1; 1000]));
}

/// A request with `MSG_WAITALL` would wait until all is sent, and after 128 waits the kernel would give it a worker thread.
#[test]
fn a_flush_waits_once_and_completes_with_what_fits() {
    // Far more than the buffers between the two hold.
    const MOST_READ: usize = 1 << 20;
    let Some(mut ring) = ring() else { return };
    let (client, server) = pair();
    rustix::net::sockopt::set_socket_send_buffer_size(&server, 65536).unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&client, 65536).unwrap();
    fill(&server);
    client.set_nonblocking(true).unwrap();
    let mut bytes = vec![1; 16 << 20];
    let mut from = 0;
    let mut seen = [0; 4096];
    for flush in 0..20 {
        ring.flush(&server, bytes, from, 1);
        let mut read = 0;
        let done = loop {
            ring.enter(Some(Duration::from_millis(1))).unwrap();
            if let Some(done) = ring.next_done() {
                break done;
            }
            read += (&client).read(&mut seen).unwrap_or(0);
            assert!(read < MOST_READ, "flush {flush} waits on: the peer has read {read} bytes");
        };
        let Done::Flushed(1, Ok(sent), rest) = done else { panic!("{done:?}") };
        assert!(sent > 0 && from + sent < rest.len(), "sent {sent} bytes from {from} on");
        from += sent;
        bytes = rest;
    }
}

#[test]
fn an_empty_pool_is_an_error_of_the_receive_and_not_its_end() {
    let Some(mut ring) = ring() else { return };
    let few = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if few.is_some_and(|few| few < 4 * u64::from(BUFFERS)) {
        return eprintln!("SKIP: {few:?} descriptors are too few for {BUFFERS} connections");
    }
    let pairs: Vec<_> = (0..=u32::from(BUFFERS)).map(|_| pair()).collect();
    for (token, (client, server)) in pairs.iter().enumerate() {
        (&*client).write_all(b"x").unwrap();
        ring.recv(server, token as u32);
    }
    let mut chunks = Vec::new();
    let mut starved = None;
    for _ in &pairs {
        match next(&mut ring) {
            Done::Received(_, Ok(Some(chunk))) => chunks.push(chunk),
            Done::Received(token, Err(Errno::NOBUFS)) => starved = Some(token),
            other => panic!("{other:?}"),
        }
    }
    let starved = starved.expect("one receive more than buffers");
    drop(chunks);
    ring.recv(&pairs[starved as usize].1, starved);
    assert!(matches!(next(&mut ring), Done::Received(token, Ok(Some(_))) if token == starved));
}

#[test]
fn more_requests_than_either_queue_holds_all_complete() {
    let Some(mut ring) = ring() else { return };
    let (client, server) = pair();
    let wanted = COMPLETIONS + 3000;
    for token in 0..wanted {
        ring.poll(&server, token);
    }
    (&client).write_all(b"x").unwrap();
    let mut seen = vec![false; wanted as usize];
    for _ in 0..wanted {
        let Done::Readable(token, Ok(())) = next(&mut ring) else { panic!() };
        assert!(!std::mem::replace(&mut seen[token as usize], true));
    }
}

/// Each completion gives back the buffer that its own request had, in whatever order they come.
#[test]
fn several_chunks_at_a_time_keep_what_is_in_them() {
    let Some(mut ring) = ring() else { return };
    let pairs: Vec<_> = (0..8).map(|_| pair()).collect();
    for (token, (client, server)) in pairs.iter().enumerate() {
        (&*client).write_all(&[b'a' + token as u8; 100]).unwrap();
        ring.recv(server, token as u32);
    }
    let received: Vec<(u32, Chunk)> = pairs
        .iter()
        .map(|_| match next(&mut ring) {
            Done::Received(token, Ok(Some(chunk))) => (token, chunk),
            other => panic!("{other:?}"),
        })
        .collect();
    for (token, chunk) in received {
        ring.send(&pairs[token as usize].1, chunk, token, false);
    }
    let mut sent: Vec<(u32, Chunk)> = Vec::new();
    for _ in &pairs {
        let Done::Sent(token, Ok(100), chunk) = next(&mut ring) else { panic!() };
        sent.push((token, chunk));
    }
    for (token, chunk) in sent {
        let wanted = [b'a' + token as u8; 100];
        assert_eq!(chunk.bytes()[..100], wanted, "the buffer of connection {token}");
        let mut back = [0; 100];
        (&pairs[token as usize].0).read_exact(&mut back).unwrap();
        assert_eq!(back, wanted, "connection {token}");
    }
}

/// Where the kernel takes no more, requests stay with the ring, and nothing will complete them.
#[test]
fn dropping_a_ring_does_not_wait_for_requests_that_were_not_made() {
    let Some(mut ring) = ring() else { return };
    let (_client, server) = pair();
    ring.recv(&server, 1);
    ring.enter(Some(Duration::ZERO)).unwrap();
    let [first, linked, second] = [2, 3, 4].map(|token| ring.recv_entry(&server, token));
    ring.waiting.push_back((first, Some(linked)));
    ring.waiting.push_back((second, None));
    let start = Instant::now();
    drop(ring);
    assert!(start.elapsed() < CANCEL_PATIENCE);
}

#[test]
fn dropping_a_ring_cancels_what_waits() {
    let Some(mut ring) = ring() else { return };
    let (_client, server) = pair();
    for token in 0..10 {
        ring.recv(&server, token);
    }
    ring.enter(Some(Duration::ZERO)).unwrap();
    let start = Instant::now();
    drop(ring);
    assert!(start.elapsed() < CANCEL_PATIENCE);
}

/// The kernel takes a ring down later, and for that it interrupts the thread that made it in whatever it waits for.
#[test]
fn a_probe_interrupts_no_later_call_of_its_caller() {
    let (reader, _writer) = std::os::unix::net::UnixStream::pair().unwrap();
    reader.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
    for _ in 0..20 {
        let _ = probe();
        let waited = std::io::Read::read(&mut &reader, &mut [0]).map_err(|error| error.kind());
        assert_eq!(waited, Err(io::ErrorKind::WouldBlock));
    }
}

/// What the compiler cannot see: a chunk keeps its memory and its pool, and the ring keeps the descriptor.
#[test]
fn a_chunk_may_be_sent_by_another_ring_and_outlive_its_own() {
    let (Some(mut first), Some(mut second)) = (ring(), ring()) else { return };
    let (mut client, server) = pair();
    client.write_all(b"hello").unwrap();
    first.recv(&server, 1);
    let Done::Received(1, Ok(Some(chunk))) = next(&mut first) else { panic!() };
    drop(first);
    second.send(&server, chunk, 2, false);
    let Done::Sent(2, Ok(5), chunk) = next(&mut second) else { panic!() };
    assert_eq!(chunk.bytes(), b"hello");
    drop(second);
    drop(chunk);
    let mut back = [0; 5];
    client.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");
}

/// A safe body of a child can reach a ring of its parent. Its queues are not mapped there, and something else may be.
#[test]
fn a_copy_of_a_ring_ends_the_child_that_uses_it() {
    use crate::process::{Exit, fork_session};
    use rustix::event::{PollFd, PollFlags, poll};
    let uses: [fn(&mut Ring, &Rc<OwnedFd>); 4] = [
        |ring, fd| ring.poll(fd, 1),
        |ring, fd| ring.recv(fd, 1),
        |ring, _| drop(ring.next_done()),
        |ring, _| {
            let _ = ring.enter(Some(Duration::ZERO));
        },
    ];
    for uses in uses {
        let Some(mut ring) = ring() else { return };
        let (client, server) = pair();
        let socket = client.try_clone().unwrap().into();
        let body = |_: std::os::fd::BorrowedFd<'_>| {
            uses(&mut ring, &server);
            0
        };
        let child = fork_session(socket, body).unwrap();
        let ends = PollFd::new(&child, PollFlags::IN);
        poll(&mut [ends], None).unwrap();
        assert_eq!(child.reap(), Some(Exit::Exited(101)));
        // The parent's own is as before.
        (&client).write_all(b"x").unwrap();
        ring.recv(&server, 2);
        assert!(matches!(next(&mut ring), Done::Received(2, Ok(Some(_)))));
    }
}

/// With the number alone, the receive would read from the file that has it next.
#[test]
fn a_descriptor_stays_open_until_its_request_has_completed() {
    let Some(mut ring) = ring() else { return };
    let (mut client, server) = pair();
    // Not submitted yet.
    ring.recv(&server, 1);
    drop(server);
    let (_other_client, _other) = pair();
    client.write_all(b"mine").unwrap();
    let Done::Received(1, Ok(Some(chunk))) = next(&mut ring) else { panic!() };
    assert_eq!(chunk.bytes(), b"mine");
    // Nothing holds it any more.
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
}
