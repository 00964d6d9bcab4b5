import type { ServerResponse } from 'node:http';
import type { ByteRange, ReadableBytes } from '../repository/repository.ts';
import type { BufferPool } from './buffer-pool.ts';

/** Called once: `error` is null when every byte was handed to the system. */
export type StreamDone = (error: Error | null, sentBytes: number) => void;

/** The client has left before its answer was complete. */
export class ClientLeftError extends Error {}

/** What is sent, and how. */
export interface StreamOptions {
  readonly bytes: ReadableBytes;
  readonly range: ByteRange;
  readonly pool: BufferPool;
  /** Called before the first write: until then an error can still be an answer. */
  readonly begin?: () => void;
}

/**
 * Sends a range of a held file at the client's pace: while the system takes one piece, the next one is
 * read. Closes the bytes and ends the response; after an error the caller must break the connection.
 */
export function streamBytes(
  response: ServerResponse,
  options: StreamOptions,
  done: StreamDone,
): void {
  new DiskStream(response, options, done).start();
}

interface Piece {
  readonly buffer: Buffer;
  readonly length: number;
}

class DiskStream {
  readonly #response: ServerResponse;
  readonly #bytes: ReadableBytes;
  readonly #pool: BufferPool;
  #begin: (() => void) | undefined;
  readonly #done: StreamDone;
  readonly #end: number;
  /** Where the next read begins. */
  #position: number;
  readonly #totalBytes: number;
  #unsentBytes: number;
  /** Being filled by the system. */
  #reading: Buffer | null = null;
  /** Filled, and waiting for the piece before it. */
  #ready: Piece | null = null;
  /** Being taken by the system. */
  #writing: Piece | null = null;
  #failure: Error | null = null;
  #isOver = false;

  constructor(
    response: ServerResponse,
    { bytes, range: { start, end }, pool, begin }: StreamOptions,
    done: StreamDone,
  ) {
    this.#response = response;
    this.#bytes = bytes;
    this.#pool = pool;
    this.#begin = begin;
    this.#done = done;
    this.#position = start;
    this.#end = end;
    this.#totalBytes = this.#unsentBytes = end - start;
  }

  start(): void {
    this.#response.once('close', this.#onClose);
    if (this.#response.destroyed) this.#fail(new ClientLeftError());
    else if (this.#unsentBytes === 0) this.#finish();
    else this.#readNext();
  }

  readonly #onClose = (): void => this.#fail(new ClientLeftError());

  #readNext(): void {
    const length = this.#end - this.#position;
    if (this.#reading !== null || this.#ready !== null || length === 0) return;
    const buffer = this.#pool.take(length);
    this.#reading = buffer;
    this.#bytes.readInto(buffer, Math.min(buffer.length, length), this.#position, this.#onRead);
  }

  readonly #onRead = (error: Error | null, bytesRead: number): void => {
    const buffer = this.#reading;
    this.#reading = null;
    if (buffer === null) return;
    if (error !== null || bytesRead === 0 || this.#failure !== null) {
      this.#pool.give(buffer);
      this.#fail(error ?? this.#bytes.cutShort());
      return;
    }
    this.#position += bytesRead;
    const piece = { buffer, length: bytesRead };
    if (this.#writing === null) this.#write(piece);
    else this.#ready = piece;
  };

  #write(piece: Piece): void {
    const { buffer, length } = piece;
    this.#writing = piece;
    this.#begin?.();
    this.#begin = undefined;
    this.#response.write(
      length === buffer.length ? buffer : buffer.subarray(0, length),
      this.#onWritten,
    );
    this.#readNext();
  }

  readonly #onWritten = (error?: Error | null): void => {
    const piece = this.#writing;
    if (piece === null) return;
    if (error !== undefined && error !== null) return this.#fail(error);
    this.#writing = null;
    this.#pool.give(piece.buffer);
    this.#unsentBytes -= piece.length;
    if (this.#failure !== null) return this.#settle();
    if (this.#unsentBytes === 0) return this.#finish();
    const next = this.#ready;
    this.#ready = null;
    if (next !== null) this.#write(next);
    else this.#readNext();
  };

  #finish(): void {
    this.#begin?.();
    this.#response.end();
    this.#settle();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#settle();
  }

  /** The end, unless the system still fills a buffer from the open file. */
  #settle(): void {
    if (this.#isOver || this.#reading !== null) return;
    this.#isOver = true;
    this.#response.off('close', this.#onClose);
    this.#bytes.close();
    if (this.#ready !== null) this.#pool.give(this.#ready.buffer);
    // The socket may still read from it.
    if (this.#writing !== null) this.#pool.abandon(this.#writing.buffer);
    this.#ready = this.#writing = null;
    this.#done(this.#failure, this.#totalBytes - this.#unsentBytes);
  }
}
