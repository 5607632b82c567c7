//! The echo server: [`ServerBuilder::start`] starts it, and dropping it ends it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::AcqRel},
        mpsc::sync_channel,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};

use crate::{
    Engine, Error, Event, FaultPlan, FaultWhen, Keepalive, ListenerFault, LiveSession, Report,
    Script, Snapshot,
    accept_queue::AcceptQueue,
    acceptor::Context,
    fault::{
        draw::{Faults, Source},
        held::Held,
        random,
    },
    listener::{Listener, Options},
    live::Live,
    phase::Phase,
    sessions::{KEPT, PATIENCE, Sessions, StillOpen},
    shared::{Observer, Shared},
    timeout::until,
};

/// Configures a [`Server`]; [`Server::builder`] makes one.
///
/// ```
/// use std::time::Duration;
/// use tcpecho::{Engine, Event, Server};
///
/// let server = Server::builder()
///     .listen("127.0.0.1:0".parse()?)
///     .listen("127.0.0.2:0".parse()?)
///     .engine(Engine::named("thread").expect("a row of ENGINES"))
///     .max_connections(100)
///     .idle_timeout(Duration::from_secs(30))
///     .observe(|event| {
///         if let Event::Ended(report) = event {
///             println!("{} sent {} bytes: {}", report.peer, report.bytes, report.ending);
///         }
///     })
///     .start()?;
/// assert_eq!(server.addrs().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct ServerBuilder {
    listen: Vec<SocketAddr>,
    /// All addresses, with this port.
    everywhere: Option<u16>,
    engine: Option<&'static Engine>,
    workers: usize,
    backlog: u32,
    max_connections: Option<usize>,
    idle_timeout: Option<Duration>,
    user_timeout: Option<Duration>,
    keepalive: Option<Keepalive>,
    observer: Option<Box<Observer>>,
    faults: Vec<Source>,
    listener_fault: Option<ListenerFault>,
    seed: Option<u64>,
    keep_sessions: usize,
    tracks: bool,
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("listen", &self.listen)
            .field("everywhere", &self.everywhere)
            .field("engine", &self.engine)
            .field("workers", &self.workers)
            .field("max_connections", &self.max_connections)
            .field("faults", &self.faults)
            .field("listener_fault", &self.listener_fault)
            .finish_non_exhaustive()
    }
}

