/**
 * Prints `N passed, N failed` from what vitest wrote: pairs of a JSON file and the run's exit status. A run
 * that ended badly without a failed test (a file that does not load, an error outside of tests, no
 * results at all) counts as one failure; so does one in which nothing ran, unless each of its tests says
 * in its name why it was skipped. Those reasons go to standard error.
 */
import { readFileSync } from 'node:fs';
import process from 'node:process';

const words = process.argv.slice(2);

/** How names of skipped tests and of their suites say why: `… (skipped: WHY)`, `… not here: WHY`. */
const REASON = /\b(?:skipped|not here): (.+?)\)?$/;

function countTests(file) {
  try {
    const { testResults } = JSON.parse(readFileSync(file, 'utf8'));
    const tests = testResults.flatMap((suite) => suite.assertionResults);
    const filesThatDoNotLoad = testResults.filter(
      (suite) => suite.status === 'failed' && suite.assertionResults.length === 0,
    );
    const skipped = tests.filter(({ status }) => !['passed', 'failed'].includes(status));
    return {
      passed: tests.filter(({ status }) => status === 'passed').length,
      failed: tests.filter(({ status }) => status === 'failed').length + filesThatDoNotLoad.length,
      reasons: skipped.map(reasonOf),
    };
  } catch {
    return { passed: 0, failed: 0, reasons: [] };
  }
}

/** `undefined` for a test that does not say. */
function reasonOf({ ancestorTitles = [], title = '' }) {
  for (const name of [title, ...ancestorTitles.toReversed()]) {
    const reason = REASON.exec(name)?.[1];
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function sayWhySkipped(reasons) {
  for (const reason of new Set(reasons)) {
    const count = reasons.filter((one) => one === reason).length;
    process.stderr.write(`skipped ${count}: ${reason ?? 'no reason given'}\n`);
  }
}

let allPassed = 0;
let allFailed = 0;
for (let at = 0; at < words.length; at += 2) {
  const { passed, failed, reasons } = countTests(words[at]);
  sayWhySkipped(reasons);
  const isSkipped = reasons.length > 0 && !reasons.includes(undefined);
  const ranNothing = passed === 0 && !isSkipped;
  const isHiddenFailure = failed === 0 && (words[at + 1] !== '0' || ranNothing);
  allPassed += passed;
  allFailed += isHiddenFailure ? 1 : failed;
}
process.stdout.write(`${allPassed} passed, ${allFailed} failed\n`);
