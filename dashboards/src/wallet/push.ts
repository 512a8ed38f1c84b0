/** Notifications on this phone: asked for by a tap, given to the server as a subscription, taken back as easily. */
import { ask } from '../http';

export type PushProblem = 'unsupported' | 'denied' | 'failed';

function bytes(base64url: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64url.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/** Why it did not work, or null. Phones of Apple can only once the wallet is on the home screen. */
export async function subscribe(): Promise<PushProblem | null> {
  if (!('serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window)) return 'unsupported';
  // First of all: a browser asks the member only while it still sees the tap.
  if ((await Notification.requestPermission()) !== 'granted') return 'denied';
  const ways = await ask('get', '/v1/wallet/channels', {});
  if (!ways.ok) return 'failed';
  try {
    const worker = await navigator.serviceWorker.ready;
    const options = { userVisibleOnly: true, applicationServerKey: bytes(ways.body.push_key) };
    const { endpoint = '', keys = {} } = (await worker.pushManager.subscribe(options)).toJSON();
    const body = { channel: 'web_push', endpoint, keys: { p256dh: keys['p256dh'] ?? '', auth: keys['auth'] ?? '' } } as const;
    const answer = await ask('post', '/v1/wallet/subscriptions', { body });
    return answer.ok ? null : 'failed';
  } catch {
    return 'failed';
  }
}

/** This browser's part; that nothing is sent any more is the consent's. */
export async function unsubscribe(): Promise<void> {
  if (!('serviceWorker' in navigator && 'PushManager' in window)) return;
  const worker = await navigator.serviceWorker.getRegistration();
  await (await worker?.pushManager.getSubscription())?.unsubscribe();
}