impl ServerBuilder {
    /// Adds an address to listen on; port 0 takes a free port. Without any address the server listens on a free port of
    /// 127.0.0.1. Linux also accepts a multicast or broadcast address of IPv4, to which no client can connect.
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.listen.push(addr);
        self
    }

    /// Adds all addresses of the host, with this port: IPv6 and IPv4, or IPv4 alone on a host without IPv6. The program
    /// `tcpecho` does so with [`DEFAULT_PORT`](crate::DEFAULT_PORT).
    pub fn listen_everywhere(mut self, port: u16) -> Self {
        self.everywhere = Some(port);
        self
    }

    /// Sets the engine. The default is the one that [`Engine::best`] returns.
    pub fn engine(mut self, engine: &'static Engine) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Sets the number of event loops; each has its own listener on the same port (SO_REUSEPORT). The default is 1.
    pub fn workers(mut self, loops: usize) -> Self {
        self.workers = loops.max(1);
        self
    }

    /// Sets the backlog, the length of the accept queue; the kernel clamps it to net.core.somaxconn. The default is the
    /// maximum, because a queue that overflows while SYN cookies are sent can lose a connection's first bytes without
    /// an error.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Sets the maximum number of connections; further connections are closed at once. The default is the engine's
    /// [`max_connections`](Engine::max_connections).
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = Some(connections);
        self
    }

    /// Ends connections on which no byte was received or sent for `limit`: with FIN if every byte was echoed, with RST if the
    /// client does not read the rest. All engines keep the same limit. Zero means no limit, and is the default.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = Some(limit).filter(|limit| !limit.is_zero());
        self
    }

    /// Ends a connection when sent data stays unacknowledged for `limit` (TCP_USER_TIMEOUT). Zero uses the kernel's
    /// limit, about 15 minutes, and is the default.
    pub fn user_timeout(mut self, limit: Duration) -> Self {
        self.user_timeout = Some(limit).filter(|limit| !limit.is_zero());
        self
    }

    /// Sets the keepalive probes of idle connections; `None` sends none. The default is [`Keepalive::default`].
    pub fn keepalive(mut self, keepalive: Option<Keepalive>) -> Self {
        self.keepalive = keepalive;
        self
    }

    /// Plays `script` on every connection that gets no fault from an earlier call. At most 4096 scripted connections are
    /// played at a time; a further one is closed at once, with the ending `limit`.
    ///
    /// ```
    /// use std::{io::{ErrorKind, Read, Write}, net::TcpStream};
    /// use tcpecho::Server;
    ///
    /// let server = Server::builder()
    ///     .fault("echo 5; pause 100ms; reset".parse()?)
    ///     .start()?;
    /// let mut client = TcpStream::connect(server.addr())?;
    /// client.write_all(b"hello")?;
    /// let mut answer = [0; 5];
    /// client.read_exact(&mut answer)?;
    /// let error = client.read(&mut answer).unwrap_err();
    /// assert_eq!((&answer, error.kind()), (b"hello", ErrorKind::ConnectionReset));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fault(self, script: Script) -> Self {
        self.fault_plan(&FaultPlan::new(FaultWhen::All, script))
    }

    /// Plays `script` on the connections `n`, 2 `n`, 3 `n`, ... that get no fault from an earlier call. 0 is taken for 1.
    pub fn fault_every(self, n: u64, script: Script) -> Self {
        self.fault_plan(&FaultPlan::new(FaultWhen::Every(n.max(1)), script))
    }

    /// Asks `decide` for the fault of each connection that gets none from an earlier call. It is given the peer's address and
    /// the number of the connection, from 1 on, on the thread that accepts; no connection is accepted there until it
    /// returns.
    pub fn fault_when(
        mut self,
        decide: impl Fn(SocketAddr, u64) -> Option<Script> + Send + Sync + 'static,
    ) -> Self {
        self.faults.push(Source::Function(Box::new(decide)));
        self
    }

    /// Adds the rules of `plan`. The first rule that applies to a connection decides.
    pub fn fault_plan(mut self, plan: &FaultPlan) -> Self {
        self.faults.extend(Source::of_plan(plan));
        self
    }

    /// Sets a fault of the listeners. Except for [`ListenerFault::AcceptDelay`], no connection is ever accepted, so the engine,
    /// the number of loops and other faults do not matter.
    pub fn listener_fault(mut self, fault: ListenerFault) -> Self {
        self.listener_fault = Some(fault);
        self
    }

    /// Sets the seed of everything random in faults. With the same seed, the connection with the same number gets the same
    /// fault, with the same changed bits and times. The default is a random one; [`Server::seed`] returns it.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets how many reports [`Server::sessions`] returns at most: those of the connections that ended last. The default is
    /// 1024. With 0, the server keeps none.
    pub fn keep_sessions(mut self, reports: usize) -> Self {
        self.keep_sessions = reports;
        self
    }

    /// Tracks the connections while they are served, for [`Server::live`] and [`Server::reset`]. Each of them then takes two
    /// descriptors, and three more system calls; those of the engine `fork` keep one descriptor in the server. The default
    /// is `false`.
    pub fn track_sessions(mut self, on: bool) -> Self {
        self.tracks = on;
        self
    }

    /// Calls `observer` for each [`Event`], on the thread where it happens. This thread serves no connection until
    /// `observer` returns.
    pub fn observe(mut self, observer: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Binds, listens and starts to serve.
    ///
    /// # Errors
    /// The failed call, with its address and sentences about the cause. Also if the engine is not available on this
    /// host.
    pub fn start(self) -> Result<Server, Error> {
        let engine = self.engine.unwrap_or_else(|| Engine::best().0);
        engine.probe().map_err(|why| {
            let error = Error::new(why.op, why.errno);
            let error =
                error.note(format!("the engine {} is not available on this host", engine.name));
            if why.hint.is_empty() { error } else { error.note(why.hint) }
        })?;
        let (groups, held) = self.bind(engine)?;
        let listeners = held.as_ref().map_or(&groups[0], |held| &held.listeners);
        let addrs = listeners.iter().map(Listener::addr).collect();
        let backlog = listeners.iter().map(Listener::backlog).min().unwrap_or(0);
        let seed = self.seed.unwrap_or_else(random::seed);
        let faults = Arc::new(Faults::new(self.faults, seed)?);
        let accept_delay = match self.listener_fault {
            Some(ListenerFault::AcceptDelay(time)) => Some(time),
            _ => None,
        };
        let max_connections = self.max_connections.unwrap_or(engine.max_connections);
        let mut shared = Shared::new(
            groups.len(),
            max_connections,
            self.idle_timeout,
            self.observer,
            Sessions::new(self.keep_sessions),
        )?;
        shared.live = self.tracks.then(Live::default);
        let mut server = Server {
            engine,
            addrs,
            backlog,
            workers: groups.len(),
            shared: Arc::new(shared),
            seed,
            faults,
            held: Mutex::new(held),
            queues: Vec::new(),
            loops: Vec::new(),
        };
        server.run(groups, accept_delay)?;
        Ok(server)
    }

    /// The listeners of each loop, or those that no loop serves.
    fn bind(&self, engine: &Engine) -> Result<(Vec<Vec<Listener>>, Option<Held>), Error> {
        let options = Options {
            backlog: i32::try_from(self.backlog).unwrap_or(i32::MAX),
            keepalive: self.keepalive,
            user_timeout: self.user_timeout,
            blocking_timeout: self.idle_timeout.filter(|_| engine.blocks),
        };
        let bind = |addrs: &[SocketAddr]| {
            let held = self.listener_fault.map(|fault| Held::bind(fault, addrs, &options));
            match held.transpose()?.flatten() {
                Some(held) => Ok((vec![Vec::new()], Some(held))),
                None => Ok((Listener::bind_all(addrs, self.workers, &options)?, None)),
            }
        };
        let with = |addr: IpAddr, port: u16| {
            let all = self.listen.iter().copied().chain([SocketAddr::from((addr, port))]);
            bind(&all.collect::<Vec<_>>())
        };
        let Some(port) = self.everywhere else {
            let loopback = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
            return bind(if self.listen.is_empty() { &loopback } else { &self.listen });
        };
        match with(Ipv6Addr::UNSPECIFIED.into(), port) {
            // A host without IPv6, or with it switched off.
            Err(error)
                if [crate::Errno::EAFNOSUPPORT, crate::Errno::EADDRNOTAVAIL]
                    .contains(&error.source) =>
            {
                with(Ipv4Addr::UNSPECIFIED.into(), port)
            }
            result => result,
        }
    }
}

