/** What nginx is to be told; texts without a file behind them. */
export interface NginxOptions {
  /** Absolute path of the static mirror. */
  readonly mirrorDir: string;
  /** `listen` of nginx: a port, or an address with a port. */
  readonly listen: string;
  /** The name that clients use; `_` for any. */
  readonly serverName: string;
  /** Only what stands inside `http { }`: for a file below `conf.d`. */
  readonly isSnippet: boolean;
}

/** Where nginx reaches the server, and under which internal path it finds the mirror. */
export interface NginxProxyOptions extends NginxOptions {
  /** `127.0.0.1:3141`, or `unix:/path:`. */
  readonly upstream: string;
  /** With `/` at both ends. */
  readonly accelRedirect: string;
}

/**
 * nginx in front of a server: pages and what is being fetched come from it; of held files it tells the
 * place, and nginx sends the bytes.
 */
export function proxyText(options: NginxProxyOptions): string {
  const { upstream, listen, serverName, accelRedirect, isSnippet } = options;
  const mirror = quoted(`${options.mirrorDir}/`);
  return wrapped(
    isSnippet,
    `upstream wheelcellar {
    server ${upstream};
    keepalive 32;
}

server {
    listen ${listen};
    server_name ${serverName};
    proxy_http_version 1.1;
    # Bytes leave as they come, and a broken transfer stays broken for the client.
    proxy_buffering off;
    proxy_next_upstream off;
    proxy_read_timeout 120s;

    location / {
        proxy_pass http://wheelcellar;
        proxy_set_header Connection "";
        # Must be among allowed_hosts if it is not a name of the machine itself.
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
        # Says that the place of a held file will do; needs accel_redirect: ${accelRedirect}
        proxy_set_header X-Sendfile-Type X-Accel-Redirect;
    }

    # Never reached from outside: only Wheelcellar says which files may be read.
    location ${accelRedirect} {
        internal;
        alias ${mirror};
        disable_symlinks on from=${mirror};
        sendfile on;
        max_ranges 1;
        etag off;
        if_modified_since off;
        add_header Last-Modified "";
        add_header ETag $upstream_http_etag;
        add_header Cache-Status $upstream_http_cache_status;
        add_header X-Content-Type-Options nosniff;
        # Gone in this instant, or not readable by nginx: then the server sends it.
        error_page 403 404 = @wheelcellar_bytes;
    }

    location @wheelcellar_bytes {
        proxy_pass http://wheelcellar$request_uri;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
    }
}
`,
  );
}

/** nginx alone: what is held, with no server running. */
export function staticText(options: NginxOptions): string {
  const { listen, serverName, isSnippet } = options;
  const root = quoted(options.mirrorDir);
  return wrapped(
    isSnippet,
    `# JSON for those who ask for it, as installers do; HTML for all others.
map $http_accept $wheelcellar_page {
    default index.html;
    "~application/vnd\\.pypi\\.simple\\.(?:v1|latest)\\+json(?!\\s*;\\s*q=0(?:\\.0*)?\\s*(?:,|$))" index.json;
}

server {
    listen ${listen};
    server_name ${serverName};
    root ${root};
    disable_symlinks on from=$document_root;
    absolute_redirect off;
    autoindex off;
    gzip_static off;
    sendfile on;
    max_ranges 1;
    index $wheelcellar_page;
    # Names come from the locations below, never from what a file is called.
    types { }
    default_type application/octet-stream;
    error_page 403 = @missing;
    rewrite ^/simple/(.*)$ /$1;

    location = /simple {
        return 301 /simple/;
    }

    location ~ ^(?:/[^/]+)?/index\\.html$ {
        default_type text/html;
        charset utf-8;
        gzip on;
        add_header Vary "Accept, Accept-Encoding";
        add_header Cache-Control "max-age=0, must-revalidate";
        add_header X-Content-Type-Options nosniff;
        add_header Content-Security-Policy "default-src 'none'; sandbox";
    }

    location ~ ^(?:/[^/]+)?/index\\.json$ {
        default_type application/vnd.pypi.simple.v1+json;
        gzip on;
        gzip_types application/vnd.pypi.simple.v1+json;
        add_header Vary "Accept, Accept-Encoding";
        add_header Cache-Control "max-age=0, must-revalidate";
        add_header X-Content-Type-Options nosniff;
    }

    location ~ ^/packages/.+\\.metadata$ {
        default_type text/plain;
        charset utf-8;
        charset_types text/plain;
        add_header Cache-Control "public, max-age=31536000, immutable";
        add_header X-Content-Type-Options nosniff;
    }

    location /packages/ {
        add_header Cache-Control "public, max-age=31536000, immutable";
        add_header X-Content-Type-Options nosniff;
    }

    location @missing {
        return 404;
    }
}
`,
  );
}

/** The whole of a configuration around the part for `http { }`. */
function wrapped(isSnippet: boolean, http: string): string {
  if (isSnippet) return http;
  const indented = http.trimEnd().replace(/^(?=.)/gm, '    ');
  return `worker_processes auto;

events {
    worker_connections 1024;
}

http {
${indented}
}
`;
}

/** A path as one word of nginx's language. */
function quoted(path: string): string {
  return `"${path.replace(/["\\]/g, '\\$&')}"`;
}
