// How characters look (SGR, ECMA-48 §8.3.117 and what became of it). In: the parameters of SGR sequences. Out: one sequence that sets the
// same look again.

/** What an attribute shares its place with: a later one of the same place replaces it. */
type Place =
  | 'weight'
  | 'faint'
  | 'italic'
  | 'underline'
  | 'blink'
  | 'inverse'
  | 'hidden'
  | 'strike'
  | 'overline'
  | 'front'
  | 'back'
  | 'line';

const ON: Readonly<Record<number, Place>> = {
  1: 'weight',
  2: 'faint',
  3: 'italic',
  4: 'underline',
  5: 'blink',
  6: 'blink',
  7: 'inverse',
  8: 'hidden',
  9: 'strike',
  21: 'underline',
  53: 'overline',
};

const OFF: Readonly<Record<number, readonly Place[]>> = {
  22: ['weight', 'faint'],
  23: ['italic'],
  24: ['underline'],
  25: ['blink'],
  27: ['inverse'],
  28: ['hidden'],
  29: ['strike'],
  39: ['front'],
  49: ['back'],
  55: ['overline'],
  59: ['line'],
};

const EXTENDED: Readonly<Record<number, Place>> = { 38: 'front', 48: 'back', 58: 'line' };

export class Style {
  #places = new Map<Place, string>();
  #text = '';
  #back = '';

  /** The parameters that set this look, behind a reset; empty: the plain look. */
  get text(): string {
    return this.#text;
  }

  /** The same for what erasing leaves behind: the background alone. */
  get back(): string {
    return this.#back;
  }

  copy(): Style {
    const other = new Style();
    other.#places = new Map(this.#places);
    other.#settle();
    return other;
  }

  /** @param parameters As they stand between the semicolons; sub-parameters with their colons. */
  apply(parameters: readonly string[]): void {
    for (let at = 0; at < parameters.length; at++) {
      const parameter = parameters[at] as string;
      const code = Number.parseInt(parameter, 10) || 0;
      const extended = EXTENDED[code];
      if (code === 0) this.#places.clear();
      else if (extended !== undefined) at += this.#extended(extended, parameters.slice(at));
      else this.#simple(code, parameter);
    }
    this.#settle();
  }

  /** @returns how many parameters behind the first belong to it. */
  #extended(place: Place, parameters: readonly string[]): number {
    const [first = '', kind] = parameters;
    if (first.includes(':')) {
      this.#places.set(place, first);
      return 0;
    }
    const count = kind === '5' ? 2 : kind === '2' ? 4 : parameters.length - 1;
    if (parameters.length > count && (kind === '5' || kind === '2')) this.#places.set(place, parameters.slice(0, count + 1).join(';'));
    return count;
  }

  #simple(code: number, parameter: string): void {
    const on = ON[code];
    if (parameter === '4:0') this.#places.delete('underline');
    else if (on !== undefined) this.#places.set(on, parameter);
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) this.#places.set('front', parameter);
    else if ((code >= 40 && code <= 47) || (code >= 100 && code <= 107)) this.#places.set('back', parameter);
    else for (const place of OFF[code] ?? []) this.#places.delete(place);
  }

  #settle(): void {
    this.#text = [...this.#places.values()].join(';');
    this.#back = this.#places.get('back') ?? '';
  }
}

/** The sequence that sets a look, whatever was set before. */
export function sgr(text: string): string {
  return `\u001b[0${text === '' ? '' : `;${text}`}m`;
}
