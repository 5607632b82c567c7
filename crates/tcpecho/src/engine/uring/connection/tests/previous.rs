//! The rules that this engine had first: they took every failure of a receive in the talking state for one of the
//! connection. The exploration has to find that a receive cancelled earlier ends a healthy connection.

use rustix::io::Errno;

use super::{Buffers as _, Chunk, Ending, Outcome, Pool, Request, Requests, Rules};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    Talking,
    Owing,
    Leaving(Ending),
    Dying(Outcome),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Connection {
    state: State,
    under_way: u8,
    sent: usize,
}

impl Connection {
    fn request(&mut self, request: Request<Chunk>) -> Requests {
        self.under_way += 1 + u8::from(matches!(request, Request::SendThenReceive(_)));
        vec![request]
    }

    fn dies(&mut self, outcome: Outcome) -> Requests {
        self.state = State::Dying(outcome);
        Vec::new()
    }
}

impl Rules for Connection {
    const ONE_OF_A_KIND: bool = false;

    fn begin() -> Self {
        Connection { state: State::Talking, under_way: 1, sent: 0 }
    }

    fn received(&mut self, pool: &mut Pool, result: Result<Option<Chunk>, Errno>) -> Requests {
        self.under_way -= 1;
        match (self.state, result) {
            (State::Talking, Ok(Some(chunk))) => self.request(Request::SendThenReceive(chunk)),
            (State::Talking, Ok(None)) => self.dies(Outcome::FINISHED),
            (State::Leaving(_), Ok(Some(chunk))) => {
                pool.recycle(chunk);
                self.request(Request::Receive)
            }
            (State::Leaving(ending), Ok(None)) => self.dies(Outcome::of(ending)),
            (State::Owing | State::Dying(_), Ok(chunk)) => {
                if let Some(chunk) = chunk {
                    pool.recycle(chunk);
                }
                Vec::new()
            }
            (State::Dying(_) | State::Owing, Err(_)) => Vec::new(),
            (_, Err(Errno::NOBUFS)) => self.request(Request::ReceiveLater),
            (_, Err(Errno::INTR | Errno::AGAIN)) => self.request(Request::Receive),
            (State::Leaving(ending), Err(_)) => self.dies(Outcome::of(ending)),
            (State::Talking, Err(errno)) => self.dies(Outcome::failed("recv", errno)),
        }
    }

    fn sent(&mut self, pool: &mut Pool, result: Result<usize, Errno>, chunk: Chunk) -> Requests {
        self.under_way -= 1;
        let sent = match result {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(errno) => {
                pool.recycle(chunk);
                return self.dies(Outcome::failed("send", errno));
            }
        };
        let rest = chunk[sent..].to_vec();
        pool.recycle(chunk);
        if rest.is_empty() || self.state != State::Talking {
            return Vec::new();
        }
        self.state = State::Owing;
        self.sent = 0;
        self.request(Request::Flush(rest, 0))
    }

    fn flushed(&mut self, _: &mut Pool, r: Result<usize, Errno>, bytes: Vec<u8>) -> Requests {
        self.under_way -= 1;
        let sent = match r {
            _ if matches!(self.state, State::Dying(_)) => return Vec::new(),
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(errno) => return self.dies(Outcome::failed("send", errno)),
        };
        self.sent += sent;
        if self.sent < bytes.len() {
            let from = self.sent;
            return self.request(Request::Flush(bytes, from));
        }
        self.state = State::Talking;
        self.request(Request::Receive)
    }

    fn receive_now(&mut self) -> Requests {
        self.under_way -= 1;
        self.request(Request::Receive)
    }

    fn is_idle(&self) -> bool {
        self.state == State::Talking && self.under_way == 1
    }

    fn is_lingering(&self) -> bool {
        matches!(self.state, State::Leaving(_))
    }

    fn is_closing(&self) -> bool {
        matches!(self.state, State::Dying(_))
    }

    fn linger(&mut self, ending: Ending) {
        self.state = State::Leaving(ending);
    }

    fn end(&mut self, _: &mut Pool, ending: Ending) {
        if !self.is_closing() {
            self.state = State::Dying(Outcome::of(ending));
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        match self.state {
            State::Dying(outcome) if self.under_way == 0 => Some(outcome),
            _ => None,
        }
    }
}
