// Sends what the tests print to stderr. A test file reports its results to Node's test runner over stdout,
// and printed text between two results can make the runner fail the whole file ("Unable to deserialize
// cloned data").

import { Console } from 'node:console';

globalThis.console = new Console(process.stderr);
