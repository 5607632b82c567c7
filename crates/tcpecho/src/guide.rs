//! Test your client against eleven ways a server can die.
//!
//! A test of a client starts a server with a fault on a free port, lets the client run, and asserts on both sides: on
//! what the client reports, and on what [`Server::sessions`] says that it did. In the examples below, a plain `TcpStream`
//! stands for the client under test. They have these imports:
//!
//! ```
//! # #![allow(unused_imports)]
//! use std::{
//!     io::{ErrorKind, Read, Write},
//!     net::TcpStream,
//!     time::{Duration, Instant},
//! };
//! use tcpecho::{ListenerFault, Server};
//! ```
//!
//! Three rules hold for every row:
//!
//! * **A deadline is a point in time**, and covers connecting, sending and receiving together.
//! * **What is sent again must be idempotent**, unless the connection was never established. After RST, FIN or a timeout
//!   the client does not know whether the server has carried the request out.
//! * **A connection on which anything failed is not used again.**
//!
//! The names in quotes, such as `reset-after=3`, are rows of [`PRESETS`]; [the table](crate#faults) has more.
//!
//! # 1. It refuses
//!
//! **On the wire:** The kernel answers SYN with RST, because nobody listens on the port. With
//! [`ListenerFault::Refuse`], the port stays reserved for the test meanwhile.
//!
//! ```
//! # use std::{io::{ErrorKind, Read, Write}, net::TcpStream, time::{Duration, Instant}};
//! # use tcpecho::{ListenerFault, Server};
//! let server = Server::builder()
//!     .listener_fault(ListenerFault::Refuse)
//!     .start()?;
//! let error = TcpStream::connect(server.addr()).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A correct client reports:** `connection refused`, with the address that it tried, and at once. Trying again
//! after a pause is safe: nothing was sent.
//!
//! **The common mistake:** One try at the start of the program, before the server of the same deployment is up; or
//! endless tries without a pause.
//!
//! # 2. It does not answer the SYN
//!
//! **On the wire:** The accept queue is full and the kernel drops every SYN, as a firewall does. The client's
//! kernel repeats its SYN for about two minutes (net.ipv4.tcp_syn_retries).
//!
//! ```
//! # use std::{io::{ErrorKind, Read, Write}, net::TcpStream, time::{Duration, Instant}};
//! # use tcpecho::{ListenerFault, Server};
//! let server = Server::builder()
//!     .listener_fault(ListenerFault::BacklogFull)
//!     .start()?;
//! let error = TcpStream::connect_timeout(&server.addr(), Duration::from_millis(200)).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::TimedOut);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A correct client reports:** A timeout of connecting, after the client's own limit. Trying again is safe.
//!
//! **The common mistake:** No limit for connecting: `TcpStream::connect` blocks for two minutes. Or a limit for
//! reading only, which begins later.
//!
//! # 3. It never accepts
//!
//! **On the wire:** The kernel completes the handshake and acknowledges what the client sends, but the program
//! never calls accept(2). connect(2) and write(2) succeed.
//!
//! ```
//! # use std::{io::{ErrorKind, Read, Write}, net::TcpStream, time::{Duration, Instant}};
//! # use tcpecho::{ListenerFault, Server};
//! let server = Server::builder()
//!     .listener_fault(ListenerFault::NeverAccept)
//!     .start()?;
//! let mut client = TcpStream::connect(server.addr())?;
//! client.write_all(b"hello")?;
//! client.set_read_timeout(Some(Duration::from_millis(100)))?;
//! assert_eq!(client.read(&mut [0; 5]).unwrap_err().kind(), ErrorKind::WouldBlock);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A correct client reports:** A timeout of the answer. It does not know whether the request was carried out, so
//! only an idempotent request is sent again.
//!
//! **The common mistake:** A health check that only connects: it calls this server healthy. Or `WouldBlock`, which
//! a blocking socket returns for its timeout, shown to the user as it is.
//!
//! # 4. It resets the connection at once
//!
//! **On the wire:** The connection is accepted and RST follows. The call that the client makes at that moment
//! fails: connect(2), write(2) or read(2). Load balancers without a healthy server do this.
//!
//! ```
//! # use std::{io::{ErrorKind, Read, Write}, net::TcpStream, time::{Duration, Instant}};
//! # use tcpecho::{ListenerFault, Server};
//! let server = Server::builder()
//!     .fault_plan(&"1-2:reset-on-accept".parse()?)
//!     .start()?;
//! let ask = || -> std::io::Result<[u8; 5]> {
//!     let mut client = TcpStream::connect(server.addr())?;
//!     client.write_all(b"hello")?;
//!     let mut answer = [0; 5];
//!     client.read_exact(&mut answer)?;
//!     Ok(answer)
//! };
//! let answer = (0..3).find_map(|_| ask().ok());
//! assert_eq!(answer.as_ref(), Some(b"hello"));
//! assert_eq!(server.sessions()?.len(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A correct client reports:** `connection reset`. It has received no byte of an answer, so an idempotent request
//! is sent again, on a new connection.
//!
//! **The common mistake:** Handling the error of read(2) only: here it can be write(2) or connect(2) that fails,
//! with ECONNRESET or EPIPE.
//!
//! # 5. It resets in the middle of the answer
//!
//! **On the wire:** Some bytes of the answer arrive, then RST. Bytes that the client's program has not read yet may
//! be lost with it. The server's process was killed, or its host rebooted.
//!
//! ```
//! # use std::{io::{ErrorKind, Read, Write}, net::TcpStream, time::{Duration, Instant}};
//! # use tcpecho::{ListenerFault, Server};
//! let server = Server::builder()
//!     .fault("reset-after=3".parse()?)
//!     .start()?;
//! let mut client = TcpStream::connect(server.addr())?;
//! client.write_all(b"hello")?;
//! let mut answer = Vec::new();
//! let error = client.read_to_end(&mut answer).unwrap_err();
//! assert_eq!((error.kind(), answer.len()), (ErrorKind::ConnectionReset, 3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A correct client reports:** `connection reset after 3 of 5 bytes`. It discards the part of the answer, and
//! does not reuse the connection.
//!
//! **The common mistake:** Giving the part that has come to the caller as if it were the whole; or the next request
//! on the same pooled connection.
//!
//! # 6. It cuts the answer off
//!
//! **On the wire:** Some bytes arrive, then FIN. For TCP, this is a proper end: read(2) returns 0 and no call
//! fails.
//!
//! ```
//! # use std::{io::{ErrorKind, Read, Write}, net::TcpStream, time::{Duration, Instant}};
//! # use tcpecho::{ListenerFault, Server};
//! let server = Server::builder()
//!     .fault("truncate=3".parse()?)
//!     .start()?;
//! let mut client = TcpStream::connect(server.addr())?;
//! client.write_all(b"hello")?;
//! let error = client.read_exact(&mut [0; 5]).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A correct client reports:** `closed early: 3 of 5 bytes`. The protocol has to tell where an answer ends: by a
//! length, a delimiter or a checksum.
//!
//! **The common mistake:** `read_to_end` and trusting that FIN means complete. So half a download is saved as a
//! file.
//!
//! # 7. It closes the idle connection
//!
//! **On the wire:** The answer is complete, and the server closes behind it: FIN lies in the receive buffer of a
//! connection that the client keeps for later. The next request is answered with RST.
//!
//! ```
//! # use std::{io::{ErrorKind, Read, Write}, net::TcpStream, time::{Duration, Instant}};
//! # use tcpecho::{ListenerFault, Server};
//! let server = Server::builder()
//!     .fault_plan(&"1:close-after=5".parse()?)
//!     .start()?;
//! let ask = |client: &mut TcpStream| -> std::io::Result<[u8; 5]> {
//!     client.write_all(b"hello")?;
//!     let mut answer = [0; 5];
//!     client.read_exact(&mut answer)?;
//!     Ok(answer)
//! };
//! let mut kept = TcpStream::connect(server.addr())?;
//! ask(&mut kept)?;
//! // The second request on the kept connection fails, so the client opens another one.
//! assert!(ask(&mut kept).is_err());
//! ask(&mut TcpStream::connect(server.addr())?)?;
//! # drop(kept);
//! assert_eq!(server.sessions()?.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A correct client reports:** Nothing: it looks for FIN before it uses a kept connection, and sends an
//! idempotent request again on a new one if no byte of the answer has come.
//!
//! **The common mistake:** A pool that hands out dead connections: the first request after a quiet time fails.
//!
//! # 8. It stalls
//!
//! **On the wire:** Some bytes arrive, then nothing, for ever. The server's kernel acknowledges what comes; neither
//! FIN nor RST is sent, and keepalive finds nothing wrong.
//!
//! ```
//! # use std::{io::{ErrorKind, Read, Write}, net::TcpStream, time::{Duration, Instant}};
//! # use tcpecho::{ListenerFault, Server};
//! let server = Server::builder()
//!     .fault("stall-after=3".parse()?)
//!     .start()?;
//! let mut client = TcpStream::connect(server.addr())?;
//! client.set_read_timeout(Some(Duration::from_millis(100)))?;
//! client.write_all(b"hello")?;
//! assert_eq!(client.read_exact(&mut [0; 5]).unwrap_err().kind(), ErrorKind::WouldBlock);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A correct client reports:** `timed out after 3 of 5 bytes`, after its limit. Then it closes the connection: a
//! late answer must not be taken for that of the next request.
//!
//! **The common mistake:** No limit for reading, which is the default of `TcpStream`; or keepalive in place of a
//! limit.
//!
//! A script that does not read notices no FIN, so here [`Server::sessions`](crate::Server::sessions) would wait for
//! its limit. [`Server::finish`](crate::Server::finish) ends the server first; `peer_closed` of the report says that
//! the client did close.
//!
//! # 9. It does not read
//!
//! **On the wire:** The receive window of the server closes. The client's write(2) blocks as soon as its send
//! buffer is full, and the kernel sends window probes for as long as they are acknowledged.
//!
//! ```
//! # use std::{io::{ErrorKind, Read, Write}, net::TcpStream, time::{Duration, Instant}};
//! # use tcpecho::{ListenerFault, Server};
//! let server = Server::builder()
//!     .fault("zero-window".parse()?)
//!     .start()?;
//! let mut client = TcpStream::connect(server.addr())?;
//! client.set_write_timeout(Some(Duration::from_millis(100)))?;
//! let error = client.write_all(&vec![0; 64 << 20]).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::WouldBlock);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A correct client reports:** A timeout of sending, with the number of bytes that could not be sent.
//!
//! **The common mistake:** A limit for reading only: the client hangs in write(2), before it. Or writing everything
//! before it reads anything, to a server that answers meanwhile: both wait for each other.
//!
//! # 10. It drips
//!
//! **On the wire:** The answer arrives byte by byte. Every read(2) returns in time, and the whole takes hours.
//!
//! ```
//! # use std::{io::{ErrorKind, Read, Write}, net::TcpStream, time::{Duration, Instant}};
//! # use tcpecho::{ListenerFault, Server};
//! let server = Server::builder()
//!     .fault("drip=1/50ms".parse()?)
//!     .start()?;
//! let mut client = TcpStream::connect(server.addr())?;
//! client.write_all(&[b'a'; 1000])?;
//! // The limit is a point in time: what is left of it is the timeout of the next read.
//! let deadline = Instant::now() + Duration::from_millis(300);
//! let mut received = 0;
//! let error = loop {
//!     let left = deadline.saturating_duration_since(Instant::now());
//!     if left.is_zero() {
//!         break ErrorKind::TimedOut;
//!     }
//!     client.set_read_timeout(Some(left))?;
//!     match client.read(&mut [0; 64]) {
//!         Ok(n) => received += n,
//!         Err(error) => break error.kind(),
//!     }
//! };
//! assert!(matches!(error, ErrorKind::TimedOut | ErrorKind::WouldBlock) && received < 1000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A correct client reports:** A timeout of the whole exchange.
//!
//! **The common mistake:** A timeout for each read, which never fires; and no limit on the size of an answer that
//! never ends.
//!
//! # 11. It changes a bit
//!
//! **On the wire:** All bytes arrive, and one bit of them is another. TCP's checksum misses some errors, and a
//! proxy or a disk can make others before TCP sees the bytes.
//!
//! ```
//! # use std::{io::{ErrorKind, Read, Write}, net::TcpStream, time::{Duration, Instant}};
//! # use tcpecho::{ListenerFault, Server};
//! let server = Server::builder()
//!     .fault("corrupt=5".parse()?)
//!     .seed(1)
//!     .start()?;
//! let mut client = TcpStream::connect(server.addr())?;
//! client.write_all(b"hello")?;
//! let mut answer = [0; 5];
//! client.read_exact(&mut answer)?;
//! assert_ne!(&answer, b"hello");
//! # drop(client);
//! // The report names the bit, and the same seed changes the same one.
//! assert_eq!(server.sessions()?[0].fault.as_ref().unwrap().flips.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A correct client reports:** that the answer is wrong. A checksum of the content finds it, or a parser that
//! refuses what it does not know.
//!
//! **The common mistake:** A parser that panics, or that takes any number for a length and allocates it.
//!
//! [`ListenerFault::Refuse`]: crate::ListenerFault::Refuse
//! [`PRESETS`]: crate::PRESETS
//! [`Server::sessions`]: crate::Server::sessions
