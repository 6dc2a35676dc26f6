// WebKitGTK, driven by the W3C WebDriver protocol on an X server without a screen.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePort, start } from './server.mjs';

/** The key under which the protocol names an element. */
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

/** Runs in the page. Waits until an element can be clicked, as Playwright does. The protocol only fails before that. */
async function reachable(selector) {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; ) {
    const element = document.querySelector(selector);
    const { x, y, width, height } = element?.getBoundingClientRect() ?? {};
    if (width > 0 && !element.disabled && element.contains(document.elementFromPoint(x + width / 2, y + height / 2))) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${selector} cannot be clicked: ${document.body.innerText}`);
}

export class WebKit {
  /** One command at a time: a command goes to the current window. */
  #queue = Promise.resolve();
  #window;

  /** Starts the X server `display`, the WebDriver `driver` and a browser. */
  static async launch({ driver, display }) {
    // The X server chooses a free number and prints it, after a complaint about each number that is not free.
    const number = /^(\d+)\n/m;
    const screen = await start(display, {}, ['-displayfd', '1', '-nolisten', 'tcp', '-screen', '0', '1280x1024x24'], number);
    const port = await freePort();
    const DISPLAY = `:${screen.output().match(number)[1]}`;
    const server = await start(driver, { DISPLAY, NO_AT_BRIDGE: '1' }, [`--port=${port}`], null);
    const browser = new WebKit();
    Object.assign(browser, { screen, server, base: `http://127.0.0.1:${port}/session` });
    const ready = () => fetch(`http://127.0.0.1:${port}/status`).then(({ ok }) => ok, () => false);
    for (let tries = 0; tries < 600 && !(await ready()); tries++) await sleep(50);
    const timeouts = { script: 120_000, pageLoad: 120_000 };
    const { sessionId } = await browser.send('POST', '', { capabilities: { alwaysMatch: { timeouts } } });
    browser.base += `/${sessionId}`;
    browser.first = await browser.send('GET', '/window');
    browser.files = await mkdtemp(join(tmpdir(), 'webkit-'));
    return browser;
  }

  async send(method, path, body) {
    const options = { method, body: body && JSON.stringify(body) };
    const { value } = await (await fetch(`${this.base}${path}`, options)).json();
    if (value?.error) throw new Error(`${path}: ${value.error}: ${value.message}`);
    return value;
  }

  /** Sends commands to a window. */
  in(window, commands) {
    const result = this.#queue.then(async () => {
      if (this.#window !== window) await this.send('POST', '/window', { handle: window });
      this.#window = window;
      return commands();
    });
    this.#queue = result.catch(() => {});
    return result;
  }

  newContext() {
    return this;
  }

  browser() {
    return this;
  }

  setDefaultTimeout() {}

  async newPage() {
    const { handle } = await this.in(this.first, () => this.send('POST', '/window/new', { type: 'tab' }));
    return new Page(this, handle);
  }

  async close() {
    await this.send('DELETE', '').catch(() => {});
    await this.server.stop();
    await this.screen.stop();
    await rm(this.files, { recursive: true, force: true });
  }
}

class Page {
  constructor(browser, handle) {
    Object.assign(this, { browser, handle });
  }

  send(method, path, body) {
    return this.browser.in(this.handle, () => this.browser.send(method, path, body));
  }

  /** Messages on the console are not part of the protocol. */
  on() {}

  goto(url) {
    return this.send('POST', '/url', { url });
  }

  close() {
    return this.send('DELETE', '/window');
  }

  /** Runs a function in the page, and waits for its result. */
  async evaluate(body, argument) {
    const script = `const done = arguments[1];
      Promise.resolve().then(() => (${body})(arguments[0])).then((value) => done({ value }), (error) => done({ error: String(error) }));`;
    const { value, error } = await this.send('POST', '/execute/async', { script, args: [argument ?? null] });
    if (error) throw new Error(error);
    return value;
  }

  getByTestId(id) {
    const value = `[data-testid="${id}"]`;
    const act = async (action, body) => {
      const { [ELEMENT]: element } = await this.send('POST', '/element', { using: 'css selector', value });
      return this.send('POST', `/element/${element}/${action}`, body ?? {});
    };
    return {
      click: async () => {
        await this.evaluate(reachable, value);
        await act('click');
      },
      fill: async (text) => {
        await this.evaluate(reachable, value);
        await act('clear');
        await act('value', { text });
      },
      setInputFiles: async ({ name, buffer }) => {
        const path = join(this.browser.files, name);
        await writeFile(path, buffer);
        await act('value', { text: path });
      },
    };
  }
}
