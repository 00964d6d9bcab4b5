/**
 * Prints `N passed, N failed` from what vitest wrote: pairs of a JSON file and the run's exit status. A run
 * that ended badly without a failed test (a file that does not load, an error outside of tests, no
 * results at all) counts as one failure.
 */
import { readFileSync } from 'node:fs';
import process from 'node:process';

const words = process.argv.slice(2);

function countTests(file) {
  try {
    const { testResults } = JSON.parse(readFileSync(file, 'utf8'));
    const tests = testResults.flatMap((suite) => suite.assertionResults);
    const filesThatDoNotLoad = testResults.filter(
      (suite) => suite.status === 'failed' && suite.assertionResults.length === 0,
    );
    return {
      passed: tests.filter(({ status }) => status === 'passed').length,
      failed: tests.filter(({ status }) => status === 'failed').length + filesThatDoNotLoad.length,
    };
  } catch {
    return { passed: 0, failed: 0 };
  }
}

let allPassed = 0;
let allFailed = 0;
for (let at = 0; at < words.length; at += 2) {
  const { passed, failed } = countTests(words[at]);
  const isHiddenFailure = failed === 0 && (words[at + 1] !== '0' || passed === 0);
  allPassed += passed;
  allFailed += isHiddenFailure ? 1 : failed;
}
process.stdout.write(`${allPassed} passed, ${allFailed} failed\n`);
