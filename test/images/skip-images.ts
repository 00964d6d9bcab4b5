import process from 'node:process';
import { inject } from 'vitest';

/**
 * Whether to skip the image tests, and why; says so in their title.
 *
 * @throws Error instead, where `IMAGES_EXPECTED` says that they must run
 */
export function skipImages(): { readonly isSkipped: boolean; readonly why: string } {
  const missing = inject('missingForImages');
  if (missing === '') return { isSkipped: false, why: '' };
  if ((process.env['IMAGES_EXPECTED'] ?? '') !== '') throw new Error(missing);
  return { isSkipped: true, why: ` (skipped: ${missing})` };
}
