// The system account that a shell runs as, and its environment. In: /etc/passwd, and what the client was allowed to tell. Out: program,
// words, directory and variables of the child. The environment begins empty: nothing of the server's own gets in to it, and of the
// client's only what host.ts let through.

import { accessSync, constants, readFileSync, statSync } from 'node:fs';

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

/** What spawn() is told. */
export interface Launch {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly directory: string;
  /** null: as the server itself. */
  readonly identity: { readonly uid: number; readonly gid: number } | null;
}

const PATH = '/usr/local/bin:/usr/bin:/bin';
const SHELLS: readonly string[] = ['/bin/bash', '/bin/sh'];

/** @throws Error where there is no such account */
export function accountNamed(name: string, passwd: string = readFileSync('/etc/passwd', 'utf8')): Account {
  const account = accounts(passwd).find((one) => one.name === name);
  if (account === undefined) throw new Error(`this system has no account '${name}'`);
  return account;
}

/** Whose process this is. A number that /etc/passwd does not know has no home. */
export function ownAccount(passwd: string = readFileSync('/etc/passwd', 'utf8')): Account {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  return accounts(passwd).find((one) => one.uid === uid) ?? { name: String(uid), uid, gid, home: '/', shell: '' };
}

/**
 * @param account that the child is to run as
 * @param command instead of a login shell
 * @throws Error where this process is root and the account is too (nobody gets a root shell over telnet), and where it cannot be had
 */
export function launchOf(
  account: Account,
  terminal: string,
  variables: ReadonlyMap<string, string>,
  command: readonly string[] | undefined,
  own: Account = ownAccount(),
): Launch {
  if (account.uid === 0 && own.uid === 0) throw new Error('a shell is not run as root');
  if (account.uid !== own.uid && own.uid !== 0) throw new Error(`only a server that is root can run a shell as ${account.name}`);
  const shell = [account.shell, ...SHELLS].find(isShell) ?? '/bin/sh';
  const home = isDirectory(account.home) ? account.home : '/';
  return {
    command: command ?? [shell, '-l'],
    environment: {
      LANG: 'C.UTF-8',
      ...Object.fromEntries(variables),
      HOME: home,
      LOGNAME: account.name,
      PATH,
      SHELL: shell,
      TERM: terminal,
      USER: account.name,
    },
    directory: home,
    identity: account.uid === own.uid ? null : { uid: account.uid, gid: account.gid },
  };
}

function accounts(passwd: string): Account[] {
  return passwd.split('\n').flatMap((line) => {
    const [name, , uid, gid, , home, shell] = line.split(':');
    if (name === undefined || shell === undefined) return [];
    return [{ name, uid: Number(uid), gid: Number(gid), home: home as string, shell }];
  });
}

/** `nologin` and `false` are how a system says that an account has no shell; here the user database says who may log in. */
function isShell(path: string): boolean {
  if (!/^\/[\w./-]+$/.test(path) || /\/(nologin|false)$/.test(path)) return false;
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
