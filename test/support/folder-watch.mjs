/**
 * Preloaded into a program (`node --import`): appends every folder that it lists to the file
 * `FOLDER_WATCH_FILE`, one a line, however it lists it.
 */
import fs, { appendFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import process from 'node:process';

const report = process.env.FOLDER_WATCH_FILE;

for (const [owner, name] of [
  [fs, 'readdir'],
  [fs, 'readdirSync'],
  [fs, 'opendir'],
  [fs, 'opendirSync'],
  [fs.promises, 'readdir'],
  [fs.promises, 'opendir'],
]) {
  const listed = owner[name];
  owner[name] = function (path, ...rest) {
    appendFileSync(report, `${String(path)}\n`);
    return Reflect.apply(listed, this, [path, ...rest]);
  };
}
syncBuiltinESMExports();
