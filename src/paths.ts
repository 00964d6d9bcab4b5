/** The package itself: where its parts lie, found beside this module, and what its manifest says. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What the package's manifest says of it. */
export interface PackageFacts {
  readonly name: string;
  readonly version: string;
}

/**
 * The absolute folder of the diskimage-builder elements, to be put into `ELEMENTS_PATH`. This module
 * lies one folder below the package's root both as source and bundled, so one relative path does.
 */
export function elementsPath(): string {
  return fileURLToPath(new URL('../elements', import.meta.url));
}

/** The absolute path of the program. */
export function programPath(): string {
  return fileURLToPath(new URL('../bin/wheelcellar.js', import.meta.url));
}

/** Name and version of the installed package. */
export function packageFacts(): PackageFacts {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const { name, version } = JSON.parse(text) as PackageFacts;
  return { name, version };
}
