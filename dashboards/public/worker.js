/**
 * Shows notifications that come while the page is closed, and keeps the wallet page and the last wallet it showed,
 * so that both open without a network.
 *
 * The network comes first: what is kept is only shown when there is none, and says of when it is. Redeeming
 * needs the server anyway, so an old coupon shown here cannot be spent twice.
 */
const PAGE = '/wallet';
const SHELL = 'shell';
const MINE = 'mine';
/** What the server said of this member: the answers without which the page could not open. */
const ANSWERS = ['/v1/session?role=member', '/v1/wallet'];
const SIGN_OUT = '/v1/session';

self.addEventListener('install', (event) => {
  self.skipWaiting();
  event.waitUntil(keepPage());
});
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const { pathname, search } = new URL(request.url);
  if (request.method === 'DELETE' && pathname === SIGN_OUT) event.waitUntil(caches.delete(MINE));
  if (request.method !== 'GET') return;
  // One page for all languages, whatever follows its name in the address.
  if (pathname === PAGE) event.respondWith(keepPage().catch(() => known(SHELL, PAGE)));
  else if (ANSWERS.includes(pathname + search)) event.respondWith(newest(request, pathname + search));
  else if (pathname.startsWith('/assets/')) event.respondWith(known(SHELL, pathname).catch(() => fetch(request)));
});

self.addEventListener('push', (event) => event.waitUntil(announce(event.data?.json())));

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data.navigate));
});

/** Declarative Web Push, done by hand where the browser does not do it itself. */
async function announce({ notification: { title, navigate, data, ...options } }) {
  await self.registration.showNotification(title, { ...options, icon: '/icon.svg', data: { ...data, navigate } });
  const body = JSON.stringify({ coupon: data.coupon, channel: 'web_push' });
  // What was shown here need not be announced elsewhere; if that cannot be told, it is announced twice at worst.
  await fetch('/v1/wallet/shown', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body }).catch(() => {});
}

/** The wallet that is open already, or a new one. */
async function open(address) {
  const pages = await self.clients.matchAll({ type: 'window' });
  const wallet = pages.find((page) => new URL(page.url).pathname === PAGE);
  await (wallet ? wallet.focus() : self.clients.openWindow(address));
}

/** The page as it is now, kept together with the files it names; files of earlier builds are let go. */
async function keepPage() {
  const page = await fetch(PAGE);
  if (!page.ok) return page;
  const shell = await caches.open(SHELL);
  const named = [...(await page.clone().text()).matchAll(/\/assets\/[^"]+/g)].map(([file]) => file);
  for (const { url } of await shell.keys()) {
    const { pathname } = new URL(url);
    if (pathname !== PAGE && !named.includes(pathname)) await shell.delete(pathname);
  }
  // A file's name changes with its content, so one that is kept is never out of date.
  await Promise.all(named.map(async (file) => (await shell.match(file)) ?? shell.add(file)));
  await shell.put(PAGE, page.clone());
  return page;
}

async function newest(request, key) {
  const mine = await caches.open(MINE);
  try {
    const answer = await fetch(request);
    // No longer signed in is no longer shown, network or not.
    await (answer.ok ? mine.put(key, answer.clone()) : mine.delete(key));
    return answer;
  } catch {
    return known(MINE, key);
  }
}

async function known(cache, key) {
  const kept = await (await caches.open(cache)).match(key);
  if (!kept) throw new Error(`nothing kept of ${key}`);
  return kept;
}
