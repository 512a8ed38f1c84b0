/** A QR code as one path: always dark on white, whatever the theme, because scanners expect that. */
import encodeQR from 'qr';
import { useMemo } from 'preact/hooks';

// Cells of white around it, as the standard asks.
const QUIET = 4;

function path(text: string): { d: string; side: number } {
  const rows = encodeQR(text, 'raw', { ecc: 'medium', border: QUIET });
  const runs = rows.flatMap((row, y) =>
    row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : '')).filter(Boolean),
  );
  return { d: runs.join(''), side: rows.length };
}

export function Qr({ text, label }: { text: string; label: string }) {
  const { d, side } = useMemo(() => path(text), [text]);
  return (
    <svg class="qr" viewBox={`0 0 ${side} ${side}`} role="img" aria-label={label} shape-rendering="crispEdges">
      <rect width={side} height={side} fill="#fff" />
      <path d={d} fill="#0b1220" />
    </svg>
  );
}
