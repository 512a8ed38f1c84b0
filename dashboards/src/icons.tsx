/** Line drawings, 24 units square, in the colour of the text around them. */
import type { ComponentChildren } from 'preact';

function Drawing({ children, size = 20 }: { children: ComponentChildren; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true">
      {children}
    </svg>
  );
}

/** The mark: a way in, a loop that stays a while, a way out. */
export const Mark = ({ size = 28 }: { size?: number }) => (
  <svg class="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
    <path d="M2 25.5h9.6c6.4 0 11-4.4 11-9.8a6.6 6.6 0 0 0-13.2 0c0 5.4 4.6 9.8 11 9.8H30" />
    <circle cx="16" cy="15.6" r="2.3" />
  </svg>
);

export const Sun = () => (
  <Drawing>
    <circle cx="12" cy="12" r="4" />
    <path d="M12 3v2m0 14v2M3 12h2m14 0h2M5.6 5.6 7 7m10 10 1.4 1.4m0-12.8L17 7M7 17l-1.4 1.4" />
  </Drawing>
);
export const Moon = () => (
  <Drawing>
    <path d="M20 14.5A8 8 0 0 1 9.5 4 8 8 0 1 0 20 14.5Z" />
  </Drawing>
);
export const Door = () => (
  <Drawing>
    <path d="M14 4H6v16h8M10 12h10m-3.5-3.5L20 12l-3.5 3.5" />
  </Drawing>
);
export const Tick = ({ size = 20 }: { size?: number }) => (
  <Drawing size={size}>
    <path d="m4.5 12.5 5 5 10-11" />
  </Drawing>
);
export const Cross = ({ size = 20 }: { size?: number }) => (
  <Drawing size={size}>
    <path d="m6 6 12 12M18 6 6 18" />
  </Drawing>
);
export const Ticket = ({ size = 20 }: { size?: number }) => (
  <Drawing size={size}>
    <path d="M3 7.5h18v3a1.6 1.6 0 0 0 0 3.1v3H3v-3a1.6 1.6 0 0 0 0-3.1zM14.5 8v2m0 1.500v1m0 2v1.5" />
  </Drawing>
);
export const Camera = () => (
  <Drawing>
    <path d="M4 8V5.500A1.5 1.5 0 0 1 5.5 4H8m8 0h2.500A1.5 1.5 0 0 1 20 5.500V8m0 8v2.500a1.5 1.5 0 0 1-1.5 1.500H16m-8 0H5.500A1.5 1.5 0 0 1 4 18.500V16m3-4h10" />
  </Drawing>
);
export const Person = ({ size = 20 }: { size?: number }) => (
  <Drawing size={size}>
    <circle cx="12" cy="8" r="3.6" />
    <path d="M5 20c.6-4 3.400-6 7-6s6.400 2 7 6" />
  </Drawing>
);
export const Undo = () => (
  <Drawing>
    <path d="M8 5 4 9l4 4M4 9h10a5.5 5.5 0 0 1 0 11H8" />
  </Drawing>
);
export const Plus = () => (
  <Drawing>
    <path d="M12 5v14M5 12h14" />
  </Drawing>
);
export const Minus = () => (
  <Drawing>
    <path d="M5 12h14" />
  </Drawing>
);
export const Frame = () => (
  <Drawing>
    <path d="M4 9V4h5m6 0h5v5m0 6v5h-5m-6 0H4v-5" />
  </Drawing>
);
export const Place = ({ size = 20 }: { size?: number }) => (
  <Drawing size={size}>
    <path d="M12 21c4.5-5 6.5-8.4 6.5-11.200a6.5 6.5 0 0 0-13 0C5.5 12.6 7.5 16 12 21Z" />
    <circle cx="12" cy="9.8" r="2.3" />
  </Drawing>
);
export const Arrival = () => (
  <Drawing size={18}>
    <path d="M10 4h8v16h-8M4 12h10m-3.5-3.500L14 12l-3.5 3.5" />
  </Drawing>
);
export const Departure = () => (
  <Drawing size={18}>
    <path d="M14 4H6v16h8M10 12h10m-3.5-3.500L20 12l-3.5 3.5" />
  </Drawing>
);
export const Rise = () => (
  <Drawing size={18}>
    <path d="m5 15 7-7 7 7M12 8v12M5 4h14" />
  </Drawing>
);
