// TypeScript source as plain text, good enough to judge style: comments and strings blanked out, imports, and the length of functions.
// No parser: every function here keeps all offsets and line numbers, so that what it finds can be pointed at.

export interface Import {
  readonly specifier: string;
  readonly line: number;
  /** `export … from`. */
  readonly reExport: boolean;
}

export interface FunctionText {
  /** The line that opens the body. */
  readonly line: number;
  readonly lines: number;
}

/** Blanks out comments, and the inside of strings, templates and regular expressions. Newlines stay. */
export function strip(source: string): string {
  const out: string[] = [];
  let at = 0;
  // Depths of `{` at which a template's `${` was opened: the `}` that closes it goes on with the template.
  const templates: number[] = [];
  let depth = 0;
  const blank = (to: number): void => {
    out.push(source.slice(at, to).replace(/[^\n]/g, ' '));
    at = to;
  };
  const keep = (to: number): void => {
    out.push(source.slice(at, to));
    at = to;
  };
  while (at < source.length) {
    const char = source[at] as string;
    const two = source.slice(at, at + 2);
    if (two === '//') blank(endOf(source, '\n', at));
    else if (two === '/*') blank(Math.min(source.length, endOf(source, '*/', at + 2) + 2));
    else if (char === "'" || char === '"') {
      keep(at + 1);
      blank(closing(source, char, at));
      keep(at + 1);
    } else if (char === '`' || (char === '}' && templates.at(-1) === depth)) {
      if (char === '}') templates.pop();
      keep(at + 1);
      blank(templateEnd(source, at));
      if (source[at] === '$') templates.push(depth);
      keep(at + (source[at] === '$' ? 2 : 1));
    } else if (char === '/' && regexMayStart(out.join('').slice(-40))) {
      keep(at + 1);
      blank(regexEnd(source, at));
      keep(at + 1);
    } else {
      if (char === '{') depth += 1;
      if (char === '}') depth -= 1;
      keep(at + 1);
    }
  }
  return out.join('');
}

/** All static imports, re-exports and literal `import()` calls. */
export function importsOf(source: string): Import[] {
  const code = strip(source);
  const found: Import[] = [];
  // The stripped text tells where an import is, the source tells its specifier: blanks have the same length.
  const pattern = /\b(import|export)\b(?:[^'";()]*?\bfrom)?\s*\(?\s*(['"])( *)\2/g;
  for (const match of code.matchAll(pattern)) {
    const start = match.index + match[0].length - 1 - (match[3] as string).length;
    found.push({
      specifier: source.slice(start, start + (match[3] as string).length),
      line: lineAt(source, match.index),
      reExport: match[1] === 'export',
    });
  }
  return found;
}

/** Every function, method and block-bodied arrow function, nested ones too. */
export function functionsOf(code: string): FunctionText[] {
  const found: FunctionText[] = [];
  const open: { readonly line: number; readonly isFunction: boolean }[] = [];
  let line = 1;
  for (let at = 0; at < code.length; at++) {
    const char = code[at];
    if (char === '\n') line += 1;
    else if (char === '{') open.push({ line, isFunction: opensFunction(code, at) });
    else if (char === '}') {
      const block = open.pop();
      if (block?.isFunction === true) found.push({ line: block.line, lines: line - block.line + 1 });
    }
  }
  return found;
}

export function lineAt(source: string, index: number): number {
  return source.slice(0, index).split('\n').length;
}

/** True where the `{` at `at` begins the body of a function: behind `=>`, `)`, or `): Type`. */
function opensFunction(code: string, at: number): boolean {
  const head = code.slice(Math.max(0, at - 2000), at).trimEnd();
  if (head.endsWith('=>')) return true;
  const close = head.endsWith(')') ? head.length - 1 : returnTypeStart(head);
  if (close < 0) return false;
  const before = head.slice(0, openingOf(head, close)).trimEnd();
  const word = /([\w$#]+)\s*$/.exec(before.replace(/<[^<>()]*>$/, ''))?.[1] ?? '';
  return !['if', 'for', 'while', 'switch', 'catch', 'with', 'await'].includes(word);
}

/** Index of the `)` in front of a return type at the end of `head`, or -1. */
function returnTypeStart(head: string): number {
  for (let at = head.length - 1; at >= 0; at--) {
    const char = head[at] as string;
    // A brace that ends its line ends a block, not a type.
    if (char === '}' && head[at + 1] === '\n') return -1;
    if (')]}'.includes(char) || (char === '>' && head[at - 1] !== '=')) {
      at = openingOf(head, at);
      if (at < 0) return -1;
    } else if (char === ':') {
      const close = head.slice(0, at).trimEnd().length - 1;
      return head[close] === ')' ? close : -1;
    } else if (!/[\w$\s.|&>=?'"-]/.test(char)) {
      return -1;
    }
  }
  return -1;
}

/** Index of the bracket that the one at `close` closes, or -1. */
function openingOf(text: string, close: number): number {
  const pairs: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{', '>': '<' };
  const opener = pairs[text[close] as string] as string;
  let depth = 0;
  for (let at = close; at >= 0; at--) {
    if (text[at] === text[close] && !(text[at] === '>' && text[at - 1] === '=')) depth += 1;
    else if (text[at] === opener) depth -= 1;
    if (depth === 0) return at;
  }
  return -1;
}

function endOf(source: string, mark: string, from: number): number {
  const found = source.indexOf(mark, from);
  return found < 0 ? source.length : found;
}

function closing(source: string, quote: string, from: number): number {
  let at = from;
  while (at < source.length && source[at] !== quote) at += source[at] === '\\' ? 2 : 1;
  return Math.min(at, source.length);
}

function templateEnd(source: string, from: number): number {
  let at = from;
  while (at < source.length && source[at] !== '`' && source.slice(at, at + 2) !== '${') at += source[at] === '\\' ? 2 : 1;
  return Math.min(at, source.length);
}

/** A slash begins a regular expression where an operand may stand. */
function regexMayStart(before: string): boolean {
  const text = before.trimEnd();
  return text === '' || /[(,=:[!&|?{};+\-*%<>~^]$/.test(text) || /\b(return|typeof|case|in|of|delete|void|throw|new)$/.test(text);
}

function regexEnd(source: string, from: number): number {
  let at = from;
  let inClass = false;
  while (at < source.length && source[at] !== '\n' && (inClass || source[at] !== '/')) {
    if (source[at] === '[') inClass = true;
    if (source[at] === ']') inClass = false;
    at += source[at] === '\\' ? 2 : 1;
  }
  return Math.min(at, source.length);
}
