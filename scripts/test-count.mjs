/**
 * Prints `N passed, N failed` from the JSON that vitest wrote. A run that ended badly without a failed
 * test (a file that does not load, an error outside of tests, no results at all) counts as one failure.
 */
import { readFileSync } from 'node:fs';
import process from 'node:process';

const [file, exitStatus] = process.argv.slice(2);

function countTests() {
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

const { passed, failed } = countTests();
const isHiddenFailure = failed === 0 && (exitStatus !== '0' || passed === 0);
process.stdout.write(`${passed} passed, ${isHiddenFailure ? 1 : failed} failed\n`);
