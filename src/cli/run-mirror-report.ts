import type { BranchReport, MirrorReport } from '../mirror/report.ts';
import { formatBytes, formatCount } from './format.ts';
import { printLine } from './verb.ts';
import type { Io } from './verb.ts';

/** Prints what became of a mirror, branch by branch and index by index. */
export function tell(io: Io, report: MirrorReport): void {
  printLine(io, `${report.name}: ${report.output}${report.isLive ? ' (the cache itself)' : ''}`);
  for (const branch of report.branches) for (const line of branchLines(branch)) printLine(io, line);
  for (const { folder, files, projects, added, bytes } of report.indexes) {
    const size = `${formatCount(files, 'file')} of ${formatCount(projects, 'project')}, ${formatBytes(bytes)}`;
    printLine(io, `  index ${folder}: ${size}, ${added} new`);
  }
  if (report.buildNetwork === 'shared')
    printLine(io, '  builds shared the network: this system gives them none of their own');
}

function branchLines({
  source,
  branch,
  outcome,
  pins,
  leftOut,
  fetched,
  built,
}: BranchReport): string[] {
  const name = [source, branch].filter((word) => word !== '').join(' ');
  if (outcome === 'none') return [`  ${name}: no requirements`];
  if (outcome === 'failed') return [`  ${name}: failed`];
  const facts = `${formatCount(pins.length, 'version')}, ${fetched.length} fetched, ${built.length} built`;
  const left = leftOut.map(
    ({ line, kind }) => `    left out (${kind}): ${line.replace(/\/\/[^/@\s]*@/, '//')}`,
  );
  return [`  ${name}: ${facts}`, ...left];
}
