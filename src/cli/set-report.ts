import type { SetReport, Shortfall } from '../prefetch/report.ts';
import { nameOfTarget } from '../prefetch/targets.ts';
import { EXIT } from './exit-status.ts';
import { formatBytes, formatCount } from './format.ts';

/** The worst of what is missing, as an exit status. */
export const EXIT_OF: Readonly<Record<Shortfall, number>> = {
  none: EXIT.ok,
  unresolved: EXIT.failed,
  'not-found': EXIT.refused,
  unavailable: EXIT.unavailable,
  integrity: EXIT.integrity,
};

/** The report for people. */
export function reportLines(report: SetReport, isDryRun: boolean): string[] {
  const lines: string[] = [];
  if (isDryRun) {
    for (const { filename, outcome, sizeBytes } of report.files) {
      const size = sizeBytes === null ? 'size unknown' : formatBytes(sizeBytes);
      lines.push(`${outcome === 'held' ? 'held ' : 'fetch'}  ${filename}  ${size}`);
    }
  }
  const count = (outcome: string): number =>
    report.files.filter((file) => file.outcome === outcome).length;
  lines.push(
    isDryRun
      ? `${formatCount(report.files.length, 'file')}, ${formatBytes(report.totalBytes)}: ${count('held')} held, ${count('planned')} to fetch`
      : `${formatCount(report.files.length, 'file')}, ${formatBytes(report.totalBytes)}: ${count('fetched')} fetched (${formatBytes(report.fetchedBytes)}), ${count('held')} held, ${count('failed')} failed`,
  );
  if (report.resolver !== null) lines.push(`resolved by ${report.resolver}`);
  lines.push(...coverageLines(report));
  lines.push(report.isWhole ? 'the set is whole' : 'the set is NOT whole');
  return lines;
}

/** What is wrong with a set, for people. */
export function coverageLines(
  report: Pick<SetReport, 'targets' | 'files' | 'elsewhere' | 'problems'>,
): string[] {
  const lines: string[] = [];
  for (const coverage of report.targets) {
    const { packages, wheels, sdists, missing, unresolved } = coverage;
    lines.push(
      `${nameOfTarget(coverage)}: ${formatCount(packages, 'package')}, ${formatCount(wheels, 'wheel')}, ${formatCount(sdists.length, 'sdist')}${missing.length === 0 ? '' : `, ${missing.length} missing`}`,
    );
    for (const { project, version, reason } of missing)
      lines.push(`  missing   ${project} ${version}: ${reason}`);
    for (const { project, version } of sdists)
      lines.push(`  no wheel  ${project} ${version}: an sdist, which is built there`);
    if (unresolved !== null) lines.push(...indented(`not resolved: ${unresolved}`));
  }
  for (const { filename, reason, outcome } of report.files)
    if (outcome === 'failed') lines.push(`failed: ${filename}: ${reason ?? ''}`);
  for (const { name, source, location } of report.elsewhere)
    lines.push(`on no index: ${name} (${source} ${location})`);
  return [...lines, ...report.problems];
}

function indented(text: string): string[] {
  return text.split('\n').map((line) => `  ${line}`);
}
