// Who made a token, as it stands in `createdBy`. A token that a person made approves its machine by itself; one that came
// with a boot was minted for a machine that is approved already, and approves nothing. Pure.
import type { BootSessionId } from '../boot-sessions/boot-session.ts';
import type { TokenRecord } from './enrollment-token.ts';

const BOOT_SESSION = 'boot session ';

/** The maker's name for a token that goes out with a boot session. No person's name may begin like it. */
export function bootSessionMaker(sessionId: BootSessionId): string {
  return `${BOOT_SESSION}${sessionId}`;
}

/** The boot session that a token went out with, or undefined for a token that a person made. */
export function bootSessionOf(token: Pick<TokenRecord, 'createdBy'>): BootSessionId | undefined {
  if (!token.createdBy.startsWith(BOOT_SESSION)) return undefined;
  return token.createdBy.slice(BOOT_SESSION.length) as BootSessionId;
}
