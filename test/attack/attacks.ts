// All attacks, in the order of the table.

import type { Attack } from './attack.ts';
import { handshakeAttacks } from './attacks/handshake.ts';
import { resumeAttacks } from './attacks/resume.ts';
import { sessionAttacks } from './attacks/session.ts';

export const attacks: readonly Attack[] = [...handshakeAttacks, ...resumeAttacks, ...sessionAttacks];
