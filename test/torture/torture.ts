/**
 * Servers on one folder and the verbs beside them, an upstream in bad weather, kills and stops at random;
 * clients digest every body, a reader walks the static mirror. Not one complete wrong body, wrong file, dead
 * link, lost file or stuck request may come of it; and a naive mirror in the same weather must fail, or the
 * torture is blind.
 *
 *     npm run test:torture -- --kills 2000 --seconds 2400 --servers 3
 */
import { parseArgs } from 'node:util';
import { findingsOf, runTorture } from './run-torture.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '60' },
    servers: { type: 'string', default: '2' },
  },
});
const report = await runTorture({
  kills: Number(values.kills),
  seconds: Number(values.seconds),
  servers: Number(values.servers),
});
const findings = findingsOf(report);
process.stdout.write(`${JSON.stringify({ ...report, findings }, null, 2)}\n`);
process.exitCode = findings.length === 0 ? 0 : 1;
