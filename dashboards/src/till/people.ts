/** Members this shop brings: its links, who of them has just come in, and what came of it. */
import { signal } from '@preact/signals';
import type { Arrival, Credit, InvitationLink } from '../contract';
import { ask, type Problem } from '../http';

export const arrivals = signal<readonly Arrival[]>([]);
/** Null until the server has told. */
export const links = signal<readonly InvitationLink[] | null>(null);
export const credit = signal<Credit | null>(null);
/** Why the last wish was refused. */
export const refused = signal<Problem | null>(null);

// Somebody who comes in needs minutes to reach the shop.
const LOOK_EVERY_MS = 15_000;

async function look(): Promise<void> {
  if (document.hidden) return;
  const answer = await ask('get', '/v1/arrivals', {});
  if (answer.ok) arrivals.value = answer.body;
}

/** Looks who has come in, now and then, until the returned function is called. */
export function watchArrivals(): () => void {
  void look();
  const watch = setInterval(() => void look(), LOOK_EVERY_MS);
  return () => clearInterval(watch);
}

export async function readLinks(): Promise<void> {
  const [known, counted] = await Promise.all([ask('get', '/v1/invitations', {}), ask('get', '/v1/credit', {})]);
  if (known.ok) links.value = known.body.filter((link) => link.revoked_ms === null);
  if (counted.ok) credit.value = counted.body;
}

/** Whether it was made. */
export async function makeLink(clerk: string): Promise<boolean> {
  const answer = await ask('post', '/v1/invitations', { body: { clerk } });
  refused.value = answer.ok ? null : answer.problem;
  if (answer.ok) await readLinks();
  return answer.ok;
}

export async function revoke(invitation: string): Promise<void> {
  const answer = await ask('delete', '/v1/invitations/{invitation}', { parts: { invitation } });
  refused.value = answer.ok ? null : answer.problem;
  await readLinks();
}
