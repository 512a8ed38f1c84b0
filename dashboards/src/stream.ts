/** One event stream for a page: open while the page is seen and the network is there, opened again when it breaks. */

/** connecting: not yet, or again; open: events may come; lost: broken, trying again; offline: no network; paused: not seen. */
export type Link = 'connecting' | 'open' | 'lost' | 'offline' | 'paused';

export interface Following {
  path: string;
  /** By event name; data is the parsed JSON. */
  hear: Record<string, (data: never) => void>;
  link: (link: Link) => void;
  /** The server refused the stream: whether asking again later makes sense. */
  worthRetrying: () => Promise<boolean>;
}

// A browser gives up on a stream that is answered with an error, so we come back by ourselves: soon, as a
// restart takes seconds, but not so often that every open page storms a server that is starting.
const RETRY_MS = 3_000;

/** Follows until the returned function is called. */
export function follow({ path, hear, link, worthRetrying }: Following): () => void {
  let source: EventSource | null = null;
  let retry = 0;

  function close(): void {
    clearTimeout(retry);
    source?.close();
    source = null;
  }

  function open(): void {
    close();
    if (document.hidden) return link('paused');
    if (!navigator.onLine) return link('offline');
    link('connecting');
    const opened = new EventSource(path);
    source = opened;
    opened.onopen = () => link('open');
    opened.onerror = () => {
      link('lost');
      if (opened.readyState === EventSource.CLOSED) void comeBack();
    };
    for (const [name, take] of Object.entries(hear)) {
      opened.addEventListener(name, (event) => take(JSON.parse((event as MessageEvent<string>).data) as never));
    }
  }

  async function comeBack(): Promise<void> {
    const refused = source;
    if ((await worthRetrying()) && source === refused) retry = setTimeout(open, RETRY_MS);
  }

  const left = new AbortController();
  const { signal } = left;
  document.addEventListener('visibilitychange', open, { signal });
  addEventListener('online', open, { signal });
  addEventListener('offline', open, { signal });
  addEventListener('pagehide', close, { signal });
  open();
  return () => {
    left.abort();
    close();
  };
}
