//! One connection, request after request.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, StatusCode,
    body::{Body, Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    Limits, Request, Response, Service,
    stream::{Socket, Stream, written},
};

/// Serves until the client closes, a limit ends it, or a response says that it is the last.
pub(super) async fn serve(
    socket: Box<dyn Socket>,
    local: Option<SocketAddr>,
    service: Arc<Service>,
) {
    let limits = service.limits;
    let io = TokioIo::new(Stream::new(socket, limits.stall));
    let answered = service_fn(move |request: hyper::Request<Incoming>| {
        let service = Arc::clone(&service);
        Box::pin(async move { Ok::<_, Infallible>(answer(request, local, &service).await) })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.time)
        .max_buf_size(limits.head)
        .max_headers(limits.headers)
        // A client that half-closes after its request reads the response.
        .half_close(true)
        .serve_connection(io, answered);
    let result = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    // Between two requests, silence is nobody's fault.
    if result.is_err_and(|error| error.is_timeout()) && !parts.read_buf.is_empty() {
        let response = Response::error(408, &too_slow("head", limits));
        let _ = stream.write_all(&written(&response)).await;
    }
    // Bytes that are unread when the socket is closed would make the kernel send RST, which can destroy the response.
    let _ = stream.shutdown().await;
    let discard = async {
        let mut rest = [0; 4096];
        while stream.read(&mut rest).await.is_ok_and(|n| n > 0) {}
    };
    let _ = timeout(limits.linger, discard).await;
}

async fn answer(
    request: hyper::Request<Incoming>,
    local: Option<SocketAddr>,
    service: &Service,
) -> hyper::Response<Full<Bytes>> {
    match read(request, local, service.limits).await {
        Ok(request) => {
            let answered = catch_unwind(AssertUnwindSafe(|| (service.handler)(request)));
            let failed = || Response::error(500, "the server failed to answer; please report this");
            of(answered.unwrap_or_else(|_| failed()))
        }
        // The rest of the body is not read.
        Err(response) => of(response.with("connection", "close")),
    }
}

/// Reads a request's body.
async fn read(
    request: hyper::Request<Incoming>,
    local: Option<SocketAddr>,
    limits: Limits,
) -> Result<Request, Response> {
    let (head, body) = request.into_parts();
    let too_large = || {
        let sentence = format!("the body is too large: send at most {} bytes", limits.body);
        Response::error(413, &sentence)
    };
    if body.size_hint().lower() > limits.body as u64 {
        return Err(too_large());
    }
    let body = timeout(limits.time, Limited::new(body, limits.body).collect()).await;
    let body = match body {
        Ok(Ok(body)) => body.to_bytes().to_vec(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(error)) => {
            let sentence = format!(
                "the body is not complete: {error}; send as many bytes as content-length says, or correct chunks"
            );
            return Err(Response::error(400, &sentence));
        }
        Err(_) => return Err(Response::error(408, &too_slow("body", limits))),
    };
    Ok(Request {
        method: head.method.to_string(),
        path: head.uri.path().into(),
        query: head.uri.query().map(Into::into),
        authority: head.uri.authority().map(ToString::to_string),
        headers: flat(&head.headers),
        body,
        local,
    })
}

fn too_slow(what: &str, limits: Limits) -> String {
    let time = tcpecho::internal::show_duration(limits.time);
    format!("the {what} of the request did not come within {time}: send it faster")
}

fn flat(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

fn of(response: Response) -> hyper::Response<Full<Bytes>> {
    let Response { status, content_type, body, headers } = response;
    let mut response = hyper::Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            fields.append(HeaderName::from_static(name), value);
        }
    }
    response
}
