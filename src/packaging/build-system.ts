import { isTable, readToml, tableAt, textsAt } from './lock/document.ts';

/** What is needed to build an sdist that does not say so (PEP 517, "Source trees"; wheel is for old setuptools). */
const WITHOUT_WORD: readonly string[] = ['setuptools>=40.8.0', 'wheel'];

/**
 * The requirements for building an sdist, from the text of its `pyproject.toml` (PEP 518).
 *
 * @param pyproject `undefined` when it has none
 * @throws ConfigurationError when the text is no TOML
 */
export function buildRequirements(pyproject: string | undefined): readonly string[] {
  if (pyproject === undefined) return WITHOUT_WORD;
  const document = readToml('pyproject.toml', pyproject);
  const buildSystem = document['build-system'];
  if (!isTable(buildSystem)) return WITHOUT_WORD;
  return textsAt(tableAt(document, 'build-system'), 'requires');
}
