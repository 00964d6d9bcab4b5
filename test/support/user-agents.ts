/** How pip 26 names itself on a Debian machine with Python 3.11. */
export const PIP_USER_AGENT: string = `pip/26.0 ${JSON.stringify({
  cpu: 'x86_64',
  distro: { libc: { lib: 'glibc', version: '2.36' } },
  implementation: { name: 'CPython', version: '3.11.2' },
  python: '3.11.2',
  system: { name: 'Linux', release: '6.1.0' },
})}`;

/** How pip names itself on Windows with Python 3.12. */
export const WINDOWS_PIP_USER_AGENT: string = `pip/24.0 ${JSON.stringify({
  cpu: 'AMD64',
  implementation: { name: 'CPython', version: '3.12.2' },
  python: '3.12.2',
  system: { name: 'Windows', release: '11' },
})}`;
