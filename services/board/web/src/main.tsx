// The board's page. Reads the address, asks who is there, and shows what both allow.

import { render } from 'preact';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import * as api from './api';
import type { Me } from './contract';
import { BoardPage } from './pages/board';
import { SignInPage } from './pages/sign_in';
import { WorklistPage } from './pages/worklist';
import { Fault, Frame } from './parts/frame';
import { HereContext } from './parts/place';
import { HOME, linkTo, type Place, placeOf } from './url';
import './style/board.scss';

function Board() {
  const [place, setPlace] = useState(() => placeOf(new URL(window.location.href)));
  const [me, setMe] = useState<Me | null>(null);
  const [error, setError] = useState<string | null>(null);
  const moved = useRef(false);

  const go = useCallback((to: Place, how: 'push' | 'replace' = 'push') => {
    const address = linkTo(to);
    if (how === 'push') window.history.pushState(null, '', address);
    else window.history.replaceState(null, '', address);
    setPlace((from) => {
      // A table that is put in another order, or another theme, leaves the reader where they are.
      moved.current = linkTo({ ...from, sort: null, theme: null }) !== linkTo({ ...to, sort: null, theme: null });
      return to;
    });
  }, []);

  useEffect(() => {
    const back = (): void => setPlace(placeOf(new URL(window.location.href)));
    window.addEventListener('popstate', back);
    return () => window.removeEventListener('popstate', back);
  }, []);

  useEffect(() => {
    if (place.theme === null) delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = place.theme;
  }, [place.theme]);

  useEffect(() => {
    if (!moved.current) return;
    moved.current = false;
    window.scrollTo(0, 0);
    document.getElementById('main')?.focus({ preventScroll: true });
  }, [place]);

  const known = me !== null;
  useEffect(() => {
    if (known || place.page === 'sign-in') return;
    api.me().then(setMe, (fault: Error) => {
      if (fault instanceof api.Refused && fault.status === 401) {
        const next = window.location.pathname + window.location.search;
        go({ ...HOME, page: 'sign-in', theme: place.theme, next }, 'replace');
      } else setError(fault.message);
    });
  }, [known, place.page, place.theme, go]);

  const here = useMemo(() => ({ place, me: place.page === 'sign-in' ? null : me, go }), [place, me, go]);
  return (
    <HereContext.Provider value={here}>
      <Frame>{page()}</Frame>
    </HereContext.Provider>
  );

  function page() {
    if (place.page === 'sign-in') return <SignInPage onSignedIn={setMe} />;
    if (me === null) return error === null ? null : <Fault message={error} retry={() => window.location.reload()} />;
    return place.page === 'worklist' ? <WorklistPage /> : <BoardPage />;
  }
}

const root = document.getElementById('board');
if (root !== null) {
  root.replaceChildren();
  render(<Board />, root);
}
