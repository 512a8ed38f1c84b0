/** Reads a coupon's QR code with the camera; where there is none, says so and leaves the field to type in. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { scanned } from './code';
import { words } from './words';

type Read = (video: HTMLVideoElement) => Promise<string | null>;

interface Detector {
  detect(source: HTMLVideoElement): Promise<{ rawValue: string }[]>;
}

/** The browser's own reader where it has one, else ours, fetched only now. */
async function reader(): Promise<Read> {
  const Native = (globalThis as { BarcodeDetector?: new (options: { formats: string[] }) => Detector }).BarcodeDetector;
  if (Native) {
    const detector = new Native({ formats: ['qr_code'] });
    return async (video) => (await detector.detect(video))[0]?.rawValue ?? null;
  }
  const { default: decodeQR } = await import('qr/decode.js');
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true })!;
  return async (video) => {
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    context.drawImage(video, 0, 0);
    try {
      return decodeQR(context.getImageData(0, 0, canvas.width, canvas.height));
    } catch {
      return null; // most pictures of a moving camera hold no readable code
    }
  };
}

export function Scanner({ found, refused }: { found: (code: string) => void; refused: () => void }) {
  const video = useRef<HTMLVideoElement>(null);
  const [seen, setSeen] = useState(false);

  useEffect(() => {
    let left = false;
    let stream: MediaStream | null = null;

    async function watch(): Promise<void> {
      const read = await reader();
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
      if (left) return stop();
      const screen = video.current!;
      screen.srcObject = stream;
      await screen.play();
      setSeen(true);
      while (!left) {
        await new Promise(requestAnimationFrame);
        const code = screen.videoWidth > 0 ? scanned((await read(screen)) ?? '') : null;
        if (code && !left) return found(code);
      }
    }

    function stop(): void {
      for (const track of stream?.getTracks() ?? []) track.stop();
    }

    watch().catch(() => {
      if (!left) refused();
    });
    return () => {
      left = true;
      stop();
    };
  }, []);

  return (
    <div class="scanner">
      <video ref={video} muted playsInline aria-hidden="true" />
      <p>{seen ? words.value.scanHint : words.value.sending}</p>
    </div>
  );
}