/// A running echo server. Dropping it closes all connections at once and frees the port.
///
/// It installs no signal handler, writes no log and has no global state, so a test can run several servers:
///
/// ```
/// use std::{io::{Read, Write}, net::{Shutdown, TcpStream}};
///
/// let server = tcpecho::Server::start()?;
/// let mut client = TcpStream::connect(server.addr())?;
/// client.write_all(b"hello")?;
/// client.shutdown(Shutdown::Write)?;
/// let mut back = String::new();
/// client.read_to_string(&mut back)?;
/// assert_eq!(back, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    engine: &'static Engine,
    addrs: Vec<SocketAddr>,
    backlog: u32,
    workers: usize,
    shared: Arc<Shared>,
    seed: u64,
    faults: Arc<Faults>,
    /// Listeners that no loop serves.
    held: Mutex<Option<Held>>,
    /// One for each loop.
    queues: Vec<Arc<AcceptQueue>>,
    loops: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addrs", &self.addrs)
            .field("engine", &self.engine)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Starts a server with the defaults on a free port of 127.0.0.1.
    ///
    /// ```
    /// let server = tcpecho::Server::start()?;
    /// assert!(server.addr().ip().is_loopback());
    /// # Ok::<(), tcpecho::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`ServerBuilder::start`].
    pub fn start() -> Result<Server, Error> {
        Server::builder().start()
    }

    /// Returns a builder with the defaults.
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            listen: Vec::new(),
            everywhere: None,
            engine: None,
            workers: 1,
            backlog: u32::MAX,
            max_connections: None,
            idle_timeout: None,
            user_timeout: None,
            keepalive: Some(Keepalive::default()),
            observer: None,
            faults: Vec::new(),
            listener_fault: None,
            seed: None,
            keep_sessions: KEPT,
            tracks: false,
        }
    }

    fn run(
        &mut self,
        groups: Vec<Vec<Listener>>,
        accept_delay: Option<Duration>,
    ) -> Result<(), Error> {
        let running = Arc::new(AtomicUsize::new(groups.len()));
        let mut waiting = Vec::new();
        for listeners in groups {
            let (engine, shared) = (self.engine, Arc::clone(&self.shared));
            let (running, faults) = (Arc::clone(&running), Arc::clone(&self.faults));
            let (ready, is_ready) = sync_channel(1);
            let queue = Arc::new(AcceptQueue::new(listeners));
            self.queues.push(Arc::clone(&queue));
            let context = Context {
                shared: Arc::clone(&shared),
                queue,
                ready,
                faults: Arc::clone(&faults),
                accept_delay,
            };
            let body = move || {
                tcpecho_os::thread::block_signals();
                // The observer runs in here too, and may panic.
                let result = catch_unwind(AssertUnwindSafe(|| engine.run(context)));
                let result = result.unwrap_or_else(|_| {
                    Err(Error::new("serve", Errno::CANCELED).note("a loop of the server panicked"))
                });
                if let Err(error) = result {
                    shared.fail(&error);
                }
                // Otherwise the player tells the end when its connections have ended, too.
                if running.fetch_sub(1, AcqRel) == 1 && !faults.complete() {
                    shared.end();
                }
            };
            let spawned = std::thread::Builder::new().name("tcpecho".into()).spawn(body);
            let spawned = spawned.map_err(|error| {
                Error::new("pthread_create", Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))
            });
            self.loops.push(spawned?);
            waiting.push(is_ready);
        }
        // A loop that ended before it was ready has stored the reason.
        if waiting.iter().all(|is_ready| is_ready.recv().is_ok()) {
            return Ok(());
        }
        let _ = self.wait(None);
        Err(self.failure().unwrap_or(Error::new("start", Errno::CANCELED)))
    }

    /// Returns the first address that it listens on. The port is the one that the kernel chose if 0 was requested.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addrs[0]
    }

    /// Returns all addresses that it listens on, with their actual ports.
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Returns the engine.
    #[must_use]
    pub fn engine(&self) -> &'static Engine {
        self.engine
    }

    /// Returns the number of event loops.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Returns the effective backlog, the smallest of all listeners.
    #[must_use]
    pub fn backlog(&self) -> u32 {
        self.backlog
    }

    /// Returns the seed of everything random in faults.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the current counters.
    #[must_use]
    pub fn stats(&self) -> Snapshot {
        self.shared.stats.snapshot()
    }

    /// Waits until every connection has ended, and returns what each one did and how it ended, in the order of accept.
    ///
    /// So a test can assert on its client. Connections that wait in the accept queue count, so over loopback a client that has
    /// connected and gone is not missed. The reports are those of all connections since the start, but at most of the 1024 that
    /// ended last ([`keep_sessions`](ServerBuilder::keep_sessions)). Waits for at most 10 seconds; without polling.
    ///
    /// The call blocks its thread: in an async test, await the client first, or the client cannot go on.
    ///
    /// A client that keeps its connection open, such as one with a pool, is waited for in vain: drop it first, or call
    /// [`finish`](Server::finish). The faults `never-accept`, `backlog-full` and `refuse` accept nothing, so there are no
    /// sessions.
    ///
    /// ```
    /// use std::{io::{Read, Write}, net::{Shutdown, TcpStream}};
    /// use tcpecho::{Ending, Server};
    ///
    /// // The client under test: it tries again when the server resets the connection.
    /// fn send(server: std::net::SocketAddr) -> std::io::Result<()> {
    ///     for _ in 0..3 {
    ///         let mut client = TcpStream::connect(server)?;
    ///         client.write_all(b"hello")?;
    ///         let mut answer = String::new();
    ///         let read = client.shutdown(Shutdown::Write).and_then(|()| client.read_to_string(&mut answer));
    ///         if read.is_ok() && answer == "hello" {
    ///             return Ok(());
    ///         }
    ///     }
    ///     Err(std::io::ErrorKind::ConnectionReset.into())
    /// }
    ///
    /// let server = Server::builder()
    ///     .fault_plan(&"1-2:reset-after=2".parse()?)
    ///     .start()?;
    /// send(server.addr())?;
    ///
    /// // It connected three times; the third time it sent 5 bytes and closed properly.
    /// let sessions = server.sessions()?;
    /// assert_eq!(sessions.len(), 3);
    /// assert_eq!(sessions[0].ending, Ending::Fault);
    /// assert_eq!((sessions[2].received, sessions[2].ending), (5, Ending::Finished));
    /// assert!(sessions[2].peer_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Connections are still open after 10 seconds.
    pub fn sessions(&self) -> Result<Vec<Report>, StillOpen> {
        self.sessions_within(PATIENCE)
    }

    /// Does the same as [`sessions`](Server::sessions), and waits for at most `limit`.
    ///
    /// # Errors
    /// Connections are still open after `limit`. The error has the reports of those that have ended.
    pub fn sessions_within(&self, limit: Duration) -> Result<Vec<Report>, StillOpen> {
        let arrived = || self.queues.iter().map(|queue| queue.arrived()).sum();
        self.shared.sessions.wait(limit, arrived)
    }

    /// Ends the server and returns what each connection did and how it ended, as [`sessions`](Server::sessions) does. Lets
    /// the connections finish as [`drain`](Server::drain) does, for at most 10 seconds; an idle connection is closed.
    ///
    /// ```
    /// use std::{io::{Read, Write}, net::TcpStream};
    /// use tcpecho::{Ending, Server};
    ///
    /// let server = Server::start()?;
    /// let mut kept_alive = TcpStream::connect(server.addr())?;
    /// kept_alive.write_all(b"hello")?;
    /// kept_alive.read_exact(&mut [0; 5])?;
    ///
    /// let sessions = server.finish();
    /// assert_eq!((sessions[0].received, sessions[0].ending), (5, Ending::Draining));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn finish(self) -> Vec<Report> {
        self.drain(PATIENCE);
        self.shared.sessions.kept()
    }

    /// Replaces the faults of connections, including those of [`ServerBuilder::fault_when`]; `None` removes them. The
    /// connections that were accepted before keep theirs. Conditions count the connections, and the time, from this call on:
    /// the rule `1:reset` resets the next connection. With the same seed, the same faults give the same run again.
    ///
    /// A [fault of the listener](ServerBuilder::listener_fault) stays; with one that accepts nothing, no connection gets a
    /// fault.
    ///
    /// ```
    /// use std::{io::{ErrorKind, Read}, net::TcpStream};
    ///
    /// let server = tcpecho::Server::start()?;
    /// server.set_faults(Some(&"1:reset".parse()?))?;
    /// let error = TcpStream::connect(server.addr())?.read(&mut [0]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    /// server.set_faults(None)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first faults of a server need two descriptors (epoll_create1(2), eventfd(2)). Then nothing is replaced.
    pub fn set_faults(&self, plan: Option<&FaultPlan>) -> Result<(), Error> {
        self.faults.set(plan, &self.shared.stats.accepted)
    }

    /// Returns the faults of connections; without [`ServerBuilder::fault_when`], which is not a rule.
    #[must_use]
    pub fn fault_plan(&self) -> Option<FaultPlan> {
        self.faults.plan()
    }

    /// Returns the connections that are being served, in the order of accept, without those that [`Server::reset`] has
    /// ended. Always empty without
    /// [`ServerBuilder::track_sessions`].
    #[must_use]
    pub fn live(&self) -> Vec<LiveSession> {
        self.shared.live.as_ref().map_or_else(Vec::new, Live::list)
    }

    /// Ends a connection with RST; its report has the ending `fault`. Returns whether it was there: `false` for a number
    /// that is not in [`Server::live`], and so the second time. A connection that ends by itself at the same moment keeps its own ending.
    ///
    /// ```
    /// use std::{io::{ErrorKind, Read}, net::TcpStream, time::Duration};
    ///
    /// let server = tcpecho::Server::builder()
    ///     .track_sessions(true)
    ///     .start()?;
    /// let mut client = TcpStream::connect(server.addr())?;
    /// while !server.reset(1) {
    ///     // It is not accepted yet.
    ///     std::thread::sleep(Duration::from_millis(1));
    /// }
    /// assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[allow(
        clippy::must_use_candidate,
        reason = "there is no connection with this number any more"
    )]
    pub fn reset(&self, id: u64) -> bool {
        self.shared.live.as_ref().is_some_and(|live| live.reset(id))
    }

    /// Stops accepting and lets the connections finish: received data is echoed, and an idle connection gets a FIN.
    /// Connections that are already in the accept queue are served too. The listeners are closed when this returns.
    /// Exception: if an accept queue cannot be emptied because descriptors or memory are missing, its listener stays
    /// open until it is empty.
    pub fn begin_drain(&self) {
        for queue in &self.queues {
            queue.begin_drain(&self.shared);
        }
        self.let_go_of_held();
        self.shared.drain.trigger();
        self.shared.table.advance(Phase::Draining);
    }

    /// Closes all connections at once. A peer for which bytes are pending gets RST, the others FIN.
    pub fn close(&self) {
        for queue in &self.queues {
            queue.close();
        }
        self.let_go_of_held();
        self.shared.halt.trigger();
        self.shared.table.advance(Phase::Halted);
    }

    /// Closes the listeners that no loop serves.
    fn let_go_of_held(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Drains, and closes the remaining connections after `grace`. Returns whether every connection finished in time.
    #[allow(clippy::must_use_candidate, reason = "the server has ended either way")]
    pub fn drain(&self, grace: Duration) -> bool {
        self.begin_drain();
        let in_time = self.wait(Some(grace));
        if !in_time {
            self.close();
            self.wait(None);
        }
        in_time
    }

    /// Waits until the server has ended: drained, closed or failed. Returns `false` if `limit` passed first.
    #[allow(
        clippy::must_use_candidate,
        reason = "without a limit there is nothing to learn from it"
    )]
    pub fn wait(&self, limit: Option<Duration>) -> bool {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let mut fds = [PollFd::new(&self.shared.ended, PollFlags::IN)];
        loop {
            match poll(&mut fds, deadline.map(until).as_ref()) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(_) => {}
            }
        }
    }

    /// Returns the error that ended the server, if one did: a listener or a call of the engine failed.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        self.shared.error().cloned()
    }
}

impl AsFd for Server {
    /// Becomes readable when the server has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.ended.as_fd()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close();
        for thread in self.loops.drain(..) {
            // A panic has been reported by `failure`.
            let _ = thread.join();
        }
        // Where a loop could not be started, the last one that ran did not say so.
        self.faults.complete();
        self.faults.join();
    }
}
