// Runs the client against every way in which a TCP server can fail: node --test

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { after, describe, it } from 'node:test';

import { echo } from './echo.mjs';

const MESSAGE = Buffer.from('hello, world');
// More than the slowest answer of the gallery takes.
const TIMEOUT = 5000;

// What the client has to report for each ending. undefined: no error.
const REACTIONS = {
  finished: undefined,
  'closed-early': 'ERR_CLOSED_EARLY',
  reset: 'ECONNRESET',
  'timed-out': 'ERR_TIMED_OUT',
  mismatch: 'ERR_MISMATCH',
  'connect-timeout': 'ERR_CONNECT_TIMEOUT',
  refused: 'ECONNREFUSED',
};

// libuv takes a reset that comes together with bytes for the end of the stream (until its pull request 4997): Node then
// reports 'end' and no error. A truncated answer is found all the same; after a complete one, nothing tells of the reset.
const WITHOUT_ECONNRESET = { 'reset-after': 'ERR_CLOSED_EARLY', 'reset-at-end': undefined };

const program = process.env.TCPECHO_BINARY ?? 'tcpecho';
const server = spawn(program, ['serve', '--gallery', '--json', '--log', 'off', '--until-eof'], {
  // Its stdin ends with this process, and the server with it.
  stdio: ['pipe', 'pipe', 'inherit'],
});
process.on('exit', () => server.kill());
const { value: line } = await createInterface({ input: server.stdout })[Symbol.asyncIterator]().next();
const gallery = JSON.parse(line);

describe('every fault', { concurrency: true }, () => {
  for (const host of gallery.addresses) {
    for (const { port, name, ending, expect } of gallery.faults) {
      it(`${name} on ${host}`, async () => {
        const seen = await echo({ host, port }, MESSAGE, TIMEOUT).then(
          () => undefined,
          (error) => error.code,
        );
        if (!(name in WITHOUT_ECONNRESET && seen === WITHOUT_ECONNRESET[name])) {
          assert.equal(seen, REACTIONS[ending], expect);
        }
      });
    }
  }
});

after(() => server.kill());
