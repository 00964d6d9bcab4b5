import { describe, expect, it } from 'vitest';
import { parseSelection } from '../../../src/packaging/selection.ts';

describe('a selection', () => {
  it.each([
    ['flask', 'flask', ''],
    ['Zope.Interface', 'zope-interface', ''],
    ['flask==3.0.0', 'flask', '==3.0.0'],
    ['flask >= 2, < 3', 'flask', '>=2,<3'],
    ['flask (~=2.1)', 'flask', '~=2.1'],
    ['a==1.*', 'a', '==1.*'],
  ])('%j is a name and versions', (text, project, specifier) => {
    expect(parseSelection(text)).toEqual({ project, specifier });
  });

  it.each(['', '-', '==1.0', 'flask==', 'flask=1', 'flask 1.0', 'flask[x]', 'a/b', 'flask>=junk'])(
    '%j is none',
    (text) => {
      expect(parseSelection(text)).toBeUndefined();
    },
  );
});
