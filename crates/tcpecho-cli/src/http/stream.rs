//! The socket of a connection as hyper sees it: a write has a time limit, and hyper's own refusals get a body.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::Response;

/// A connection's socket, of either family.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

pub(super) struct Stream {
    socket: Box<dyn Socket>,
    limit: Duration,
    /// Runs while the socket takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// What is sent instead of hyper's refusal, and how much of it has been.
    refusal: Option<(Vec<u8>, usize)>,
}

impl Stream {
    pub(super) fn new(socket: Box<dyn Socket>, limit: Duration) -> Self {
        Stream { socket, limit, stalled: None, refusal: None }
    }

    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = Pin::new(&mut self.socket).poll_write(cx, bytes) {
            self.stalled = None;
            return Poll::Ready(result);
        }
        let limit = self.limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // hyper passes the same bytes again until they are accepted.
        if self.refusal.is_none() {
            self.refusal = refusal(bytes).map(|response| (written(&response), 0));
        }
        let Some((page, mut at)) = self.refusal.take() else { return self.write(cx, bytes) };
        while at < page.len() {
            match self.write(cx, &page[at..]) {
                Poll::Ready(result) => at += result?,
                Poll::Pending => {
                    self.refusal = Some((page, at));
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// The response for what hyper refuses by itself: a head that is too long or not HTTP. Its own has no body and no content
/// type, and every response of ours has one.
fn refusal(written: &[u8]) -> Option<Response> {
    let head = std::str::from_utf8(written).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    if !(400..500).contains(&status) || head.contains("content-type") {
        return None;
    }
    let sentence = match status {
        414 | 431 => {
            "the request's line and headers are too long: send at most 16 KiB and 64 headers"
        }
        _ => {
            "this is not an HTTP/1.1 request: send METHOD PATH HTTP/1.1 and headers, each ending with CR LF"
        }
    };
    Some(Response::error(status, sentence))
}

/// A response that ends its connection, as it is sent where hyper has not read a request.
pub(super) fn written(response: &Response) -> Vec<u8> {
    let Response { status, content_type, body, .. } = response;
    let reason = hyper::StatusCode::from_u16(*status).ok();
    let reason = reason.and_then(|status| status.canonical_reason()).unwrap_or("Error");
    let length = body.len();
    let mut bytes = format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
