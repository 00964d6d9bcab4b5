import { isIP, isIPv6 } from 'node:net';
import { z } from 'zod';
import type { ListenAddress } from './config.ts';

const LISTEN_PATTERN =
  /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)):(\d{1,5})$/;
const LISTEN_FORMS = 'host:port, such as 127.0.0.1:3141, 0.0.0.0:3141 or [::1]:3141';
const HOST_FORMS = 'a host name or address without scheme and port';
const HOST_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/;
const PEER_FORMS = 'loopback, an address or a CIDR block such as 10.0.0.0/8';

/** One `host:port`. */
export const listenSchema: z.ZodType<ListenAddress> = z
  .string({ error: LISTEN_FORMS })
  .regex(LISTEN_PATTERN, { error: LISTEN_FORMS })
  .transform((text, context) => {
    const [, v6, name, port] = LISTEN_PATTERN.exec(text) ?? [];
    const host = v6 ?? name ?? '';
    if (Number(port) > 65_535 || (v6 !== undefined && !isIPv6(v6))) {
      context.addIssue({ code: 'custom', message: LISTEN_FORMS });
    }
    return { host, port: Number(port) };
  });

/** One accepted `Host`, as it is compared: lower-case, IPv6 without brackets. */
export const allowedHostSchema: z.ZodType<string> = z
  .string({ error: HOST_FORMS })
  .transform((text) => text.replace(/^\[(.*)\]$/, '$1').toLowerCase())
  .refine((host) => HOST_PATTERN.test(host) || isIPv6(host), { error: HOST_FORMS });

/** One peer whose forwarded headers are believed. */
export const trustedPeerSchema: z.ZodType<string> = z
  .string({ error: PEER_FORMS })
  .refine(isPeer, { error: PEER_FORMS });

function isPeer(text: string): boolean {
  if (text === 'loopback') return true;
  const [, address = '', bits] = /^(.*?)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const family = isIP(address);
  return family !== 0 && (bits === undefined || Number(bits) <= (family === 4 ? 32 : 128));
}
