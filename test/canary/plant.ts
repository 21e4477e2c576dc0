// Applies the edits of a planted bug to the texts of lib, and insists that each finds its place.

import type { Canary } from './canaries.ts';

/**
 * @param read the text of a file of the repository
 * @returns the edited files. @throws Error where a text is not there exactly once: then lib has moved on, and the table has to follow
 */
export function plant(canary: Canary, read: (file: string) => string): Map<string, string> {
  const edited = new Map<string, string>();
  for (const { file, find, replace } of canary.edits) {
    const source = edited.get(file) ?? read(file);
    const parts = source.split(find);
    if (parts.length !== 2) throw new Error(`canary '${canary.name}': ${parts.length - 1} places in ${file} for:\n${find}`);
    edited.set(file, parts.join(replace));
  }
  return edited;
}
