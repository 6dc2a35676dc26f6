// Chromium, with each generation of the public JavaScript client.

import { everywhere, LATEST } from './everywhere.mjs';

const OLDER = ['v2', 'v3', 'v4.0', 'v4.1', 'v4.2', 'v4.3', 'v4.4', 'v4.5', 'v4.6', 'v4.7'];

everywhere('Chromium', [...OLDER.map((version) => `socket.io-client-${version}`), LATEST]);
