// Sends what the tests print to stderr, so that it does not stand between the results on stdout.

import { Console } from 'node:console';

globalThis.console = new Console(process.stderr);
