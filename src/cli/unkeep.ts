/** `wheelcellar unkeep`; see `keep.ts`. */
export { unkeepVerb as verb } from './keep.ts';
