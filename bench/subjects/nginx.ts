import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, logFile, untilItAnswers } from './listening.ts';
import { FORM_HEADERS } from './subject.ts';
import type { PageForm, RunningSubject, SubjectContext } from './subject.ts';

/** Where the pages of nginx static are: a name for each form, as a file has no `Accept`. */
const STATIC_FILES: Readonly<Record<PageForm, string>> = {
  html: '',
  gzip: '',
  json: 'index.json',
};

/**
 * nginx with one worker on files: below `/simple/` pages as our server answers them, gzipped beforehand;
 * below `/mirror/` the static mirror that our server keeps.
 */
export async function startNginxStatic(
  context: SubjectContext,
  folders: { readonly pages: string; readonly mirror: string },
): Promise<RunningSubject> {
  const site = (port: number): string => `
  gzip_static on;
  open_file_cache max=10000 inactive=60s;
  server {
    listen 127.0.0.1:${port} backlog=1024;
    location = / { return 204; }
    location /simple/ { alias ${folders.pages}/; index index.html; }
    location /mirror/ { alias ${folders.mirror}/; index index.html; }
  }`;
  const { port, pid, stop } = await startNginx(context, site);
  const origin = `http://127.0.0.1:${port}`;
  return {
    name: 'nginx static',
    pid,
    indexUrl: `${origin}/mirror/`,
    page: (project, form) => ({
      url: `${origin}/simple/${project}/${STATIC_FILES[form]}`,
      headers: FORM_HEADERS[form],
    }),
    stop,
  };
}

/** nginx with one worker and `proxy_cache` before the replay; one fetch for all who wait for it. */
export async function startNginxCache(context: SubjectContext): Promise<RunningSubject> {
  const { folder, replay } = context;
  const site = (port: number): string => `
  proxy_cache_path ${join(folder, 'store')} levels=1:2 keys_zone=z:50m max_size=50g inactive=1d use_temp_path=off;
  upstream replay { server ${new URL(replay.origin).host}; keepalive 32; }
  server {
    listen 127.0.0.1:${port} backlog=1024;
    location = / { return 204; }
    location / {
      proxy_pass http://replay;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache z;
      proxy_cache_key "$uri $http_accept $http_accept_encoding";
      proxy_cache_lock on;
      proxy_cache_lock_timeout 120s;
      proxy_cache_valid 200 1h;
    }
  }`;
  const { port, pid, stop } = await startNginx(context, site);
  const indexUrl = `http://127.0.0.1:${port}/simple/`;
  return {
    name: 'nginx cache',
    pid,
    indexUrl,
    page: (project, form) => ({ url: `${indexUrl}${project}/`, headers: FORM_HEADERS[form] }),
    stop,
  };
}

async function startNginx(
  { children, tools, folder }: SubjectContext,
  site: (port: number) => string,
): Promise<{ port: number; pid: number; stop(): Promise<void> }> {
  if (tools.nginx === null) throw new Error('nginx is not here; --peers fetches it');
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const [configPath, logPath] = [join(folder, 'nginx.conf'), join(folder, 'nginx.log')];
  writeFileSync(configPath, configuration(folder, site(port)));
  const log = logFile(logPath);
  const args = ['-p', folder, '-c', configPath, '-e', 'stderr', '-g', 'daemon off;'];
  const child = children.start(tools.nginx, args, { stdio: ['ignore', log.fd, log.fd] });
  log.close();
  await untilItAnswers(child, `http://127.0.0.1:${port}`, logPath);
  return { port, pid: child.pid ?? 0, stop: () => children.stop(child) };
}

/** As fast as it goes: no access log, sendfile, and no waiting for full packets (40 ms a small page). */
function configuration(folder: string, site: string): string {
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `  ${kind}_temp_path ${join(folder, `temp-${kind}`)};`)
    .join('\n');
  return `${user}
worker_processes 1;
pid ${join(folder, 'nginx.pid')};
error_log stderr crit;
events { worker_connections 2048; }
http {
  access_log off;
  sendfile on;
  tcp_nopush off;
  tcp_nodelay on;
  keepalive_requests 100000000;
  keepalive_timeout 120s;
  default_type application/octet-stream;
  types { text/html html; application/vnd.pypi.simple.v1+json json; }
${temporary}
${site}
}
`;
}
