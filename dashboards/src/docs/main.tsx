/** The API as programmers read it: Swagger UI over the document that this server serves, from our own origin alone. */
import '../base.css';
import 'swagger-ui-dist/swagger-ui.css';
import './docs.css';
import { effect } from '@preact/signals';
import { render } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import SwaggerUI from 'swagger-ui-dist/swagger-ui-es-bundle.js';
import { bilingual } from '../language';
import { Bar } from '../shell';
import { theme } from '../theme';

const words = bilingual(
  { title: 'API', about: 'The API, its requests and answers' },
  { title: 'API', about: '接口及其请求与应答（说明为英文）' },
);

// Its own name for the dark theme, on the element where ours stands too.
effect(() => {
  document.documentElement.classList.toggle('dark-mode', theme.value === 'dark');
});

function Docs() {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    SwaggerUI({ domNode: place.current!, url: '/openapi.json', deepLinking: true, validatorUrl: null });
  }, []);
  document.title = `Sojourn · ${words.value.title}`;
  return (
    <>
      <Bar title={words.value.title} />
      <main class="docs" aria-label={words.value.about}>
        <div ref={place} lang="en" />
      </main>
    </>
  );
}

render(<Docs />, document.getElementById('page')!);
