/** Small drawings of the three pages, without words. */

export const LivePicture = () => (
  <svg viewBox="0 0 240 120" aria-hidden="true">
    <defs>
      <radialGradient id="warm">
        <stop offset="0" stop-color="#fee838" />
        <stop offset=".45" stop-color="#c3b369" stop-opacity=".85" />
        <stop offset="1" stop-color="#3b496c" stop-opacity="0" />
      </radialGradient>
    </defs>
    <rect width="240" height="120" fill="#0d1730" />
    <circle cx="70" cy="42" r="46" fill="url(#warm)" />
    <circle cx="168" cy="80" r="38" fill="url(#warm)" />
    <circle cx="204" cy="30" r="22" fill="url(#warm)" opacity=".7" />
    <path
      d="M16 14h208v92H16zM16 50h208M16 70h208M62 14v36M104 14v36M150 14v36M52 70v36M120 70v36M188 70v36"
      fill="none"
      stroke="#8fa3cc"
      stroke-opacity=".55"
      stroke-width="1.5"
    />
  </svg>
);

export const WalletPicture = () => (
  <svg viewBox="0 0 240 120" aria-hidden="true">
    <rect width="240" height="120" fill="#e9c95a" />
    <g transform="rotate(-6 120 66)">
      <rect x="62" y="20" width="116" height="130" rx="12" fill="#17386f" />
      <rect x="76" y="36" width="62" height="9" rx="4.5" fill="#fff" />
      <rect x="76" y="52" width="40" height="6" rx="3" fill="#9fb4dd" />
      <path d="M62 76h116" stroke="#e9c95a" stroke-width="2.5" stroke-dasharray="1 6" stroke-linecap="round" />
      <circle cx="62" cy="76" r="7" fill="#e9c95a" />
      <circle cx="178" cy="76" r="7" fill="#e9c95a" />
      <rect x="96" y="88" width="48" height="48" rx="5" fill="#fff" />
      <path d="M102 94h12v12h-12zM126 94h12v12h-12zM119 98h3v8h-3zM119 110h8v4h-8zM131 110h7v5h-7z" fill="#17386f" />
    </g>
  </svg>
);

export const TillPicture = () => (
  <svg viewBox="0 0 240 120" aria-hidden="true">
    <rect width="240" height="120" fill="#176b3c" />
    <circle cx="120" cy="60" r="36" fill="none" stroke="#bfe6cd" stroke-width="3" />
    <path d="m103 61 12 12 23-26" fill="none" stroke="#fff" stroke-width="6" stroke-linecap="round" stroke-linejoin="round" />
  </svg>
);
