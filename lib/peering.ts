// Peering: what a server does with a resume of a session that another process holds. The address where clients reach a process is part of
// its name in the store, so that every record tells where its session is.
import { SessionError } from './errors.ts';

export interface PeeringOptions {
  readonly peering?: 'takeover' | 'redirect';
  readonly address?: string;
  readonly store?: unknown;
}

/** @returns where clients reach this server, where it sends them to others; else undefined. @throws SessionError ERR_INVALID_OPTION */
export function parsePeering(options: PeeringOptions, durability: string): string | undefined {
  const { peering = 'takeover', address } = options;
  if (peering !== 'takeover' && peering !== 'redirect') throw refused('peering', 'must be takeover or redirect');
  if (peering === 'takeover') return undefined;
  if (durability === 'memory' || options.store === undefined) throw refused('peering', "needs a store to be 'redirect'");
  if (typeof address !== 'string' || !/^[\x21-\x7e]{1,200}$/.test(address) || !/^\/|:\d+$/.test(address))
    throw refused('address', "must be 'host:port', or the path of a Unix socket, with peering 'redirect'");
  return address;
}

/** @param unique not used by any other process, and without @ */
export function ownerName(unique: string, address: string | undefined): string {
  return address === undefined ? unique : `${unique}@${address}`;
}

/** Where the process of this name is reached; undefined: it does not say. */
export function addressOf(owner: string): string | undefined {
  const at = owner.indexOf('@');
  return at < 0 ? undefined : owner.slice(at + 1);
}

function refused(name: string, what: string): SessionError {
  return new SessionError('ERR_INVALID_OPTION', `option ${name} ${what}`);
}
