/** The codes by which new members join, and what came of those who did. */
import { useEffect, useState } from 'preact/hooks';
import type { Credit, InvitationLink } from '../contract';
import { count, date, money } from '../format';
import { Qr } from '../qr';
import { credit, links, makeLink, readLinks, refused, revoke } from './people';
import { words } from './words';

const name = (clerk: string) => clerk || words.value.shopItself;

function Copy({ url }: { url: string }) {
  const [copied, setCopied] = useState(false);
  return (
    <button class="small" type="button" onClick={() => void navigator.clipboard.writeText(url).then(() => setCopied(true))}>
      {copied ? words.value.copied : words.value.copy}
    </button>
  );
}

function Revoke({ link }: { link: InvitationLink }) {
  const [sure, setSure] = useState(false);
  const say = words.value;
  if (!sure)
    return (
      <button class="small" type="button" onClick={() => setSure(true)}>
        {say.revoke}
      </button>
    );
  return (
    <span class="sure" role="alert">
      {say.revokeSure}
      <button class="small bad" type="button" onClick={() => void revoke(link.id)}>
        {say.revoke}
      </button>
      <button class="small" type="button" onClick={() => setSure(false)}>
        {say.keep}
      </button>
    </span>
  );
}

function Row({ link }: { link: InvitationLink }) {
  const [open, setOpen] = useState(false);
  const say = words.value;
  return (
    <li class="link">
      <p>
        <strong>{name(link.clerk)}</strong> <span class="hint">{say.made(date(link.made_ms))}</span>
      </p>
      {open && (
        <figure>
          <Qr text={link.url} label={say.linkQr(name(link.clerk))} />
          <figcaption class="hint">{say.scanToJoin}</figcaption>
        </figure>
      )}
      <div class="link-acts">
        <button class="small" type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? say.hideCode : say.showCode}
        </button>
        {/* A browser lets a page write to the clipboard only where it is served securely. */}
        {navigator.clipboard && <Copy url={link.url} />}
        <Revoke link={link} />
      </div>
    </li>
  );
}

function Counted({ counted }: { counted: Credit }) {
  const say = words.value;
  if (counted.lines.length === 0) return null;
  const hidden = counted.lines.some((line) => line.coupons === null);
  return (
    <>
      <h3>{say.thisMonth}</h3>
      <ul>
        {counted.lines.map((line) => (
          <li key={`${line.category} ${line.clerk}`} class="link">
            <strong>{name(line.clerk)}</strong>
            <p class="hint">
              {say.joined(count(line.joined))}
              {' · '}
              {line.coupons === null
                ? say.withheld(counted.k)
                : say.came(count(line.coupons), count(line.redeemed ?? 0), money(line.amount_minor ?? 0))}
            </p>
          </li>
        ))}
      </ul>
      {hidden && <p class="hint">{say.withheldHint(counted.k)}</p>}
      <a class="csv" href={`/v1/credit.csv?month=${counted.month}`} download>
        {say.creditCsv}
      </a>
    </>
  );
}

export function Bringing() {
  const [busy, setBusy] = useState(false);
  const [clerk, setClerk] = useState('');
  const say = words.value;
  const known = links.value;

  useEffect(() => {
    void readLinks();
  }, []);

  async function make(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    setBusy(true);
    if (await makeLink(clerk.trim())) setClerk('');
    setBusy(false);
  }

  return (
    <details class="bringing card">
      <summary>{say.bringing}</summary>
      <p class="hint">{say.bringingHint}</p>
      <form onSubmit={(event) => void make(event as unknown as SubmitEvent)}>
        <label for="clerk">{say.clerk}</label>
        <input
          id="clerk"
          value={clerk}
          maxLength={48}
          autocomplete="off"
          aria-describedby="clerk-hint"
          onInput={(event) => setClerk(event.currentTarget.value)}
        />
        <p id="clerk-hint" class="hint">
          {say.clerkHint}
        </p>
        <button class="primary" type="submit" disabled={busy}>
          {busy ? say.making : say.makeLink}
        </button>
      </form>
      {refused.value && (
        <p class="notice bad" role="alert">
          {say.problems[refused.value.kind] ?? refused.value.title}
        </p>
      )}
      {known?.length === 0 && <p class="hint">{say.noLinks}</p>}
      <ul>
        {known?.map((link) => (
          <Row key={link.id} link={link} />
        ))}
      </ul>
      {credit.value && <Counted counted={credit.value} />}
    </details>
  );
}
