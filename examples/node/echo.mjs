// A client with a deadline: sends a message, half-closes, and checks that the echo is complete and correct.

import net from 'node:net';

/** An error with a `code`, as those of node:net have: ERR_CLOSED_EARLY, ERR_MISMATCH, ERR_TIMED_OUT, ERR_CONNECT_TIMEOUT. */
function failure(code, message) {
  return Object.assign(new Error(message), { code });
}

/** Resolves when the whole echo and the server's FIN have come. `timeout` is in milliseconds. */
export function echo({ host, port }, message, timeout) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port, allowHalfOpen: true });
    let got = Buffer.alloc(0);

    const timer = setTimeout(() => {
      const code = socket.connecting ? 'ERR_CONNECT_TIMEOUT' : 'ERR_TIMED_OUT';
      socket.destroy(failure(code, `${got.length} of ${message.length} bytes after ${timeout} ms`));
    }, timeout);

    socket.on('connect', () => socket.end(message));
    socket.on('data', (piece) => {
      got = Buffer.concat([got, piece]);
      if (!message.subarray(0, got.length).equals(got)) {
        socket.destroy(failure('ERR_MISMATCH', `got ${got}`));
      }
    });
    socket.on('end', () => {
      if (got.length < message.length) {
        socket.destroy(failure('ERR_CLOSED_EARLY', `${got.length} of ${message.length} bytes came`));
      }
    });
    socket.on('error', reject);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(got);
    });
  });
}
