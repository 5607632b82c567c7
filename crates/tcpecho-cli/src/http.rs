//! A small HTTP/1.1 server for pages and JSON of our own: hyper on one thread, with a limit on everything that a client
//! can use up. It makes no system call while nobody asks.
//!
//! Children of the fork engine close its descriptors before they serve, and end with the thread that forked them, so none
//! of them keeps a connection open.

mod connection;
mod stream;

use std::{
    io,
    net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::net as unix,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use serde_json::json;
use tokio::{
    net::{TcpListener, UnixListener},
    runtime::{Builder, Runtime},
    sync::{Semaphore, oneshot},
};

use self::stream::Socket;

/// What a client can use up. A connection beyond `connections` waits in the accept queue; every connection that is open
/// ends by these times, so it waits no longer than they add up to.
#[derive(Debug, Clone, Copy)]
struct Limits {
    connections: usize,
    /// Bytes of a request's line and headers.
    head: usize,
    headers: usize,
    /// Bytes of a request's body.
    body: usize,
    /// The time for a request's head, from the response before it on, and for its body.
    time: Duration,
    /// The time in which a client must read something of a response.
    stall: Duration,
    /// The time for the client's FIN after ours.
    linger: Duration,
}

const LIMITS: Limits = Limits {
    connections: 64,
    head: 16 << 10,
    headers: 64,
    body: 256 << 10,
    time: Duration::from_secs(10),
    stall: Duration::from_secs(10),
    linger: Duration::from_millis(500),
};

/// Descriptors of an [`HttpServer`] besides its listeners: those of the runtime, and connections.
pub(crate) const HTTP_DESCRIPTORS: usize = 4 + LIMITS.connections;

/// How long to wait after accept(2) failed, because descriptors or memory are missing.
const RETRY: Duration = Duration::from_millis(100);

/// A socket that listens.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(net::TcpListener),
    Unix(unix::UnixListener),
}

/// Returns the address at which a client of this host reaches a listener.
pub(crate) fn reachable(mut addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    addr
}

/// A request with its whole body.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query, percent-encoded as it came.
    pub(crate) path: String,
    #[allow(dead_code, reason = "no path has parameters yet")]
    pub(crate) query: Option<String>,
    /// The host and port in a request line such as `GET http://host:80/ HTTP/1.1`. It counts instead of the header `host`.
    pub(crate) authority: Option<String>,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    /// The address of the listener; `None` if it is a Unix socket.
    pub(crate) local: Option<SocketAddr>,
}

impl Request {
    /// Returns the values of all headers with this name, which is in lower case.
    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.headers.iter().filter(move |(found, _)| found == name).map(|(_, value)| &value[..])
    }
}

/// The answer to a request. The body is not sent to HEAD.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Response { status, content_type, body: body.into(), headers: Vec::new() }
    }

    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json", format!("{body}\n"))
    }

    /// An error as JSON, with a sentence that says what to do: `{"error": "..."}`.
    pub(crate) fn error(status: u16, sentence: &str) -> Self {
        Self::json(status, &json!({ "error": sentence }))
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Answers a request. It runs on the server's thread, so the other clients wait for it. If it panics, the client gets
/// status 500.
pub(crate) type Handler = dyn Fn(Request) -> Response + Send + Sync;

/// What all connections share.
struct Service {
    handler: Arc<Handler>,
    limits: Limits,
}

/// A running server. Dropping it ends its thread and all connections.
#[derive(Debug)]
pub(crate) struct HttpServer {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts to serve `listeners`.
pub(crate) fn start(listeners: Vec<Listener>, handler: Arc<Handler>) -> io::Result<HttpServer> {
    start_with(listeners, handler, LIMITS)
}

fn start_with(
    listeners: Vec<Listener>,
    handler: Arc<Handler>,
    limits: Limits,
) -> io::Result<HttpServer> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let service = Arc::new(Service { handler, limits });
    // An accept task holds the place for its next connection.
    let places = Arc::new(Semaphore::new(limits.connections + listeners.len().saturating_sub(1)));
    for listener in listeners {
        let listener = Asynchronous::of(listener, &runtime)?;
        runtime.spawn(accept(listener, Arc::clone(&service), Arc::clone(&places)));
    }
    let (stop, stopped) = oneshot::channel();
    let body = move || {
        tcpecho_os::thread::block_signals();
        // It also ends when the sender is dropped.
        let _ = runtime.block_on(stopped);
    };
    let thread = std::thread::Builder::new().name("http".into()).spawn(body)?;
    Ok(HttpServer { stop: Some(stop), thread: Some(thread) })
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A listener of the runtime.
enum Asynchronous {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Asynchronous {
    fn of(listener: Listener, runtime: &Runtime) -> io::Result<Self> {
        let _guard = runtime.enter();
        match listener {
            Listener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Asynchronous::Tcp)
            }
            Listener::Unix(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Asynchronous::Unix)
            }
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Socket>> {
        match self {
            Asynchronous::Tcp(listener) => {
                let (socket, _) = listener.accept().await?;
                // Responses are written at once, so Nagle's algorithm could only delay their ends.
                let _ = socket.set_nodelay(true);
                Ok(Box::new(socket))
            }
            Asynchronous::Unix(listener) => Ok(Box::new(listener.accept().await?.0)),
        }
    }

    fn local(&self) -> Option<SocketAddr> {
        match self {
            Asynchronous::Tcp(listener) => listener.local_addr().ok(),
            Asynchronous::Unix(_) => None,
        }
    }
}

async fn accept(listener: Asynchronous, service: Arc<Service>, places: Arc<Semaphore>) {
    let local = listener.local();
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok(socket) => {
                let served = connection::serve(socket, local, Arc::clone(&service));
                tokio::spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

#[cfg(test)]
mod tests;
