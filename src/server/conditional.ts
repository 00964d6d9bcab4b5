/**
 * Whether `If-None-Match` names the entity tag, so that 304 is the answer. Weak comparison, lists and `*`
 * (RFC 9110 §13.1.2). Linear in the header's length.
 */
export function noneMatchFails(header: string | undefined, etag: string | null): boolean {
  if (header === undefined || etag === null) return false;
  if (header === etag || header.trim() === '*') return true;
  const opaque = (tag: string): string => tag.trim().replace(/^W\//, '');
  const wanted = opaque(etag);
  return header.split(',').some((tag) => opaque(tag) === wanted);
}
