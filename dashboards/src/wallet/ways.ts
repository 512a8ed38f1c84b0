/** How the member can be reached: in which order, and where messages go. */
import { signal } from '@preact/signals';
import type { Ways } from '../contract';
import { ask } from '../http';

/** Null until the server has told. */
export const ways = signal<Ways | null>(null);

export async function readWays(): Promise<void> {
  const answer = await ask('get', '/v1/wallet/channels', {});
  if (answer.ok) ways.value = answer.body;
}

type Channel = 'inbox' | 'web_push' | 'messages';

/** Whether it was saved. */
export async function tryFirst(order: readonly string[]): Promise<boolean> {
  const answer = await ask('put', '/v1/wallet/channels', { body: { order: order as Channel[] } });
  if (answer.ok) ways.value = answer.body;
  return answer.ok;
}

export async function addAddress(address: string): Promise<boolean> {
  const answer = await ask('post', '/v1/wallet/subscriptions', { body: { channel: 'messages', endpoint: address } });
  if (answer.ok) await readWays();
  return answer.ok;
}

export async function dropAddress(subscription: string): Promise<void> {
  await ask('delete', '/v1/wallet/subscriptions/{subscription}', { parts: { subscription } });
  await readWays();
}
