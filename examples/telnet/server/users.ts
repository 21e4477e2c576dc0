// Who may log in. In: a JSON file that `npm run telnet -- adduser` writes, or users made up for one run. Out: whether a name and a password
// belong together. The system's own accounts have no part in it: no login(1), no PAM, no /etc/shadow.

import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { Passwords } from './password.ts';

export interface User {
  readonly name: string;
  /** A PHC string, see password.ts. */
  readonly password: string;
  /** System account that the shell runs as where the server is root. Default: the server's `runAs`. */
  readonly runAs?: string;
  /** Runs this instead of a shell; words, no shell syntax. */
  readonly command?: readonly string[];
}

/** What may stand before the `+` of a login. No name can begin with a dash, so none can be an option of anything. */
export const USER_NAME: RegExp = /^[a-z_][a-z0-9_-]{0,31}$/;

export class Users {
  readonly #passwords: Passwords;
  readonly #users: Map<string, User> = new Map();
  readonly #path: string | null;
  #saving: Promise<void> = Promise.resolve();

  /** @param path of the file; null: these users live as long as this process */
  constructor(passwords: Passwords, path: string | null = null) {
    this.#passwords = passwords;
    this.#path = path;
  }

  /** @throws Error where the file is there and is no user file */
  static async load(passwords: Passwords, path: string): Promise<Users> {
    const users = new Users(passwords, path);
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return users;
      throw error;
    }
    for (const user of parseUsers(text, path)) users.#users.set(user.name, user);
    return users;
  }

  get size(): number {
    return this.#users.size;
  }

  /** Adds a user, or changes the one of that name, and saves. */
  async add(name: string, password: string, more: Pick<User, 'runAs' | 'command'> = {}): Promise<void> {
    if (!USER_NAME.test(name)) throw new Error(`'${name}' cannot be a user's name: small letters, digits, _ and -, a letter first`);
    if (password.length < 8) throw new Error('a password has 8 characters or more');
    this.#users.set(name, { name, password: await this.#passwords.hash(password), ...more });
    await this.#save();
  }

  /** Takes as long for a name that nobody has as for a wrong password. */
  async check(name: string, password: string): Promise<User | null> {
    const user = this.#users.get(name) ?? null;
    if (!(await this.#passwords.verify(password, user?.password ?? null)) || user === null) return null;
    // A file that cannot be written keeps nobody out.
    if (this.#passwords.isStale(user.password)) await this.#rehash(user, password).catch(() => {});
    return user;
  }

  async #rehash(user: User, password: string): Promise<void> {
    const hash = await this.#passwords.hash(password);
    if (this.#users.get(user.name) !== user) return;
    this.#users.set(user.name, { ...user, password: hash });
    await this.#save();
  }

  /** One write after the other; each replaces the file as a whole. */
  #save(): Promise<void> {
    const path = this.#path;
    if (path === null) return Promise.resolve();
    const text = `${JSON.stringify({ users: [...this.#users.values()] }, null, 2)}\n`;
    const saved = this.#saving.then(async () => {
      const draft = `${path}.${process.pid}.new`;
      await rm(draft, { force: true });
      await writeFile(draft, text, { mode: 0o600, flag: 'wx' });
      await rename(draft, path);
    });
    this.#saving = saved.catch(() => {});
    return saved;
  }
}

function parseUsers(text: string, path: string): User[] {
  const wrong = (what: string): Error => new Error(`${path}: ${what}`);
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${path}: no JSON`, { cause });
  }
  const list = (file as { readonly users?: unknown } | null)?.users;
  if (!Array.isArray(list)) throw wrong('no list of users');
  return list.map((entry: Partial<User> | null) => {
    const name = entry?.name;
    if (typeof name !== 'string' || !USER_NAME.test(name)) throw wrong(`'${String(name)}' cannot be a user's name`);
    const { password, runAs, command } = entry as Partial<User>;
    if (typeof password !== 'string') throw wrong(`${name} has no password`);
    if (runAs !== undefined && typeof runAs !== 'string') throw wrong(`runAs of ${name} is no name`);
    const isCommand = Array.isArray(command) && command.length > 0 && command.every((word) => typeof word === 'string');
    if (command !== undefined && !isCommand) throw wrong(`command of ${name} is no list of words`);
    return { name, password, ...(runAs === undefined ? {} : { runAs }), ...(command === undefined ? {} : { command }) };
  });
}
