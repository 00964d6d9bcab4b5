import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

/** What goes wrong with an answer. Keys that are absent leave that aspect alone. */
export interface Fault {
  /** How many requests it strikes (default: all). */
  readonly times?: number;
  /** How many requests it lets pass first (default 0). */
  readonly skip?: number;
  /** Only requests with this method. */
  readonly method?: string;
  /** This status, with a short text body unless `body` says otherwise. */
  readonly status?: number;
  /** Headers added or replaced; `null` takes one away. */
  readonly headers?: Readonly<Record<string, string | null>>;
  /** Another body. Ranges are not cut out of it. */
  readonly body?: Buffer | string;
  /** Wait so long before the headers. */
  readonly delayMs?: number;
  /** Never answer. */
  readonly hang?: boolean;
  /** Break the connection before the headers. */
  readonly resetBeforeHeaders?: boolean;
  /** Send the body at this rate. */
  readonly bytesPerSecond?: number;
  /** Send so many bytes of the body, then nothing more, with the connection open. */
  readonly stallAfter?: number;
  /** Send so many bytes of the body, then end as `cutWith` says. */
  readonly cutAfter?: number;
  /**
   * `reset` (default): TCP reset. `close`: orderly close before the announced length.
   * `chunked`: no length announced and a proper end, so that only the digest can tell.
   */
  readonly cutWith?: 'reset' | 'close' | 'chunked';
  /** Invert the byte at this offset of the file, if the answer holds it. */
  readonly flipByteAt?: number;
  /** Announce a `Content-Length` that is off by so much. */
  readonly contentLengthShift?: number;
  /** Send the body chunked, without a length. */
  readonly chunked?: boolean;
  /** Answer 200 with everything to a Range request. */
  readonly ignoreRange?: boolean;
  /** Shift the numbers of `Content-Range`, not the bytes. */
  readonly contentRangeShift?: number;
  /** 304 whether or not there was a condition. */
  readonly notModified?: boolean;
  /** 302 (or `status`) to this URL. */
  readonly redirectTo?: string;
  /** These bytes on the socket instead of an HTTP answer, then close. */
  readonly rawBytes?: string;
}

/** An answer before faults. */
export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer | string;
  /** Offset in the file of the body's first byte. */
  readonly bodyStart?: number;
}

/** What `sendAnswer` notes about its work. */
export interface Sent {
  bytesSent: number;
  status: number;
}

function faulted(answer: Answer, fault: Fault): Answer {
  if (fault.redirectTo !== undefined) {
    const headers = { location: fault.redirectTo };
    return { status: fault.status ?? 302, headers, body: '' };
  }
  if (fault.notModified === true) return { status: 304, headers: answer.headers, body: '' };
  if (fault.status !== undefined) {
    return { status: fault.status, headers: {}, body: fault.body ?? `fault ${fault.status}` };
  }
  return fault.body === undefined ? answer : { ...answer, body: fault.body };
}

function flipped(body: Buffer, bodyStart: number, fault: Fault): Buffer {
  const at = (fault.flipByteAt ?? -1) - bodyStart;
  const old = body[at];
  if (old === undefined) return body;
  const copy = Buffer.from(body);
  copy[at] = old ^ 0xff;
  return copy;
}

function headersOf(answer: Answer, body: Buffer, fault: Fault): Record<string, string> {
  const headers = { ...answer.headers };
  const chunked =
    fault.chunked === true || (fault.cutWith === 'chunked' && fault.cutAfter !== undefined);
  if (answer.status !== 304 && !chunked) {
    headers['content-length'] = String(body.length + (fault.contentLengthShift ?? 0));
  }
  for (const [name, value] of Object.entries(fault.headers ?? {})) {
    if (value === null) delete headers[name.toLowerCase()];
    else headers[name.toLowerCase()] = value;
  }
  return headers;
}

/** Whether the response may still be written to. */
const isOpen = (response: ServerResponse): boolean =>
  !response.destroyed && !response.writableEnded;

async function write(response: ServerResponse, chunk: Buffer): Promise<void> {
  if (chunk.length === 0 || response.write(chunk)) return;
  await new Promise<void>((resolve) => {
    const go = (): void => {
      response.off('drain', go).off('close', go);
      resolve();
    };
    response.once('drain', go).once('close', go);
  });
}

async function sendBody(
  response: ServerResponse,
  body: Buffer,
  fault: Fault,
  sent: Sent,
): Promise<void> {
  const stop = Math.min(fault.cutAfter ?? Infinity, fault.stallAfter ?? Infinity, body.length);
  const rate = fault.bytesPerSecond;
  const step = rate === undefined ? 65_536 : Math.max(1, Math.round(rate / 50));
  for (let at = 0; at < stop && isOpen(response); at += step) {
    const chunk = body.subarray(at, Math.min(at + step, stop));
    await write(response, chunk);
    sent.bytesSent += chunk.length;
    if (rate !== undefined) await pause((chunk.length / rate) * 1000, undefined, { ref: false });
  }
}

/** Lets what was written reach the wire before the connection is broken. */
function flushed(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const { socket } = response;
    if (socket === null || socket.destroyed) resolve();
    else socket.write('', () => setImmediate(resolve));
  });
}

async function finish(response: ServerResponse, fault: Fault): Promise<void> {
  if (fault.stallAfter !== undefined) return;
  if (fault.cutAfter === undefined && (fault.contentLengthShift ?? 0) <= 0) {
    response.end();
    return;
  }
  if (fault.cutWith === 'chunked') {
    response.end();
    return;
  }
  await flushed(response);
  const { socket } = response;
  if (fault.cutWith === 'close' || fault.cutAfter === undefined) socket?.end();
  else socket?.resetAndDestroy();
}

/** Sends the answer, spoilt as the fault says. Never rejects: a test's client may leave at any time. */
export async function sendAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  plain: Answer,
  fault: Fault,
  sent: Sent,
): Promise<void> {
  response.on('error', () => {});
  if (fault.delayMs !== undefined) await pause(fault.delayMs, undefined, { ref: false });
  if (fault.hang === true) return;
  if (fault.resetBeforeHeaders === true) {
    request.socket.resetAndDestroy();
    return;
  }
  if (fault.rawBytes !== undefined) {
    request.socket.end(Buffer.from(fault.rawBytes, 'latin1'));
    return;
  }
  if (!isOpen(response)) return;
  const answer = faulted(plain, fault);
  const body = flipped(Buffer.from(answer.body), answer.bodyStart ?? 0, fault);
  // A length that is too short would make node throw; the point is to send it all the same.
  response.strictContentLength = false;
  response.writeHead(answer.status, headersOf(answer, body, fault));
  sent.status = answer.status;
  if (request.method === 'HEAD' || answer.status === 304) {
    response.end();
    return;
  }
  response.flushHeaders();
  await sendBody(response, body, fault, sent);
  if (isOpen(response)) await finish(response, fault);
}
