// The browsers of the tests, all with the part of playwright's interface that `everywhere.mjs` uses.

import { chromium, firefox } from 'playwright-core';

import { program } from './server.mjs';
import { WebKit } from './webkit.mjs';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--no-first-run'];
FLAGS.push('--disable-background-networking', '--disable-component-update', '--disable-sync');
/** Firefox takes many seconds to start on a busy machine. */
const TIMEOUT = 60_000;

const BROWSERS = {
  Chromium: (flags) => chromium.launch({ executablePath: program('CHROMIUM'), args: [...FLAGS, ...flags], timeout: TIMEOUT }),
  // Playwright drives the Firefox of a distribution by WebDriver BiDi.
  Firefox: () => firefox.launch({ executablePath: program('FIREFOX'), channel: 'moz-firefox', timeout: TIMEOUT }),
  WebKit: () => WebKit.launch({ driver: program('WEBKIT_DRIVER'), display: program('XVFB') }),
};

/** Starts a browser, Chromium with further `flags`. Returns a context, whose pages share cookies and storage. */
export async function open(name, viewport = { width: 1100, height: 720 }, flags = []) {
  const browser = await BROWSERS[name](flags);
  const context = await browser.newContext({ viewport });
  context.setDefaultTimeout(TIMEOUT);
  return context;
}
