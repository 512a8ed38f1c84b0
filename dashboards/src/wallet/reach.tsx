/** How we reach the member: the order in which ways are tried, and where messages go. */
import { useEffect, useState } from 'preact/hooks';
import type { Consent, Ways } from '../contract';
import { Cross, Rise } from '../icons';
import { addAddress, dropAddress, readWays, tryFirst, ways } from './ways';
import { words } from './words';

function Order({ known, allowed }: { known: Ways; allowed: (channel: string) => boolean }) {
  const [failed, setFailed] = useState(false);
  const say = words.value;

  async function up(row: number): Promise<void> {
    const order = [...known.order];
    order.splice(row - 1, 0, ...order.splice(row, 1));
    setFailed(!(await tryFirst(order)));
  }

  function standing(channel: string): string {
    if (!allowed(channel)) return say.wayOff;
    return known.reachable.includes(channel) ? say.wayOn : say.wayNoAddress;
  }

  return (
    <>
      <ol class="order">
        {known.order.map((channel, row) => {
          const { name } = say.purposes[channel] ?? { name: channel };
          return (
            <li key={channel}>
              <span>
                <strong>{name}</strong> <span class="hint">{standing(channel)}</span>
              </span>
              {row > 0 && (
                <button class="small" type="button" aria-label={say.earlier(name)} title={say.earlier(name)} onClick={() => void up(row)}>
                  <Rise />
                </button>
              )}
            </li>
          );
        })}
      </ol>
      {failed && (
        <p class="notice bad" role="alert">
          {say.problems.failed}
        </p>
      )}
    </>
  );
}

function Addresses({ known, allowed }: { known: Ways; allowed: boolean }) {
  const [address, setAddress] = useState('');
  const [saved, setSaved] = useState<boolean | null>(null);
  const say = words.value;

  async function save(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const done = await addAddress(address.trim());
    setSaved(done);
    if (done) setAddress('');
  }

  return (
    <>
      {known.addresses.length > 0 && (
        <ul class="addresses">
          {known.addresses.map((one) => (
            <li key={one.id}>
              <span>{one.address}</span>
              <button class="small" type="button" aria-label={say.forget(one.address)} title={say.forget(one.address)} onClick={() => void dropAddress(one.id)}>
                <Cross />
              </button>
            </li>
          ))}
        </ul>
      )}
      <form class="line" onSubmit={(event) => void save(event as unknown as SubmitEvent)}>
        <label for="address">{say.address}</label>
        <div>
          <input
            id="address"
            required
            pattern=".*\S.*"
            maxLength={200}
            autocomplete="tel"
            value={address}
            aria-describedby="address-hint"
            onInput={(event) => {
              setAddress(event.currentTarget.value);
              setSaved(null);
            }}
          />
          <button class="small" type="submit">
            {say.save}
          </button>
        </div>
        <p id="address-hint" class="hint" role="status">
          {saved === false ? say.problems.failed : saved && !allowed ? say.savedButOff : saved ? say.savedIt : say.addressHint}
        </p>
      </form>
    </>
  );
}

export function Reach({ consents }: { consents: readonly Consent[] }) {
  const known = ways.value;
  const allowed = (channel: string) => consents.some((one) => one.purpose === channel && one.granted);
  const say = words.value;

  useEffect(() => {
    void readWays();
  }, [consents]);

  if (!known || known.order.length < 2) return null;
  return (
    <section class="part card" aria-labelledby="reach">
      <h2 id="reach">{say.reach}</h2>
      <p class="hint">{say.reachHint}</p>
      <Order known={known} allowed={allowed} />
      {known.order.includes('messages') && <Addresses known={known} allowed={allowed('messages')} />}
    </section>
  );
}
