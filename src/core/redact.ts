/**
 * A URL fit for logs, pages and errors: without user name, password, query and fragment, any of which
 * can carry a secret.
 *
 * @example redact('https://ana:s3cret@example.org/simple/?token=x') // 'https://example.org/simple/'
 */
export function redact(url: string | URL): string {
  const text = String(url);
  if (!URL.canParse(text)) return text.replace(/\/\/[^/@\s]*@/g, '//').replace(/[?#].*$/s, '');
  const parsed = new URL(text);
  parsed.username = '';
  parsed.password = '';
  parsed.search = '';
  parsed.hash = '';
  return parsed.href;
}
