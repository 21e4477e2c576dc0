// TLS options for tests: certificates of test/fixtures in, options for servers and clients out. See test/fixtures/README.md.

import { readFileSync } from 'node:fs';
import type { ConnectionOptions, TlsOptions } from 'node:tls';

function pem(name: string): Buffer {
  return readFileSync(new URL(`../fixtures/${name}.pem`, import.meta.url));
}

const ca: Buffer = pem('ca-cert');

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

/** A server for `localhost` and `elsewhere.test`. It asks for a client certificate where `clientCertificates` is set, and needs a good one. */
export function serverTls(version: TlsVersion = 'TLSv1.3', clientCertificates = false): TlsOptions {
  const own = { key: pem('server-key'), cert: pem('server-cert') };
  const wanted = clientCertificates ? { ca, requestCert: true, rejectUnauthorized: true } : {};
  return { ...own, ...wanted, minVersion: version, maxVersion: version };
}

/** A client that trusts the test CA and dials `servername`, with a certificate where one is named. */
export function clientTls(identity?: 'client' | 'other-client', servername = 'localhost'): ConnectionOptions {
  const own = identity === undefined ? {} : { key: pem(`${identity}-key`), cert: pem(`${identity}-cert`) };
  return { ca, servername, ...own };
}
