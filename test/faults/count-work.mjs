/**
 * Loaded before the program (`node --import`): counts what it asks of the disk and of SQLite, the promises
 * it makes and the memory it takes. Between the messages `begin` and `end` of its parent.
 */
import { createHook } from 'node:async_hooks';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import process from 'node:process';
import Database from 'better-sqlite3';

const counts = { fs: 0, sql: 0, promises: 0 };

function counting(original, name) {
  const counted = function (...args) {
    counts[name]++;
    return Reflect.apply(original, this, args);
  };
  // What `promisify` looks for hangs on the function itself.
  return Object.defineProperties(counted, Object.getOwnPropertyDescriptors(original));
}

const calls =
  'open close read write stat lstat fstat access readFile writeFile readdir rename unlink';
for (const call of calls.split(' ')) {
  for (const name of [call, `${call}Sync`]) fs[name] = counting(fs[name], 'fs');
  if (call in fs.promises) fs.promises[call] = counting(fs.promises[call], 'fs');
}
syncBuiltinESMExports();

const statement = Object.getPrototypeOf(new Database(':memory:').prepare('SELECT 1'));
for (const name of ['get', 'all', 'run', 'iterate'])
  statement[name] = counting(statement[name], 'sql');

const promises = createHook({
  init: (_id, type) => {
    if (type === 'PROMISE') counts.promises++;
  },
});

let heapBefore = 0;
process.on('message', ({ what, withPromises }) => {
  if (what === 'begin') {
    // Counting promises makes some.
    if (withPromises) promises.enable();
    globalThis.gc();
    for (const name of Object.keys(counts)) counts[name] = 0;
    heapBefore = process.memoryUsage().heapUsed;
    process.send({});
  } else {
    const allocated = process.memoryUsage().heapUsed - heapBefore;
    const result = { ...counts, allocated };
    promises.disable();
    globalThis.gc();
    process.send({ ...result, kept: process.memoryUsage().heapUsed - heapBefore });
  }
});
// Listening for messages must not keep the program from ending.
process.channel?.unref();
