import { everywhere } from './everywhere.mjs';

everywhere('WebKit');
